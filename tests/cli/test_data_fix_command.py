"""`ftctl data check --fix`: a corrected copy, the list of changes, what is left; `--grader`."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Cli = Callable[..., CompletedProcess[str]]


def row(i: int, role: str = "assistant", content: object = "so") -> str:
    messages = [{"role": "user", "content": f"question {i}"}, {"role": role, "content": content}]
    return json.dumps({"messages": messages})


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join([row(0, "gpt"), "", *map(row, range(1, 12))]) + "\n")
    return file


def test_the_copy_is_clean_and_the_document_lists_the_changes(cli: Cli, rows: Path) -> None:
    new = rows.with_name("new.jsonl")
    done = cli("data", "check", rows, "--fix", new, "--for", "mistral", "--json")
    assert done.returncode == 0, done.stdout
    document = json.loads(done.stdout)
    assert document["schema"] == "ftctl.data-check/1"
    assert (document["ok"], document["files"]) == (True, [str(new)])
    assert document["fixed"] == [
        {
            "file": str(rows),
            "line": 1,
            "path": "messages[1].role",
            "rule": "role",
            "before": "'gpt'",
            "after": "'assistant'",
        },
        {
            "file": str(rows),
            "line": 2,
            "path": "",
            "rule": "blank-line",
            "before": "an empty line",
            "after": "",
        },
    ]
    assert document["fixed_counts"] == {"role": 1, "blank-line": 1}
    assert cli("data", "check", new, "--for", "mistral").returncode == 0


def test_what_stays_broken_is_reported_with_its_line_in_the_copy(cli: Cli, rows: Path) -> None:
    rows.write_text(rows.read_text() + row(12, content=None) + "\n")
    new = rows.with_name("new.jsonl")
    done = cli("data", "check", rows, "--fix", new, "--for", "mistral", "--no-color")
    assert done.returncode == 1
    assert "2 changes" in done.stdout
    issues = json.loads(cli("data", "check", new, "--for", "mistral", "--json").stdout)["issues"]
    assert [(i["line"], i["rule"]) for i in issues if i["severity"] == "error"] == [(13, "content")]


def test_the_same_again_is_no_refusal_and_another_file_is(cli: Cli, rows: Path) -> None:
    new = rows.with_name("new.jsonl")
    for _ in range(2):
        assert cli("data", "check", rows, "--fix", new, "--for", "local").returncode == 0
    rows.write_text(row(99, "gpt") + "\n")
    refused = cli("data", "check", rows, "--fix", new, "--for", "local", "--json")
    assert refused.returncode == 2
    assert "holds something else" in json.loads(refused.stdout)["error"]["message"]


def test_one_file_at_a_time(cli: Cli, rows: Path) -> None:
    other = rows.with_name("other.jsonl")
    other.write_bytes(rows.read_bytes())
    new = rows.with_name("new.jsonl")
    refused = cli("data", "check", rows, other, "--fix", new, "--json")
    assert refused.returncode == 2
    assert not new.exists()


def test_without_fix_the_document_has_no_such_key(cli: Cli, rows: Path) -> None:
    assert "fixed" not in json.loads(cli("data", "check", rows, "--json").stdout)


def test_a_grader_is_read_from_a_file(cli: Cli, tmp_path: Path) -> None:
    prompts, grader = tmp_path / "prompts.jsonl", tmp_path / "grader.json"
    rows = [{"messages": [{"role": "user", "content": f"{i}?"}], "answer": i} for i in range(12)]
    prompts.write_text("\n".join(map(json.dumps, rows)) + "\n")
    check = ("data", "check", prompts, "--method", "rft", "--for", "openai", "--grader", grader)
    grader.write_text(json.dumps({"reference": "{{item.answer}}"}))
    assert cli(*check).returncode == 0
    grader.write_text(json.dumps({"reference": "{{item.reply}}"}))
    issues = json.loads(cli(*check, "--json").stdout)["issues"]
    assert ("rft-grader-field", 12, "reply") in {(i["rule"], i["line"], i["path"]) for i in issues}
    grader.unlink()
    assert cli(*check).returncode == 2
