"""Charts as SVG in the page itself.

Widths are shares of the room there is and heights are pixels, so that a chart fits a phone and a
desk while its text keeps its size. Each has a title and a description, and its numbers in a table.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ftctl.pages.frame import Cell, table
from ftctl.pages.text import safe, shorten

Colour = Literal["fill", "a", "b", "c", "d", "off"]
Ticks = Sequence[tuple[float, str]]  # where (0-1), and what stands there

CHART_STYLE = """
figure > svg { overflow: visible; }
svg text { font: 13px system-ui, sans-serif; fill: var(--ink); } svg .soft { fill: var(--soft); }
svg .grid { stroke: var(--line); stroke-width: 1; } svg .rule { stroke: var(--ink);
  stroke-width: 1.5; stroke-dasharray: 4 3; } svg .line { fill: none; stroke-width: 2.5; }
svg .halo { paint-order: stroke; stroke: var(--back); stroke-width: 4px; }
svg .point { stroke: var(--back); stroke-width: 1.5; } svg .ink { fill: var(--ink); }
""" + "\n".join(
    f"svg .{name} {{ fill: var(--{name}); }} svg .line.{name} {{ fill: none; "
    f"stroke: var(--{name}); }}"
    for name in ("fill", "a", "b", "c", "d", "off")
)
LINE_COLOURS: tuple[Colour, ...] = ("a", "b", "c", "d")
_DASHES = {"a": "none", "b": "8 4", "c": "2 3", "d": "10 3 2 3"}
_COLUMNS = 40  # of a row's name and what is said beside it: they fit 320 pixels
_ROW = 42
_PLOT = 220


@dataclass(frozen=True)
class Span:
    """A bar from one share of the width to another."""

    start: float
    end: float
    colour: Colour = "fill"


@dataclass(frozen=True)
class Point:
    """A mark at a share of the width; an open one is a ring."""

    at: float
    colour: Colour | Literal["ink"] = "ink"
    open: bool = False


@dataclass(frozen=True)
class Track:
    """One row: its name, what is said at its right end, and what is drawn below."""

    name: str
    said: str
    spans: tuple[Span, ...] = ()
    points: tuple[Point, ...] = ()


@dataclass(frozen=True)
class Line:
    """A line through points, both coordinates from 0 to 1, upwards."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: Colour


@dataclass(frozen=True)
class Drawing:
    """What is inside a chart, and how many pixels high it is."""

    height: int
    parts: Iterable[str]


def figure(
    title: str,
    description: str,
    drawing: Drawing,
    heads: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    note: str = "",
) -> str:
    """A chart under its heading, with what it shows in words and its numbers in a table."""
    name = "-".join(word for word in "".join(map(_plain, title.lower())).split("-") if word)
    below = f'<p class="note">{safe(note)}</p>' if note else ""
    return (
        f'<h2 id="{name}">{safe(title)}</h2><figure>'
        f'<svg role="img" aria-labelledby="{name}-t" aria-describedby="{name}-d" width="100%" '
        f'height="{drawing.height}"><title id="{name}-t">{safe(title)}</title>'
        f'<desc id="{name}-d">{safe(description)}</desc>{"".join(drawing.parts)}</svg>{below}'
        f"<details><summary>The numbers</summary>{table(heads, rows)}</details></figure>\n"
    )


def bars(rows: Sequence[tuple[str, float, str]], top: float | None = None) -> Drawing:
    """A bar a row: its name, its value from 0 on, and the value in words."""
    most = top or max((value for _, value, _ in rows), default=0) or 1
    return tracks([Track(name, said, (Span(0, value / most),)) for name, value, said in rows])


def tracks(rows: Sequence[Track], ticks: Ticks = (), rules: Ticks = ()) -> Drawing:
    """Rows over one axis; `rules` are dashed lines through all of them."""
    bottom = len(rows) * _ROW
    lines = (1 if ticks else 0) + (1 if rules else 0)
    return Drawing(bottom + 18 * lines + 4, _track_parts(rows, ticks, rules))


def _track_parts(rows: Sequence[Track], ticks: Ticks, rules: Ticks) -> Iterator[str]:
    bottom = len(rows) * _ROW
    for place, row in enumerate(rows):
        y = place * _ROW
        yield _text(0, y + 15, shorten(row.name, _COLUMNS - len(row.said)))
        yield _text(1, y + 15, row.said, "soft")
        yield _stroke("grid", (0, y + 29), (1, y + 29))
        for at, _ in ticks:
            yield _stroke("grid", (at, y + 21), (at, y + 37))
        for span in row.spans:
            if span.end <= span.start:
                continue
            wide = max(span.end - span.start, 0.004)  # what is there can be seen
            yield (
                f'<rect x="{_share(min(span.start, 0.996))}" y="{y + 23}" width="{_share(wide)}" '
                f'height="12" rx="2" class="{span.colour}"/>'
            )
        for at, _ in rules:
            yield _stroke("rule", (at, y + 19), (at, y + 40))
        for point in row.points:
            yield _circle(point, y + 29)
    for level, marks in enumerate(kept for kept in (ticks, rules) if kept):
        for at, said in marks:
            yield _text(at, bottom + 14 + 18 * level, said, "soft" if marks is ticks else "")


