"""A whole file from one format to another: a row at a time, whole or not at all."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from ftctl.datasets.convert.cells import with_system
from ftctl.datasets.convert.csv_table import write_csv
from ftctl.datasets.convert.example import CannotCarryError, Notes
from ftctl.datasets.convert.formats import codec
from ftctl.datasets.convert.holders import TABLES, open_rows, table_of
from ftctl.datasets.convert.parquet_table import require_arrow, write_parquet
from ftctl.datasets.convert.parquet_types import TEXT, Type, column_types
from ftctl.datasets.convert.report import Collector, Conversion
from ftctl.datasets.convert.rows import Row
from ftctl.datasets.digest import file_sha256
from ftctl.datasets.formats import detect, format_of, why_unknown
from ftctl.datasets.rules.types import JsonObject, shown
from ftctl.datasets.write import beside, encoded, unwritable
from ftctl.errors import UsageError

_ROWS_LOOKED_AT = 20
_PROGRESS_LINES = 1000

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a conversion.

    Attributes:
        target: The new format; `csv` or `parquet` for a table whose rows stay in the old one.
        source: The old one; detected by the first rows when "", or when only a kind of table.
        names: From field to the name of its key or column in the old file, where these differ; in
            the new one where only that is a table.
        strict: Write nothing where anything would be dropped.
        most: How many losses are kept of each kind; all are counted.
        on_progress: Called now and then with bytes read and bytes to read.
    """

    target: str = "openai"
    source: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False
    most: int = 50
    on_progress: OnProgress | None = None


def convert(file: Path, out: Path, wish: Wish | None = None) -> Conversion:
    """Write a dataset in another format.

    The same file always gives the same bytes. Nothing is written where a row can't be converted,
    or, if strict, where anything would be dropped.

    Args:
        file: JSONL, JSON over several lines, CSV or Parquet; text plain or gzip.
        out: A file that doesn't exist, or holds what would be written; a table where its name
            ends in `.csv` or `.parquet`.
        wish: From what to what.

    Raises:
        UsageError: a file can't be read or written, or a format isn't known.
        ExtraMissing: pyarrow isn't installed, which Parquet needs.
    """
    wish = wish or Wish()
    with beside(out, mode=0o666) as (stream, partial):
        done = _Pass(file, wish, table_of(out, wish.target))
        sha256 = done.run(stream)
        ok = done.collector.ok and not (wish.strict and done.collector.dropped)
        if ok and done.table:
            with beside(out, mode=0o666) as (table, written):
                sha256 = done.write_table(partial, table, written)
                _put(written, out, sha256)
        elif ok:
            _put(partial, out, sha256)
    return done.report(ok=ok, out=out if ok else None, sha256=sha256)


