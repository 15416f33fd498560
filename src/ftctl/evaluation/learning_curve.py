"""What more data would bring: a power law of errors through a few measured scores.

Errors of learning systems fall as a power of the number of examples over wide ranges (Hestness et
al., arXiv 1712.00409), so that e(n) = a · n^−b is a line on logarithmic axes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_DRAWS, _SEED = 4_000, 20_261_124


class Point(NamedTuple):
    """A score measured on `n` held-out examples, after training on so many rows."""

    rows: int
    score: float
    n: int


class Forecast(NamedTuple):
    """A score that nobody measured: its likely value and 95 % interval, in 0–1."""

    rows: int
    likely: float
    low: float
    high: float


def forecast(points: Sequence[Point], rows: int) -> Forecast:
    """The score that training on `rows` would reach.

    Each measured score is drawn from the beta distribution of its own uncertainty (Jeffreys'), and
    a line is laid through the logarithms of each draw's errors; errors never grow with rows. That
    the points share held-out examples is not used, which makes the interval wider, not narrower.

    Args:
        points: At least two, of different numbers of rows.
        rows: For how many; the further from the points, the less it can be trusted.

    Raises:
        ValueError: fewer than two points, or all of one size.
    """
    if len({point.rows for point in points}) < 2:
        raise ValueError("a curve needs scores at two sizes or more")
    generator = np.random.default_rng(_SEED)
    right = np.array([point.score * point.n for point in points])
    all_ = np.array([float(point.n) for point in points])
    errors = generator.beta(all_ - right + 0.5, right + 0.5, (_DRAWS, len(points)))
    x = np.log([point.rows for point in points])
    y = np.log(np.maximum(errors, 1e-6))
    centred = x - x.mean()
    slope = np.minimum((y * centred).sum(axis=1) / (centred**2).sum(), 0.0)
    error = np.exp(y.mean(axis=1) + slope * (np.log(rows) - x.mean()))
    low, likely, high = np.quantile(1 - np.minimum(error, 1.0), [0.025, 0.5, 0.975])
    return Forecast(rows, float(likely), float(low), float(high))
