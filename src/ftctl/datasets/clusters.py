"""Texts as numbers by their words, and groups of texts that say much the same."""

import re
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ALIKE = 0.5  # cosine of two texts' words, rare ones weighing more; a starting point, not measured
_WORD = re.compile(r"[^\W\d_]{3,30}")
_PROFILE = 512  # numbers that a text's words are hashed into


def words(text: str) -> set[str]:
    """The words of a text, in lower case."""
    return set(_WORD.findall(text.casefold()))


def profiles(texts: Sequence[str]) -> "NDArray[np.float32]":
    """Each text's words as numbers of length 1, rare words weighing more, [texts, 512]."""
    import numpy as np

    rows = np.zeros((len(texts), _PROFILE), dtype=np.float32)
    for place, text in enumerate(texts):
        for word in words(text):
            rows[place, zlib.crc32(word.encode("utf-8", "surrogatepass")) % _PROFILE] += 1
    rows *= np.log((1 + len(rows)) / (1 + (rows > 0).sum(axis=0))) + 1
    sizes = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(sizes > 0, sizes, 1)
    return rows


def clusters(texts: Sequence[str]) -> list[int]:
    """How many texts are in each group, the largest first.

    The first text that is in no group yet begins one, and takes all that are alike with it. Texts
    without words are alone.
    """
    import numpy as np

    rows = profiles(texts)
    free = np.asarray(rows.any(axis=1), dtype=np.bool_)
    sizes = [1] * int((~free).sum())
    for place in range(len(rows)):
        if free[place]:
            members = np.flatnonzero(free & (rows @ rows[place] >= ALIKE))
            free[members] = free[place] = False  # rounding may leave a text unlike itself
            sizes.append(max(1, len(members)))
    return sorted(sizes, reverse=True)
