"""The records of an export, whatever file they stand in: JSON, JSON lines, CSV, Parquet.

An export is read whole, as the tools that wrote it do: some put a million records on one line.
"""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

from ftctl.datasets.curation.types import Fault, FaultError, Item
from ftctl.datasets.rules.types import JsonObject, kind
from ftctl.errors import ExtraMissing, UsageError

_BETWEEN = re.compile(r"[ \t\r\n,]*")
_LINE_END = re.compile(r"\n|$")
_MOST_BROKEN = 100  # records that aren't JSON, before the rest isn't read
_DEPTH = "it is nested too deeply"


class Record(NamedTuple):
    """One record with its place, or why there is none; `value` is None then."""

    place: str
    value: JsonObject | None
    problem: str = ""


def items_of(
    records: Iterator[Record], read: Callable[[str, JsonObject], Item]
) -> Iterator[Item | Fault]:
    """Each record as an item, or what is wrong with it."""
    for place, value, problem in records:
        if value is None:
            yield Fault(place, "", problem)
            continue
        try:
            yield read(place, value)
        except FaultError as error:
            yield Fault(place, error.path, error.what)
        except RecursionError:
            yield Fault(place, "", _DEPTH)


def table(path: Path, most_bytes: int = -1) -> Iterator[Record]:
    """The rows of a CSV, Parquet or JSON file, told apart by first bytes and name.

    Args:
        path: The file.
        most_bytes: How much of it to read; what is cut there comes as a problem.
    """
    if content(path, 4) == b"PAR1":
        return parquet(path)
    if path.suffix.lower() in (".csv", ".tsv"):
        return csv_rows(path, most_bytes)
    return json_records(path, most_bytes)


def content(path: Path, most_bytes: int = -1) -> bytes:
    """The bytes of an export, or the first of them.

    Raises:
        UsageError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(most_bytes)
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or error
        raise UsageError(f"{path}: {why}", hint="name an export that can be read") from None


def _text(path: Path, most_bytes: int) -> str:
    """The text of an export; where it is cut, half a character may be."""
    return content(path, most_bytes).decode("utf-8-sig", "strict" if most_bytes < 0 else "ignore")


def json_records(path: Path, most_bytes: int = -1) -> Iterator[Record]:
    """The objects of a JSON list, of JSON lines, or one after the other."""
    try:
        text = _text(path, most_bytes)
    except UnicodeDecodeError as error:
        yield Record(f"byte {error.start + 1}", None, "the file isn't UTF-8 text")
        return
    at = _BETWEEN.match(text).end()  # type: ignore[union-attr] # it matches nothing, too
    listed = text.startswith("[", at)
    at += listed
    number = broken = 0
    while True:
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
        if at >= len(text) or (listed and text[at] == "]"):
            break
        number += 1
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, FaultError, RecursionError) as error:
            broken += 1
            yield Record(f"record {number}", None, _broken(error, text))
            if listed:  # where the next one begins can't be known
                return
            if broken == _MOST_BROKEN:  # finding the line of each takes long in a large file
                yield Record(f"record {number + 1}", None, "the rest wasn't read")
                return
            at = _LINE_END.search(text, at).end()  # type: ignore[union-attr]
            continue
        if isinstance(value, dict):
            yield Record(f"record {number}", value)
        else:
            yield Record(f"record {number}", None, f"it is {kind(value)}, not an object")
    if listed and at >= len(text):
        yield Record(f"record {number}", None, "the list isn't closed after it: the file is cut")


def _pairs(pairs: list[tuple[str, object]]) -> JsonObject:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise FaultError("", "an object names the same key twice")
    return made


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise FaultError("", "a number is too large")
    return value


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_constant=lambda _: None, parse_float=_number
)


def _broken(error: Exception, text: str) -> str:
    if isinstance(error, json.JSONDecodeError):
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
            return f"the file ends in the middle of it, on line {error.lineno}"
        return f"line {error.lineno}, column {error.colno}: it isn't JSON ({error.msg})"
    if isinstance(error, RecursionError):
        return _DEPTH
    return error.what if isinstance(error, FaultError) else "a number has too many digits"


def csv_rows(path: Path, most_bytes: int = -1) -> Iterator[Record]:
    """The rows of a CSV file with a header; cells are text."""
    csv.field_size_limit(2**31 - 1)
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        text = _text(path, most_bytes)
    except UnicodeDecodeError as error:
        yield Record(f"byte {error.start + 1}", None, "the file isn't UTF-8 text")
        return
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for row in reader:
            place = f"line {reader.line_num}"
            if None in row:
                yield Record(place, None, "it has more cells than the header")
            elif None in row.values():
                yield Record(place, None, "it has fewer cells than the header")
            else:
                yield Record(place, dict(row))
    except csv.Error as error:
        yield Record(f"line {reader.line_num}", None, f"it isn't CSV ({error})")


def parquet(path: Path) -> Iterator[Record]:
    """The rows of a Parquet file.

    Raises:
        ExtraMissing: pyarrow isn't installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ExtraMissing("arrow", "reading Parquet") from None
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield Record(f"row {number}", {key: _plain(row[key]) for key in row})
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        yield Record(f"row {number + 1}", None, f"it can't be read, it may be cut off ({error})")


def _plain(value: object) -> object:
    """A cell as JSON has it."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):  # NaN: pandas' empty cell
        return None
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
