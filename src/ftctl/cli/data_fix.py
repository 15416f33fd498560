"""What `ftctl data check` takes and says beside its report: a grader, and what was mended."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftctl.cli.render import Output
from ftctl.errors import UsageError

if TYPE_CHECKING:
    from ftctl.datasets.fix import Fixed


def grader_text(context: click.Context, option: click.Parameter, file: str | None) -> str | None:
    """What `--grader FILE` holds; None where it isn't given.

    Raises:
        UsageError: it can't be read.
    """
    del context, option
    try:
        return None if file is None else Path(file).expanduser().read_text("utf-8")
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"--grader {file}: can't be read ({error})", hint="--grader FILE"
        ) from None


def fixed_copy(
    files: Sequence[Path], new: Path, providers: Sequence[str], method: str, most: int
) -> "Fixed":
    """Write the corrected copy of the one file that is given.

    Raises:
        UsageError: several files are given, or one can't be read or written.
        DataInvalid: the file can't be copied whole.
    """
    from ftctl.datasets.fix import fix
    from ftctl.datasets.read import must_be_readable_twice

    if len(files) != 1:
        raise UsageError("--fix mends one file at a time", hint="ftctl data check FILE --fix NEW")
    must_be_readable_twice(files[0])
    return fix(files[0], new, providers=providers, method=method, most=most)


def fixed_document(fixed: "Fixed") -> dict[str, Any]:
    """What `--json` says of it."""
    changes = [change.model_dump(mode="json") for change in fixed.changes]
    return {"fixed": changes, "fixed_counts": fixed.counts}


def print_fixed(out: Output, fixed: "Fixed", new: Path) -> None:
    """The changes as a table, and where the copy is."""
    columns = ("Line", "Path", "Rule", "Before", "After")
    rows = [(c.line, c.path, c.rule, c.before, c.after) for c in fixed.changes]
    if rows and not out.quiet:
        out.table(columns, rows, "Mended")
    total = sum(fixed.counts.values())
    more = f", {total - len(rows):,} of them not shown" if total > len(rows) else ""
    out.line(
        f"{total:,} changes{more} \N{RIGHTWARDS ARROW} {new}; what follows is about that file."
    )
