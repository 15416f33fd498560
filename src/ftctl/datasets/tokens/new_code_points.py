"""Code points on which toktok-rs and tiktoken disagree, because their Unicode versions do.

toktok-rs takes them for punctuation, tiktoken for letters and marks: texts with one of them before
punctuation and letters count differently. Found by comparing both on every code point but
surrogates, in 18 contexts and both encodings: toktok-rs 0.3.0, tiktoken 0.14.0, run 2026-11-29;
4,699 code points differ in o200k_base, of which 4,657 do in cl100k_base. `benchmarks/tokens.py
--code-points` compares again.
"""

import functools
import re
import sys
from collections.abc import Sequence
from itertools import filterfalse
from typing import TYPE_CHECKING

import stringzilla

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RANGES = (
    (0x88F, 0x88F),
    (0xC5C, 0xC5C),
    (0xCDC, 0xCDC),
    (0x1ACF, 0x1ADD),
    (0x1AE0, 0x1AEB),
    (0xA7CE, 0xA7CF),
    (0xA7D2, 0xA7D2),
    (0xA7D4, 0xA7D4),
    (0xA7F1, 0xA7F1),
    (0x10940, 0x10959),
    (0x10EC5, 0x10EC7),
    (0x10EFA, 0x10EFB),
    (0x11B60, 0x11B67),
    (0x11DB0, 0x11DDB),
    (0x11DE0, 0x11DE9),
    (0x16EA0, 0x16EB8),
    (0x16EBB, 0x16ED3),
    (0x16FF2, 0x16FF6),
    (0x187F8, 0x187FF),
    (0x18D09, 0x18D1E),
    (0x18D80, 0x18DF2),
    (0x1E6C0, 0x1E6DE),
    (0x1E6E0, 0x1E6F5),
    (0x1E6FE, 0x1E6FF),
    (0x2B73A, 0x2B73F),
    (0x2CEA2, 0x2CEAD),
    (0x323B0, 0x33479),
)
_ANY = re.compile("[" + "".join(f"{chr(low)}-{chr(high)}" for low, high in RANGES) + "]")


# How they begin in UTF-8; those of four bytes all begin as few others but emoji do.
_BEGINNINGS = sorted({chr(low).encode()[:2] for low, _ in RANGES if low < 2**16})
_FOUR_BYTES, _EMOJI = b"\xf0", b"\xf0\x9f"


def with_new_code_points(texts: Sequence[str]) -> list[int]:
    """The places of the texts that hold one of them; none may hold half a surrogate pair."""
    wide = list(filterfalse(str.isascii, texts))
    # toktok-rs has left each text's UTF-8 with it, so that this only copies.
    if not _may_be_in(b"".join(map(str.encode, wide))) or not _any_in("".join(wide)):
        return []
    return [i for i, text in enumerate(texts) if not text.isascii() and _ANY.search(text)]


def _may_be_in(data: bytes) -> bool:
    """Whether UTF-8 holds one, or what begins with the same bytes: at the speed of memory."""
    if any(stringzilla.find(data, beginning) >= 0 for beginning in _BEGINNINGS):
        return True
    count = stringzilla.count
    return bool(count(data, _FOUR_BYTES) != count(data, _EMOJI))


def _any_in(text: str) -> bool:
    """Whether the text holds one: by a table, as a pattern tries 27 ranges on every character."""
    import numpy as np

    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    return bool(_table()[codes].any())


@functools.cache
def _table() -> "npt.NDArray[np.bool_]":
    import numpy as np

    table = np.zeros(sys.maxunicode + 1, np.bool_)
    for low, high in RANGES:
        table[low : high + 1] = True
    return table
