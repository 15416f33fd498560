"""`ftctl data compare`: exit 0 whatever differs, one JSON document, plain words."""

import json
from pathlib import Path

import pytest
from command_line import Cli


def rows(path: Path, system: str) -> Path:
    lines = [
        {
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": f"question {i % 7}"},
                {"role": "assistant", "content": "answer"},
            ]
        }
        for i in range(70)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return rows(tmp_path / "train.jsonl", "Be kind."), rows(tmp_path / "log.jsonl", "Be [brief].")


def test_a_person_reads_what_differs_and_what_to_do(cli: Cli, files: tuple[Path, Path]) -> None:
    done = cli("data", "compare", *files)
    assert done.returncode == 0, done.stderr
    assert "→ system prompts: train with the system prompts" in done.stdout
    assert "Be [brief]." in done.stdout
    assert "→ user prompts" not in done.stdout


def test_alike_files_are_said_to_be(cli: Cli, files: tuple[Path, Path]) -> None:
    done = cli("data", "compare", files[0], files[0])
    assert done.returncode == 0
    assert "looks like the training data" in done.stdout


def test_json_is_one_document(cli: Cli, files: tuple[Path, Path]) -> None:
    done = cli("data", "compare", *files, "--json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert document["schema"] == "ftctl.data-compare/1"
    assert document["alike"] is False
    assert document["log"]["file"] == str(files[1])
    first = document["differences"][0]
    assert (first["what"], first["verdict"], first["distance"]) == ("system prompts", "strong", 1)


def test_a_missing_log_is_a_usage_error(cli: Cli, files: tuple[Path, Path], tmp_path: Path) -> None:
    assert cli("data", "compare", files[0], tmp_path / "no.jsonl").returncode == 2
