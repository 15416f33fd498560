"""The uncertain inputs, drawn once and shared by all routes, so that only real differences count.

Every factor has a generator of its own: a new factor or a new route changes no other draw.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ftctl.advisor.situation import ROWS_RANGE, VOLUME_RANGE, Situation
from ftctl.advisor.types import Criterion
from ftctl.estimation.estimate import Estimate

DRAWS = 2_000
CRITERIA: tuple[Criterion, ...] = ("quality", "cost", "latency", "privacy")
# How closely drawn weights follow the user's order: larger is closer.
_CONCENTRATION = 30.0

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """Plausible worlds for one situation, as arrays of `DRAWS` values each."""

    situation: Situation

    def uniform(self, factor: str, low: float = 0.0, high: float = 1.0) -> Array:
        """Even draws of a named factor."""
        return low + (high - low) * _standard(factor)

    def normal(self, factor: str) -> Array:
        """Standard normal draws of a named factor."""
        return _standard(factor, bell=True)

    def between(self, factor: str, estimate: Estimate) -> Array:
        """Draws of an estimate: low at quantile 0, likely at a half, high at 1."""
        below, above = _halves(factor)
        down, up = estimate.likely - estimate.low, estimate.high - estimate.likely
        return np.asarray(estimate.low + down * below + up * above)

    @cached_property
    def requests(self) -> Array:
        """Requests a month."""
        if self.situation.requests is not None:
            return np.full(DRAWS, self.situation.requests)
        low, high = np.log(VOLUME_RANGE)
        return np.asarray(np.exp(self.uniform("requests", low, high)))

    @cached_property
    def rows(self) -> Array:
        """Distinct training examples for each task."""
        if self.situation.rows is not None:
            return np.full(DRAWS, self.situation.rows / self.situation.tasks)
        low, high = np.log(ROWS_RANGE)
        return np.asarray(np.exp(self.uniform("rows", low, high)))

    @cached_property
    def knowledge(self) -> Array:
        """Share of failures that come from missing facts."""
        mix = self.situation.facts.failure_mix
        if mix is not None and mix.share("knowledge", "format", "reasoning", "tone") > 0:
            return np.full(DRAWS, mix.share("knowledge"))
        if self.situation.needs_knowledge:
            return self.uniform("knowledge", 0.4, 0.9)
        high = 0.5 if self.situation.may_need_knowledge else 0.1
        return self.uniform("knowledge", 0.0, high)

    @cached_property
    def weights(self) -> dict[Criterion, Array]:
        """Weights of the criteria: rank-order centroids of the user's order, with noise."""
        order = [*(self.situation.facts.priorities or ())]
        order += [criterion for criterion in CRITERIA if criterion not in order]
        order = list(dict.fromkeys(order))
        size = len(order)
        centroid = [sum(1 / k for k in range(i, size + 1)) / size for i in range(1, size + 1)]
        drawn = _weights(tuple(centroid))
        return {criterion: drawn[:, i] for i, criterion in enumerate(order)}


@cache
def _standard(factor: str, *, bell: bool = False) -> Array:
    """Even draws from 0 to 1, or standard normal ones: the same for a name in every process."""
    generator = np.random.default_rng(crc32(factor.encode()))
    drawn = generator.standard_normal(DRAWS) if bell else generator.random(DRAWS)
    drawn.flags.writeable = False
    return drawn


@cache
def _halves(factor: str) -> tuple[Array, Array]:
    """How far draws from 0 to 1 reach through the lower half, and through the upper one."""
    drawn = _standard(factor)
    return np.minimum(2 * drawn, 1.0), np.maximum(2 * drawn - 1.0, 0.0)


@cache
def _weights(centroid: tuple[float, ...]) -> Array:
    generator = np.random.default_rng(crc32(b"weights"))
    return generator.dirichlet(np.multiply(centroid, _CONCENTRATION), DRAWS)
