"""The benchmarks of datasets run, at a tiny size, and what they plant is found."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.slow


def printed_by(script: str, *options: str) -> str:
    command = [sys.executable, str(BENCHMARKS / script), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_planted_copies_and_secrets_are_found() -> None:
    few = ("--size", "0.3", "--rounds", "1", "--pairs", "40", "--secrets", "40")
    printed = printed_by("near.py", *few)
    recall = dict(
        re.findall(r"^(?:recall, )?(.+?): (?:recall )?(\d\.\d{3})", printed, re.MULTILINE)
    )
    assert len(recall) == 5 * 2 + 17 + 1
    hard = {f"{share}% of the words here and there" for share in (10, 15, 20)}
    low = {kind: share for kind, share in recall.items() if float(share) < 0.9}
    assert low.keys() <= hard
    assert "MB/s by the clock" in printed


def test_check_is_measured_beside_its_peers_and_bare_decoding() -> None:
    printed = printed_by("data_check.py", "--size", "1", "--rounds", "1")
    assert "of bare decoding" in printed
    assert "bytes a row more" in printed
