"""PigeonXT: the frame of annotations, as pandas writes it to CSV, Parquet or JSON.

Only rows that were submitted count, which have `changed` set. The dictionary that PigeonXT can
return instead is keyed by text, so that equal texts fall together: it isn't read.

Source: pigeonxt-jupyter 0.7.3, `annotate.py`; run 2026-11.
"""

from collections.abc import Iterator
from pathlib import Path

from ftctl.datasets.curation.records import Record, items_of, table
from ftctl.datasets.curation.types import ID, OURS, Answer, Fault, FaultError, Hints, Item
from ftctl.datasets.rules.types import JsonObject, shown

CHANGED, EXAMPLE, LABEL = "changed", "example", "label"
_TRUE = {"true": True, "false": False}  # as pandas writes it to CSV, in any case
_INDEX = frozenset({"", "Unnamed: 0", "index", "level_0", "__index_level_0__"})  # pandas' own


def recognised_record(record: JsonObject) -> bool:
    """Whether this is a row of the frame, or the whole frame by columns."""
    return CHANGED in record and (EXAMPLE in record or LABEL in record)


def read(path: Path, hints: Hints) -> Iterator[Item | Fault]:
    """The rows of the frame; those without `changed` set have no answer."""
    rows = list(_rows(table(path)))
    booleans = _options(rows)

    def item(place: str, row: JsonObject) -> Item:
        return _item(place, row, hints, booleans)

    yield from items_of(iter(rows), item)


def _rows(records: Iterator[Record]) -> Iterator[Record]:
    """A frame that pandas wrote by columns, turned; other records as they are."""
    for place, value, problem in records:
        columns = list((value or {}).values())
        if value is None or not isinstance(value.get(CHANGED), dict):
            yield Record(place, value, problem)
            continue
        keys = list(columns[0]) if isinstance(columns[0], dict) else []
        if not all(isinstance(column, dict) and list(column) == keys for column in columns):
            yield Record(place, None, "its columns don't all have the same rows")
            continue
        for key in keys:
            row = {name: column[key] for name, column in value.items() if isinstance(column, dict)}
            yield Record(f"row {key}", row)


def _options(rows: list[Record]) -> tuple[str, ...]:
    """The columns of a multi-label task: yes or no in every row, as in no other kind."""
    values = [row.value for row in rows if row.value is not None]
    names = dict.fromkeys(name for value in values for name in value)
    return tuple(
        name
        for name in names
        if name != CHANGED
        and name not in _INDEX | OURS
        and all(_boolean(value.get(name)) is not None for value in values)
    )


def _item(place: str, row: JsonObject, hints: Hints, options: tuple[str, ...]) -> Item:
    if CHANGED not in row:
        raise FaultError(CHANGED, "there is no column that says which rows were submitted")
    changed = _boolean(row[CHANGED])
    if changed is None:
        raise FaultError(CHANGED, f"{shown(row[CHANGED])} is neither true nor false")
    asked = _asked(row, hints, options)
    fields = {
        name: value
        for name, value in row.items()
        if name not in _INDEX and name not in (CHANGED, asked, *options)
    }
    answers: tuple[Answer, ...] = ()
    if changed:
        value = row.get(asked) if asked else [name for name in options if _boolean(row[name])]
        answers = (Answer(asked or LABEL, value, annotator=hints.annotator),)
    return Item(place, str(row.get(ID) or row.get("id") or place), fields, answers)


def _boolean(value: object) -> bool | None:
    """True or false; None where it is neither."""
    return value if isinstance(value, bool) else _TRUE.get(str(value).lower())


def _asked(row: JsonObject, hints: Hints, options: tuple[str, ...]) -> str:
    """The column of the label; "" where there is one for each option instead."""
    if hints.answer and hints.answer in row and hints.answer not in options:
        return hints.answer
    if LABEL in row:
        return LABEL
    if options:
        return ""
    others = [name for name in row if name not in OURS | _INDEX | {CHANGED, EXAMPLE, "id"}]
    return others[-1] if others else ""
