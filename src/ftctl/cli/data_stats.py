"""`ftctl data stats`: a dataset in numbers, in the terminal or as a page."""

import html
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.errors import UsageError

if TYPE_CHECKING:
    from ftctl.datasets.stats import DataStats

Chart = tuple[str, list[tuple[str, int]]]  # a title, and rows by name

_FILE = click.Path(path_type=Path)
_BAR = 30  # columns of the longest bar
_SHOWN = 12  # bars of one chart
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;"
    "color-scheme:light dark}table{border-collapse:collapse;width:100%}"
    "td,th{padding:.15rem .5rem;text-align:left}td.n{text-align:right;white-space:nowrap}"
    "td.b{width:55%}.bar{background:#4a7ebb;height:.9rem;min-width:1px}"
)


@make_command("stats", short_help="A dataset in numbers, with what to do about them.")
@click.argument("file", type=_FILE)
@click.option("--model", metavar="M", help="Whose tokens: a name, a folder, or a GGUF file.")
@click.option("--near", is_flag=True, help="Look for near-duplicates, too: takes twice as long.")
@click.option("--html", "page", type=_FILE, metavar="OUT", help="Write a page with charts, too.")
def stats_command(
    out: Output, *, file: Path, model: str | None, near: bool, page: Path | None
) -> None:
    """Show a dataset in numbers: tokens, turns, copies, labels, tasks, variety, personal data.

    Tokens are estimated, or counted with --model. Personal data and secrets are counted by kind
    and never shown. Exits 0 whatever the numbers say.

    Example: ftctl data stats train.jsonl --html stats.html
    """
    from ftctl.datasets.stats import stats
    from ftctl.datasets.tokens.choose import counter_for

    found = stats(file, counter=counter_for(model) if model else None, near=near)
    if page is not None:
        try:
            page.write_text(_page(found), encoding="utf-8")
        except OSError as error:
            said = f"{page} can't be written: {error.strerror}"
            raise UsageError(said, hint="--html OUT names a file in a folder that exists") from None
        out.note(f"wrote {page}")
    if out.json:
        out.document(found)
        return
    out.table(("What", "Value"), list(_facts(found)), str(file))
    for title, bars in _charts(found):
        _print_bars(out, title, bars)
    for sentence in found.guidance:
        out.line(f"→ {sentence}")


def _facts(found: "DataStats") -> Iterator[tuple[str, str]]:
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
    for name, shares in (("prompts", variety.prompt_ngrams), ("answers", variety.answer_ngrams)):
        told = ", ".join(f"{share:.0%} of {size}" for size, share in shares.items())
        yield f"different word runs in {name}", f"{told} (sample of {variety.sampled_rows:,} rows)"
    for name, kinds in (("personal data", found.personal_data), ("secrets", found.secrets)):
        yield name, ", ".join(f"{kind} {n:,}" for kind, n in kinds.items()) or "none found"


def _charts(found: "DataStats") -> Iterator[Chart]:
    bins = [(f"{bin.low:,}-{bin.high:,}", bin.rows) for bin in found.tokens.histogram]
    yield "Tokens an example", bins
    if len(found.turns) > 1:
        yield "Answers an example", [(str(turns), n) for turns, n in found.turns.items()]
    yield "Answers by form", [(task.name, task.rows) for task in found.tasks]
    if found.labels is not None:
        yield "Labels", [(label.name, label.rows) for label in found.labels.most]


def _print_bars(out: Output, title: str, bars: Sequence[tuple[str, int]]) -> None:
    most = max((rows for _, rows in bars), default=0) or 1
    cells = [
        (_one_line(name), f"{rows:,}", "█" * round(_BAR * rows / most) or "▏" * bool(rows))
        for name, rows in bars[:_SHOWN]
    ]
    if len(bars) > _SHOWN:
        cells.append((f"{len(bars) - _SHOWN} more", f"{sum(n for _, n in bars[_SHOWN:]):,}", ""))
    out.table((title, "Rows", ""), cells)


def _one_line(name: str, limit: int = 48) -> str:
    line = " ".join(name.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _page(found: "DataStats") -> str:
    """One page that needs nothing else: charts are table cells with a width."""
    title = html.escape(str(found.file))
    facts = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in _facts(found)
    )
    advice = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in found.guidance)
    charts = "".join(_chart(name, bars) for name, bars in _charts(found))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1><table>{facts}</table>"
        f"{f'<h2>What to do</h2><ul>{advice}</ul>' if advice else ''}{charts}</html>\n"
    )


def _chart(title: str, bars: Sequence[tuple[str, int]]) -> str:
    most = max((rows for _, rows in bars), default=0) or 1
    cells = "".join(
        f'<tr><td>{html.escape(_one_line(name))}</td><td class="n">{rows:,}</td><td class="b">'
        f'<div class="bar" style="width:{100 * rows / most:.1f}%"></div></td></tr>'
        for name, rows in bars
    )
    return f"<h2>{html.escape(title)}</h2><table>{cells}</table>"
