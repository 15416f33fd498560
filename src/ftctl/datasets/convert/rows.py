"""The rows of a dataset file: one object a line, or JSON over several lines, in bounded memory."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Self

from typing_extensions import override

from ftctl.datasets.read import LINE_CAP_BYTES, Line, LineReader
from ftctl.datasets.rules.json_text import parse_line
from ftctl.datasets.rules.over_lines import beginning
from ftctl.datasets.rules.types import JsonObject, kind

# What would silently say something else once it is written anew.
UNWRITABLE = frozenset({"json-nan", "json-nan/schema", "duplicate-key", "lone-surrogate"})
_LEXEME = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\]]')
_HUGE = re.compile(rb"[0-9]{401}")  # digits beyond those that `parse_line` keeps of a number
_BETWEEN = b" \t\r\n,"


class Row(NamedTuple):
    """One row of a file, or why there is none.

    Attributes:
        line: 1-based; where it begins.
        path: Its place in a line that holds several, such as `[2]`; else "".
        value: What it says; None with a problem.
        problem: Why it can't be read; "" where it can.
    """

    line: int
    path: str
    value: JsonObject | None
    problem: str = ""


class Rows(ABC):
    """A file's rows, read once from first to last; close it, or use it in a `with`.

    Attributes:
        reframed: Whether it is more than one object a line; known once all are read.
        size_bytes: Its size on disk.
    """

    reframed = True
    size_bytes: int

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    @property
    @abstractmethod
    def read_bytes(self) -> int:
        """How far into the file on disk reading has come."""

    @abstractmethod
    def __iter__(self) -> Iterator[Row]: ...


class RowReader(Rows):
    """The rows of JSON lines, or of JSON over several lines.

    It is reframed by compression, a byte order mark, CR as line end, blank lines, JSON over several
    lines, and by several rows in one.

    Raises:
        UsageError: the file can't be read.
    """

    def __init__(self, path: Path) -> None:
        self._lines = LineReader(path)
        self.reframed = bool(self._lines.packed) or self._lines.bom or self._lines.cr_only
        self.size_bytes = self._lines.size_bytes

    @override
    def close(self) -> None:
        self._lines.close()

    @property
    @override
    def read_bytes(self) -> int:
        return self._lines.read_bytes

    @override
    def __iter__(self) -> Iterator[Row]:
        if self._lines.oddity:
            yield Row(1, "", None, f"the file is {self._lines.oddity}, not plain UTF-8 text")
            return
        number = 1
        rest = iter(self._lines)
        head, opening = beginning(rest)
        lines = chain(head, rest)
        self.reframed = self.reframed or opening is not None
        for row in self._spanning(lines) if opening is not None else self._single(lines):
            number = row.line
            yield row
        if self._lines.damage:
            yield Row(number, "", None, f"the compressed data is damaged: {self._lines.damage}")

    def _single(self, lines: Iterator[Line]) -> Iterator[Row]:
        for line in lines:
            if not line.whole:
                yield _too_big(line.number)
            elif not line.data.strip(b" \t\r"):
                self.reframed = True
            else:
                rows = _rows(line.data, line.number, ended=line.ended)
                self.reframed = self.reframed or any(row.path for row in rows)
                yield from rows

    def _spanning(self, lines: Iterator[Line]) -> Iterator[Row]:
        growing = _GrowingObject()
        for line in lines:
            if line.whole:
                yield from growing.add(line)
            else:
                yield _too_big(line.number)
        if growing.depth:
            yield Row(growing.line, "", None, "the object that begins here isn't closed")


def _rows(data: bytes, number: int, *, ended: bool = True) -> list[Row]:
    """The row of a line, or the rows of a list on a line."""
    parsed = parse_line(data, ended=ended)
    if not parsed.valid:
        return [Row(number, parsed.findings[0].path, None, parsed.findings[0].message)]
    for finding in parsed.findings:
        if finding.key in UNWRITABLE:
            return [Row(number, finding.path, None, finding.message)]
    value = parsed.value
    if _HUGE.search(data) and _has_huge_number(data):
        return [Row(number, "", None, "a number of more than 400 digits")]
    if isinstance(value, dict):
        return [Row(number, "", value)]
    if not isinstance(value, list) or not value:
        return [Row(number, "", None, f"the line is {kind(value)}, not an object")]
    return [
        Row(number, f"[{i}]", item)
        if isinstance(item, dict)
        else Row(number, f"[{i}]", None, f"the item is {kind(item)}, not an object")
        for i, item in enumerate(value)
    ]


def _has_huge_number(data: bytes) -> bool:
    lengths: list[int] = []
    json.loads(data, parse_int=lambda digits: lengths.append(len(digits)))
    return max(lengths, default=0) > 400


def _too_big(number: int) -> Row:
    said = f"more than {LINE_CAP_BYTES // 2**20} MiB in one line or object"
    return Row(number, "", None, said)


class _GrowingObject:
    """The objects of JSON over several lines, each given out where it closes.

    Brackets are counted, which strings can't mislead: in JSON they end on their own line.

    Attributes:
        line: Where the object that is open begins.
        depth: How many brackets of it are open; 0 between objects.
    """

    def __init__(self) -> None:
        self.line = self.depth = self._size = 0
        self._parts: list[bytes] = []

    def add(self, line: Line) -> Iterator[Row]:
        """Take another line; yields the objects that end on it."""
        data, at, stray = line.data, 0, False
        for match in _LEXEME.finditer(data):
            sign = match[0]
            if self.depth:
                self.depth += (sign in (b"{", b"[")) - (sign in (b"}", b"]"))
                if not self.depth:
                    self._keep(data[at : match.end()])
                    yield from self._given()
                    at = match.end()
                continue
            stray = stray or sign[:1] == b'"' or bool(data[at : match.start()].strip(_BETWEEN))
            at = match.end()
            if sign == b"{":
                self.line, self.depth, at = line.number, 1, match.start()
        if self.depth:
            self._keep(data[at:] + b"\n")
        elif stray or data[at:].strip(_BETWEEN):
            yield Row(line.number, "", None, "something that is no object stands here")

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > LINE_CAP_BYTES:
            self._parts = []
        else:
            self._parts.append(piece)

    def _given(self) -> Iterator[Row]:
        fits, data = self._size <= LINE_CAP_BYTES, b"".join(self._parts)
        self._parts, self._size = [], 0
        yield from _rows(data, self.line) if fits else [_too_big(self.line)]
