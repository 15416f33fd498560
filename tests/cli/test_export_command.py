"""`ftctl export`: a folder, AutoTrain's file, a repository at a hub on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Cli

from ftctl.api.exporting_to_hub import _card
from ftctl.config import load_settings
from ftctl.store import Store
from ftctl.testing.hub import Hub
from ftctl.testing.hub_repos import HubRepo
from ftctl.testing.loopback import Fault
from ftctl.testing.openai_vendor import OpenAIVendor

pytestmark = pytest.mark.medium
KEY = "hf_planted0123456789planted"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", KEY)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with Hub(KEY) as vendor:
        monkeypatch.setenv("HF_ENDPOINT", vendor.base_url)
        yield vendor


def write_rows(file: Path) -> Path:
    row = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    rows = [{"messages": [*row, {"role": "user", "content": str(n)}, row[1]]} for n in range(12)]
    file.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    return file


def submit(cli: Cli, tmp_path: Path, *more: str | Path) -> str:
    ran = cli(
        "submit", "--provider", "huggingface", "--model", "qwen2.5-0.5b-instruct",
        "--data", write_rows(tmp_path / "train.jsonl"), "--name", "greets", *more,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@pytest.fixture
def job(hub: Hub, cli: Cli, tmp_path: Path) -> str:
    job_id = submit(cli, tmp_path)
    hub.move(next(iter(hub.jobs)), "COMPLETED")
    return job_id


def sent(hub: Hub, name: str = "team/greets") -> HubRepo:
    return hub.repos.by_id["model", name]


def test_a_peft_folder_is_the_adapter(cli: Cli, job: str, tmp_path: Path) -> None:
    for _ in range(2):  # the same again does no harm
        ran = cli("export", job, "--to", "peft", "-o", tmp_path / "out", "--json")
        assert ran.returncode == 0, ran.stderr
    done = ran.json()
    assert (done["schema"], done["job"], done["to"]) == ("ftctl.export/1", job, "peft")
    assert {"adapter_config.json", "adapter_model.safetensors"} <= set(done["files"])
    assert done["bytes"] == sum(f.stat().st_size for f in (tmp_path / "out").iterdir())


def test_a_repository_is_private_and_gets_the_card(hub: Hub, cli: Cli, job: str) -> None:
    ran = cli("export", job, "--to", "hub:team/greets")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == f"{hub.base_url}/team/greets"
    assert "private" in ran.stderr
    assert "MB" in ran.stderr
    repo = sent(hub)
    assert repo.private
    assert {"README.md", "adapter_config.json", "adapter_model.safetensors"} <= set(repo.files)
    assert "manifest.json" not in repo.files
    card = repo.files["README.md"].decode()
    assert card.startswith("---\nbase_model: Qwen/Qwen2.5-0.5B-Instruct\n")
    assert "ftctl" in card


def test_public_is_said_aloud(hub: Hub, cli: Cli, job: str) -> None:
    assert cli("export", job, "--to", "hub:team/greets", "--public").returncode == 0
    assert not sent(hub).private


def test_a_public_repository_is_not_taken_for_a_private_one(hub: Hub, cli: Cli, job: str) -> None:
    hub.repos.by_id["model", "team/greets"] = HubRepo("team/greets", "model", private=False)
    ran = cli("export", job, "--to", "hub:team/greets")
    assert ran.returncode == 2
    assert "public" in ran.stderr
    assert sent(hub).files == {}


def test_what_somebody_else_put_there_is_left_alone(hub: Hub, cli: Cli, job: str) -> None:
    theirs = HubRepo("team/greets", "model", private=True, files={"model.safetensors": b"x"})
    hub.repos.by_id["model", "team/greets"] = theirs
    ran = cli("export", job, "--to", "hub:team/greets")
    assert ran.returncode == 2
    assert list(sent(hub).files) == ["model.safetensors"]


def test_an_upload_that_broke_off_goes_on(hub: Hub, cli: Cli, job: str) -> None:
    hub.faults.append(Fault("POST */commit/main", "lost"))
    assert cli("export", job, "--to", "hub:team/greets").returncode == 5
    first = cli("export", job, "--to", "hub:team/greets", "--json").json()
    again = cli("export", job, "--to", "hub:team/greets", "--json").json()
    assert first["commit"] == again["commit"] == sent(hub).sha
    puts = [request for request in hub.storage.requests if request.method == "PUT"]
    assert len(puts) == 1  # the weights, once


@pytest.mark.parametrize("privacy", ["stays_inside", "regulated"])
def test_a_model_may_go_only_where_its_rows_may(
    cli: Cli, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, privacy: str
) -> None:
    job_id = submit(cli, tmp_path, "--privacy", privacy)
    hub.move(next(iter(hub.jobs)), "COMPLETED")
    monkeypatch.delenv("HF_ENDPOINT")  # the real hub is outside; one on loopback isn't
    asked = len(hub.requests)
    ran = cli("export", job_id, "--to", "hub:team/greets")
    assert ran.returncode == 3
    assert "can repeat its rows" in ran.stderr
    assert len(hub.requests) == asked


@pytest.mark.parametrize("privacy", ["contractual", "regulated"])
def test_only_public_rows_make_a_public_model(
    cli: Cli, hub: Hub, tmp_path: Path, privacy: str
) -> None:
    job_id = submit(cli, tmp_path, "--privacy", privacy)
    hub.move(next(iter(hub.jobs)), "COMPLETED")
    ran = cli("export", job_id, "--to", "hub:team/greets", "--public")
    assert ran.returncode == 3
    assert ("model", "team/greets") not in hub.repos.by_id
    assert cli("export", job_id, "--to", "hub:team/greets").returncode == 0


def test_that_weights_left_is_audited(hub: Hub, cli: Cli, job: str) -> None:
    assert cli("export", job, "--to", "hub:team/greets").returncode == 0
    with Store(load_settings().database_url) as store:
        entries = [entry for entry in store.audits(job) if entry.action == "weights_leave"]
    assert entries[0].detail["repo"] == "team/greets"
    assert entries[0].detail["public"] is False


def test_no_folder_of_this_machine_is_sent(hub: Hub, cli: Cli, job: str) -> None:
    order = json.loads(next(iter(hub.jobs.values()))["environment"]["FTCTL_ORDER"])
    made = hub.repos.by_id["model", order["repo"]]
    config = {"base_model_name_or_path": "/home/me/models/qwen", "peft_type": "LORA"}
    made.files["adapter_config.json"] = json.dumps(config).encode()
    made.files["README.md"] = b"# A\n\nvllm serve /home/me/models/qwen --enable-lora\n"
    made.files["run.json"] = json.dumps({"config": {"data": "/home/me/secret/a.jsonl"}}).encode()
    assert cli("export", job, "--to", "hub:team/greets").returncode == 0
    repo = sent(hub)
    assert all(b"/home/me" not in content for content in repo.files.values())
    assert b"vllm serve Qwen/Qwen2.5-0.5B-Instruct --enable-lora" in repo.files["README.md"]
    named = json.loads(repo.files["adapter_config.json"])["base_model_name_or_path"]
    assert named == "Qwen/Qwen2.5-0.5B-Instruct"
    assert json.loads(repo.files["run.json"]) == {"config": {"data": "a.jsonl"}}


def test_the_key_is_printed_nowhere(hub: Hub, cli: Cli, job: str) -> None:
    hub.faults.append(Fault("POST /api/repos/create", status=403, message=f"no rights, {KEY}"))
    ran = cli("export", job, "--to", "hub:team/greets")
    assert ran.returncode == 3
    assert "no rights" in ran.stderr
    assert KEY not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--to", "ggfu", "-o", "x"),
        ("--to", "hub:", "-o", "x"),
        ("--to", "hub:only-a-name"),
        ("--to", "hub:a/../b"),
        ("--to", "hub:team/greets", "-o", "x"),
        ("--to", "peft"),
        ("--to", "peft", "-o", "x", "--public"),
    ],
)
def test_what_is_put_wrongly_is_a_usage_error(
    hub: Hub, cli: Cli, job: str, words: tuple[str, ...]
) -> None:
    before = set(hub.repos.by_id)
    ran = cli("export", job, *words)
    assert ran.returncode == 2, ran.stderr
    assert set(hub.repos.by_id) == before


def test_a_job_without_a_model_has_nothing_to_export(hub: Hub, cli: Cli, tmp_path: Path) -> None:
    job_id = submit(cli, tmp_path)
    ran = cli("export", job_id, "--to", "peft", "-o", tmp_path / "out")
    assert ran.returncode == 1
    assert not (tmp_path / "out").exists()


def test_a_provider_that_keeps_weights_is_told_before_it_is_asked(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with OpenAIVendor("sk-test", by_polls=False) as vendor:
        job_id = cli(
            "submit", "--provider", "openai", "--base-url", vendor.base_url, "--model",
            "gpt-4.1-mini", "--data", write_rows(tmp_path / "train.jsonl"),
        ).stdout.strip()  # fmt: skip
        asked = len(vendor.requests)
        ran = cli("export", job_id, "--to", "peft", "-o", tmp_path / "out")
        assert ran.returncode == 3
        assert len(vendor.requests) == asked


# `LLMTrainingParams` of AutoTrain 0.8.36, as far as a file may name them.
PARAMS = {
    "block_size", "model_max_length", "padding", "epochs", "batch_size", "gradient_accumulation",
    "lr", "warmup_ratio", "optimizer", "scheduler", "weight_decay", "seed", "peft", "lora_r",
    "lora_alpha", "lora_dropout", "target_modules", "quantization",
}  # fmt: skip


def test_autotrains_file_holds_what_autotrain_reads(cli: Cli, hub: Hub, tmp_path: Path) -> None:
    import yaml  # type: ignore[import-untyped]

    job_id = submit(cli, tmp_path, "--set", "epochs=2", "--set", "lora_r=8")
    file = tmp_path / "autotrain.yml"
    for _ in range(2):
        ran = cli("export", job_id, "--to", "autotrain-yaml", "-o", file)
        assert ran.returncode == 0, ran.stderr
    read = yaml.safe_load(file.read_text("utf-8"))
    assert read["task"] == "llm-sft"
    assert read["base_model"] == "Qwen/Qwen2.5-0.5B-Instruct"
    assert read["data"] == {
        "path": str(tmp_path),
        "train_split": "train",
        "valid_split": None,
        "chat_template": "tokenizer",
        "column_mapping": {"text_column": "messages"},
    }
    assert set(read["params"]) == PARAMS
    assert (read["params"]["epochs"], read["params"]["lora_r"]) == (2, 8)
    assert read["hub"]["token"] == "${HF_TOKEN}"
    file.write_text("mine", "utf-8")
    assert cli("export", job_id, "--to", "autotrain-yaml", "-o", file).returncode == 2
    assert file.read_text("utf-8") == "mine"


def test_an_alias_is_the_same_job(cli: Cli, hub: Hub, job: str, tmp_path: Path) -> None:
    ran = cli(
        "submit", "--provider", "autotrain", "--model", "qwen2.5-0.5b-instruct",
        "--data", tmp_path / "train.jsonl", "--name", "other", "--json",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.json()["provider"] == "huggingface"


def test_the_autotrain_space_is_another_job_and_said_to_be_legacy(
    cli: Cli, hub: Hub, job: str, tmp_path: Path
) -> None:
    ran = cli(
        "submit", "--provider", "huggingface", "--engine", "autotrain-space", "--set",
        "flavor=a10g-large", "--model", "qwen2.5-0.5b-instruct", "--data", tmp_path / "train.jsonl",
        "--name", "greets",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() != job
    (space,) = hub.spaces.by_id
    hub.end_space(space)
    seen = cli("job", ran.stdout.strip(), "--json").json()
    assert seen["remote_id"] == f"spaces/{space}"
    ended = cli("watch", ran.stdout.strip(), "--every", "0.05")
    assert "succeeded" in ended.stdout
    assert "inferred" in cli("job", ran.stdout.strip(), "--json").json()["message"]


@pytest.mark.parametrize(
    ("card", "base", "wanted"),
    [
        (
            "# A\n",
            "o/b",
            "---\nbase_model: o/b\nlibrary_name: peft\ntags: [lora, ftctl]\n---\n# A\n",
        ),
        (
            "---\nbase_model: /home/me/b\nlicense: mit\ntags: [lora, ftctl]\n---\n# A\n",
            None,
            "---\nlicense: mit\nlibrary_name: peft\ntags: [lora, ftctl]\n---\n# A\n",
        ),
    ],
)
def test_a_card_has_a_head_that_a_hub_takes(card: str, base: str | None, wanted: str) -> None:
    assert _card(card, base) == wanted
