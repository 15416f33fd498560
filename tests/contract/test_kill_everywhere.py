"""A thousand kills at every step of submit, poll, cancel, fetch and forget, at every provider."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(1800)]

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "kill_everywhere.py"


def test_no_kill_at_any_step_loses_doubles_or_breaks_and_the_control_does(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), "--kills", "1000", "--least", "5", "--json", str(file)],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # what it kills, it kills in a group of its own
    )
    assert ran.returncode == 0, ran.stdout[-30_000:] + ran.stderr[-8000:]
    figures = json.loads(file.read_text("utf-8"))
    assert figures["kills"] >= 1000
    assert figures["fewest_in_a_step"] >= 5
    assert (figures["lost"], figures["doubled"], figures["broken"]) == (0, 0, 0)
    assert sum(figures["control_doubled"].values()) >= 10
    assert figures["control_broken"] >= 1
