"""A dataset's numbers in words and charts: for the terminal and for a page."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ftctl.datasets.stats import DataStats
from ftctl.pages.charts import CHART_STYLE, bars, figure, histogram
from ftctl.pages.frame import Number, PageFile, bullets, terms
from ftctl.pages.text import safe

_DRAWN, _LISTED = 12, 200  # rows of one chart, and of the table beside it


@dataclass(frozen=True)
class Chart:
    """Rows by name; `ordered` where the names are numbers that follow each other."""

    title: str
    rows: list[tuple[str, float]]
    ordered: bool = False
    unit: str = "rows"
    note: str = ""

    def said(self, value: float) -> str:
        """A value of it in words."""
        return f"{value:.0%}" if self.unit == "share" else f"{value:,.0f}"


def facts(found: DataStats) -> Iterator[tuple[str, str]]:
    """What is to say of the whole file, by name."""
    tokens, variety = found.tokens, found.variety
    unreadable = f" ({found.unreadable_rows:,} more lines aren't)" * bool(found.unreadable_rows)
    yield "examples", f"{found.rows:,}{unreadable}"
    about = "" if tokens.exact else "about "
    yield "tokens", f"{about}{tokens.total:,}, {tokens.trained:,} of them in answers"
    yield "how they are counted", f"{tokens.says}{f'; {tokens.error}' if tokens.error else ''}"
    yield (
        "tokens an example",
        f"median {tokens.median:,.0f}, 95 % up to {tokens.p95:,.0f}, longest "
        f"{tokens.longest:,} (line {tokens.longest_line})",
    )
    copies = found.copies
    near = "" if copies.near is None else f", {copies.near:,} more with nearly the same words"
    said = f"{copies.normalised:,} more but for case, spacing or punctuation"
    yield "copies", f"{copies.exact:,} exact, {said}{near}"
    without = f", {found.without_system:,} rows without" * bool(found.without_system)
    yield "system prompts", f"{found.system_prompts:,} different{without}"
    yield "forms of answer", f"{found.output_families:.1f} in effect"
    if found.labels is not None:
        yield (
            "labels",
            f"{found.labels.different}, the most common has {found.labels.majority_share:.0%}",
        )
    yield (
        "different",
        f"{variety.different_prompts:.0%} of prompts, {variety.different_answers:.0%} of answers",
    )
    yield (
        "groups of prompts",
        f"{variety.prompt_groups:,} by the words they share, the largest "
        f"{variety.largest_group:.0%} (sample of {variety.sampled_rows:,} rows)",
    )
    for name, shares in (("prompts", variety.prompt_ngrams), ("answers", variety.answer_ngrams)):
        told = ", ".join(f"{share:.0%} of {size}" for size, share in shares.items())
        yield f"different word runs in {name}", f"{told} (sample of {variety.sampled_rows:,} rows)"
    for name, kinds in (("personal data", found.personal_data), ("secrets", found.secrets)):
        yield name, ", ".join(f"{kind} {n:,}" for kind, n in kinds.items()) or "none found"


def charts(found: DataStats) -> Iterator[Chart]:
    """What a person should see the shape of."""
    bins: list[tuple[str, float]] = [
        (f"{bin.low:,}-{bin.high:,}", bin.rows) for bin in found.tokens.histogram
    ]
    widths = [bin.high - bin.low for bin in found.tokens.histogram]
    longer = "The last bar holds all that are longer." if widths[-1] > widths[0] else ""
    yield Chart("Tokens an example", bins, ordered=True, note=longer)
    if len(found.turns) > 1:
        yield Chart("Answers an example", [(str(turns), n) for turns, n in found.turns.items()])
    yield Chart("Answers by form", [(task.name, task.rows) for task in found.tasks])
    if found.labels is not None:
        yield Chart("Labels", [(label.name, label.rows) for label in found.labels.most])


def write_stats(page: PageFile, found: DataStats) -> None:
    """Everything of the document, on a page."""
    page.write([f"<h1>{safe(str(found.file))}</h1>\n", terms(facts(found))])
    if found.guidance:
        page.write(["<h2>What to do</h2>\n", bullets(found.guidance)])
    page.write(map(_figure, [*charts(found), *_more(found)]))


def stats_page(path: Path, title: str) -> PageFile:
    """The page that is to hold them.

    Raises:
        UsageError: something else stands there, or nothing can be written.
    """
    return PageFile(path, "data stats", title, CHART_STYLE)


def _more(found: DataStats) -> Iterator[Chart]:
    """Charts for which a terminal has no room: there, they are sentences."""
    copies, variety = found.copies, found.variety
    kinds = [("exact", copies.exact), ("but for case, spacing", copies.normalised)]
    kinds += [("nearly the same words", copies.near)] if copies.near is not None else []
    yield Chart("Copies", [("said once", found.rows - sum(n for _, n in kinds)), *kinds])
    runs = [
        (f"{name}, {size} word{'s' * (size > 1)}", share)
        for name, shares in (("prompts", variety.prompt_ngrams), ("answers", variety.answer_ngrams))
        for size, share in shares.items()
    ]
    yield Chart("Different word runs", runs, unit="share")
    marked = [*found.personal_data.items(), *found.secrets.items()]
    if marked:
        yield Chart("Personal data and secrets", [(kind, n) for kind, n in marked], unit="found")


def _figure(chart: Chart) -> str:
    drawn = [*chart.rows[:_DRAWN]]
    if len(chart.rows) > _DRAWN:
        drawn.append((f"{len(chart.rows) - _DRAWN} more", sum(n for _, n in chart.rows[_DRAWN:])))
    if chart.ordered:
        marked = sorted({0, len(drawn) // 2, len(drawn) - 1})
        drawing = histogram(drawn, [((i + 0.5) / len(drawn), drawn[i][0]) for i in marked])
    else:
        top = 1.0 if chart.unit == "share" else None
        drawing = bars([(name, n, chart.said(n)) for name, n in drawn], top)
    most, n = max(chart.rows, key=lambda row: row[1])
    said = f"{len(chart.rows)} values; the highest is {most} with {chart.said(n)} ({chart.unit})."
    rows = [(name, Number(n, chart.said(n))) for name, n in chart.rows[:_LISTED]]
    return figure(chart.title, said, drawing, (chart.title, chart.unit.title()), rows, chart.note)
