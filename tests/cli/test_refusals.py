"""Every bad question gets one clear message, the right exit code, and costs nothing."""

import json
import sys
from pathlib import Path

import pytest
from command_line import Cli, Ran

from ftctl.config import load_settings
from ftctl.store import Store

ROW = {
    "messages": [
        {"role": "user", "content": "What colour is it?"},
        {"role": "assistant", "content": "It is red."},
    ]
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "train.jsonl"
    lines = []
    for i in range(12):
        row = json.loads(json.dumps(ROW))
        row["messages"][0]["content"] += f" Item {i}."
        lines.append(json.dumps(row) + "\n")
    file.write_text("".join(lines), encoding="utf-8")
    return file


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder that looks like a model from the outside."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    return folder


def told(ran: Ran, code: int, *words: str) -> None:
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
    for word in words:
        assert word in ran.stderr, ran.stderr


def submit(cli: Cli, data: Path, *more: str | Path, provider: str = "local") -> Ran:
    return cli("submit", "--provider", provider, "--data", data, *more)


def no_job_was_made() -> bool:
    with Store(load_settings().database_url) as store:
        return store.jobs() == []


def test_a_closed_provider_is_refused_with_date_source_and_way_out(cli: Cli, data: Path) -> None:
    ran = submit(
        cli, data, "--model", "open-mistral-7b", "--as-of", "2026-11-24", provider="mistral"
    )
    told(ran, 3, "2026-07", "mistralai/client-ts#255", "→", "local")
    assert no_job_was_made()


def test_the_refusal_is_one_json_document_when_asked(cli: Cli, data: Path) -> None:
    ran = submit(cli, data, "--model", "x", "--json", "--as-of", "2026-11-24", provider="mistral")
    assert ran.returncode == 3
    document = ran.json()
    assert document["schema"] == "ftctl.error/1"
    assert document["error"]["kind"] == "provider_closed"
    assert document["error"]["exit_code"] == 3


def test_openai_is_closed_from_2027_01_06_on(cli: Cli, data: Path) -> None:
    words = ("--model", "gpt-4.1-mini", "--as-of", "2027-01-07")
    told(submit(cli, data, *words, provider="openai"), 3, "2027-01-06")


def test_rows_that_must_stay_inside_go_to_no_vendor(cli: Cli, data: Path) -> None:
    words = ("--model", "gpt-4.1-mini", "--privacy", "stays_inside", "--as-of", "2026-11-24")
    told(submit(cli, data, *words, provider="openai"), 3, "stay inside")
    assert no_job_was_made()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--model", "smollm2-135m-instuct"], 2, "did you mean smollm2-135m-instruct"),
        (["--model", "nowhere/at-all.gguf"], 2, "no such file"),
        (["--model", "{model}", "--set", "epoch=3"], 2, "did you mean epochs"),
        (["--model", "{model}", "--set", "epochs=many"], 2, "epochs"),
        (["--model", "{model}", "--set", "epochs"], 2, "not KEY=VALUE"),
        (["--model", "{model}", "--set", "epochs=1", "--set", "epochs=2"], 2, "given twice"),
        (["--model", "{model}", "--method", "rft"], 3, "it can do dpo, sft"),
        (["--model", "{model}", "--tuning", "half"], 2, "'lora', 'qlora', 'full'"),
        (["--model", "{model}", "--tuning", "full", "--set", "rslora=true"], 2, "of an adapter"),
        (["--model", "{model}", "--tuning", "full", "--set", "last_layers=2"], 2, "last_layers:"),
        (["--model", "{model}", "--set", "learning_rate_multiplier=2"], 3, "doesn't take"),
        (["--model", "{model}", "--validation", "none.jsonl"], 2, "none.jsonl"),
        (["--model", "{model}", "--sett", "epochs=1"], 2, "No such option"),
        (["--model", "{model}", "--privacy", "secret"], 2, "stays_inside"),
        (["--model", "{model}", "--max-cost", "nan"], 2, "max_cost"),
        (["--model", "{model}", "--set", "max_minutes=inf"], 2, "max_minutes"),
        (["--model", "{model}/config.json"], 2, "config.json"),
    ],
)
def test_a_wrong_word_is_named(
    cli: Cli, data: Path, model: Path, words: list[str], code: int, said: str
) -> None:
    told(submit(cli, data, *(word.format(model=model) for word in words)), code, said)
    assert no_job_was_made()


@pytest.mark.medium
def test_four_bits_without_what_keeps_them_names_the_extra(
    cli: Cli, data: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # as Python marks what isn't there
    words = ("--model", model, "--tuning", "qlora")
    told(submit(cli, data, *words), 3, "extra `qlora`", "pip install 'ftctl[qlora]'")
    assert no_job_was_made()


def test_an_unknown_provider_names_the_nearest(cli: Cli, data: Path) -> None:
    told(submit(cli, data, "--model", "m", provider="opnai"), 2, "did you mean openai")


def test_missing_options_are_named(cli: Cli) -> None:
    told(cli("submit"), 2, "--provider")


@pytest.mark.medium
@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "no config.json"),
        (["config.json"], "no *.safetensors"),
        (["config.json", "model.safetensors"], "a tokenizer isn't"),
        (["config.json", "pytorch_model.bin"], "pickled (pytorch_model.bin)"),
        (["config.json", "model.pkl"], "could run any program"),
    ],
)
def test_a_model_folder_that_is_not_whole_or_not_safe(
    cli: Cli, data: Path, tmp_path: Path, files: list[str], said: str
) -> None:
    folder = tmp_path / "half"
    folder.mkdir()
    for name in files:
        (folder / name).write_text("{}", encoding="utf-8")
    told(submit(cli, data, "--model", folder), 2, said)
    told(cli("chat", folder, "hi"), 2, said)


