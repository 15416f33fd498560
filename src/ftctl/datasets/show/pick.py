"""The examples that were asked for; lines that can't be shown are told and passed over."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ftctl.datasets.show.types import Broken, Example
from ftctl.errors import DataInvalid, UsageError

MOST_BROKEN = 100  # after so many lines that can't be shown the file is something else


class Row(NamedTuple):
    """A line, and what makes an example of it; that raises DataInvalid where none can be made."""

    line: int
    make: Callable[[], Example]


def pick(
    rows: Iterable[Row], file: Path, *, line: int | None, count: int
) -> Iterator[Example | Broken]:
    """The first examples of a dataset, or those from a line on.

    Args:
        rows: Of the dataset, from `line` on.
        file: The dataset, for messages.
        line: The first line that was asked for; it must be there.
        count: How many examples; with a line, how many lines.

    Raises:
        UsageError: the dataset has no such line.
        DataInvalid: the line is blank, or there is no example at all.
    """
    shown = broken = 0
    for row in rows:
        if line is not None and not shown + broken and row.line != line:
            raise DataInvalid(f"{file}:{line}: the line is blank", hint=f"--line {row.line}")
        try:
            example = row.make()
        except DataInvalid as error:
            broken += 1
            yield Broken(file=str(file), line=row.line, message=error.message, hint=error.hint)
        else:
            shown += 1
            yield example
        taken = shown if line is None else shown + broken
        if taken == count or broken == MOST_BROKEN:
            return
    if shown + broken == 0:
        if line is not None:
            raise UsageError(f"{file}: no line {line}", hint="--line counts from 1")
        raise DataInvalid(f"{file}: no example in it", hint=f"ftctl data check {file}")
