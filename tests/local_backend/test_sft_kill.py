"""SFT that is killed again and again ends as if nobody had touched it, masters and all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from killed_runs import child, kill_at
from training_runs import run_of, settings, steps_of, tuned_of

from ftctl.job import Tuning
from ftctl.local_backend import checkpoint
from ftctl.local_backend.run_folder import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(900)]


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_killed_at_random_steps_it_ends_the_same(
    tmp_path: Path, tiny_model: Path, data: Path, tuning: Tuning
) -> None:
    asked = settings(max_steps=40, micro_batch_size=2, learning_rate=1e-3, checkpoint_steps=3)
    alone, _ = run_of(tmp_path, tiny_model, data, asked, "alone", tuning=tuning)
    assert child(alone, "bfloat16").wait() == 0
    killed, _ = run_of(tmp_path, tiny_model, data, asked, "killed", tuning=tuning)
    moments: list[Callable[[], bool]] = [
        lambda: len(steps_of(killed)) >= 5,
        lambda: (checkpoint.whole_steps(killed) or [0])[-1] >= 21,
    ]
    kills = kill_at(killed, "bfloat16", moments, seed=11, late_s=0.05)
    assert kills >= 1
    assert tuned_of(killed) == tuned_of(alone)
    last = [checkpoint.folder_of(run, 40) for run in (killed, alone)]
    state = [(folder / "optimizer.safetensors").read_bytes() for folder in last]
    assert state[0] == state[1]
    assert b".master" in state[0]
    assert told(killed) == told(alone)
    assert [row["step"] for row in steps_of(killed)] == list(range(1, 41))


def told(run: RunFolder) -> list[list[Any]]:
    """What each step said that doesn't hang on the clock, metering included."""
    names = ("step", "loss", "grad_norm", "learning_rate", "trained_tokens")
    at = checkpoint.newest_progress(run)
    return [*([row[name] for name in names] for row in steps_of(run)), [at.tokens, at.step]]