def _put(written: Path, out: Path, sha256: str) -> None:
    if out.exists() and (not out.is_file() or file_sha256(out) != sha256):
        raise UsageError(f"{out} exists and holds something else", hint="name another file with -o")
    written.replace(out)


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
        table: What kind of table is to be written; "" for lines of JSON.
    """

    def __init__(self, file: Path, wish: Wish, table: str = "") -> None:
        self.collector = Collector(str(file), wish.most)
        self.same = False
        self.table = table
        self._file = file
        self._wish = wish
        self._source_table = table_of(file, wish.source)
        self._source = "" if wish.source in TABLES else wish.source
        self._from = codec(self._source) if self._source else None
        self._target = "" if wish.target in TABLES else wish.target
        self._to = codec(self._target) if self._target else None
        of_new = bool(table) and not self._source_table
        self._names = {} if of_new else dict(wish.names)
        self._columns = dict(wish.names) if of_new else {}
        self._types: dict[str, Type] = {}
        if table == "parquet":
            require_arrow()

    def run(self, stream: BinaryIO) -> str:
        """Write every row that can be converted; returns the sha256 of what was written."""
        digest = hashlib.sha256()
        with open_rows(self._file, self._source_table, self._names) as reader:
            rows = map(self._named, reader)
            head = list(islice(rows, _ROWS_LOOKED_AT))
            self._detect(head)
            for row in chain(head, rows):
                if row.line % _PROGRESS_LINES == 0 and self._wish.on_progress is not None:
                    self._wish.on_progress(reader.read_bytes, reader.size_bytes)
                written = self._converted(row)
                if written is not None:
                    if self.table == "parquet":
                        column_types(self._types, written)
                    for field in written if self.table else ():
                        self._types.setdefault(field, TEXT)
                    data = encoded(written)
                    digest.update(data)
                    stream.write(data)
            counted = self.collector
            if not counted.rows:
                counted.refuse(Row(1, "", None), "", "the file has no rows")
            self.same = not (counted.altered or reader.reframed or counted.written < counted.rows)
        stream.flush()
        os.fsync(stream.fileno())
        return digest.hexdigest()

    def _named(self, row: Row) -> Row:
        """A row of JSON under its fields' own names; a table's has them already."""
        if row.value is None or not self._names or self._source_table:
            return row
        names = {name: field for field, name in self._names.items()}
        value = {names.get(key, key): said for key, said in row.value.items()}
        if len(value) < len(row.value):
            return row._replace(value=None, problem="two keys would be one field by --map")
        return row._replace(value=with_system(value) if "system" in self._names else value)

    def _detect(self, head: list[Row]) -> None:
        readable = [(row.line, row.value) for row in head if row.value is not None]
        if self._from is None and readable:
            try:
                self._source = detect(readable)
            except UsageError as error:
                raise UsageError(f"{self._file}: {error}", hint=error.hint) from None
            self._from = codec(self._source)
        if self._to is None:  # only another holder is asked for
            self._to, self._target = self._from, self._source

    def _converted(self, row: Row) -> JsonObject | None:
        """The row in the new format; None where it is left out or can't be converted."""
        self.collector.rows += 1
        if row.value is None:
            self.collector.refuse(row, "", row.problem)
            return None
        if self._from is None or self._to is None:
            self.collector.refuse(row, "", "a row in no format known here")
            return None
        notes = Notes()
        try:
            written = self._to.write(self._from.read(row.value, notes), notes)
        except CannotCarryError as error:
            known = format_of(row.value) is not None
            path, why = (error.path, error.what) if known else ("", why_unknown(row.value))
            self.collector.refuse(row, path, why)
            return None
        self.collector.lose(row, notes)
        self.collector.altered += bool(notes) or written != row.value
        self.collector.written += written is not None
        return written

    def write_table(self, lines: Path, stream: BinaryIO, written: Path) -> str:
        """Write the rows that were written a line each as a table; returns its sha256."""
        missing = [field for field in self._columns if field not in self._types]
        if missing:
            raise UsageError(
                f"the new rows have no {shown(missing[0])} (they have {', '.join(self._types)})",
                hint="--map FIELD=COLUMN names fields of the format that --to names",
            )
        columns = {field: self._columns.get(field, field) for field in self._types}
        with lines.open("rb") as spool:
            sized = ((json.loads(line), len(line)) for line in spool)
            if self.table == "csv":
                altered = write_csv((row for row, _ in sized), columns, stream)
            else:
                altered = write_parquet(sized, columns, self._types, stream)
        notes = Notes()
        for one in sorted(altered):
            notes.changed(one, f"values of {one} that the table's column can't say as they are")
        self.collector.lose(Row(1, "", None), notes)
        stream.flush()
        os.fsync(stream.fileno())
        return file_sha256(written)

    def report(self, *, ok: bool, out: Path | None, sha256: str) -> Conversion:
        """What was done."""
        return self.collector.report(
            (_full(self._source, self._source_table), _full(self._target, self.table)),
            ok=ok,
            same=self.same,
            out=None if out is None else str(out),
            sha256=None if out is None else sha256,
        )


def _full(name: str, table: str) -> str:
    return "/".join(filter(None, (table, name)))
