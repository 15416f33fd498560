"""Whether a file is whole safetensors, by its header alone: nothing of it is loaded or run.

Layout: 8 bytes, little-endian, the length of a JSON object; the object, tensor name → dtype, shape
and data_offsets; then the data, without holes (the format's own description, safetensors 0.5).
"""

import json
import math
from pathlib import Path
from typing import Any

MAX_HEADER = 100_000_000  # bytes; the format's own limit
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


def find_fault(file: Path) -> str | None:
    """Why a file isn't whole safetensors; None when it is.

    Raises:
        OSError: it can't be read.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(MAX_HEADER, size - 8):
            return "its header doesn't fit into it"
        try:
            header = json.loads(stream.read(length))
        except (ValueError, RecursionError):
            return "its header isn't JSON"
    if not isinstance(header, dict):
        return "its header isn't an object"
    header.pop("__metadata__", None)
    return _data_fault(header, size - 8 - length)


def _data_fault(tensors: dict[str, Any], size: int) -> str | None:
    spans = []
    for name, tensor in tensors.items():
        span = _span(tensor)
        if span is None:
            return f"its tensor {name[:100]!r} is described wrongly"
        spans.append(span)
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            return "its tensors overlap or leave holes"
        end = stop
    if end != size:
        return f"its tensors take {end:,} bytes and it holds {size:,}"
    return None


def _span(tensor: object) -> tuple[int, int] | None:
    """From where to where its bytes stand; None unless they are as many as its shape says."""
    match tensor:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(start), int(stop)]}:
            if all(type(n) is int and n >= 0 for n in shape) and 0 <= start <= stop:
                bits = _BITS.get(dtype)
                if bits is None or math.prod(shape) * bits == (stop - start) * 8:
                    return start, stop  # a newer dtype's width isn't known here
    return None
