"""What a machine has to train on is asked of the driver, or of the system."""

import os
from pathlib import Path

import pytest

from ftctl.catalog.load import load_shipped
from ftctl.estimation.machine import cores_here, find_cards, find_cpu_flags, main_memory

GPUS = load_shipped().gpus


def driver(folder: Path, monkeypatch: pytest.MonkeyPatch, says: str, code: int = 0) -> None:
    """A program of the driver's name that answers so."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '{says}'\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.medium
@pytest.mark.parametrize(
    ("says", "name", "gib", "count", "tflops"),
    [
        ("NVIDIA H100 80GB HBM3, 81559\\n", "NVIDIA H100 80GB HBM3", 79.6, 1, 989),
        ("NVIDIA L4, 23034\\nNVIDIA L4, 23034\\n", "NVIDIA L4", 22.5, 2, 121),
        ("NVIDIA L40S, 46068\\nNVIDIA L4, 23034\\n", "NVIDIA L4", 22.5, 2, 121),
        ("NVIDIA GeForce RTX 4090, 24564\\n", "NVIDIA GeForce RTX 4090", 24.0, 1, 167),
        ("Some Card 9000, 8192\\n", "Some Card 9000", 8.0, 1, None),
    ],
)
def test_cards_are_those_that_the_driver_lists(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    says: str,
    name: str,
    gib: float,
    count: int,
    tflops: float | None,
) -> None:
    driver(tmp_path, monkeypatch, says)
    found = find_cards(GPUS)
    assert found is not None
    assert (found.name, round(found.memory_gib, 1), found.count) == (name, gib, count)
    assert (found.kind, found.tflops) == ("gpu", tflops)


@pytest.mark.medium
@pytest.mark.parametrize(("says", "code"), [("", 9), ("No devices were found\\n", 0), ("", 0)])
def test_a_driver_without_cards_leaves_main_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, code: int
) -> None:
    driver(tmp_path, monkeypatch, says, code)
    assert find_cards(GPUS) == main_memory()


def test_main_memory_is_what_a_container_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr("ftctl.estimation.machine._CGROUP", limit)
    whole = main_memory()
    limit.write_text("max\n")
    assert main_memory() == whole
    limit.write_text(f"{2**30}\n")
    found = main_memory()
    assert found is not None
    assert (found.memory_gib, found.kind) == (1.0, "memory")
    assert cores_here() >= 1


def test_main_memory_computes_in_what_its_processor_is_fast_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr("ftctl.estimation.machine._CPUINFO", cpuinfo)
    for flags, weights in (("fpu avx512_bf16", "bf16"), ("fpu avx2", "fp32")):
        cpuinfo.write_text(f"flags\t\t: {flags}\n")
        found = main_memory()
        assert found is not None
        assert found.weights == weights


def test_cpu_flags_are_read_as_words(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx512_bf16 amx_tile\n\nflags\t: fpu\n")
    assert find_cpu_flags(cpuinfo) == {"fpu", "avx512_bf16", "amx_tile"}
    assert find_cpu_flags(tmp_path / "none") == frozenset()
