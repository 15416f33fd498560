"""How far two samples lie apart, and how far chance alone would put them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.floating]
    Measure = Callable[[Rows, Rows], Rows]

PERMUTATIONS = 999
_LEVELS = 64  # places at which two distributions of a number are compared


class Distance(NamedTuple):
    """A distance between two samples, from 0 (alike) to 1.

    Attributes:
        value: As measured.
        chance: Rows dealt to the two sides at random lie no further apart than this in 95 % of
            draws.
        p_value: Share of draws that lie as far apart; at least 1 / (draws + 1).
    """

    value: float
    chance: float
    p_value: float


def kinds_apart(one: Sequence[int], other: Sequence[int], seed: int) -> Distance:
    """Total variation between two samples of kinds: the share of rows that would have to change."""
    import numpy as np

    kinds, places = np.unique(np.array([*one, *other]), return_inverse=True)
    rows = np.zeros((len(places), len(kinds)), dtype=np.float32)
    rows[np.arange(len(places)), places] = 1

    def apart(a: "Rows", b: "Rows") -> "Rows":
        half: Rows = np.abs(a - b).sum(axis=-1) / 2
        return half

    return _dealt(rows, len(one), apart, seed)


def numbers_apart(one: Sequence[float], other: Sequence[float], seed: int) -> Distance:
    """Kolmogorov-Smirnov: the largest difference between the shares below any value."""
    import numpy as np

    both = np.array([*one, *other], dtype=np.float64)
    levels = np.unique(np.quantile(both, np.linspace(0, 1, _LEVELS), method="lower"))
    rows = (both[:, None] <= levels).astype(np.float32)

    def apart(a: "Rows", b: "Rows") -> "Rows":
        largest: Rows = np.abs(a - b).max(axis=-1)
        return largest

    return _dealt(rows, len(one), apart, seed)


def profiles_apart(rows: "Rows", count: int, seed: int) -> Distance:
    """1 - cosine between the mean of the first `count` rows and the mean of the others."""
    import numpy as np

    def apart(a: "Rows", b: "Rows") -> "Rows":
        sizes = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
        # Two sides without a word are alike.
        cosine = np.where(sizes > 0, (a * b).sum(axis=-1) / np.where(sizes > 0, sizes, 1), 1)
        distance: Rows = np.maximum(0, 1 - cosine)
        return distance

    return _dealt(rows, count, apart, seed)


def _dealt(rows: "Rows", count: int, measure: "Measure", seed: int) -> Distance:
    """A permutation test: the measured distance among those of rows dealt at random."""
    import numpy as np

    others = len(rows) - count
    total = rows.sum(axis=0)
    mask = np.zeros((1 + PERMUTATIONS, len(rows)), dtype=np.float32)
    mask[:, :count] = 1
    mask[1:] = np.random.default_rng(seed).permuted(mask[1:], axis=1)
    first = mask @ rows
    found = measure(first / count, (total - first) / others)
    value, dealt = float(found[0]), found[1:]
    as_far = int((dealt >= value - 1e-6).sum())  # sums in another order differ in the last bits
    return Distance(
        value=value,
        chance=float(np.quantile(dealt, 0.95)),
        p_value=(1 + as_far) / (1 + PERMUTATIONS),
    )
