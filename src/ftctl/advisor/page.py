"""The advice as a page: reason, costs, break-even, what would flip it, lifetimes, assumptions."""

import math
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path

from ftctl.advisor.curves import CostByVolume, cost_by_volume
from ftctl.advisor.decide import Verdict, decide
from ftctl.advisor.lives import Life, lives
from ftctl.advisor.situation import Situation, settle
from ftctl.advisor.swings import Swing, share_of, swings
from ftctl.advisor.types import Advice, Decision, Facts, Features, Label, Rejected, RouteReport
from ftctl.catalog.load import Catalog, load_catalog
from ftctl.pages.charts import (
    CHART_STYLE,
    Colour,
    Line,
    Point,
    Span,
    Track,
    figure,
    lines,
    nice_ticks,
    tracks,
)
from ftctl.pages.frame import Cell, Number, PageFile, bullets, terms
from ftctl.pages.text import safe

_COLOURS: dict[Label, Colour] = {
    "none": "off",
    "prompt": "a",
    "rag": "b",
    "hosted": "c",
    "self_hosted": "d",
}
_SAID: dict[Decision, str] = {
    "none": "Do nothing",
    "prompt": "Prompt",
    "rag": "Add retrieval",
    "hosted": "Tune at a vendor",
    "self_hosted": "Tune on your own GPUs",
    "measure_first": "Measure first",
    "too_close": "Too close to call",
}
_LEAST_USD = 1.0  # where the axis of costs begins: it has no zero


def advice_page(path: Path) -> PageFile:
    """The page that is to hold an advice.

    Raises:
        UsageError: something else stands there, or nothing can be written.
    """
    return PageFile(path, "advise", "Should we fine-tune?", CHART_STYLE)


def write_advice(
    page: PageFile,
    advice: Advice,
    facts: Facts,
    *,
    features: Features | None = None,
    catalog: Catalog | None = None,
    as_of: date,
) -> None:
    """Everything of the document, with what its figures look like.

    Args:
        page: Where to.
        advice: What `advise` answered for the same facts, features, catalog and day.
        facts: What the user knows.
        features: What a data file showed, if there is one.
        catalog: Facts to ask; the shipped ones when left out.
        as_of: The day to answer for.
    """
    situation = settle(facts, features, catalog or load_catalog(), as_of)
    verdict = decide(situation)
    page.write(_answer(advice, as_of))
    if advice.routes:
        page.write(_costs(advice))
        page.write(_break_even(situation, verdict))
    page.write(_flips(situation, verdict, advice))
    found = lives(situation, verdict)
    if found:
        page.write([_lifetimes(situation, found)])
    page.write(_rest(advice))


def _answer(advice: Advice, day: date) -> Iterator[str]:
    yield f"<h1>{_SAID[advice.decision]}</h1>\n<p>{safe(advice.reason)}</p>\n"
    yield (
        f"<p>Decision: <strong>{advice.decision}</strong>. In the lead: {advice.leading}, "
        f'with <data value="{advice.confidence!r}">{advice.confidence:.0%}</data> of draws '
        f"({safe(advice.hosting)}, as of {day}).</p>\n"
    )
    yield "<h2>Next</h2><ol>"
    yield from (f"<li><code>{safe(line)}</code></li>" for line in advice.next)
    yield "</ol>\n"


def _costs(advice: Advice) -> Iterator[str]:
    top, ticks = nice_ticks(max(route.usd_per_month.high for route in advice.routes))
    rows = [
        Track(
            route.route,
            f"{_range(route)} USD",
            (Span(route.usd_per_month.low / top, route.usd_per_month.high / top, _of(route)),),
            (Point(route.usd_per_month.likely / top),),
        )
        for route in advice.routes
    ]
    said = "; ".join(f"{route.route} {_range(route)} USD" for route in advice.routes)
    yield figure(
        "Cost a month",
        f"From the 10th to the 90th percentile: {said}.",
        tracks(rows, ticks),
        ("Route", "P10", "P50", "P90"),
        [
            (
                route.route,
                *(Number(value, f"{value:,.0f}") for value in _three(route)),
            )
            for route in advice.routes
        ],
        "USD from the 10th to the 90th percentile of the draws; the dot is the median.",
    )
    yield "<h2>Routes</h2>\n"
    for route in advice.routes:
        yield f"<h3>{safe(route.route)}</h3>{terms(_route(route), short=True)}"


