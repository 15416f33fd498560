"""`ftctl data split --by task`: files, rows, and the command that submits each."""

import json
from pathlib import Path

import pytest
from command_line import Cli


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "two tasks.jsonl"
    answers = ["a few words", '{"city": "Oslo"}'] * 12
    lines = [
        {"messages": [{"role": "user", "content": f"q {i}"}, {"role": "assistant", "content": a}]}
        for i, a in enumerate(answers)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_each_file_comes_with_its_submit_command(cli: Cli, file: Path) -> None:
    done = cli("data", "split", file, "--by", "task")
    assert done.returncode == 0, done.stderr
    assert "json:city: 12 rows" in done.stdout
    new = file.with_name("two tasks.task-text.jsonl")
    assert f"ftctl submit --provider PROVIDER --data '{new}'" in done.stdout
    assert len(new.read_text().splitlines()) == 12


def test_json_is_one_document(cli: Cli, file: Path) -> None:
    document = json.loads(cli("data", "split", file, "--by", "task", "--json").stdout)
    assert document["schema"] == "ftctl.data-split-tasks/1"
    assert document["rows"] == {"text": 12, "json:city": 12}
    assert document["submit"].keys() == document["files"].keys() == document["rows"].keys()


def test_shares_dont_go_with_tasks(cli: Cli, file: Path) -> None:
    done = cli("data", "split", file, "--by", "task", "--test", "0.2")
    assert done.returncode == 2
    assert "--by task doesn't go with --test" in done.stderr


def test_one_task_exits_1(cli: Cli, file: Path) -> None:
    cli("data", "split", file, "--by", "task")
    done = cli("data", "split", file.with_name("two tasks.task-text.jsonl"), "--by", "task")
    assert done.returncode == 1
    assert "one form" in done.stderr
