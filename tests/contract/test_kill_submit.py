"""A small run of the benchmark that kills `ftctl submit`; the numbers of a long one are its own."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.real]

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "kill_submit.py"


def test_no_kill_loses_or_doubles_a_job_and_the_control_does() -> None:
    small = ["--kills", "8", "--per-gap", "1", "--control", "11", "--jobs", "2"]
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), *small], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr[-8000:]
    assert "answer–commit" in ran.stdout
