"""What this machine has to train on: its cards, or its main memory; no torch needed."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ftctl.catalog.types import Gpu
from ftctl.estimation.setting import Cards

_CPUINFO = Path("/proc/cpuinfo")
_CGROUP = Path("/sys/fs/cgroup/memory.max")
# Who has none of these emulates bf16, many times slower than fp32.
BF16_FLAGS = ("avx512_bf16", "amx_bf16")


def find_cards(gpus: Sequence[Gpu]) -> Cards | None:
    """The NVIDIA cards here, or main memory where there are none; of unlike cards the smallest.

    None where the system doesn't tell its memory.

    Args:
        gpus: Rows of the catalog, for a card's speed.
    """
    found = sorted(_nvidia_cards(), key=lambda card: card[1])
    if not found:
        return main_memory()
    name, gib = found[0]
    row = _row_of(name, gpus)
    return Cards(
        name=name, memory_gib=gib, count=len(found), tflops=row.bf16_tflops if row else None
    )


def named_cards(gpu: Gpu, count: int = 1) -> Cards:
    """Cards of the catalog."""
    return Cards(name=gpu.title, memory_gib=gpu.memory_gib, count=count, tflops=gpu.bf16_tflops)


def main_memory() -> Cards | None:
    """Main memory, as far as a container may use it, and the format its processor is fast in."""
    fast = any(flag in find_cpu_flags(_CPUINFO) for flag in BF16_FLAGS)
    there = _memory_bytes()
    if there is None:
        return None
    return Cards(
        name=f"main memory ({platform.machine()})",
        memory_gib=there / 2**30,
        kind="memory",
        weights="bf16" if fast else "fp32",
    )


def cores_here() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def find_cpu_flags(cpuinfo: Path) -> frozenset[str]:
    """What the processor says it can do (Linux), or nothing where it can't be asked."""
    try:
        text = cpuinfo.read_text(errors="replace")
    except OSError:
        return frozenset()
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return frozenset(found[1].split() if found else ())


def _memory_bytes() -> float | None:
    if not hasattr(os, "sysconf"):  # Windows, where nothing is trained
        return None
    here = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    try:
        return min(here, float(_CGROUP.read_text()))
    except (OSError, ValueError):  # no such file, or the word `max`
        return here


def _nvidia_cards() -> list[tuple[str, float]]:
    """Name and GiB of each card that the driver lists; none where there is no driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    asked = [program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        ran = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603 - the driver's own program
    except (OSError, subprocess.SubprocessError):
        return []
    rows = (line.rsplit(",", 1) for line in ran.stdout.splitlines())
    return [
        (row[0].strip(), float(row[1]) / 1024) for row in rows if len(row) == 2 and _number(row[1])
    ]


def _number(text: str) -> bool:
    return text.strip().isdigit() and int(text) > 0


def _row_of(name: str, gpus: Sequence[Gpu]) -> Gpu | None:
    """The row of the catalog that a driver's name speaks of: all its words stand there in a row."""
    said = f"-{'-'.join(re.findall(r'[a-z0-9]+', name.lower()))}-"
    known = [gpu for gpu in gpus if f"-{gpu.name}-" in said]
    return max(known, key=lambda gpu: len(gpu.name), default=None)