def _route(route: RouteReport) -> Iterator[tuple[str, Cell]]:
    yield "wins", Number(route.share, f"{route.share:.0%} of draws")
    yield "do", ", ".join(route.adaptation)
    card = f" on {route.gpu}" if route.gpu else ""
    yield "where", f"{route.provider}: {route.model}{card}"
    yield "USD a month", _range(route)
    seconds = route.latency_s
    yield "seconds an answer", f"{seconds.low:.2g} – {seconds.likely:.2g} – {seconds.high:.2g}"
    quality = route.quality
    yield "quality", f"{quality.low:.2f}–{quality.high:.2f}" if quality else route.quality_note
    if route.dominated_by:
        yield "beaten by", route.dominated_by
    if route.warnings:
        yield "mind", " ".join(route.warnings)


def _break_even(situation: Situation, verdict: Verdict) -> Iterator[str]:
    found = cost_by_volume(situation, [entry.route for entry in verdict.ranked])
    volumes = found.requests
    every = [max(usd, _LEAST_USD) for curve in found.curves for usd in curve.usd]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every) * 1.001))

    def across(requests: float) -> float:
        return math.log(requests / volumes[0]) / math.log(volumes[-1] / volumes[0])

    def up(usd: float) -> float:
        return (math.log10(max(usd, _LEAST_USD)) - low) / (high - low)

    drawn = [
        Line(
            curve.route,
            [
                (across(v), up(usd))
                for v, usd in zip(volumes, curve.usd, strict=True)
                if usd >= _LEAST_USD
            ],
            _COLOURS[curve.route],
        )
        for curve in found.curves
    ]
    met = found.break_evens
    said = [
        f"below {_round(even.requests)} requests a month {even.below} is cheaper than "
        f"{even.above}, above it is dearer"
        for even in met
    ]
    now = situation.requests
    drawing = lines(
        drawn,
        [(across(10.0**n), _count(10.0**n)) for n in _decades(volumes)],
        [(up(10.0**n), f"{_count(10.0**n)} USD") for n in range(low, high + 1)],
        [(across(now), f"now: {_count(now)}")] if now else (),
        [(across(even.requests), up(even.usd)) for even in met],
    )
    yield figure(
        "Break-even",
        "; ".join(said) or "No two routes cost the same in this range.",
        drawing,
        ("Requests a month", *(curve.route for curve in found.curves)),
        _break_even_rows(found),
        "Median USD a month against requests a month, both in powers of ten; rings: two cost "
        "the same.",
    )
    if said:
        yield bullets(said)


def _break_even_rows(found: CostByVolume) -> Iterator[list[Cell]]:
    for place, volume in enumerate(found.requests[::6]):
        usd = [
            Number(curve.usd[6 * place], f"{curve.usd[6 * place]:,.0f}") for curve in found.curves
        ]
        yield [Number(volume, _round(volume)), *usd]