def test_data_that_breaks_a_rule_is_refused_with_the_line(
    cli: Cli, data: Path, model: Path
) -> None:
    with data.open("a", encoding="utf-8") as stream:
        stream.write('{"messages": [{"role": "bot", "content": "x"}]}\n')
    ran = submit(cli, data, "--model", model)
    told(ran, 1, f"{data}:13", "role", "ftctl data check")
    assert no_job_was_made()


def test_a_mistyped_folder_is_no_hub_id(cli: Cli, data: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    told(submit(cli, data, "--model", "models/tiny"), 2, "no such folder")
    assert no_job_was_made()


@pytest.mark.parametrize("verb", ["watch", "job", "logs", "cancel", "resume"])
def test_an_unknown_job_is_told(cli: Cli, verb: str) -> None:
    told(cli(verb, "job-nothing"), 1, "no job job-nothing", "ftctl jobs")


def test_watching_nothing_in_particular(cli: Cli) -> None:
    told(cli("watch"), 2, "--all")
    assert cli("watch", "--all").returncode == 0  # no live job: nothing to wait for


def test_no_jobs_is_no_error(cli: Cli) -> None:
    ran = cli("jobs")
    assert ran.returncode == 0
    assert "no jobs" in ran.stdout
    none = {"schema": "ftctl.jobs/1", "jobs": [], "damaged": []}
    assert cli("jobs", "--json").json() == none


def test_an_unknown_command_names_the_nearest(cli: Cli) -> None:
    told(cli("submitt"), 2, "Did you mean `submit`")


def test_an_unknown_fact_names_the_nearest(cli: Cli, tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    facts.write_text('{"baseline_scor": 0.5}', encoding="utf-8")
    told(cli("advise", "--facts", facts), 2, "baseline_score")


def test_an_empty_prompt_is_refused_before_anything_is_loaded(cli: Cli, model: Path) -> None:
    told(cli("chat", model, " "), 2, "the prompt is empty")
    told(cli("chat", model), 2, "standard input is empty")


def test_a_dry_run_submits_nothing(cli: Cli, data: Path, model: Path) -> None:
    ran = submit(cli, data, "--model", model, "--dry-run", "--json")
    assert ran.returncode == 0, ran.stderr
    assert ran.json()["spec"]["data_sha256"]
    assert no_job_was_made()


def test_a_store_of_a_newer_version_is_refused(cli: Cli, clean_environment: Path) -> None:
    import sqlite3

    cli("jobs")
    connection = sqlite3.connect(clean_environment / "ftctl.db")
    with connection:
        connection.execute("UPDATE ftctl_schema SET version = 99")
    connection.close()
    told(cli("jobs"), 1, "schema version 99", "upgrade")


def test_a_home_that_is_a_file(cli: Cli, clean_environment: Path) -> None:
    clean_environment.write_text("not a folder", encoding="utf-8")
    ran = cli("jobs")
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert str(clean_environment) in ran.stderr


@pytest.mark.parametrize(
    "text",
    [
        "[\n{row},\n{row}\n]\n",
        '{{"instruction": "a", "output": "b"}}\n',
        '{{"text": "just text"}}\n',
        "{row} {row}\n",
    ],
    ids=["array", "alpaca", "text", "two on a line"],
)
def test_what_other_trainers_read_is_refused_before_a_worker_starts(
    cli: Cli, data: Path, model: Path, text: str
) -> None:
    row = data.read_text(encoding="utf-8").splitlines()[0]
    data.write_text(text.format(row=row) * 12, encoding="utf-8")
    told(submit(cli, data, "--model", model), 1, f"{data}:1", "ftctl data convert")
    assert no_job_was_made()


@pytest.mark.parametrize(
    "words",
    [("split", "-o"), ("split", "--by", "task", "-o"), ("convert", "-o"), ("check", "--fix")],
    ids=" ".join,
)
def test_where_no_file_can_be_made_the_one_asked_for_is_named(
    cli: Cli, data: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    chats = [
        [{"role": "user", "content": f"q {i}"}, {"role": "assistant", "content": answer}]
        for i in range(40)
        for answer in ("It is red.", '{"colour": "red"}')
    ]
    text = "".join(json.dumps({"messages": chat}) + "\n" for chat in chats)
    (tmp_path / "rows.jsonl").write_text(text, encoding="utf-8")
    verb, *more = words
    ran = cli("data", verb, tmp_path / "rows.jsonl", *more, data / "in-a-file", "--json")
    assert ran.returncode == 2, ran.stdout
    error = ran.json()["error"]
    assert "can't be written" in error["message"]
    assert str(data / "in-a-file") in error["message"]
    assert ".part" not in error["message"]
