"""At which value of a fact another route would lead: solved, not sampled."""

import math
from collections.abc import Callable, Iterator
from datetime import date

from ftctl.advisor.situation import HORIZON_MONTHS, VOLUME_RANGE, Situation
from ftctl.advisor.types import Facts, Features, Flip, Label
from ftctl.catalog.load import Catalog

Leading = Callable[[Facts, Features | None, Catalog, date], Label]
_STEPS = 10
SHOWN = 3


def find_flips(
    situation: Situation, leading: Label, features: Features | None, leading_of: Leading
) -> tuple[Flip, ...]:
    """The three changes of one fact that would most easily change the route that leads.

    Each is tried alone, with everything else as it is; volume and score are solved to a percent.
    """

    def ask(**changes: object) -> Label:
        facts = situation.facts.model_copy(update=changes)
        return leading_of(facts, features, situation.catalog, situation.as_of)

    found = [*_volume(situation, leading, ask), *_score(situation, leading, ask)]
    found += _choices(situation, leading, ask)
    return tuple(found[:SHOWN])


def _volume(situation: Situation, leading: Label, ask: Callable[..., Label]) -> Iterator[Flip]:
    now = situation.requests
    start = now or math.sqrt(VOLUME_RANGE[0] * VOLUME_RANGE[1])

    def at(value: float) -> Label:
        return ask(requests_per_month=value)

    if at(start) != leading:
        return
    flips = []
    for end in (start * 1000, start / 1000):
        value = _crossing(start, end, leading, at, logarithmic=True)
        if value is not None:
            flips.append(value)
    if not flips:
        return
    value = _beyond(min(flips, key=lambda v: abs(math.log(v / start))), start)
    other = at(value)
    if other == leading:
        return
    word = "above" if value > start else "below"
    yield Flip(
        fact="requests_per_month",
        now="unknown" if now is None else f"{now:.12g}",
        value=f"{value:.12g}",
        leads=other,
        says=f"{word} about {value:,.12g} requests a month, {_leads(other)}",
    )


def _score(situation: Situation, leading: Label, ask: Callable[..., Label]) -> Iterator[Flip]:
    now = situation.facts.baseline_score
    if now is None:
        return
    flips = []
    for end in (1.0, 0.0):
        value = _crossing(now, end, leading, lambda v: ask(baseline_score=v), logarithmic=False)
        if value is not None:
            flips.append(value)
    if not flips:
        return
    value = min(_beyond(min(flips, key=lambda v: abs(v - now)), now), 1.0)
    other = ask(baseline_score=value)
    if other == leading:
        return
    word = "above" if value > now else "below"
    yield Flip(
        fact="baseline_score",
        now=f"{now:g}",
        value=f"{value:.12g}",
        leads=other,
        says=f"with a prompt that scores {word} {value:.12g}, {_leads(other)}",
    )


def _choices(situation: Situation, leading: Label, ask: Callable[..., Label]) -> Iterator[Flip]:
    """Facts that are a choice: each other answer is tried."""
    facts = situation.facts
    months = f"{facts.horizon_months or HORIZON_MONTHS:g}"
    quality = facts.prompt_meets_quality
    tried: list[tuple[str, object, str]] = [
        ("runs_gpus", not situation.runs_gpus, _word(situation.runs_gpus)),
        ("prompt_meets_quality", not quality, _word(quality)),
        ("horizon_months", 1.0, months),
        ("knowledge_changes", "daily", facts.knowledge_changes or "unknown"),
        ("privacy", "stays_inside", facts.privacy or "unknown"),
    ]
    for fact, value, now in tried:
        other = ask(**{fact: value})
        if other != leading:
            said = _word(value) if isinstance(value, bool) else f"{value}"
            says = f"if {fact} were {said}, {_leads(other)}"
            yield Flip(fact=fact, now=now, value=said, leads=other, says=says)


def _crossing(
    start: float,
    end: float,
    leading: Label,
    at: Callable[[float], Label],
    *,
    logarithmic: bool,
) -> float | None:
    """The first value on the way from start to end at which another route leads, or None."""

    def point(part: float) -> float:
        if logarithmic:
            return float(start * (end / start) ** part)
        return start + (end - start) * part

    inside, outside = 0.0, None
    for i in range(1, 7):
        if at(point(i / 6)) != leading:
            outside = i / 6
            break
        inside = i / 6
    if outside is None:
        return None
    for _ in range(_STEPS):
        middle = (inside + outside) / 2
        if at(point(middle)) == leading:
            inside = middle
        else:
            outside = middle
    return point(outside)


def _beyond(value: float, start: float) -> float:
    """Three figures of a value, away from the start, so that it is past where the answer turns."""
    if value <= 0:
        return 0.0
    digits = 2 - math.floor(math.log10(value))
    away = math.ceil if value > start else math.floor
    return round(away(value * 10.0**digits) / 10.0**digits, max(digits, 0))


def _leads(label: Label) -> str:
    if label == "none":
        return "nothing need be done, or no route is left"
    return f"{label} would lead"


def _word(value: object) -> str:
    return "unknown" if value is None else str(value).lower()
