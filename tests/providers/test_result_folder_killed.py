"""A fetch that is killed at any step leaves no folder, or a whole one."""

import os
import signal
import sys
from itertools import count
from pathlib import Path

import pytest
from file_sender import WEIGHTS, Sender

from ftctl.providers.artifacts.download import Download
from ftctl.providers.artifacts.result_folder import write_results
from ftctl.testing.weights_contract import ADAPTER

pytestmark = pytest.mark.medium

CARD = {"README.md": b"# of job-1\n"}
CHANGES = ("piece", "open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate")


def test_kill_9_at_any_step_leaves_no_folder_or_a_whole_one(tmp_path: Path) -> None:
    """Whichever file is just to be opened, renamed or removed, and after each piece."""
    for step in range(1, 500):
        folder, sender = tmp_path / str(step) / "adapter", Sender()
        child = os.fork()
        if child == 0:
            _fetch_and_die(folder, sender, step)
        _, status = os.waitpid(child, 0)
        if folder.exists():
            assert {file.name for file in folder.iterdir()} == {*CARD, ADAPTER, "manifest.json"}
        write_results(folder, {**CARD, ADAPTER: sender.download()})
        assert (folder / ADAPTER).read_bytes() == WEIGHTS
        assert [path.name for path in folder.parent.iterdir()] == ["adapter"]
        if status == 0:
            assert step > 10
            return
        assert os.WTERMSIG(status) == signal.SIGKILL
    pytest.fail("it never came to its end")


def _fetch_and_die(folder: Path, sender: Sender, step: int) -> None:
    """In a child: fetch, and be killed at the so-many-th step."""
    steps = count(1)

    def hook(event: str, _: object) -> None:
        if event in CHANGES and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    status = 1
    try:
        sys.addaudithook(hook)
        files: dict[str, bytes | Download] = {**CARD, ADAPTER: sender.download()}
        write_results(folder, files, lambda *_: hook("piece", None))
        status = 0
    finally:
        os._exit(status)
