"""Words that aren't UTF-8 are a usage error that shows them, never a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats

from ftctl.api.submitting import make_spec
from ftctl.errors import UsageError

LATIN = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize(
    "words",
    [
        ("submit", "--provider", "fake", "--data", "{data}", "--model", "m", "--name", LATIN),
        ("submit", "--provider", "fake", "--data", LATIN, "--model", "m"),
        ("data", "check", LATIN),
        ("jobs", "--state", LATIN),
        ("job", LATIN),
        (LATIN,),
    ],
)
def test_an_argument_in_another_encoding_is_shown(
    cli: Cli, tmp_path: Path, words: tuple[str, ...]
) -> None:
    data = write_chats(tmp_path / "train.jsonl")
    ran = cli(*(word.format(data=data) for word in words))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert r"the argument caf\udce9 isn't UTF-8" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_json_stays_one_document(cli: Cli) -> None:
    ran = cli("job", LATIN, "--json")
    assert ran.returncode == 2
    assert ran.json()["error"]["kind"] == "usage_error"


def test_the_name_of_a_file_may_be_any_text(cli: Cli, tmp_path: Path) -> None:
    assert cli("data", "check", write_chats(tmp_path / "köln 學.jsonl")).returncode == 0


@pytest.mark.medium
def test_bytes_from_a_real_shell_are_refused(tmp_path: Path) -> None:
    words: list[bytes] = [sys.executable.encode(), b"-m", b"ftctl.cli", b"job", b"\xff\xfe"]
    ran = subprocess.run([*words, b"--json"], check=False, capture_output=True, timeout=60)
    assert ran.returncode == 2
    assert json.loads(ran.stdout)["error"]["exit_code"] == 2
    assert b"Traceback" not in ran.stderr


@pytest.mark.parametrize("field", ["name", "model", "notify"])
def test_the_library_refuses_it_too(tmp_path: Path, field: str) -> None:
    data = write_chats(tmp_path / "train.jsonl")
    asked = {"provider": "fake", "model": "m", "name": "n"} | {field: LATIN}
    with pytest.raises(UsageError, match=f"{field}=.*not utf-8 text"):
        make_spec(data=data, **asked)  # type: ignore[arg-type]


def test_a_file_of_such_a_name_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    data = write_chats(tmp_path / LATIN)
    with pytest.raises(UsageError, match="not utf-8 text"):
        make_spec(provider="fake", data=data, model="m", name="n")
