"""Whatever became of the three streams, a command ends with its own code and no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats

from ftctl.providers.fake import FakeProvider, FakeScript

FULL = Path("/dev/full")  # every write to it fails, as on a full disk
ENDS = {
    "read no further": "| head -c 1",
    "stdout closed": ">&-",
    "stderr closed": "2>&-",
    "stdin closed": "<&-",
}


def shell(words: str, end: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command line in a shell; the exit code is its own, not that of the pipe's end."""
    line = f"set -o pipefail; {sys.executable} -m ftctl.cli {words} {end}"
    command, asked = ["bash", "-c", line], dict(os.environ) | variables
    return subprocess.run(
        command, check=False, capture_output=True, encoding="utf-8", env=asked, timeout=60
    )


@pytest.mark.medium
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("more", ["", "--json"])
def test_a_stream_that_is_gone_changes_no_answer(tmp_path: Path, end: str, more: str) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b"\xff\n" * 2000)
    for words, code in {f"data check {bad} --max-errors 2000": 1, "models": 0}.items():
        ran = shell(f"{words} {more}", end)
        assert ran.returncode == code, (words, ran.stderr)
        assert "Traceback" not in ran.stderr + ran.stdout


@pytest.mark.medium
def test_what_streams_ends_when_nobody_reads_on(cli: Cli, tmp_path: Path) -> None:
    file = write_chats(tmp_path / "train.jsonl")
    fake = tmp_path / "ftctl-home" / "fake"
    FakeProvider(fake).script = FakeScript(words=tuple(f"phase {i}" for i in range(1000)))
    job = cli("submit", "--provider", "fake", "--data", file, "--model", "m").stdout.strip()
    for words, code in {f"logs {job} --follow": 0, f"watch {job} --json": 130}.items():
        ran = shell(f"{words}", "| head -c 1", FTCTL_POLL_S="0.05")
        assert ran.returncode == code, ran.stderr


@pytest.mark.medium
def test_who_is_not_there_is_not_asked() -> None:
    ran = shell("chat nosuch", "<&-")
    assert ran.returncode == 2
    assert "no prompt" in ran.stderr


@pytest.mark.medium
@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
@pytest.mark.parametrize("more", ["", "--json"])
def test_a_full_disk_behind_stdout_is_said_on_stderr(more: str) -> None:
    ran = shell(f"models {more}", f"> {FULL}")
    assert ran.returncode == 1
    assert ran.stderr.startswith("ftctl: No space left on device\n  → ")
    assert "Traceback" not in ran.stderr


@pytest.mark.medium
def test_a_locale_that_reads_no_such_path_is_named(tmp_path: Path) -> None:
    file = write_chats(tmp_path / "köln.jsonl")
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    ran = shell(f"data check {file} --json", "", **plain)
    error = json.loads(ran.stdout)["error"]
    assert (ran.returncode, error["kind"]) == (2, "usage_error")
    assert "köln.jsonl can't be read in this locale" in error["message"]
    assert "LC_ALL=C.UTF-8" in error["hint"]
    assert shell(f"data check {file} --for local", "", LC_ALL="C").returncode == 0


@pytest.mark.medium
def test_bytes_that_are_no_text_are_no_question() -> None:
    ran = shell("chat nosuch", "<<< $'\\xff\\xfe'")
    assert ran.returncode == 2
    assert "standard input isn't UTF-8 text" in ran.stderr
