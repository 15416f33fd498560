"""Who is named in a job's `notify` hears of each move, from whoever looks."""

import shlex
import sys
from pathlib import Path

import pytest
from specimens import write_chats

from ftctl.api.submitting import submit
from ftctl.errors import UsageError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_chats(tmp_path / "train.jsonl")


def test_a_command_hears_of_each_move_once(data: Path, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    script = tmp_path / "hear.py"
    script.write_text(
        "import os, sys\n"
        f"with open({str(heard)!r}, 'a') as file: print(os.environ['FTCTL_JOB_STATE'], file=file)\n"
    )
    command = shlex.join([sys.executable, str(script)])
    job = submit(provider="fake", data=data, model="m", notify=command)
    for _ in range(5):
        job.refresh()
    assert heard.read_text().split() == ["validating", "queued", "running", "succeeded"]


def test_another_to_be_told_is_no_other_job(data: Path) -> None:
    first = submit(provider="fake", data=data, model="m")
    assert submit(provider="fake", data=data, model="m", notify=sys.executable).id == first.id


def test_who_cannot_be_told_is_refused_at_once(data: Path) -> None:
    with pytest.raises(UsageError, match="no-such-command"):
        submit(provider="fake", data=data, model="m", notify="no-such-command --now")
