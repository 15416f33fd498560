"""Which route wins how many draws: money, fixed-anchor values, Monte-Carlo.

No score is normalised against the other routes, so adding one that loses everywhere changes
nothing, and every draw's factors are shared, so only real differences decide.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ftctl.advisor.draws import DRAWS, Array, Draws
from ftctl.advisor.latency import answer_seconds, latency_value
from ftctl.advisor.money import Money, MonthlyCost, cost_value
from ftctl.advisor.quality import Quality
from ftctl.advisor.routes import Route
from ftctl.advisor.situation import Situation
from ftctl.advisor.types import Criterion, Label
from ftctl.estimation.estimate import Estimate

# Doing the least is the default: another route must be better by this much to win a draw.
INERTIA = 0.03
# Where facts are what is missing, retrieval comes first and is measured again before anybody tunes.
RETRIEVAL_FIRST = 0.25
# What leaves the house is worth less, even where it may: how much less is a choice.
_PRIVACY_OUTSIDE = {"contractual": 0.85, "regulated": 0.6}


@dataclass(frozen=True)
class Ranked:
    """A route with its cost and speed, its values by criterion in every draw, and its share.

    `head_start` is what it is worth besides, for being the least that can be done.
    """

    route: Route
    cost: MonthlyCost
    answers: Array
    values: dict[Criterion, Array]
    utility: Array
    head_start: float
    share: float = 0.0

    @property
    def seconds(self) -> Estimate:
        """P10, P50 and P90 of the seconds of one answer."""
        low, likely, high = np.quantile(self.answers, [0.1, 0.5, 0.9]).round(4)
        return Estimate(low=low, likely=likely, high=high, unit="s")


class Ranking:
    """The routes that passed the gates, best first; of each label the best one only."""

    def __init__(self, situation: Situation, routes: Iterable[Route]) -> None:
        self._draws = Draws(situation)
        self.quality = Quality(self._draws)
        self._money = Money(self._draws)
        self._routes = list(routes)

    @cached_property
    def ranked(self) -> list[Ranked]:
        """One entry for each label, most draws first."""
        best: dict[Label, Ranked] = {}
        for route in self._routes:
            entry = self._evaluate(route)
            rival = best.get(route.label)
            if rival is None or _mean(entry) > _mean(rival):
                best[route.label] = entry
        entries = list(best.values())
        if not entries:
            return []
        table = np.stack([entry.utility + entry.head_start for entry in entries])
        winners = np.argmax(table, axis=0)
        shares = np.bincount(winners, minlength=len(entries)) / DRAWS
        ranked = [
            replace(entry, share=float(share)) for entry, share in zip(entries, shares, strict=True)
        ]
        return sorted(ranked, key=lambda entry: -entry.share)

    @cached_property
    def tuning_can_be_cheaper(self) -> Array | bool:
        """In which draws a route that tunes costs less than the dearest prompt would."""
        if self._draws.situation.facts.prompt_meets_cost is not False:
            return True  # nobody asks
        dearest = self._money.dearest_prompt()
        tuned = [self._money.of(route).usd for route in self._routes if route.tuned]
        return True if dearest is None or not tuned else np.min(tuned, axis=0) < dearest

    def _head_start(self, route: Route) -> float:
        if route.label == "rag" and self._draws.situation.needs_knowledge:
            return RETRIEVAL_FIRST
        if route.label == "hosted" and self._draws.situation.runs_gpus:
            return -INERTIA  # a second place to serve from, where one is run already
        return INERTIA if route.label == "prompt" else 0.0

    def _evaluate(self, route: Route) -> Ranked:
        situation, weights = self._draws.situation, self._draws.weights
        cost = self._money.of(route)
        answers = answer_seconds(self._draws, route)
        inside = route.hosting == "own"
        outside = _PRIVACY_OUTSIDE.get(situation.facts.privacy or "public", 1.0)
        values: dict[Criterion, Array] = {
            "quality": self.quality.value(route),
            "latency": latency_value(self._draws, route, answers),
            "cost": cost_value(situation, route, cost.usd, self.tuning_can_be_cheaper),
            "privacy": np.full(DRAWS, 1.0 if inside else outside),
        }
        utility = sum((weights[name] * value for name, value in values.items()), np.zeros(DRAWS))
        return Ranked(route, cost, answers, values, utility, self._head_start(route))


def dominated_by(entry: Ranked, others: Iterable[Ranked]) -> Label | None:
    """A route that is no worse in every criterion and draw, and better somewhere, or None.

    What does more is no better than what does less and wins for that.
    """
    for other in others:
        if other.route == entry.route or other.head_start < entry.head_start:
            continue
        pairs = [(other.values[name], value) for name, value in entry.values.items()]
        if all(np.all(theirs >= mine) for theirs, mine in pairs) and any(
            np.any(theirs > mine) for theirs, mine in pairs
        ):
            return other.route.label
    return None


def _mean(entry: Ranked) -> float:
    return float(np.mean(entry.utility))
