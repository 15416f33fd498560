"""Lilac: a dataset's folder, with its rows in Parquet and a SQLite file for each label.

Lilac's own exports need a part of DuckDB that it downloads, as soon as a label exists; so the
files are read as they stand. Rows come in an order of Lilac's own: only `__rowid__` joins them.

Source: lilac 0.3.9, `data/dataset_duckdb.py`, `add_labels`; run 2026-11.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from ftctl.datasets.curation.records import content, items_of, parquet
from ftctl.datasets.curation.types import ID, Answer, Fault, FaultError, Hints, Item
from ftctl.datasets.rules.types import JsonObject
from ftctl.errors import DataInvalid, UsageError

MANIFEST, ROWID, QUESTION = "manifest.json", "__rowid__", "label"
_LABELS = ".labels.sqlite"
_DELETED = "__deleted__"  # the label that Lilac puts on rows that a person deletes
_PLAIN = "true"  # what a label says where it only stands there


class _Label(NamedTuple):
    name: str
    text: str
    time: str | None


def recognised(path: Path) -> bool:
    """Whether this is a dataset's folder."""
    return path.is_dir() and (path / MANIFEST).is_file()


def recognised_record(record: JsonObject) -> bool:
    """Whether this is a row of one."""
    return ROWID in record


def read(path: Path, hints: Hints) -> Iterator[Item | Fault]:
    """The rows with their labels.

    Raises:
        DataInvalid: manifest or labels can't be read.
        ExtraMissing: pyarrow isn't installed.
    """
    if not path.is_dir():
        hint = f"name the folder that holds {MANIFEST} and the Parquet files"
        raise UsageError(f"{path} is a file, not the folder of a Lilac dataset", hint=hint)
    labels = _labels(path)

    def item(place: str, row: JsonObject) -> Item:
        row_id = row.pop(ROWID, None)
        if not isinstance(row_id, str):
            raise FaultError(ROWID, "it has no row id")
        answers = tuple(_answer(label, hints) for label in labels.pop(row_id, ()))
        return Item(place, str(row.get(ID) or row_id), row, answers)

    for file in _files(path):
        for found in items_of(parquet(file), item):
            yield (
                found._replace(place=f"{file.name}, {found.place}")
                if isinstance(found, Fault)
                else found
            )
    for row_id, left in labels.items():
        names = ", ".join(label.name for label in left)
        yield Fault(f"label {names}", "", f"it is on row {row_id}, which isn't there")


def _answer(label: _Label, hints: Hints) -> Answer:
    if label.name == _DELETED:
        return Answer("", None, annotator=hints.annotator, status="discarded", time=label.time)
    value = label.name if label.text == _PLAIN else f"{label.name}={label.text}"
    return Answer(QUESTION, value, annotator=hints.annotator, time=label.time)


def _files(folder: Path) -> list[Path]:
    """The Parquet files that the manifest names; a name that leads elsewhere isn't followed."""
    try:
        named = json.loads(content(folder / MANIFEST))["files"]
        return [folder / Path(str(name)).name for name in named]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DataInvalid(
            f"{folder / MANIFEST}: it doesn't list the dataset's files",
            hint="name the folder of one dataset: PROJECT/datasets/NAMESPACE/NAME",
        ) from None


def _labels(folder: Path) -> dict[str, list[_Label]]:
    """The labels of each row id."""
    found: dict[str, list[_Label]] = defaultdict(list)
    for file in sorted(folder.glob(f"*{_LABELS}")):
        name = file.name.removesuffix(_LABELS)
        quoted = name.replace('"', '""')
        try:
            with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as base:
                asked = f'SELECT {ROWID}, label, created FROM "{quoted}" ORDER BY created'  # noqa: S608 - quoted
                for row_id, text, created in base.execute(asked):
                    time = None if created is None else str(created)
                    found[str(row_id)].append(_Label(name, str(text), time))
        except sqlite3.Error as error:
            raise DataInvalid(
                f"{file}: the labels can't be read ({error})",
                hint="close Lilac, then copy the folder again",
            ) from None
    return found
