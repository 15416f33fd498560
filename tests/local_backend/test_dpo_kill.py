"""DPO that is killed again and again, wherever it is, ends as if nobody had touched it."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from preference_rows import write_pairs
from training_runs import run_of, settings, steps_of

from ftctl.local_backend import checkpoint
from ftctl.local_backend.run_folder import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(900)]

# One number format, as in the other tests that compare runs byte for byte.
CHILD = """
import sys
from pathlib import Path
from ftctl.local_backend import hardware
hardware._FAST_BF16_FLAGS = ()
from ftctl.local_backend.run_folder import RunFolder
from ftctl.local_backend.loop import Watch
from ftctl.local_backend.train import train
run = RunFolder(Path(sys.argv[1]), attempt=1)
train(run.config(), run, Watch(lambda *_, **__: None, lambda: False))
"""


def child(run: RunFolder) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", CHILD, str(run.path)])


def adapter(run: RunFolder) -> bytes:
    return (run.output / "adapter_model.safetensors").read_bytes()


def test_killed_anywhere_it_ends_the_same(tmp_path: Path, tiny_model: Path) -> None:
    data = write_pairs(tmp_path / "pairs.jsonl")
    asked = settings(micro_batch_size=2, max_steps=8)
    alone, _ = run_of(tmp_path, tiny_model, data, asked, "alone", "dpo")
    assert child(alone).wait() == 0
    killed, _ = run_of(tmp_path, tiny_model, data, asked, "killed", "dpo")

    def known() -> int:
        return len(list(killed.rows(killed.reference_file)))

    moments: list[Callable[[], bool]] = [
        lambda: known() >= 1,
        lambda: known() >= 5,
        lambda: len(steps_of(killed)) >= 1,
        lambda: (checkpoint.whole_steps(killed) or [0])[-1] >= 2,
        lambda: len(steps_of(killed)) >= 5,
        lambda: (checkpoint.whole_steps(killed) or [0])[-1] >= 6,
    ]
    chance = random.Random(7)  # noqa: S311 - reproducible, not secret
    kills = 0
    for come in moments:
        running = child(killed)
        while running.poll() is None and not come():
            time.sleep(0.002)
        time.sleep(chance.random() * 0.1)
        if running.poll() is None:
            os.kill(running.pid, signal.SIGKILL)
            kills += 1
        running.wait()
    before = killed.reference_file.read_bytes()
    assert child(killed).wait() == 0
    assert kills >= 3
    assert killed.reference_file.read_bytes() == before
    assert adapter(killed) == adapter(alone)
    assert [row["step"] for row in steps_of(killed)] == list(range(1, 9))
    assert [row["loss"] for row in steps_of(killed)] == [row["loss"] for row in steps_of(alone)]
