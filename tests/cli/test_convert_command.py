"""`ftctl data convert`: exit codes, one JSON document, losses with their place."""

import json
from pathlib import Path

import pytest
from command_line import Cli

ROW = {
    "messages": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}],
    "source": "me",
}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text(f"{json.dumps(ROW)}\n" * 3)
    return file


def test_losses_are_listed_with_line_and_path_and_warned_of(
    cli: Cli, rows: Path, tmp_path: Path
) -> None:
    ran = cli("data", "convert", rows, "-o", tmp_path / "out.jsonl", "--to", "sharegpt")
    assert ran.returncode == 0, ran.stderr
    assert "rows.jsonl:3" in ran.stdout.replace("\n", "")
    assert "source" in ran.stdout
    assert "3 of 3 rows from openai to sharegpt" in ran.stdout
    assert "warning: 3 things were dropped" in ran.stderr


def test_json_is_one_document_of_the_contract(cli: Cli, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    ran = cli("data", "convert", rows, "-o", out, "--to", "alpaca", "--json")
    document = ran.json()
    assert list(document) == [
        "schema", "ok", "same", "file", "out", "sha256", "source_format", "target_format", "rows",
        "written", "altered", "dropped", "changed", "counts", "losses", "errors", "issues",
    ]  # fmt: skip
    assert (document["schema"], document["ok"]) == ("ftctl.data-convert/1", True)
    assert document["losses"][0] == {
        "file": str(rows),
        "line": 1,
        "path": "source",
        "kind": "dropped",
        "what": "the key 'source'",
    }
    assert document["counts"] == [{"kind": "dropped", "what": "the key 'source'", "count": 3}]
    assert json.loads(out.read_text().splitlines()[0]) == {
        "instruction": "2+2?",
        "input": "",
        "output": "4",
    }


def test_a_table_is_read_and_written_by_the_names_that_are_told(cli: Cli, tmp_path: Path) -> None:
    faq, chat = tmp_path / "faq.csv", tmp_path / "chat.jsonl"
    faq.write_text('question,"the answer, if any",role\n2+2?,4,Be brief.\n')
    names = ("--map", "prompt=question,completion=the answer, if any", "--map", "system=role")
    ran = cli("data", "convert", faq, "-o", chat, *names)
    assert ran.returncode == 0, ran.stderr
    assert "1 of 1 rows from csv/trl to openai" in ran.stdout
    roles = [message["role"] for message in json.loads(chat.read_text())["messages"]]
    assert roles == ["system", "user", "assistant"]
    new = ("-o", tmp_path / "new.csv", "--to", "alpaca", "--map", "instruction=q,output=a")
    assert cli("data", "convert", chat, *new).returncode == 0
    assert (tmp_path / "new.csv").read_text() == "q,input,system,a\n2+2?,,Be brief.,4\n"


def test_one_bad_line_is_named_and_nothing_written(cli: Cli, rows: Path, tmp_path: Path) -> None:
    rows.write_text(rows.read_text().replace('"4"', "4", 1))
    ran = cli("data", "convert", rows, "-o", tmp_path / "out.jsonl")
    assert ran.returncode == 1
    assert "messages[1].content" in ran.stdout
    assert "nothing was written: 1 of 3 rows" in ran.stdout
    assert not (tmp_path / "out.jsonl").exists()


def test_strict_allows_no_loss(cli: Cli, rows: Path, tmp_path: Path) -> None:
    ran = cli("data", "convert", rows, "-o", tmp_path / "out.jsonl", "--strict")
    assert ran.returncode == 1
    assert "--strict allows no loss" in ran.stdout
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--to", "alpacca"), "did you mean alpaca?"),
        (("--from", "xml"), "no dataset format is called 'xml'"),
        (("--from", "parquet"), "can't be read as Parquet"),
        (("--map", "prompt"), "--map prompt isn't FIELD=NAME"),
        (("--map", "prompt=a,prompt=b"), "told twice"),
        ((), "exists and holds something else"),
    ],
)
def test_a_question_put_wrongly_exits_2_with_a_hint(
    cli: Cli, rows: Path, tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    (tmp_path / "out.jsonl").write_text("mine")
    ran = cli("data", "convert", rows, "-o", tmp_path / "out.jsonl", *more)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert (tmp_path / "out.jsonl").read_text() == "mine"
