"""What a file's rows are held by: lines of JSON, or a table in CSV or Parquet."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from ftctl.datasets.convert.csv_table import CsvRows
from ftctl.datasets.convert.parquet_table import ParquetRows
from ftctl.datasets.convert.rows import Row, RowReader

TABLES = ("csv", "parquet")
_ENDINGS = {".csv": "csv", ".parquet": "parquet"}


class Rows(Protocol):
    """A file's rows, read once from first to last.

    Attributes:
        reframed: Whether it is more than one object a line; known once all are read.
        size_bytes: Its size on disk.
    """

    reframed: bool
    size_bytes: int

    @property
    def read_bytes(self) -> int:
        """How far into the file reading has come."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __iter__(self) -> Iterator[Row]: ...


def table_of(path: Path, name: str) -> str:
    """The kind of table that a file is, of `TABLES`; "" when it isn't one.

    Args:
        path: The file.
        name: The format that a person gave; a table's own name says it whatever the file's.
    """
    if name in TABLES:
        return name
    endings = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    return _ENDINGS.get(endings[-1], "") if endings else ""


def open_rows(path: Path, table: str, fields: dict[str, str]) -> Rows:
    """A file's rows, under the names of fields.

    Args:
        path: The file.
        table: What it is, as `table_of` says.
        fields: From field to the name it has in the file, where these differ.

    Raises:
        UsageError: it can't be read.
        ExtraMissing: pyarrow isn't installed, which Parquet needs.
    """
    if table == "csv":
        return CsvRows(path, fields)
    if table == "parquet":
        return ParquetRows(path, fields)
    return RowReader(path)
