"""A job written as Axolotl's file and read back is the same job."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from command_line import Cli
from hypothesis import given
from hypothesis import strategies as st
from specimens import write_chats

from ftctl.api.axolotl_spec import translate
from ftctl.job import Hyperparameters, Method, Tuning
from ftctl.local_backend.engines.axolotl_config import Wanted, config_of, not_carried, written
from ftctl.local_backend.run_options import RunOptions
from ftctl.providers.local import LocalProvider

_share = st.floats(0, 0.5, allow_nan=False).map(lambda x: round(x, 6))


@st.composite
def _settings(draw: st.DrawFn) -> Hyperparameters:
    micro, accumulation = draw(st.integers(1, 16)), draw(st.integers(1, 32))
    return Hyperparameters(
        epochs=draw(st.floats(0.1, 50).map(lambda x: round(x, 4))),
        max_steps=draw(st.none() | st.integers(1, 5000)),
        batch_size=micro * accumulation,
        micro_batch_size=micro,
        learning_rate=draw(st.floats(1e-7, 0.5)),
        warmup_fraction=draw(_share),
        weight_decay=draw(_share),
        lora_r=draw(st.integers(1, 256)),
        lora_alpha=draw(st.integers(1, 512)),
        lora_dropout=draw(_share),
        max_length=draw(st.integers(16, 100_000)),
        checkpoint_steps=draw(st.none() | st.integers(1, 1000)),
        seed=draw(st.integers(0, 2**31 - 1)),
    )


@given(
    settings=_settings(),
    method=st.sampled_from(["sft", "dpo"]),
    tuning=st.sampled_from(["lora", "qlora", "full"]),
    packing=st.sampled_from(["on", "off", "auto"]),
    beta=st.floats(0.01, 2),
    rslora=st.booleans(),
)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    settings: Hyperparameters,
    method: Method,
    tuning: Tuning,
    packing: str,
    beta: float,
    rslora: bool,
) -> None:
    rows = tmp_path_factory.getbasetemp() / "round-trip.jsonl"
    rows.touch()
    options = {"packing": packing, "keep_checkpoints": "3", "recompute": "all"}
    options |= {"beta": str(beta)} if method == "dpo" else {}
    options |= {"rslora": "true"} if rslora and tuning != "full" else {}
    adapter = {"lora_r", "lora_alpha", "lora_dropout"} if tuning == "full" else set()
    asked = settings.model_copy(update=dict.fromkeys(adapter))
    wanted = Wanted("team/base", method, tuning, asked, options, rows, rows)
    assert not not_carried(wanted)
    found = translate(
        yaml.safe_load(written(config_of(wanted))), "f", able=LocalProvider.capabilities
    )
    assert (found.lost, found.unknown) == ([], [])
    assert found.fields == {"model": "team/base", "method": method, "tuning": tuning}
    assert (found.data, found.validation) == ([rows], [rows])
    names = set(RunOptions.model_fields)
    back = {name: value for name, value in found.settings.items() if name not in names}
    assert Hyperparameters.model_validate(back) == asked
    read = RunOptions.model_validate({k: v for k, v in found.settings.items() if k in names})
    assert read == RunOptions.model_validate(options)


def test_the_last_layers_are_the_same_ones(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"num_hidden_layers": 5}', encoding="utf-8")
    rows = write_chats(tmp_path / "rows.jsonl")
    asked = Hyperparameters(last_layers=2)
    wanted = Wanted(str(tmp_path), "sft", "lora", asked, {}, rows)
    config = config_of(wanted)
    assert config["peft_layers_to_transform"] == [3, 4]
    assert translate(config, "f", able=LocalProvider.capabilities).settings["last_layers"] == 2
    elsewhere = Wanted("team/base", "sft", "lora", asked, {"attention": "flex"}, rows)
    assert not_carried(elsewhere) == ["attention", "last_layers"]


def export(cli: Cli, job: str, target: str, file: Path) -> dict[str, Any]:
    ran = cli("export", job, "--to", target, "-o", file, "--json")
    assert ran.returncode == 0, ran.stderr
    document: dict[str, Any] = ran.json()
    return document | {"said": ran.stderr}


def submitted(cli: Cli, data: Path, model: str, *more: str) -> str:
    ran = cli("submit", "--provider", "fake", "--data", data, "--model", model, *more)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_a_job_is_exported_and_submitted_again(cli: Cli, tmp_path: Path) -> None:
    data = write_chats(tmp_path / "rows.jsonl")
    job = submitted(cli, data, "team/base", "--set", "epochs=2", "--set", "lora_r=8")
    file = tmp_path / "out" / "axolotl.yml"
    for _ in range(2):
        done = export(cli, job, "axolotl-yaml", file)
        assert done["files"] == ["axolotl.yml"]  # chats are read as they are
    ran = cli("submit", "--spec", file, "--provider", "fake", "--dry-run", "--json")
    assert ran.returncode == 0, ran.stderr
    again, before = ran.json()["spec"], cli("job", job, "--json").json()["spec"]
    for key in ("model", "data", "data_sha256", "method", "tuning"):
        assert again[key] == before[key]
    assert (again["hyperparameters"]["epochs"], again["hyperparameters"]["lora_r"]) == (2, 8)
    file.write_text("mine", encoding="utf-8")
    assert cli("export", job, "--to", "axolotl-yaml", "-o", file).returncode == 2


def test_pairs_and_weights_are_written_as_axolotl_reads_them(cli: Cli, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    row = {
        "input": {"messages": [{"role": "user", "content": "Hi"}]},
        "preferred_output": [{"role": "assistant", "content": "a"}],
        "non_preferred_output": [{"role": "assistant", "content": "b"}],
    }
    pairs.write_text((json.dumps(row) + "\n") * 10, encoding="utf-8")
    job = submitted(cli, pairs, "team/base", "--method", "dpo")
    done = export(cli, job, "axolotl-yaml", tmp_path / "dpo.yml")
    assert done["files"] == ["dpo.yml", "dpo.train.jsonl"]
    config = yaml.safe_load((tmp_path / "dpo.yml").read_text())
    assert (config["rl"], config["rl_beta"]) == ("dpo", 0.1)
    written_rows = Path(config["datasets"][0]["path"]).read_text().splitlines()
    assert set(json.loads(written_rows[0])) == {"messages", "chosen", "rejected"}
    ran = cli("submit", "--spec", tmp_path / "dpo.yml", "--provider", "fake", "--dry-run", "--json")
    again = Path(ran.json()["spec"]["data"])
    assert [json.loads(line) for line in again.read_text().splitlines()] == [row] * 10


def test_mistral_finetunes_file_holds_what_it_reads(cli: Cli, tmp_path: Path) -> None:
    data = write_chats(tmp_path / "rows.jsonl")
    words = ("--set", "lora_r=8", "--set", "lora_alpha=12", "--set", "max_length=256")
    job = submitted(cli, data, "mistral-7b-instruct", *words, "--set", "last_layers=2")
    done = export(cli, job, "mistral-finetune-yaml", tmp_path / "mft.yml")
    assert "no setting for last_layers" in done["said"]
    config = yaml.safe_load((tmp_path / "mft.yml").read_text())
    # `TrainArgs` of its last commit, as far as a file may name them.
    assert set(config) == {
        "data", "model_id_or_path", "lora", "seq_len", "batch_size", "num_microbatches",
        "max_steps", "optim", "seed", "log_freq", "eval_freq", "no_eval", "ckpt_freq",
        "save_adapters", "run_dir",
    }  # fmt: skip
    assert config["model_id_or_path"] == "mistralai/Mistral-7B-Instruct-v0.3"
    assert config["lora"] == {"rank": 8, "dropout": 0.0, "scaling": 1.5}
    assert set(config["optim"]) == {"lr", "weight_decay", "pct_start"}
    assert (config["seq_len"], config["no_eval"], config["save_adapters"]) == (256, True, True)
    assert config["max_steps"] >= 1
    rows = Path(config["data"]["instruct_data"]).read_text().splitlines()
    assert len(rows) == 12
    assert {"messages"} <= set(json.loads(rows[0]))


@pytest.mark.parametrize(
    ("model", "more", "target", "said"),
    [
        ("qwen2.5-0.5b-instruct", (), "mistral-finetune-yaml", "Mistral's models alone"),
        ("team/base", ("--tuning", "qlora"), "mistral-finetune-yaml", "only sft, lora or full"),
        ("gpt-4.1-mini", (), "axolotl-yaml", "weights aren't published"),
    ],
)
def test_what_a_tool_can_not_do_is_said(
    cli: Cli, tmp_path: Path, model: str, more: tuple[str, ...], target: str, said: str
) -> None:
    job = submitted(cli, write_chats(tmp_path / "rows.jsonl"), model, *more)
    ran = cli("export", job, "--to", target, "-o", tmp_path / "out.yml")
    assert ran.returncode == 3
    assert said in ran.stderr
    assert not (tmp_path / "out.yml").exists()


def test_a_checkpoint_of_mistral_finetune_needs_its_base(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "lora.safetensors").touch()
    for words, said in (
        (("--to", "peft", "-o", tmp_path / "out"), "which model it was tuned from"),
        (("--to", "gguf", "-o", tmp_path / "out", "--model", "m"), "becomes a PEFT folder first"),
    ):
        ran = cli("export", tmp_path, *words)
        assert ran.returncode == 2
        assert said in ran.stderr
    ran = cli("export", "job-1", "--to", "peft", "-o", tmp_path / "out", "--model", "m")
    assert (ran.returncode, "--model is about" in ran.stderr) == (2, True)
