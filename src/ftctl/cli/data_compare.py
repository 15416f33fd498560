"""`ftctl data compare`: how production differs from the training data."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftctl.cli.data_progress import file_progress
from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output

if TYPE_CHECKING:
    from ftctl.datasets.compare import InBoth

_FILE = click.Path(path_type=Path)


@make_command("compare", short_help="How production differs from training data.")
@click.argument("training", metavar="TRAIN", type=_FILE)
@click.argument("log", metavar="LOG", type=_FILE)
@click.option("--seed", type=int, default=0, show_default=True, help="Of samples and random deals.")
def compare_command(out: Output, *, training: Path, log: Path, seed: int) -> None:
    """Compare training data with a log of production: system and user prompts, lengths, turns.

    LOG is JSONL of chat examples, or of requests with their messages under `body`, `request` or
    `input`. A distance goes from 0 (alike) to 1; it means something where it is above what rows
    dealt to the two sides at random give (the column Chance, 95 % of deals). That takes rows to
    be independent: turns of one conversation on many lines make differences look surer.

    Exits 0 whatever the difference.

    Example: ftctl data compare train.jsonl production.jsonl
    """
    from ftctl.datasets.compare import compare

    with file_progress(out, "comparing") as show:
        found = compare(training, log, seed=seed, on_progress=show)
    if out.json:
        out.document(found)
        return
    for side in (found.training, found.log):
        left_out = f", {side.unreadable_rows:,} lines left out" * bool(side.unreadable_rows)
        out.line(f"{side.file}: {side.rows:,} rows{left_out}")
    rows = [
        (
            one.what,
            one.verdict,
            f"{one.distance:.2f}",
            f"{one.chance:.2f}",
            f"{one.p_value:.3f}",
            one.evidence,
        )
        for one in found.differences
    ]
    out.table(("What", "Difference", "Distance", "Chance", "p", "Evidence"), rows)
    _print_shares(out, "System prompt", found.systems)
    if any(one.what == "user prompts" and one.verdict != "alike" for one in found.differences):
        _print_shares(out, "Word in prompts", found.words)
    for one in found.differences:
        if one.advice:
            out.line(f"→ {one.what}: {one.advice}")
        if one.advice and one.what == "user prompts":
            out.line(f"  lines of the log: {', '.join(map(str, found.unlike_lines))}")
    if found.alike is None:
        out.line("Too few rows to tell a difference from chance in all of it: 30 a side at least.")
    elif found.alike:
        out.line("Production looks like the training data in all of these.")


def _print_shares(out: Output, name: str, found: list["InBoth"]) -> None:
    apart = [one for one in found if one.training != one.log]
    if apart:
        rows = [(one.text or "(none)", f"{one.training:.0%}", f"{one.log:.0%}") for one in apart]
        out.table((name, "Training", "Log"), rows)
