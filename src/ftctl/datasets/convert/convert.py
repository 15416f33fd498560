"""A whole file from one format to another: a line at a time, whole or not at all."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from ftctl.datasets.convert.example import CannotCarryError, Notes
from ftctl.datasets.convert.formats import codec
from ftctl.datasets.convert.report import Collector, Conversion
from ftctl.datasets.convert.rows import Row, RowReader
from ftctl.datasets.digest import file_sha256
from ftctl.datasets.formats import detect, format_of, why_unknown
from ftctl.datasets.write import beside, encoded, unwritable
from ftctl.errors import UsageError

_ROWS_LOOKED_AT = 20
_PROGRESS_LINES = 1000

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a conversion.

    Attributes:
        target: The new format.
        source: The old one; detected by the first rows when "".
        strict: Write nothing where anything would be dropped.
        most: How many losses are kept of each kind; all are counted.
        on_progress: Called now and then with bytes read and bytes to read.
    """

    target: str = "openai"
    source: str = ""
    strict: bool = False
    most: int = 50
    on_progress: OnProgress | None = None


def convert(file: Path, out: Path, wish: Wish | None = None) -> Conversion:
    """Write a dataset in another format.

    The same file always gives the same bytes. Nothing is written where a row can't be converted,
    or, if strict, where anything would be dropped.

    Args:
        file: JSONL, or JSON over several lines; plain or gzip.
        out: A file that doesn't exist, or holds what would be written.
        wish: From what to what.

    Raises:
        UsageError: a file can't be read or written, or a format isn't known.
    """
    wish = wish or Wish()
    with beside(out, mode=0o666) as (stream, partial):
        done = _Pass(file, wish)
        sha256 = done.run(stream)
        ok = done.collector.ok and not (wish.strict and done.collector.dropped)
        if ok:
            if out.exists() and (not out.is_file() or file_sha256(out) != sha256):
                raise UsageError(
                    f"{out} exists and holds something else", hint="name another file with -o"
                )
            partial.replace(out)
    return done.report(ok=ok, out=out if ok else None, sha256=sha256)


def convert_into(folder: Path, file: Path, wish: Wish) -> Conversion:
    """Write a dataset in another format under the name of its hash, for its user alone.

    A file that would do as it is isn't written anew: the report's `out` is None, `same` is set.

    Raises: as `convert`.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from None
    with beside(folder / "converted.jsonl", mode=0o600) as (stream, partial):
        done = _Pass(file, wish)
        sha256 = done.run(stream)
        wanted = done.collector.ok and not done.same
        out = folder / f"{sha256}.jsonl"
        if wanted:
            partial.replace(out)
    return done.report(ok=done.collector.ok, out=out if wanted else None, sha256=sha256)


class _Pass:
    """One way through a file, from its first row to its last.

    Attributes:
        collector: What is told of it.
        same: Whether the old file would do as well; known after `run`.
    """

    def __init__(self, file: Path, wish: Wish) -> None:
        self.collector = Collector(str(file), wish.most)
        self.same = False
        self._file = file
        self._wish = wish
        self._to = codec(wish.target)
        self._from = codec(wish.source) if wish.source else None
        self._source = wish.source

    def run(self, stream: BinaryIO) -> str:
        """Write every row that can be converted; returns the sha256 of what was written."""
        digest = hashlib.sha256()
        with RowReader(self._file) as reader:
            rows = iter(reader)
            head = list(islice(rows, _ROWS_LOOKED_AT))
            self._detect(head)
            for row in chain(head, rows):
                if row.line % _PROGRESS_LINES == 0 and self._wish.on_progress is not None:
                    self._wish.on_progress(reader.read_bytes, reader.size_bytes)
                data = self._converted(row)
                if data:
                    digest.update(data)
                    stream.write(data)
            counted = self.collector
            if not counted.rows:
                counted.refuse(Row(1, "", None), "", "the file has no rows")
            self.same = not (counted.altered or reader.reframed or counted.written < counted.rows)
        stream.flush()
        os.fsync(stream.fileno())
        return digest.hexdigest()

    def _detect(self, head: list[Row]) -> None:
        if self._from is not None:
            return
        readable = [(row.line, row.value) for row in head if row.value is not None]
        if readable:
            try:
                self._source = detect(readable)
            except UsageError as error:
                raise UsageError(f"{self._file}: {error}", hint=error.hint) from None
            self._from = codec(self._source)

    def _converted(self, row: Row) -> bytes:
        """The row's bytes in the new format; none where it is left out or can't be converted."""
        self.collector.rows += 1
        if row.value is None:
            self.collector.refuse(row, "", row.problem)
            return b""
        if self._from is None:
            self.collector.refuse(row, "", "a row in no format known here")
            return b""
        notes = Notes()
        try:
            written = self._to.write(self._from.read(row.value, notes), notes)
        except CannotCarryError as error:
            known = format_of(row.value) is not None
            path, why = (error.path, error.what) if known else ("", why_unknown(row.value))
            self.collector.refuse(row, path, why)
            return b""
        self.collector.lose(row, notes)
        self.collector.altered += bool(notes) or written != row.value
        if written is None:
            return b""
        self.collector.written += 1
        return encoded(written)

    def report(self, *, ok: bool, out: Path | None, sha256: str) -> Conversion:
        """What was done."""
        return self.collector.report(
            (self._source, self._wish.target),
            ok=ok,
            same=self.same,
            out=None if out is None else str(out),
            sha256=None if out is None else sha256,
        )
