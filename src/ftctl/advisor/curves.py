"""What each route costs at other volumes, and where two of them cost the same."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import numpy as np

from ftctl.advisor.draws import Draws
from ftctl.advisor.money import Money
from ftctl.advisor.routes import Route
from ftctl.advisor.situation import VOLUME_RANGE, Situation
from ftctl.advisor.types import Label

_REACH = 1_000.0  # times fewer and times more requests than now
_POINTS = 37
_HALVINGS = 40  # solves a volume to far below a percent


@dataclass(frozen=True)
class Curve:
    """The median cost of a route in USD a month, at each of the volumes."""

    route: Label
    usd: tuple[float, ...]


@dataclass(frozen=True)
class BreakEven:
    """The requests a month at which two routes cost the same, `usd` a month in the median."""

    requests: float
    usd: float
    below: Label
    above: Label


@dataclass(frozen=True)
class CostByVolume:
    """Curves over requests a month, and every point where two of them meet."""

    requests: tuple[float, ...]
    curves: tuple[Curve, ...]
    break_evens: tuple[BreakEven, ...]


def cost_by_volume(situation: Situation, routes: Sequence[Route]) -> CostByVolume:
    """Costs a thousand times below and above today's volume, or the default's middle."""
    now = situation.requests or math.sqrt(VOLUME_RANGE[0] * VOLUME_RANGE[1])
    volumes = np.geomspace(now / _REACH, now * _REACH, _POINTS).tolist()
    rows = [_costs(situation, routes, volume) for volume in volumes]
    curves = [
        Curve(route.label, tuple(row[place] for row in rows)) for place, route in enumerate(routes)
    ]
    met = sorted(_meetings(situation, routes, volumes, rows), key=lambda even: even.requests)
    return CostByVolume(tuple(volumes), tuple(curves), tuple(met))


def _costs(situation: Situation, routes: Sequence[Route], requests: float) -> list[float]:
    money = Money(Draws(replace(situation, requests=requests)))
    return [float(np.median(money.of(route).usd)) for route in routes]


def _meetings(
    situation: Situation,
    routes: Sequence[Route],
    volumes: Sequence[float],
    rows: Sequence[Sequence[float]],
) -> Iterator[BreakEven]:
    for (i, one), (j, other) in combinations(enumerate(routes), 2):
        for (low, before), (high, after) in pairwise(zip(volumes, rows, strict=True)):
            if (before[i] < before[j]) == (after[i] < after[j]):
                continue
            first, second = (one, other) if before[i] < before[j] else (other, one)
            volume = _solve(situation, (first, second), low, high)
            usd = _costs(situation, [first], volume)[0]
            yield BreakEven(volume, usd, first.label, second.label)


def _solve(situation: Situation, pair: tuple[Route, Route], low: float, high: float) -> float:
    """The volume between the two up to which the first route is the cheaper one."""
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        first, second = _costs(situation, pair, middle)
        low, high = (middle, high) if first < second else (low, middle)
    return low
