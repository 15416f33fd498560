"""Label Studio: tasks with their annotations (JSON), and a row an annotation (JSON_MIN).

JSON_MIN leaves out annotations that were cancelled, and puts data and answers side by side: data,
then `id`, then answers, then who gave them.

Source: label-studio-sdk 2.1.2, `converter/converter.py`; run 2026-11.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from ftctl.datasets.curation.prefer import RANKER, SELECTED
from ftctl.datasets.curation.records import Record, items_of, json_records
from ftctl.datasets.curation.types import (
    ID,
    OURS,
    Answer,
    Fault,
    FaultError,
    Hints,
    Item,
    Status,
    as_list,
    as_object,
    name_of,
)
from ftctl.datasets.rules.types import JsonObject

_MIN_BASE = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time")
_MIN_ONLY = frozenset({*_MIN_BASE, "agreement"})
# Where each kind of control keeps what was said, inside of `value`.
_VALUES = (
    *("choices", "text", "rating", "selected", "ranker", "taxonomy", "number", "chatmessage"),
    *("datetime", "textarea", "pairwise"),
)


def recognised_record(record: JsonObject) -> bool:
    """Whether this is a task, or a row of JSON_MIN."""
    task = isinstance(record.get("data"), dict) and ("annotations" in record or "id" in record)
    return task or {"annotation_id", "lead_time"} <= record.keys()


def read(path: Path, hints: Hints) -> Iterator[Item | Fault]:
    """The tasks with what was said of them."""
    records = json_records(path)

    def task_id(record: Record) -> object:
        value = record.value
        told = value is not None and "data" not in value and value.get("id") is not None
        return repr(value["id"]) if told and value is not None else record.place

    for _, together in groupby(records, task_id):
        rows = list(together)
        if rows[0].value is not None and "data" not in rows[0].value:
            yield _of_rows(rows, hints)
        else:
            yield from items_of(iter(rows), _task)


def _task(place: str, task: JsonObject) -> Item:
    data = as_object(task.get("data"), "data", "an object with the texts that were shown")
    answers: list[Answer] = []
    for key in ("annotations", "drafts", "predictions"):
        given = as_list(task.get(key) or [], key, "a list")
        for i, single in enumerate(given):
            path = f"{key}[{i}]"
            if isinstance(single, int) and not isinstance(single, bool):
                raise FaultError(path, "only its number was exported: choose the format JSON")
            answers += _sitting(as_object(single, path, "an object"), path, key)
    return Item(place, str(data.get(ID) or task.get("id") or place), data, tuple(answers))


def _sitting(one: JsonObject, path: str, key: str) -> Iterator[Answer]:
    """What one person, or one model, said of a task."""
    who = name_of(one.get("completed_by") or one.get("user"))
    time = one.get("updated_at") or one.get("created_at")
    times = time if isinstance(time, str) else None
    results = as_list(one.get("result") or [], f"{path}.result", "a list")
    cancelled = bool(one.get("was_cancelled"))
    if cancelled and not results:
        yield Answer("", None, annotator=who, status="discarded", time=times, sitting=path)
    for i, single in enumerate(results):
        at = f"{path}.result[{i}]"
        result = as_object(single, at, "an object")
        question, value = result.get("from_name"), result.get("value")
        if not isinstance(question, str) or value is None:
            continue  # a relation between two others: it answers nothing
        said = _value(value, at)
        if key == "predictions":
            model = name_of(one.get("model_version"))
            score = one.get("score")
            yield Answer(question, said, "suggestion", model, "unknown", score, times, path)
        elif key == "drafts":
            yield Answer(question, said, "response", who, "draft", None, times, path)
        else:
            status: Status = "discarded" if cancelled else "submitted"
            yield Answer(question, said, "response", who, status, None, times, path)


def _value(value: object, path: str) -> object:
    """What was said, out of its wrapping: a text or number, a list where there are several."""
    wrapped = as_object(value, f"{path}.value", "an object")
    key = next((name for name in _VALUES if name in wrapped), None)
    if key is None:
        return wrapped  # such as a span: kept as it is
    inner = wrapped[key]
    if key == "taxonomy":
        paths = as_list(inner, f"{path}.value.taxonomy", "a list of paths")
        inner = [" > ".join(map(str, one)) if isinstance(one, list) else one for one in paths]
    if key in (SELECTED, RANKER):  # a comparison, not the word `left`
        return {key: inner}
    if key == "text" and isinstance(inner, list):  # one text, given in parts
        return "\n".join(map(str, inner))
    if key in ("choices", "taxonomy") and isinstance(inner, list) and len(inner) == 1:
        return inner[0]
    return inner


def _of_rows(rows: list[Record], hints: Hints) -> Item | Fault:
    """The rows of JSON_MIN that are about one task."""
    place, first = rows[0].place, rows[0].value or {}
    if "annotation_id" not in first:
        return Fault(place, "", "it has neither data nor annotation_id")
    answers: list[Answer] = []
    controls: set[str] = set()
    try:
        for row in rows:
            value = row.value or {}
            asked = _controls(value, hints)
            controls |= asked
            answers += _of_row(value, asked, row.place)
    except FaultError as error:
        return Fault(place, error.path, error.what)
    fields = {k: v for k, v in first.items() if k not in controls and k not in _MIN_ONLY}
    return Item(place, str(first.get(ID) or first.get("id") or place), fields, tuple(answers))


def _of_row(row: JsonObject, controls: set[str], place: str) -> Iterator[Answer]:
    who, time = name_of(row.get("annotator")), row.get("updated_at") or row.get("created_at")
    sitting = str(row.get("annotation_id") or place)
    for name in row:
        if name in controls:
            times = time if isinstance(time, str) else None
            said = _min_values(row[name], name)
            yield Answer(name, said, annotator=who, time=times, sitting=sitting)


def _controls(row: JsonObject, hints: Hints) -> set[str]:
    """Which keys are answers: those after `id`, and those in the wrapping of a control.

    The task's data come before `id`, so only a control whose name is also a data key, or data that
    have an `id` of their own, are hard to tell: what a person names is right.
    """
    if row.get("annotation_id") is None:
        return set()
    names = [name for name in row if name not in _MIN_ONLY or name == "id"]
    if ID in row:
        return set(names) - OURS - {"id"}
    after = names[names.index("id") + 1 :] if "id" in names else []
    wrapped = [name for name in names if _is_wrapped(row[name])]
    return {*after, *wrapped, *({hints.answer} & set(names))} - set(hints.shown) - {"id"}


def _is_wrapped(value: object) -> bool:
    parts = value if isinstance(value, list) else [value]
    return bool(parts) and all(
        isinstance(part, dict)
        and (part.keys() & set(_VALUES) or part.keys() == {"role", "content"})
        for part in parts
    )


def _min_values(value: object, path: str) -> object:
    """What was said, out of the wrapping of JSON_MIN."""
    if not isinstance(value, list):
        return _value(value, path) if isinstance(value, dict) else value
    parts = [
        _value(part, f"{path}[{i}]") if isinstance(part, dict) else part
        for i, part in enumerate(value)
    ]
    return parts[0] if len(parts) == 1 else parts