def _flips(situation: Situation, verdict: Verdict, advice: Advice) -> Iterator[str]:
    moved = swings(situation, verdict)
    if moved:
        now = share_of(verdict, verdict.leading)
        yield figure(
            "What would flip it",
            "; ".join(_swing_said(swing) for swing in moved),
            tracks(
                [_swing(swing, verdict.leading) for swing in moved],
                [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")],
                [(now, f"now {now:.0%}")],
            ),
            ("Fact", "At", "Wins", "Leads"),
            [
                (swing.fact, end.value, Number(end.share, f"{end.share:.0%}"), end.leads)
                for swing in moved
                for end in (swing.low, swing.high)
            ],
            f"Share of draws that {verdict.leading} wins when one fact alone is moved; a filled "
            "dot: there another route leads, in its colour; a ring: it still leads.",
        )
    if advice.flips:
        yield bullets(flip.says for flip in advice.flips)


def _swing(swing: Swing, leading: Label) -> Track:
    low, high = sorted((swing.low.share, swing.high.share))
    points = [
        Point(end.share, open=True)
        if end.leads == leading
        else Point(end.share, _COLOURS[end.leads])
        for end in (swing.low, swing.high)
    ]
    said = f"{swing.low.value} to {swing.high.value}"
    return Track(swing.fact, said, (Span(low, high, "off"),), tuple(points))


def _swing_said(swing: Swing) -> str:
    ends = [
        f"{end.share:.0%} at {end.value} ({end.leads} leads)" for end in (swing.low, swing.high)
    ]
    return f"{swing.fact}: {', '.join(ends)}"


def _lifetimes(situation: Situation, found: Iterable[Life]) -> str:
    found = list(found)
    start, until = situation.as_of, situation.until
    last = until + (until - start) / 4
    days = max((last - start).days, 1)

    def at(day: date) -> float:
        return min(max((day - start).days / days, 0.0), 1.0)

    rows = [
        Track(
            life.name,
            "" if life.ends is None else str(life.ends),
            (
                Span(
                    0.0,
                    at(life.ends or date.max),
                    "off" if life.ruled_out else _COLOURS[life.route],
                ),
            ),
        )
        for life in found
    ]
    ticks = [(0.0, str(start)), (1.0, str(start + timedelta(days=days)))]
    return figure(
        "Lifetime of each route",
        "; ".join(f"{life.name}: {life.says}" for life in found),
        tracks(rows, ticks, [(at(until), f"horizon {until}")]),
        ("Route", "Ends"),
        [(life.name, life.says) for life in found],
        "Until when each answers, by what is announced today; grey: ruled out.",
    )


def _rest(advice: Advice) -> Iterator[str]:
    if advice.rejected:
        yield "<h2>Ruled out</h2>\n"
        yield terms(_ruled_out(advice.rejected))
    yield "<h2>Assumptions</h2>\n"
    yield terms(
        (
            f"{note.name}: {note.value}",
            ", ".join(filter(None, (note.origin, str(note.as_of or ""), note.source))),
        )
        for note in advice.assumptions
    )


def _ruled_out(rejected: Iterable[Rejected]) -> Iterator[tuple[str, str]]:
    """What each gate closes at a place, and every reason once."""
    alike: dict[tuple[str, str, str], list[Rejected]] = {}
    for line in rejected:
        alike.setdefault((line.route, line.provider, line.gate), []).append(line)
    for (route, provider, gate), closed in alike.items():
        models = ", ".join(dict.fromkeys(line.model for line in closed))
        reasons = "; ".join(dict.fromkeys(line.reason for line in closed))
        yield f"{route} at {provider}: {gate}", f"{reasons}. Models: {models}."


def _of(route: RouteReport) -> Colour:
    return _COLOURS[route.route]


def _three(route: RouteReport) -> tuple[float, float, float]:
    usd = route.usd_per_month
    return usd.low, usd.likely, usd.high


def _range(route: RouteReport) -> str:
    return " – ".join(f"{value:,.0f}" for value in _three(route))


def _decades(volumes: tuple[float, ...]) -> range:
    first, last = math.ceil(math.log10(volumes[0])), math.floor(math.log10(volumes[-1]))
    return range(first, last + 1, max(1, (last - first) // 3))


def _round(value: float) -> str:
    """Three figures of a number, written out."""
    digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{float(f'{value:.3g}'):,.{min(digits, 6)}f}"


def _count(value: float) -> str:
    """A number with a letter for its thousands, short enough for an axis."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:,.4g}{letter}"
    return f"{value:.4g}"
