"""`ftctl data convert`: a dataset in another format, with all that can't be carried."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftctl.cli.data_label import through_tool
from ftctl.cli.data_progress import file_progress
from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.errors import UsageError

if TYPE_CHECKING:
    from ftctl.datasets.convert.report import Conversion, Loss, Unreadable

_FILE = click.Path(path_type=Path)


@make_command("convert", short_help="Write a dataset in another format.")
@click.argument("file", metavar="IN", type=_FILE)
@click.option("-o", "--out", "new", required=True, metavar="OUT", type=_FILE, help="What to write.")
@click.option("--from", "source", default="", metavar="F", help="The old format; detected if not.")
@click.option("--to", "target", default="openai", show_default=True, metavar="F", help="The new.")
@click.option(
    "--map",
    "pairs",
    multiple=True,
    metavar="FIELD=NAME,...",
    help="What fields are called in IN's table or keys; in OUT's table where only OUT is one.",
)
@click.option("--strict", is_flag=True, help="Write nothing where anything would be dropped.")
@click.option(
    "--max-losses",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Places shown of each loss; all are counted.",
)
@click.pass_context
def convert_command(
    context: click.Context,
    out: Output,
    *,
    file: Path,
    new: Path,
    source: str,
    target: str,
    pairs: tuple[str, ...],
    strict: bool,
    max_losses: int,
) -> None:
    """Write a dataset in another format, and list what couldn't be carried.

    Formats: openai (chat), openai-legacy (functions), openai-dpo, openai-rft, mistral, trl,
    sharegpt, alpaca, axolotl, together, fireworks, gemini, bedrock, text. IN is JSONL, a list of
    objects, CSV or Parquet (extra: arrow). Where OUT ends in .csv or .parquet a table is written;
    with --to csv or --to parquet its rows stay in the format they are in. OUT must not exist,
    unless it already holds what would be written.

    A table's columns are the fields of the format, such as prompt, completion and system, or
    messages; lists stand in them as JSON (AutoTrain's Python lists are read too). --map tells
    other names: --map prompt=question,completion=answer,system=role

    Exports of labelling tools and of recorded calls are imported as `ftctl data import` does it;
    to argilla, lilac, pigeonxt or label-studio rows go as with `ftctl data export`.

    Exits 1, and writes nothing, where a row can't be converted, or with --strict where anything
    would be dropped.

    Example: ftctl data convert train.jsonl -o train.mistral.jsonl --to mistral
    ftctl data convert faq.csv -o faq.jsonl --map prompt=question,completion=answer
    """
    from ftctl.datasets.convert.convert import Wish, convert

    labelled = through_tool(out, file, new, source, target)
    if labelled is not None:
        context.exit(0 if labelled else 1)
    with file_progress(out, "converting") as show:
        wish = Wish(
            target=target,
            source=source,
            names=_names(pairs),
            strict=strict,
            most=max_losses,
            on_progress=show,
        )
        done = convert(file, new, wish)
    if out.json:
        out.document(done)
    else:
        _print(out, done)
    context.exit(0 if done.ok else 1)


def _names(pairs: tuple[str, ...]) -> dict[str, str]:
    """From field to name; a comma parts pairs only where another pair follows."""
    made: dict[str, str] = {}
    for pair in (one for text in pairs for one in re.split(r",(?=\s*\w+=)", text)):
        field, equals, name = pair.partition("=")
        if not (field.strip() and equals and name):
            raise UsageError(
                f"--map {pair} isn't FIELD=NAME", hint="--map prompt=question,completion=answer"
            )
        if field.strip() in made or name in made.values():
            raise UsageError(f"--map {pair}: told twice", hint="one name for each field")
        made[field.strip()] = name
    return made


def _print(out: Output, done: "Conversion") -> None:
    if done.issues:
        rows = [(_place(one), one.path, one.message) for one in done.issues]
        out.table(("Line", "Path", "Why it can't be converted"), rows, "Errors")
    show_losses(out, done)
    if done.ok:
        out.line(
            f"{done.written:,} of {done.rows:,} rows from {done.source_format} to "
            f"{done.target_format} → {done.out}"
        )
    elif done.errors:
        out.line(f"nothing was written: {done.errors:,} of {done.rows:,} rows can't be converted")
    else:
        out.line(f"nothing was written: --strict allows no loss, there are {done.dropped:,}")
    if done.ok and done.dropped:
        out.note(f"warning: {done.dropped:,} things were dropped; --strict would have refused")


def _place(one: "Loss | Unreadable") -> str:
    return f"{Path(one.file).name}:{one.line}"


def show_losses(out: Output, done: "Conversion") -> None:
    """Print a table of what was dropped and what is said in other words, with places."""
    shown = [loss for loss in done.losses if loss.kind == "dropped" or not out.quiet]
    if not shown:
        return
    shown.sort(key=lambda loss: (loss.kind != "dropped", loss.line))
    rows = [(_place(one), one.path, one.kind, one.what) for one in shown]
    out.table(("Line", "Path", "What became of it", "What"), rows, "Not carried as it was")
    if hidden := done.dropped + done.changed - len(done.losses):
        out.line(f"{hidden:,} more of these; --max-losses shows more of each")
