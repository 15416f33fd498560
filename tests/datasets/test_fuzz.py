"""What fuzzing kept is told alike either way; the fuzzer itself runs a while in `make slow`."""

import platform
import random
import sys
import sysconfig
from pathlib import Path

import fuzz_check
import pytest
from fuzz_inputs import LONGEST, changed, corpus, seeds
from own_environment import python_with
from tool_sessions import run

SOURCES = Path(fuzz_check.__file__).parent.parent / "src"


def test_the_kept_inputs_are_small_and_all_different() -> None:
    kept = corpus()
    assert 100 < len(set(kept)) == len(kept)
    assert max(map(len, kept)) <= LONGEST


@pytest.mark.parametrize("part", range(5))
def test_kept_inputs_are_told_alike_either_way(part: int) -> None:
    for data in corpus()[part::5]:
        fuzz_check.look(data)


@pytest.mark.medium
def test_kept_inputs_are_checked_and_mended_as_files(tmp_path: Path) -> None:
    for data in corpus():
        fuzz_check.look_at_file(data, tmp_path)


@pytest.mark.parametrize("seed", range(5))
def test_changed_inputs_are_told_alike_either_way(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - no secret
    begin = seeds()
    for _ in range(60):
        data = rng.choice(begin)
        for _ in range(3):
            data = changed(data, rng)
        fuzz_check.look(data[:LONGEST])


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or sys.version_info >= (3, 14),
    reason="atheris 3.0 has wheels for Linux on x86-64 and Python 3.11 to 3.13",
)
def test_the_fuzzer_finds_nothing_in_a_while(tmp_path: Path) -> None:
    python = python_with(tmp_path, "atheris==3.0.0")
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "ours.pth").write_text(f"{SOURCES}\n{sysconfig.get_path('purelib')}\n")
    ran = run(
        [
            python,
            fuzz_check.__file__,
            "--runs",
            "20000",
            "--seconds",
            "40",
            "--found",
            tmp_path / "f",
        ],
        tmp_path,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "cov:" in ran.stderr
    assert not list((tmp_path / "f").glob("finding-*"))
