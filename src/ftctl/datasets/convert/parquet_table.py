"""Parquet files: rows read in batches, and written in batches, in bounded memory."""

import datetime
import decimal
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from typing_extensions import override

from ftctl.datasets.convert.cells import (
    UnreadableCellError,
    cell_text,
    field_value,
    must_read_back,
    reads_back,
    with_system,
)
from ftctl.datasets.convert.csv_table import named
from ftctl.datasets.convert.parquet_types import TEXT, Type
from ftctl.datasets.convert.rows import Row, Rows
from ftctl.datasets.read import LineReader
from ftctl.datasets.rules.types import JsonObject
from ftctl.errors import ExtraMissing, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

_READ_BYTES = 16 * 2**20  # of rows that are read at once, by the average of the file
_GROUP_ROWS = 8192  # of a row group that is written
_GROUP_BYTES = 64 * 2**20  # of JSON, beyond which a row group isn't filled
_BUFFER_BYTES = 2**20


class ParquetRows(Rows):
    """A Parquet file's rows; a row's number stands for its line.

    Raises:
        ExtraMissing: pyarrow isn't installed.
        UsageError: the file can't be read.
    """

    def __init__(self, path: Path, fields: dict[str, str]) -> None:
        try:
            import pyarrow.parquet as pq
        except ImportError:
            raise ExtraMissing("arrow", "reading Parquet") from None
        self._path = path
        with LineReader(path):  # says what hinders where it can't be read at all
            self.size_bytes = path.stat().st_size
        try:
            self._file = pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES)
        except Exception as error:  # noqa: BLE001 - a damaged file makes it fail in any way
            raise _damaged(path, error) from None
        self._columns = named(path, self._file.schema_arrow.names, fields)
        of = self._file.metadata
        self._rows = max(1, of.num_rows)
        size = sum(of.row_group(i).total_byte_size for i in range(of.num_row_groups))
        self._at_once = min(1024, max(1, _READ_BYTES * self._rows // max(1, size)))
        self._read = 0

    @override
    def close(self) -> None:
        self._file.close()

    @property
    @override
    def read_bytes(self) -> int:  # as if all rows were of one size
        return int(self.size_bytes * self._read // self._rows)

    @override
    def __iter__(self) -> Iterator[Row]:
        import pyarrow as pa

        try:
            for batch in self._file.iter_batches(self._at_once, use_threads=False):
                for i in range(batch.num_rows):
                    self._read += 1
                    yield self._row(batch, i)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(self._path, error) from None

    def _row(self, batch: "pa.RecordBatch", place: int) -> Row:
        made: JsonObject = {}
        for field, column in zip(self._columns, batch.columns, strict=True):
            try:
                value = _plain(column[place].as_py())
                if isinstance(value, str) and value:
                    value = field_value(field, value)
            except UnreadableCellError as error:
                return Row(self._read, field, None, str(error))
            except UnicodeDecodeError:
                return Row(self._read, field, None, "bytes that aren't UTF-8")
            except (ValueError, OverflowError) as error:  # days and times that Python hasn't
                return Row(self._read, field, None, f"a value that can't be read ({error})")
            if value is not None:
                made[field] = value
        return Row(self._read, "", with_system(made) if "system" in self._columns else made)


def _damaged(path: Path, error: Exception) -> UsageError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return UsageError(f"{path}: it can't be read as Parquet ({first})", hint="fetch it again")


def _plain(value: Any) -> object:  # noqa: ANN401 - whatever pyarrow makes of a cell
    """A value as JSON has it; what a struct leaves out isn't there.

    Raises:
        UnreadableCellError: JSON has nothing of its kind.
    """
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise UnreadableCellError(f"a number that JSON doesn't know: {value}")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise UnreadableCellError(f"a value of the type {type(value).__name__}, which JSON has none of")


def require_arrow() -> None:
    """Refuse to begin what would need pyarrow in the end.

    Raises:
        ExtraMissing: it isn't installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401 - only whether it is there
    except ImportError:
        raise ExtraMissing("arrow", "writing Parquet") from None


def write_parquet(
    rows: Iterable[tuple[JsonObject, int]],
    columns: dict[str, str],
    types: dict[str, Type],
    out: BinaryIO,
) -> set[str]:
    """Write rows, each with its size in bytes of JSON, each field under its column's name.

    Returns:
        Fields of which some values are said in other words: as JSON text, or texts as parts.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, _arrow(types[field])) for field, name in columns.items()])
    altered: set[str] = set()
    group: list[dict[str, object]] = []
    held = 0
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for number, (row, size) in enumerate(rows, 1):
            made = {}
            for field, name in columns.items():
                value = row.get(field)
                if isinstance(value, str) and types[field] == TEXT:
                    must_read_back(field, value, number)
                made[name] = _fit(value, types[field], field, altered)
            group.append(made)
            held += size
            if len(group) >= _GROUP_ROWS or held >= _GROUP_BYTES:
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
                group, held = [], 0
        if group:
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
    return altered


def _arrow(of: Type) -> "pa.DataType":
    import pyarrow as pa

    if of.item is not None:
        return pa.list_(_arrow(of.item))
    if of.fields:
        return pa.struct([(name, _arrow(inner)) for name, inner in of.fields])
    plain = {"bool": pa.bool_(), "int64": pa.int64(), "double": pa.float64()}
    return plain.get(of.name, pa.string())


def _fit(value: object, of: Type, field: str, altered: set[str], key: str = "") -> object:
    """A value as its column's type has it; what is said in other words adds to `altered`."""
    if value is None:
        return None
    if isinstance(value, str) and of.item is not None:
        altered.add(field)
        return [{"type": "text", "text": value}]
    if isinstance(value, list) and of.item is not None:
        return [_fit(inner, of.item, field, altered) for inner in value]
    if isinstance(value, dict) and of.fields:
        inner = dict(of.fields)
        return {name: _fit(v, inner[name], field, altered, name) for name, v in value.items()}
    if of == TEXT and not isinstance(value, str):
        if key != "arguments" and not reads_back(field, value):
            altered.add(field)
        return cell_text(value)
    return value
