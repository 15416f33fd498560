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
    value = min(flips, key=lambda v: abs(math.log(v / start)))
    other = at(value)
    word = "above" if value > start else "below"
    yield Flip(
        fact="requests_per_month",
        now="unknown" if now is None else f"{now:g}",
        value=f"{value:.3g}",
        leads=other,
        says=f"{word} about {value:,.3g} requests a month, {other} would lead",
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
    value = min(flips, key=lambda v: abs(v - now))
    other = ask(baseline_score=value)
    word = "above" if value > now else "below"
    yield Flip(
        fact="baseline_score",
        now=f"{now:g}",
        value=f"{value:.3g}",
        leads=other,
        says=f"with a prompt that scores {word} {value:.3g}, {other} would lead",
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
            what = "nothing need be done, or no route is left" if other == "none" else ""
            says = f"if {fact} were {said}, {what or f'{other} would lead'}"
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


def _word(value: object) -> str:
    return "unknown" if value is None else str(value).lower()
