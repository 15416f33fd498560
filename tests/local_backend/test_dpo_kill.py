"""DPO that is killed again and again, wherever it is, ends as if nobody had touched it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from killed_runs import child, kill_at
from preference_rows import write_pairs
from training_runs import run_of, settings, steps_of

from ftctl.local_backend import checkpoint
from ftctl.local_backend.run_folder import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(900)]


def adapter(run: RunFolder) -> bytes:
    return (run.output / "adapter_model.safetensors").read_bytes()


def reference_of(run: RunFolder) -> list[Any]:
    """What the base thinks of each batch, once each."""
    return sorted([row["lines"], row["logps"]] for row in run.rows(run.reference_file))


def test_killed_anywhere_it_ends_the_same(tmp_path: Path, tiny_model: Path) -> None:
    data = write_pairs(tmp_path / "pairs.jsonl")
    asked = settings(micro_batch_size=2, max_steps=8)
    alone, _ = run_of(tmp_path, tiny_model, data, asked, "alone", "dpo")
    assert child(alone, "float32").wait() == 0
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
    kills = kill_at(killed, "float32", moments, seed=7, late_s=0.1)
    assert kills >= 3
    assert reference_of(killed) == reference_of(alone)
    assert adapter(killed) == adapter(alone)
    assert [row["step"] for row in steps_of(killed)] == list(range(1, 9))
    assert [row["loss"] for row in steps_of(killed)] == [row["loss"] for row in steps_of(alone)]
