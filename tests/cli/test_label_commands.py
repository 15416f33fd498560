"""`ftctl data import` and `data export`: exit codes, one JSON document, what a person is told."""

import json
from pathlib import Path

import pytest
from command_line import Cli
from tool_sessions import EXPORTS, ROWS, write_rows

FLAT = EXPORTS / "argilla" / "flat.json"


def test_what_gives_no_row_is_listed_with_its_reason(cli: Cli, tmp_path: Path) -> None:
    ran = cli("data", "import", FLAT, "-o", "rows.jsonl")
    assert ran.returncode == 0, ran.stderr
    assert "record 2" in ran.stdout
    assert "1 left out: 2 people gave 2 different answers" in ran.stdout
    assert "3 rows of 6 items from argilla by the answers to 'answer'" in ran.stdout
    assert "who said what: 13 lines → rows.annotations.jsonl" in ran.stdout
    assert "warning: people disagree on items: 1; --disagree skip: leave the row out" in ran.stderr
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 3


def test_json_is_one_document_of_the_contract(cli: Cli, tmp_path: Path) -> None:
    ran = cli("data", "import", FLAT, "-o", "rows.jsonl", "--disagree", "majority", "--json")
    document = ran.json()
    assert list(document) == [
        "schema", "ok", "file", "source", "out", "sha256", "annotations", "items", "rows",
        "answers", "question", "disagree", "disputed", "reasons", "left_out", "dropped", "warnings",
    ]  # fmt: skip
    assert (document["schema"], document["ok"]) == ("ftctl.data-import/1", True)
    assert "2 people gave 2 different answers, and none has more voices" in document["reasons"]
    side = (tmp_path / "rows.annotations.jsonl").read_text().splitlines()
    assert list(json.loads(side[0])) == [
        "row", "id", "source", "kind", "question", "value", "annotator", "status", "score", "time",
    ]  # fmt: skip


def test_no_row_left_is_a_no(cli: Cli) -> None:
    ran = cli("data", "import", FLAT, "-o", "rows.jsonl", "--only", "answer=nothing")
    assert ran.returncode == 1
    assert "no row was left" in ran.stderr


def test_a_fault_is_one_message_and_writes_nothing(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text(FLAT.read_text()[:-40])
    ran = cli("data", "import", "bad.json", "--from", "argilla", "-o", "rows.jsonl")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "bad.json, record 6: the file ends in the middle of it" in ran.stderr
    assert "nothing was written" in ran.stderr
    assert not (tmp_path / "rows.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--pair", "a"), "two fields were expected"),
        (("--only", "a"), "no value"),
        (("--from", "doccano"), "no tool is called 'doccano'"),
        (("--answer", "quality"), "nobody was asked 'quality'"),
        (("--annotations", "rows.jsonl"), "can't hold rows and annotations"),
    ],
)
def test_a_wrong_word_is_a_usage_error(cli: Cli, words: tuple[str, ...], said: str) -> None:
    ran = cli("data", "import", FLAT, "-o", "rows.jsonl", *words)
    assert ran.returncode == 2
    assert said in ran.stderr


def test_rows_go_out_and_say_what_to_do_next(cli: Cli, tmp_path: Path) -> None:
    write_rows(tmp_path)
    words = ("data", "export", "rows.jsonl", "--to", "pigeonxt", "-o", "p.csv")
    ran = cli(*words, "--ask", "quality=good,bad")
    assert ran.returncode == 0, ran.stderr
    assert "6 rows for pigeonxt, asking quality → p.csv" in ran.stdout
    assert "options=['good', 'bad'], value_column=\"quality\"" in ran.stdout
    document = cli(*words[:-1], "q.csv", "--json").json()
    assert (document["schema"], document["rows"]) == ("ftctl.data-export/1", 6)
    assert document["asked"] == ["answer"]
    assert cli(*words).returncode == 2  # the file is there


def test_convert_takes_a_tools_export_and_writes_one(cli: Cli, tmp_path: Path) -> None:
    ran = cli("data", "convert", EXPORTS / "lilac" / "rows", "-o", "a.jsonl", "--from", "lilac")
    assert ran.returncode == 0, ran.stderr
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert rows == list(ROWS[:3])
    ran = cli("data", "convert", FLAT, "-o", "b.jsonl", "--json")
    assert ran.json()["source"] == "argilla"
    ran = cli("data", "convert", "b.jsonl", "-o", "tasks.json", "--to", "label-studio")
    assert "3 rows for label-studio" in ran.stdout
    ran = cli("data", "convert", FLAT, "-o", "c.jsonl", "--to", "mistral")
    assert ran.returncode == 2
    assert "first to openai rows" in ran.stderr
    ran = cli("data", "convert", "b.jsonl", "-o", "c", "--from", "alpaca", "--to", "argilla")
    assert ran.returncode == 2
