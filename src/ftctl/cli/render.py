"""The only place that formats for people: tables, progress, JSON documents, errors."""

import json as jsonlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import click
from pydantic import BaseModel

from ftctl.errors import FtctlError
from ftctl.fault_words import FaultWord, word_of, word_of_error

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

SPARKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Output:
    """How one command speaks: a JSON document, or text for a person.

    Human text and JSON go to stdout, notes and progress to stderr.
    """

    json: bool = False
    quiet: bool = False
    color: bool = True

    def document(self, value: BaseModel | dict[str, Any]) -> None:
        """Print one JSON document on a line of its own (stdout)."""
        plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        print(jsonlib.dumps(plain, ensure_ascii=False, default=str), flush=True)

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

        self._console(stderr=False).print(Text.assemble(*parts), soft_wrap=True)

    def piece(self, text: str) -> None:
        """Print a piece of a growing text (stdout), without a line end."""
        print(text, end="", flush=True)

    def note(self, text: str) -> None:
        """Print a remark on the side (stderr), as it is, unless `--quiet`."""
        if not self.quiet:
            self._console(stderr=True).print(text, markup=False, soft_wrap=True, highlight=False)

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = ""
    ) -> None:
        """Print a table (stdout); cells and title are text as it is, without marks."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        heading = Text(title) if title else None
        table = Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD)
        for column in columns:
            table.add_column(Text(column), overflow="fold")
        for row in rows:
            table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
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

    def _console(self, *, stderr: bool) -> "Console":
        from rich.console import Console

        # COLUMNS is honoured by rich; without a terminal a wide line keeps tables greppable.
        stream = sys.stderr if stderr else sys.stdout
        width = None if stream.isatty() or "COLUMNS" in os.environ else 120
        return Console(stderr=stderr, no_color=not self.color, width=width, emoji=False)


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


def duration(seconds: float) -> str:
    """Seconds as a person says them: `45 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def exit_with(error: BaseException, *, json: bool) -> NoReturn:
    """Turn a failure into one message (or one JSON document) and the contract's exit code."""
    if isinstance(error, SystemExit):
        raise error
    if isinstance(error, click.exceptions.Exit):
        sys.exit(error.exit_code)
    if isinstance(error, BrokenPipeError):
        # The reader went away (`| head`): nothing is wrong, and the final flush must stay quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    kind, message, hint, code, word = _described(error)
    if json:
        body = {
            "kind": kind,
            "word": word,
            "message": message,
            "hint": hint,
            "exit_code": code,
        }
        Output().document({"schema": "ftctl.error/1", "error": body})
    else:
        print(f"ftctl: {message}", file=sys.stderr)
        if hint:
            print(f"  → {hint}", file=sys.stderr)
    sys.exit(code)


def _described(error: BaseException) -> tuple[str, str, str, int, FaultWord | None]:
    if isinstance(error, FtctlError):
        return error.kind, error.message, error.hint, error.exit_code, word_of_error(error)
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f"{context.command_path} --help" if context else ""
        return "usage_error", error.format_message(), hint, 2, word_of("usage_error")
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return "interrupted", "interrupted", "", 130, None
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        said = f"{error.strerror or error}{where}"
        hint = "free space or fix permissions, then run it again"
        return "os_error", said, hint, 1, FaultWord.CAPACITY
    raise error
