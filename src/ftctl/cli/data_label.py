"""`ftctl data import` and `ftctl data export`: to people who label examples, and back."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.errors import UsageError

if TYPE_CHECKING:
    from ftctl.datasets.curation.exporting import Exported
    from ftctl.datasets.curation.importing import Imported

_FILE = click.Path(path_type=Path)
_PLAIN = ("openai", "openai-dpo")  # what rows come out in, and go in


@make_command("import", short_help="Rows from what people labelled, or from recorded calls.")
@click.argument("export", metavar="FILE_OR_DIR", type=_FILE)
@click.option(
    "-o", "--out", "new", required=True, metavar="OUT", type=_FILE, help="Rows to write, JSONL."
)
@click.option("--from", "source", default="", metavar="TOOL", help="Told by the export if not.")
@click.option("--annotations", type=_FILE, metavar="FILE", help="Who said what; beside OUT if not.")
@click.option("--input", "shown", default="", metavar="F[,F]", help="The fields with the prompt.")
@click.option("--answer", default="", metavar="Q", help="The question, or field, with the answer.")
@click.option("--pair", metavar="F,F", help="The fields that were compared, left and right.")
@click.option(
    "--disagree",
    type=click.Choice(["skip", "majority", "first"]),
    default="skip",
    show_default=True,
    help="Where people disagree: leave the row out, most voices, or the earliest answer.",
)
@click.option("--only", multiple=True, metavar="Q=VALUE", help="Only rows where this was said.")
@click.option("--keep-unlabelled", is_flag=True, help="Keep rows that nobody has answered, too.")
@click.option("--annotator", metavar="NAME", help="Who labelled, where the tool doesn't keep it.")
@click.pass_context
def import_command(
    context: click.Context,
    out: Output,
    *,
    export: Path,
    source: str,
    shown: str,
    answer: str,
    pair: str | None,
    disagree: str,
    only: tuple[str, ...],
    annotations: Path | None,
    keep_unlabelled: bool,
    annotator: str | None,
    new: Path,
) -> None:
    """Write rows from a labelling tool's export, and keep who said what beside them.

    Tools: argilla (folder of to_disk, or either JSON form), lilac (the dataset's folder), pigeonxt
    (the frame as CSV, Parquet or JSON), label-studio (JSON or JSON_MIN), langfuse, langsmith,
    openai-completions.

    A label becomes the answer; where one of two texts is better, the row is a pair for DPO. Rows
    that `ftctl data export` sent out come back as they were, with the new answer. Drafts and what
    was discarded or cancelled don't count. Whatever gives no row is listed. OUT.annotations.jsonl
    keeps every response and suggestion with the id of its row.

    Exits 1 where no row was left, or a record can't be read; then nothing is written.

    Example: ftctl data import labelled.json -o rows.jsonl --disagree majority
    """
    from ftctl.datasets.curation.decide import RULES
    from ftctl.datasets.curation.importing import Wish, import_rows
    from ftctl.datasets.curation.types import Hints

    names = tuple(filter(None, (name.strip() for name in shown.split(","))))
    wish = Wish(
        source=source,
        annotations=annotations,
        hints=Hints(names, answer, annotator),
        pair=_two(pair),
        disagree=next(rule for rule in RULES if rule == disagree),
        only=dict(_split(one) for one in only),
        keep_unlabelled=keep_unlabelled,
    )
    done = import_rows(export, new, wish)
    show_imported(out, done)
    context.exit(0 if done.ok else 1)


def _two(pair: str | None) -> tuple[str, str] | None:
    if pair is None:
        return None
    left, _, right = pair.partition(",")
    if not left or not right or "," in right:
        raise UsageError(f"--pair {pair}: two fields were expected", hint="--pair left,right")
    return left.strip(), right.strip()


def _split(only: str) -> tuple[str, str]:
    question, equals, value = only.partition("=")
    if not equals:
        raise UsageError(f"--only {only}: no value", hint="such as --only quality=good")
    return question.strip(), value.strip()


def show_imported(out: Output, done: "Imported") -> None:
    """What was imported: a document, or a table of what gives no row and a few lines."""
    if out.json:
        out.document(done)
        return
    if done.left_out and not out.quiet:
        rows = [(one.place, one.id, one.why) for one in done.left_out]
        out.table(("Place", "Id", "Why it gives no row"), rows, "Left out")
    for why, count in done.reasons.items():
        out.line(f"{count:,} left out: {why}")
    for what, count in done.dropped.items():
        out.line(f"{count:,} times not carried: {what}")
    for warning in done.warnings:
        out.note(f"warning: {warning}")
    asked = f" by the answers to {done.question!r}" if done.question else ""
    out.line(f"{done.rows:,} rows of {done.items:,} items from {done.source}{asked} → {done.out}")
    out.line(f"who said what: {done.answers:,} lines → {done.annotations}")


@make_command("export", short_help="Rows as a labelling tool reads them.")
@click.argument("file", metavar="FILE", type=_FILE)
@click.option("--to", "target", required=True, metavar="TOOL", help="The tool.")
@click.option("-o", "--out", "new", required=True, metavar="OUT", type=_FILE, help="What to write.")
@click.option(
    "--ask", multiple=True, metavar="Q[=A,B]", help="What people are asked; free text without A,B."
)
def export_command(
    out: Output, *, file: Path, target: str, ask: tuple[str, ...], new: Path
) -> None:
    """Write chat rows, or pairs for DPO, so that people can label them in a tool of theirs.

    Tools: argilla (OUT is a folder), lilac (Parquet), pigeonxt (CSV), label-studio (JSON, and the
    labelling interface beside it).

    Asked is what the answer should be, or which of a pair is better, unless --ask says otherwise.
    What you get back goes to `ftctl data import`.

    Example: ftctl data export train.jsonl --to label-studio -o tasks.json --ask quality=good,bad
    """
    from ftctl.datasets.curation.ask import read_ask
    from ftctl.datasets.curation.exporting import export_rows

    show_exported(out, export_rows(file, new, target, tuple(map(read_ask, ask))))


def show_exported(out: Output, done: "Exported") -> None:
    """What was exported, and what to do with it."""
    if out.json:
        out.document(done)
        return
    out.line(f"{done.rows:,} rows for {done.tool}, asking {', '.join(done.asked)} → {done.out}")
    out.line(f"next: {done.next}")
    out.line(f"then: ftctl data import EXPORT --from {done.tool} -o labelled.jsonl")


def through_tool(out: Output, file: Path, new: Path, source: str, target: str) -> bool | None:
    """What `data convert` does from or to such a tool: an import or export as it comes.

    Returns:
        Whether it went well; None where no tool is named, nor recognised.

    Raises:
        UsageError: that takes two steps.
    """
    from ftctl.datasets.curation.exporting import export_rows
    from ftctl.datasets.curation.importing import Wish, import_rows
    from ftctl.datasets.curation.tools import ASKING, TOOLS, recognise

    if target in ASKING and source in ("", *_PLAIN):
        show_exported(out, export_rows(file, new, target))
        return True
    found = source if source in TOOLS else ""
    if not source and (file.is_dir() or file.is_file()):
        found = recognise(file)
        if found == "lilac" and not file.is_dir():
            found = ""  # a table that came from there
    if not found and target not in TOOLS:
        return None
    if not found or target not in _PLAIN:
        rows = "" if found else f" (from {source or 'what it is'})"
        raise UsageError(
            f"{file} can't go to {target} at once{rows}",
            hint="first to openai rows, by `ftctl data import` or `ftctl data convert`; then on",
        )
    done = import_rows(file, new, Wish(source=found))
    show_imported(out, done)
    return done.ok
