"""Runs in processes of their own, killed at chosen moments."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from ftctl.local_backend.run_folder import RunFolder

_CHILD = """
import sys
from pathlib import Path
import torch
from ftctl.local_backend import plan
plan.pick_dtype = lambda *_: (getattr(torch, sys.argv[2]), "so that runs compare byte for byte")
from ftctl.local_backend.run_folder import RunFolder
from ftctl.local_backend.loop import Watch
from ftctl.local_backend.train import train
run = RunFolder(Path(sys.argv[1]), attempt=1)
train(run.config(), run, Watch(lambda *_, **__: None, lambda: False))
"""


def child(run: RunFolder, dtype: str) -> "subprocess.Popen[bytes]":
    """Train a run to its end, the base in this number format whatever this machine is quick in."""
    return subprocess.Popen([sys.executable, "-c", _CHILD, str(run.path), dtype])


def kill_at(
    run: RunFolder, dtype: str, moments: Sequence[Callable[[], bool]], seed: int, late_s: float
) -> int:
    """Kill the run a little after each moment, beginning it anew each time; then let it end.

    Returns:
        How often it was killed: one that has ended before its moment isn't.
    """
    chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
    kills = 0
    for come in moments:
        running = child(run, dtype)
        while running.poll() is None and not come():
            time.sleep(0.002)
        time.sleep(chance.random() * late_s)
        if running.poll() is None:
            os.kill(running.pid, signal.SIGKILL)
            kills += 1
        running.wait()
    assert child(run, dtype).wait() == 0
    return kills
