"""How far the leading route's lead hangs on each fact: every one moved low and high, alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ftctl.advisor.decide import Verdict, decide
from ftctl.advisor.situation import ROWS_RANGE, VOLUME_RANGE, Situation, add_months
from ftctl.advisor.types import Label

_SHOWN = 8
_LEAST = 0.005  # of the draws: what moves less is not shown
_MONTHS = (3.0, 36.0)
_SCORE = 0.1  # up and down


@dataclass(frozen=True)
class End:
    """One value of a fact: the share of draws that the route which leads now would win there."""

    value: str
    share: float
    leads: Label


@dataclass(frozen=True)
class Swing:
    """A fact at two values, with everything else as it is."""

    fact: str
    low: End
    high: End

    @property
    def width(self) -> float:
        """How much of the draws it moves, from 0 to 1."""
        return abs(self.high.share - self.low.share)

    def flips(self, leading: Label) -> bool:
        """Whether another route leads at one of the values."""
        return {self.low.leads, self.high.leads} != {leading}


def swings(situation: Situation, verdict: Verdict) -> tuple[Swing, ...]:
    """The facts that matter most: those that change who leads, then the widest."""
    leading = verdict.leading
    found = [
        Swing(fact, _end(low, leading), _end(high, leading))
        for fact, low, high in _tried(situation)
    ]
    kept = [swing for swing in found if swing.width >= _LEAST or swing.flips(leading)]
    kept.sort(key=lambda swing: (not swing.flips(leading), -swing.width))
    return tuple(kept[:_SHOWN])


def share_of(verdict: Verdict, label: Label) -> float:
    """The share of draws that a route wins; 0 where a gate closes it."""
    if label == "none":
        return verdict.confidence if verdict.leading == "none" else 0.0
    return next((entry.share for entry in verdict.ranked if entry.route.label == label), 0.0)


_Moved = tuple[str, Situation]  # a value in words, and the situation with it


def _end(moved: _Moved, leading: Label) -> End:
    verdict = decide(moved[1])
    return End(moved[0], share_of(verdict, leading), verdict.leading)


def _tried(situation: Situation) -> Iterator[tuple[str, _Moved, _Moved]]:
    def moved(
        name: str, ends: tuple[float, float], change: Callable[[float], Situation]
    ) -> tuple[str, _Moved, _Moved]:
        low, high = ends
        return name, (_word(low), change(low)), (_word(high), change(high))

    def told(name: str, low: object, high: object) -> tuple[str, _Moved, _Moved]:
        ends = [(_word(value), _told(situation, name, value)) for value in (low, high)]
        return name, ends[0], ends[1]

    yield moved(
        "requests_per_month",
        _around(situation.requests, 10, VOLUME_RANGE),
        lambda value: replace(situation, requests=value),
    )
    yield moved(
        "data_rows",
        _around(situation.rows, 4, ROWS_RANGE),
        lambda value: replace(situation, rows=value),
    )
    yield moved(
        "input_tokens",
        _around(situation.input_tokens, 3),
        lambda value: replace(situation, input_tokens=value),
    )
    yield moved(
        "output_tokens",
        _around(situation.output_tokens, 3),
        lambda value: replace(situation, output_tokens=value),
    )
    yield moved("horizon_months", _MONTHS, lambda value: _until(situation, value))
    now, other = situation, replace(situation, runs_gpus=not situation.runs_gpus)
    without, having = (other, now) if situation.runs_gpus else (now, other)
    yield "runs_gpus", ("false", without), ("true", having)
    score = situation.facts.baseline_score
    if score is not None:
        yield told("baseline_score", max(score - _SCORE, 0.0), min(score + _SCORE, 1.0))
    if score is None or situation.facts.target_score is None:
        yield told("prompt_meets_quality", False, True)
    yield told("knowledge_changes", "never", "daily")
    yield told("privacy", "public", "stays_inside")


def _around(
    value: float | None, factor: float, default: tuple[float, float] = (1.0, 1.0)
) -> tuple[float, float]:
    return (value / factor, value * factor) if value else default


def _told(situation: Situation, name: str, value: object) -> Situation:
    facts = situation.facts.model_copy(update={name: value})
    return replace(situation, facts=facts)


def _until(situation: Situation, months: float) -> Situation:
    return replace(situation, months=months, until=add_months(situation.as_of, months))


def _word(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,.0f}" if value >= 1 else f"{value:.3g}"
    return str(value).lower()
