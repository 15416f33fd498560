"""What a file's rows are held by: lines of JSON, or a table in CSV or Parquet."""

from pathlib import Path

from ftctl.datasets.convert.csv_table import CsvRows
from ftctl.datasets.convert.parquet_table import ParquetRows
from ftctl.datasets.convert.rows import RowReader, Rows

TABLES = ("csv", "parquet")
_ENDINGS = {".csv": "csv", ".parquet": "parquet"}


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
