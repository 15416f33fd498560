"""Who is named in a job's `notify` hears of each move, from whoever looks."""

import shlex
import sys
from pathlib import Path

import pytest
from specimens import write_chats

from ftctl.api.job_handle import get_job
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


def test_who_is_named_later_hears_of_what_comes(data: Path, tmp_path: Path) -> None:
    first = submit(provider="fake", data=data, model="m")
    said: list[str] = []
    heard = tmp_path / "heard"
    script = tmp_path / "hear.py"
    script.write_text(f"open({str(heard)!r}, 'a').write('moved ')\n")
    command = shlex.join([sys.executable, str(script)])
    again = submit(provider="fake", data=data, model="m", notify=command, on_step=said.append)
    assert (again.id, again.record.spec.notify) == (first.id, command)
    assert any(first.id in words and "--notify" in words for words in said)
    assert get_job(first.id).refresh().record.spec.notify == command
    assert heard.read_text() == "moved "


def test_naming_nobody_leaves_who_was_named_before(data: Path) -> None:
    first = submit(provider="fake", data=data, model="m", notify=sys.executable)
    said: list[str] = []
    again = submit(provider="fake", data=data, model="m", on_step=said.append)
    assert (again.id, again.record.spec.notify) == (first.id, sys.executable)
    assert not any("--notify" in words for words in said)


def test_who_cannot_be_told_is_refused_at_once(data: Path) -> None:
    with pytest.raises(UsageError, match="no-such-command"):
        submit(provider="fake", data=data, model="m", notify="no-such-command --now")
