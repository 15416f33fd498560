"""The benchmark of training speed runs, on a tiny model, and asserts that all engines learn."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_model import write_data

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "train_speed.py"

pytestmark = [
    pytest.mark.medium,
    pytest.mark.timeout(300),
    pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="TRL isn't installed"),
]


def test_all_engines_train_and_are_compared(tiny_model: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data.jsonl", 64)
    options = ("--model", tiny_model, "--data", data, "--steps", "4", "--rounds", "1")
    done = subprocess.run(
        [sys.executable, SCRIPT, *options, "--threads", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "loss of one batch before training" in done.stdout
    assert re.search(r"^ftctl +\d+\.\d\d examples/s .* of the matmul peak$", done.stdout, re.M)
    for name in ("TRL defaults", "TRL tuned"):
        assert re.search(rf"^ftctl / {name}: \d+\.\d\d ", done.stdout, re.M)
