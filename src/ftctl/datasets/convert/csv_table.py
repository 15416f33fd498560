"""CSV files: rows read one after the other, each fault with its line, and rows written."""

import csv
import gzip
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Self, cast

from typing_extensions import override

from ftctl.datasets.convert.cells import (
    NEEDED,
    UnreadableCellError,
    cell_text,
    field_value,
    must_read_back,
    reads_back,
    with_system,
)
from ftctl.datasets.convert.rows import Row, Rows
from ftctl.datasets.read import LINE_CAP_BYTES, LineReader
from ftctl.datasets.rules.types import JsonObject, shown
from ftctl.errors import UsageError

_DELIMITERS = (",", ";", "\t")  # the one that parts the header into most cells is it


class CsvRows(Rows):
    """A CSV file's rows. The first line names the columns; text is UTF-8, gzip is unpacked.

    Raises:
        UsageError: the file can't be read.
    """

    def __init__(self, path: Path, fields: dict[str, str]) -> None:
        self._path = path
        self._fields = fields
        with LineReader(path) as lines:
            self._oddity, packed = lines.oddity, lines.packed
        self._file = path.open("rb")
        unpacked = gzip.GzipFile(fileobj=self._file) if packed == "gzip" else self._file
        self._text = io.TextIOWrapper(
            cast("BinaryIO", unpacked), "utf-8-sig", errors="surrogateescape", newline=""
        )
        if packed not in ("", "gzip"):
            self._oddity = packed
        self.size_bytes = path.stat().st_size

    @override
    def close(self) -> None:
        self._text.close()
        self._file.close()

    @property
    @override
    def read_bytes(self) -> int:
        return self._file.tell()

    @override
    def __iter__(self) -> Iterator[Row]:
        if self._oddity:
            yield Row(1, "", None, f"the file is {self._oddity}, not plain UTF-8 text")
            return
        csv.field_size_limit(LINE_CAP_BYTES)
        try:
            yield from self._rows()
        except (gzip.BadGzipFile, EOFError, OSError) as error:
            raise UsageError(
                f"{self._path}: the compressed data is damaged ({error})", hint="fetch it again"
            ) from None

    def _rows(self) -> Iterator[Row]:
        header = self._text.readline(LINE_CAP_BYTES)
        delimiter = max(_DELIMITERS, key=header.count)
        lines = _Lines(self._text, header)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        columns: list[str] | None = None
        while True:
            start = lines.number + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Row(start, "", None, _fault(error))
                continue
            if columns is None:
                columns = self._columns(cells)
            elif cells:
                yield self._row(start, columns, cells)

    def _columns(self, cells: list[str]) -> list[str]:
        twice = {name for name in cells if cells.count(name) > 1}
        if twice:
            raise UsageError(
                f"{self._path}: the column {shown(sorted(twice)[0])} comes twice in the first line",
                hint="rename one of them: only one could be read",
            )
        return named(self._path, cells, self._fields)

    def _row(self, line: int, columns: list[str], cells: list[str]) -> Row:
        if len(cells) != len(columns):
            said = f"{len(cells)} cells, where the first line names {len(columns)} columns"
            return Row(line, "", None, said)
        made: JsonObject = {}
        for field, text in zip(columns, cells, strict=True):
            if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
                return Row(line, field, None, "bytes that aren't UTF-8")
            try:
                value = field_value(field, text)
            except UnreadableCellError as error:
                return Row(line, "", None, str(error))
            if value is not None:
                made[field] = value
        return Row(line, "", with_system(made) if "system" in columns else made)


class _Lines:
    """The lines of a text, counted as they are taken."""

    def __init__(self, text: io.TextIOWrapper, first: str) -> None:
        self._text = text
        self._first = first
        self.number = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line, self._first = self._first or self._text.readline(LINE_CAP_BYTES), ""
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) >= LINE_CAP_BYTES:
            raise UsageError(
                f"line {self.number} is longer than {LINE_CAP_BYTES // 2**20} MiB",
                hint="is it a CSV file?",
            )
        return line


def _fault(error: csv.Error) -> str:
    said = str(error)
    if said.startswith("unexpected end"):
        return "a quote that opens here isn't closed by the end of the file"
    if "expected after" in said:
        return "something follows a closing quote; within quotes a quote is written twice"
    if said.startswith("field larger"):
        return f"a cell of more than {LINE_CAP_BYTES // 2**20} MiB; is a quote left open?"
    return f"not CSV: {said}"


def named(path: Path, columns: list[str], fields: dict[str, str]) -> list[str]:
    """The fields that columns stand for.

    Args:
        path: The file, for telling.
        columns: Their names in it.
        fields: From field to column, where these differ.

    Raises:
        UsageError: a column isn't there, or two would be one field.
    """
    missing = [column for column in fields.values() if column not in columns]
    if missing:
        has = ", ".join(map(shown, columns))
        raise UsageError(
            f"{path}: no column {shown(missing[0])}; it has {has}",
            hint="--map FIELD=COLUMN names a column as it stands in the file",
        )
    by_column = {column: field for field, column in fields.items()}
    made = [by_column.get(column, column) for column in columns]
    twice = next((field for field in fields if made.count(field) > 1), None)
    if twice is not None:
        raise UsageError(
            f"{path}: the column {shown(fields[twice])} would be the field {twice}, which another "
            "column is called",
            hint=f"--map says what that one is, too: --map OTHER={twice}",
        )
    return made


def write_csv(rows: Iterable[JsonObject], columns: dict[str, str], out: BinaryIO) -> set[str]:
    """Write rows, each of these fields under its column's name.

    Returns:
        Fields of which some values are said in other words: as JSON text, or not as nothing.

    Raises:
        UsageError: a row can't be said in a table such that it would be read as what it is.
    """
    text = io.TextIOWrapper(out, "utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(columns.values())
    altered = set()
    for number, row in enumerate(rows, 1):
        cells = []
        for field in columns:
            if field not in row and field in NEEDED:
                raise UsageError(
                    f"row {number} has no {field}, which others have: CSV can't say that",
                    hint="write JSONL or Parquet, or rows of one shape",
                )
            value = row.get(field)
            cells.append(cell_text(value))
            if value and isinstance(value, str):
                must_read_back(field, value, number)
            elif value is not None and not reads_back(field, value):
                altered.add(field)
        writer.writerow(cells)
    text.detach()
    return altered