def histogram(bins: Sequence[tuple[str, float]], ticks: Ticks = ()) -> Drawing:
    """Upright bars side by side, the highest one's value written on its line."""
    return Drawing(_PLOT + 30, _histogram_parts(bins, ticks))


def _histogram_parts(bins: Sequence[tuple[str, float]], ticks: Ticks) -> Iterator[str]:
    most = max((value for _, value in bins), default=0) or 1
    yield _stroke("grid", (0, 16), (1, 16))
    yield _stroke("grid", (0, _PLOT), (1, _PLOT))
    for place, (name, value) in enumerate(bins):
        high = (_PLOT - 16) * value / most
        yield (
            f'<rect x="{_share((place + 0.04) / len(bins))}" y="{_PLOT - high:.1f}" '
            f'width="{_share(0.92 / len(bins))}" height="{high:.1f}" class="fill">'
            f"<title>{safe(name)}: {value:,.0f}</title></rect>"
        )
    yield _text(1, 12, f"{most:,.0f}", "soft")
    for at, said in ticks:
        yield _text(at, _PLOT + 18, said, "soft")


def lines(
    drawn: Sequence[Line],
    across: Ticks,
    up: Ticks,
    rules: Ticks = (),
    points: Sequence[tuple[float, float]] = (),
) -> Drawing:
    """Lines over a grid, a legend below; rings at `points`."""
    legend = _PLOT + 48 if rules else _PLOT + 30
    height = legend + 20 * len(drawn)
    return Drawing(height, _line_parts(drawn, across, up, rules, points))


def _line_parts(
    drawn: Sequence[Line],
    across: Ticks,
    up: Ticks,
    rules: Ticks,
    points: Sequence[tuple[float, float]],
) -> Iterator[str]:
    for at, _ in up:
        yield _stroke("grid", (0, _up(at)), (1, _up(at)))
    for at, said in across:
        yield _stroke("grid", (at, 0), (at, _PLOT))
        yield _text(at, _PLOT + 18, said, "soft")
    # Points of a polyline can't be shares: this inner box is stretched, but not its strokes.
    yield f'<svg width="100%" height="{_PLOT}" viewBox="0 0 1 1" preserveAspectRatio="none">'
    for line in drawn:
        path = " ".join(f"{x:.4f},{_up(y, 1):.4f}" for x, y in line.points)
        yield f'<polyline points="{path}" {_look(line)} vector-effect="non-scaling-stroke"/>'
    yield "</svg>"
    for at, said in up:
        yield _text(0, _up(at) - 4, said, "soft halo")
    for at, said in rules:
        yield _stroke("rule", (at, 0), (at, _PLOT))
        yield _text(at, _PLOT + 36, said)
    for x, y in points:
        yield _circle(Point(x, open=True), _up(y))
    top = _PLOT + (48 if rules else 30)
    for place, line in enumerate(drawn):
        y = top + 20 * place + 8
        yield f'<line x1="0" x2="36" y1="{y}" y2="{y}" {_look(line)}/>'
        yield f'<text x="44" y="{y + 4}">{safe(line.name)}</text>'


def nice_ticks(top: float, said: str = "{:,.0f}") -> tuple[float, Ticks]:
    """A round end of an axis from 0 that holds `top`, and three marks on it."""
    size = 10.0 ** math.floor(math.log10(top)) if top > 0 else 1.0
    end = next(size * step for step in (1, 2, 4, 5, 10) if size * step >= top)
    return end, [(part, said.format(end * part)) for part in (0.0, 0.5, 1.0)]


def _up(part: float, height: float = _PLOT) -> float:
    """Pixels from the top; a twelfth stays free above."""
    return height - part * height * 11 / 12


def _look(line: Line) -> str:
    return f'class="line {line.colour}" stroke-dasharray="{_DASHES.get(line.colour, "none")}"'


def _circle(point: Point, y: float) -> str:
    look = (
        'fill="none" stroke="var(--ink)" stroke-width="2"'
        if point.open
        else f'class="point {point.colour}"'
    )
    at = min(max(point.at, 0.0), 1.0)
    return f'<circle cx="{_share(at)}" cy="{y:.1f}" r="5" {look}/>'


def _stroke(kind: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    return (
        f'<line class="{kind}" x1="{_share(start[0])}" x2="{_share(end[0])}" '
        f'y1="{start[1]:.1f}" y2="{end[1]:.1f}"/>'
    )


def _text(at: float, y: float, said: str, kind: str = "") -> str:
    """Text that stays inside: it begins, is centred or ends where it stands."""
    anchor = "start" if at < 0.15 else "end" if at > 0.85 else "middle"
    return (
        f'<text x="{_share(at)}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">'
        f"{safe(said)}</text>"
    )


def _share(part: float) -> str:
    return f"{100 * part:.2f}%"


def _plain(character: str) -> str:
    return character if character.isascii() and character.isalnum() else "-"
