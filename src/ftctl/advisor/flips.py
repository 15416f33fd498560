"""At which value of a fact another route would lead: solved, not sampled."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ftctl.advisor.decide import Verdict, decide
from ftctl.advisor.situation import ROWS_RANGE, VOLUME_RANGE, Situation, settle
from ftctl.advisor.types import Criterion, Features, Flip, Label
from ftctl.catalog.load import Catalog

SHOWN = 3
# Values tried on the way to either end; halvings that tell how near a crossing is; and how near
# the value printed lies to the one at which the answer turns, as a part of it.
_STEPS, _HALVINGS, _EXACT = 3, 3, 1e-7
# How many likely moves away a choice is: one that nobody said, and one that the user did.
_UNSAID, _SAID = 1.0, 3.0


@dataclass(frozen=True)
class _Input:
    """A number that the answer hangs on.

    Attributes:
        fact: Its name.
        now: What it is, or the middle of its range.
        ends: The least and the most that is tried.
        step: A likely move: a factor, for a score so much more or less.
        says: What a value means: `{0}` is above or below, `{1}` the value.
        ask: The decision at a value.
        known: Whether it was said, measured or looked up.
        whole: Whether it counts things.
    """

    fact: str
    now: float
    ends: tuple[float, float]
    step: float
    says: str
    ask: Callable[[float], Verdict]
    known: bool = True
    whole: bool = False

    @property
    def _linear(self) -> bool:
        return self.step < 1

    def between(self, low: float, high: float, part: float = 0.5) -> float:
        if self._linear or min(low, high) <= 0:
            return low + (high - low) * part
        return float(low * (high / low) ** part)

    def distance(self, value: float) -> float:
        """How many likely moves away a value is."""
        if self._linear or value <= 0:
            return abs(value - self.now) / self.step
        return abs(math.log(value / self.now)) / math.log(self.step)


@dataclass(frozen=True)
class _Found:
    """Where the leading route changes: still inside at one value, no more at the other."""

    distance: float
    flip: Flip | None = None
    input: _Input | None = None
    inside: float = 0.0
    outside: float = 0.0


def find_flips(
    situation: Situation, verdict: Verdict, features: Features | None
) -> tuple[Flip, ...]:
    """The three changes of one fact that would most easily change the route that leads.

    Each is tried alone, with everything else as it is. A number's value is solved: a part in ten
    million before it the answer is still the same. What is fewer likely moves away matters more.
    """
    leading = verdict.leading
    ask = _Asked(situation, features)
    found = [crossing for one in _inputs(ask, verdict) if (crossing := _crossing(one, leading))]
    found += _choices(ask, leading)
    found.sort(key=lambda one: one.distance)
    shown = found[:SHOWN]
    numbers = [one for one in found if one.input is not None]
    if numbers and not any(one.input for one in shown):
        shown[-1] = numbers[0]  # a number can be watched, a choice is made
    return tuple(one.flip or _solved(one, leading) for one in shown)


class _Asked:
    """The question with something changed."""

    def __init__(self, situation: Situation, features: Features | None) -> None:
        self.situation = situation
        self.features = features

    def told(self, **changes: object) -> Verdict:
        """The decision with other facts."""
        return self.on(self.situation.catalog, **changes)

    def on(self, catalog: Catalog, **changes: object) -> Verdict:
        """The same with another catalog."""
        facts = self.situation.facts.model_copy(update=changes)
        changed = settle(facts, self.features, catalog, self.situation.as_of)
        return decide(changed, explain=False)

    def priced(self, factor: float) -> Verdict:
        """The same where every card costs so many times as much."""
        cards = []
        for gpu in self.situation.catalog.gpus:
            price = gpu.price
            times = {name: getattr(price, name) * factor for name in ("low", "likely", "high")}
            cards.append(gpu.model_copy(update={"price": price.model_copy(update=times)}))
        return self.on(self.situation.catalog.model_copy(update={"gpus": tuple(cards)}))


def _inputs(asked: _Asked, verdict: Verdict) -> Iterator[_Input]:
    situation, facts = asked.situation, asked.situation.facts

    def number(
        fact: str, now: float, reach: float, step: float, says: str, *, known: bool = True
    ) -> _Input:
        ends = (now / reach, now * reach)
        return _Input(fact, now, ends, step, says, _told(asked, fact), known)

    middle = math.sqrt(math.prod(VOLUME_RANGE))
    volume = middle if situation.requests is None else situation.requests
    says = "{0} about {1} requests a month"
    known = situation.requests is not None
    yield number("requests_per_month", volume, 1000, 10, says, known=known)
    if facts.baseline_score is not None:
        says, ask = "with a prompt that scores {0} {1}", _told(asked, "baseline_score")
        yield _Input("baseline_score", facts.baseline_score, (0.0, 1.0), 0.1, says, ask)
    if facts.target_score is not None:
        says, ask = "with a target {0} {1}", _told(asked, "target_score")
        yield _Input("target_score", facts.target_score, (0.0, 1.0), 0.1, says, ask)
    own = next((entry.route for entry in verdict.ranked if entry.route.hosting == "own"), None)
    if own is not None and own.gpu is not None:
        price = own.gpu.price.likely
        says = f"{{0}} about {{1}} USD an hour of {own.gpu.title}"
        ends = (price / 10, price * 10)
        yield _Input("gpu_usd_per_hour", price, ends, 2.5, says, _priced(asked, price))
    if asked.features is None:
        middle = math.sqrt(math.prod(ROWS_RANGE))
        rows = middle if situation.rows is None else situation.rows
        known = situation.rows is not None
        ends, says = (rows / 100, rows * 100), "with {1} examples or {0}"
        ask = _told(asked, "data_rows")
        yield _Input("data_rows", rows, ends, 4, says, ask, known=known, whole=True)
        for name in ("input_tokens", "output_tokens"):
            says = f"{{0}} about {{1}} {name.replace('_', ' ')} a request"
            value = float(getattr(situation, name))
            yield number(name, value, 30, 3, says, known=situation.knows(name))
    says = "with a horizon {0} {1} months"
    known = facts.horizon_months is not None
    yield number("horizon_months", situation.months, 12, 3, says, known=known)
    if facts.latency_p95_s is not None:
        says = "with {0} {1} s for 95 % of answers"
        yield number("latency_p95_s", facts.latency_p95_s, 30, 2, says)
    if facts.budget_usd_per_month:
        says = "with a budget {0} {1} USD a month"
        yield number("budget_usd_per_month", facts.budget_usd_per_month, 100, 2, says)


def _priced(asked: _Asked, price: float) -> Callable[[float], Verdict]:
    return lambda value: asked.priced(value / price)


def _told(asked: _Asked, name: str) -> Callable[[float], Verdict]:
    return lambda value: asked.told(**{name: value})


def _crossing(one: _Input, leading: Label) -> _Found | None:
    """The nearer of the values below and above at which another route leads, or None."""
    if one.now <= 0 or (not one.known and one.ask(one.now).leading != leading):
        return None
    found = [crossing for end in one.ends if (crossing := _toward(one, end, leading))]
    return min(found, key=lambda crossing: crossing.distance, default=None)


def _toward(one: _Input, end: float, leading: Label) -> _Found | None:
    inside = one.now
    for step in range(1, _STEPS + 1):
        outside = one.between(one.now, end, step / _STEPS)
        if one.ask(outside).leading != leading:
            inside, outside = _narrowed(one, inside, outside, leading, _HALVINGS)
            return _Found(one.distance(outside), None, one, inside, outside)
        inside = outside
    return None


def _narrowed(
    one: _Input, inside: float, outside: float, leading: Label, halvings: int
) -> tuple[float, float]:
    for _ in range(halvings):
        if abs(outside - inside) <= _EXACT * abs(outside):
            break
        middle = one.between(inside, outside)
        if one.ask(middle).leading == leading:
            inside = middle
        else:
            outside = middle
    return inside, outside


def _solved(found: _Found, leading: Label) -> Flip:
    one = found.input
    assert one is not None  # noqa: S101 - what is no choice is a number
    _, value = _narrowed(one, found.inside, found.outside, leading, halvings=60)
    up = value > one.now
    words, text = ("above", "below"), _rounded(value)
    if one.whole:
        # The whole number beside it that is nearer to now, where another route leads there already.
        nearer, farther = (math.floor, math.ceil) if up else (math.ceil, math.floor)
        at_nearer = one.ask(float(nearer(value))).leading
        value = float(nearer(value) if at_nearer != leading else farther(value))
        words, text = ("more", "fewer"), f"{value:,.0f}"
    else:
        value = _outward(value, one)
    other = one.ask(value)
    return Flip(
        fact=one.fact,
        now=f"{one.now:.12g}" if one.known else "unknown",
        value=f"{value:.12g}",
        leads=other.leading,
        says=f"{one.says.format(words[not up], text)}, {_leads(other)}",
    )


def _outward(value: float, one: _Input) -> float:
    """The next value of nine figures away from now: as it is written, another route leads there."""
    if value <= 0:
        return value
    step = 10.0 ** (math.floor(math.log10(value)) - 8)
    if value > one.now:
        return min((math.floor(value / step) + 1) * step, max(one.ends))
    return max((math.ceil(value / step) - 1) * step, min(one.ends))


def _choices(asked: _Asked, leading: Label) -> Iterator[_Found]:
    """Facts that are a choice: another answer to each is tried."""
    facts = asked.situation.facts
    tried: list[tuple[str, object, object]] = [
        ("runs_gpus", not asked.situation.runs_gpus, facts.runs_gpus),
        *(
            (name, not getattr(facts, name), getattr(facts, name))
            for name in ("prompt_meets_quality", "prompt_meets_cost", "prompt_meets_latency")
        ),
        ("prompt_limit", not facts.prompt_limit, facts.prompt_limit),
        ("knowledge_changes", "never" if asked.situation.needs_knowledge else "daily",
         facts.knowledge_changes),
        ("privacy", "public" if asked.situation.inside else "stays_inside", facts.privacy),
    ]  # fmt: skip
    first: tuple[Criterion, ...] = ("cost", "latency", "privacy")
    tried += [("priorities", (criterion,), facts.priorities) for criterion in first]
    for fact, value, now in tried:
        other = asked.told(**{fact: value})
        if other.leading == leading:
            continue
        said = _word(value)
        says = f"if {fact} were {said}, {_leads(other)}"
        flip = Flip(fact=fact, now=_word(now), value=said, leads=other.leading, says=says)
        yield _Found(_UNSAID if now is None else _SAID, flip)


def _rounded(value: float) -> str:
    """Three figures, to be read."""
    digits = 2 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{round(value, digits):,.12g}"


def _leads(verdict: Verdict) -> str:
    if verdict.leading == "none":
        return "nothing need be done" if verdict.ranked else "no route is left"
    return f"{verdict.leading} would lead"


def _word(value: object) -> str:
    if value is None:
        return "unknown"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()
