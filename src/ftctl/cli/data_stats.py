"""`ftctl data stats`: a dataset in numbers, in the terminal or as a page."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftctl.cli.data_progress import file_progress
from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output

if TYPE_CHECKING:
    from ftctl.datasets.stats_page import Chart

_FILE = click.Path(path_type=Path)
_BAR = 30  # columns of the longest bar
_SHOWN = 12  # bars of one chart


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
    from ftctl.datasets.stats_page import charts, facts, stats_page, write_stats
    from ftctl.datasets.tokens.choose import counter_for

    with nullcontext() if page is None else stats_page(page, str(file)) as written:
        counter = counter_for(model) if model else None
        with file_progress(out, "counting") as show:
            found = stats(file, counter=counter, near=near, on_progress=show)
        if written is not None:
            write_stats(written, found)
    if page is not None:
        out.note(f"wrote {page}")
    if out.json:
        out.document(found)
        return
    out.table(("What", "Value"), list(facts(found)), str(file))
    for chart in charts(found):
        _print_bars(out, chart)
    for sentence in found.guidance:
        out.line(f"→ {sentence}")


def _print_bars(out: Output, chart: "Chart") -> None:
    rows = chart.rows
    most = max((value for _, value in rows), default=0) or 1
    cells = [
        (_one_line(name), chart.said(n), "█" * round(_BAR * n / most) or "▏" * bool(n))
        for name, n in rows[:_SHOWN]
    ]
    if len(rows) > _SHOWN:
        cells.append(
            (f"{len(rows) - _SHOWN} more", chart.said(sum(n for _, n in rows[_SHOWN:])), "")
        )
    out.table((chart.title, chart.unit.title(), ""), cells)


def _one_line(name: str, limit: int = 48) -> str:
    line = " ".join(name.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
