"""What this machine computes with: the device, and the number format that pays on it."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_CPUINFO = Path("/proc/cpuinfo")
# Without one of these a CPU emulates bf16; measured on AVX2: 1.1 against 66 GFLOP/s in fp32.
_FAST_BF16_FLAGS = ("avx512_bf16", "amx_bf16")


def find_device() -> str:
    """The device that training and answering use here: `cuda`, `mps` or `cpu`."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def describe_device(device: str) -> str:
    """The device in words, as run records keep it."""
    import platform

    import torch

    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    name = platform.processor() or platform.machine()
    return f"{device} ({name}, {torch.get_num_threads()} threads)"


def peak_memory_gib() -> float | None:
    """The most that this process has held: of the GPU where it used one, else of main memory.

    None where the system doesn't tell.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return float(torch.cuda.max_memory_reserved() / 2**30)
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def has_fast_bf16(device: str, cpuinfo: Path = _CPUINFO) -> bool:
    """Whether the hardware multiplies bf16 by itself, so that timing it is worth a try."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    try:
        flags = cpuinfo.read_text(errors="replace")
    except OSError:
        return False
    return device == "cpu" and any(flag in flags for flag in _FAST_BF16_FLAGS)


def pick_dtype(
    device: str, batch: Callable[["torch.dtype"], object], cpuinfo: Path = _CPUINFO
) -> tuple["torch.dtype", str]:
    """Choose bf16 or fp32, by timing one batch of each where the CPU claims fast bf16.

    Args:
        device: `cuda`, `mps` or `cpu`.
        batch: Runs one real batch, forward and backward, in the given format.
        cpuinfo: Where Linux lists what the CPU can do.

    Returns:
        The format, and one sentence that says why.
    """
    import torch

    if device == "cuda":
        if torch.cuda.is_bf16_supported():
            return torch.bfloat16, "bf16: the GPU supports it"
        return torch.float32, "fp32: this GPU has no bf16"
    if not has_fast_bf16(device, cpuinfo):
        return torch.float32, "fp32: no avx512_bf16 or AMX here, so bf16 would be emulated"
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        batch(dtype)  # warm-up: kernels are chosen and memory is laid out
        start = time.perf_counter()
        batch(dtype)
        seconds[dtype] = time.perf_counter() - start
    single, half = seconds[torch.float32], seconds[torch.bfloat16]
    words = f"one batch took {half:.2f} s in bf16 and {single:.2f} s in fp32"
    return (
        (torch.bfloat16, f"bf16: {words}") if half < single else (torch.float32, f"fp32: {words}")
    )
