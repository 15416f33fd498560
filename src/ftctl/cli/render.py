"""The only place that formats for people: tables, progress, JSON documents."""

import functools
import json as jsonlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from typing_extensions import override

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

SPARKS = "▁▂▃▄▅▆▇█"


@dataclass
class _Reader:
    """Whoever reads stdout; gone after `| head`."""

    gone: bool = False


@dataclass(frozen=True)
class Output:
    """How one command speaks: a JSON document, or text for a person.

    Human text and JSON go to stdout, notes and progress to stderr. When the reader goes away the
    rest is dropped and the command goes on to its own end and exit code.
    """

    json: bool = False
    quiet: bool = False
    color: bool = True
    _reader: _Reader = field(default_factory=_Reader, repr=False)

    @property
    def unheard(self) -> bool:
        """Whether stdout's reader went away: what streams may stop."""
        return self._reader.gone

    def document(self, value: BaseModel | dict[str, Any]) -> None:
        """Print one JSON document on a line of its own (stdout)."""
        plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        self.piece(jsonlib.dumps(plain, ensure_ascii=False, default=str) + "\n")

    @property
    def colored(self) -> bool:
        """Whether a style shows on stdout; where none does, marks have to say it."""
        console = self._console(stderr=False)
        return console.color_system is not None and not console.no_color

    def line(self, text: str = "") -> None:
        """Print a line for a person (stdout), as it is, whatever marks it holds."""
        self.styled(text)

    def plain(self, text: str) -> None:
        """Print a line that holds a model's or a vendor's words: as it is, too."""
        self.styled(text)

    def styled(self, *parts: str | tuple[str, str]) -> None:
        """Print a line (stdout) of parts: text, or text with a style such as `bold`."""
        from rich.text import Text

        with self._while_read():
            self._console(stderr=False).print(Text.assemble(*parts), soft_wrap=True)

    def piece(self, text: str) -> None:
        """Print a piece of a growing text (stdout), without a line end."""
        with self._while_read():
            print(text, end="", flush=True)

    def note(self, text: str) -> None:
        """Print a remark on the side (stderr), as it is, unless `--quiet`."""
        if self.quiet:
            return
        try:
            self._console(stderr=True).print(text, markup=False, soft_wrap=True, highlight=False)
        except OSError:  # nobody can be told
            discard(2)

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        title: str = "",
        whole: Sequence[str] = (),
    ) -> None:
        """Print a table (stdout); cells and title are text as it is, without marks.

        Args:
            columns: What stands above them.
            rows: The cells.
            title: What stands above the table.
            whole: Columns whose cells are never broken: what a person copies.
        """
        from rich import box
        from rich.table import Table
        from rich.text import Text

        heading = Text(title) if title else None
        table = Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD)
        for column in columns:
            table.add_column(Text(column), overflow="fold", no_wrap=column in whole)
        for row in rows:
            table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
        with self._while_read():
            self._console(stderr=False).print(table)

    @contextmanager
    def progress(self, *, of_bytes: bool = False) -> Iterator["Progress"]:
        """A progress display with ETA on stderr; silent when nobody looks.

        Args:
            of_bytes: Whether bytes are counted, with their speed; else steps.
        """
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        console = self._console(stderr=True)
        counted = (DownloadColumn(), TransferSpeedColumn()) if of_bytes else (MofNCompleteColumn(),)
        with Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            *counted,
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            disable=self.quiet or not console.is_terminal,
            transient=True,
        ) as progress:
            yield progress

    @contextmanager
    def _while_read(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._reader.gone = True
            discard(1)

    def _console(self, *, stderr: bool) -> "Console":
        # rich hears COLUMNS and NO_COLOR; without a terminal a wide line keeps tables greppable.
        stream = sys.stderr if stderr else sys.stdout
        width = None if stream.isatty() or "COLUMNS" in os.environ else 120
        return _console_type()(
            stderr=stderr, no_color=None if self.color else True, width=width, emoji=False
        )


@functools.cache
def _console_type() -> "type[Console]":
    from rich.console import Console

    class Plain(Console):
        @override
        def on_broken_pipe(self) -> None:  # rich would end the program with exit code 1
            raise BrokenPipeError

    return Plain


def discard(descriptor: int) -> None:
    """Send what is still written to a stream nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """A curve in one line of text: the values, averaged into at most `width` columns."""
    if not values:
        return ""
    size = max(1, -(-len(values) // width))
    columns = [
        sum(values[i : i + size]) / len(values[i : i + size]) for i in range(0, len(values), size)
    ]
    low, high = min(columns), max(columns)
    span = (high - low) or 1.0
    return "".join(SPARKS[round((value - low) / span * (len(SPARKS) - 1))] for value in columns)


def local_time(at: datetime) -> str:
    """A moment on this machine's clock, to the second."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def short_time(at: datetime | None) -> str:
    """A moment on this machine's clock as briefly as `ls` says it; `never` where there is none."""
    if at is None:
        return "never"
    there, today = at.astimezone(), datetime.now().astimezone()
    if there.date() == today.date():
        return f"{there:%H:%M}"
    return f"{there:%d %b}" if there.year == today.year else f"{there:%Y-%m-%d}"


def counted(count: int, one: str) -> str:
    """A number of things: `1 error`, `2 errors`."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: `45 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
