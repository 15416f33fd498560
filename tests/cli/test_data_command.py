"""`ftctl data`: exit codes, one JSON document, tables that name the place."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Cli = Callable[..., CompletedProcess[str]]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    lines = [
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": f"question {i}"},
                    {"role": "assistant", "content": f"answer {i}"},
                ]
            }
        )
        for i in range(60)
    ]
    file.write_text("\n".join(lines) + "\n")
    return file


def test_a_clean_file_exits_0(cli: Cli, rows: Path) -> None:
    done = cli("data", "check", rows)
    assert done.returncode == 0, done.stderr
    assert "openai: ok" in done.stdout
    assert done.stderr == ""


def test_json_is_one_document_of_the_contract(cli: Cli, rows: Path) -> None:
    rows.write_text(rows.read_text().replace('"assistant"', '"bot"', 1))
    done = cli("data", "check", rows, "--for", "openai,local", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert list(document) == [
        "schema", "ok", "files", "examples", "errors", "warnings", "issues", "providers", "tokens"
    ]  # fmt: skip
    assert document["schema"] == "ftctl.data-check/1"
    assert set(document["providers"]) == {"openai", "local"}
    role = next(issue for issue in document["issues"] if issue["rule"] == "role")
    assert role.pop("hint")
    assert role == {
        "file": str(rows),
        "line": 1,
        "path": "messages[1].role",
        "rule": "role",
        "severity": "error",
        "providers": ["openai", "local"],
        "message": "unknown role 'bot'",
    }


def test_the_table_names_place_rule_and_cure(cli: Cli, rows: Path) -> None:
    rows.write_text(rows.read_text().replace('"assistant"', '"gpt"', 1))
    done = cli("data", "check", rows)
    assert done.returncode == 1
    assert "messages[1].role" in done.stdout
    assert "write assistant" in done.stdout
    assert "not ok" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["missing.jsonl"], ["."], ["rows.jsonl", "--for", "opnai"], []]
)
def test_a_question_put_wrongly_exits_2_with_a_hint(
    cli: Cli, rows: Path, arguments: list[str]
) -> None:
    done = cli("data", "check", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_split_writes_parts_that_check_finds_disjoint(cli: Cli, rows: Path, tmp_path: Path) -> None:
    done = cli("data", "split", rows, "--test", "0.2", "-o", tmp_path / "parts", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "ftctl.data-split/1"
    assert document["rows"] == {"train": 42, "validation": 6, "test": 12}
    held = cli("data", "check", document["files"]["train"], "--for", "openai",
               "--validation", document["files"]["test"])  # fmt: skip
    assert "overlap" not in held.stdout
    assert cli("data", "split", rows, "-o", tmp_path / "parts").returncode == 2
