"""Argilla 2: the folder that `to_disk` writes, and both of its JSON forms.

The list of records loses whether a response was submitted, is a draft, or was discarded; the flat
list keeps it.

Source: argilla 2.8.0, `records/_io`, `datasets/_io/_disk.py`; run 2026-11.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from ftctl.datasets.curation.records import items_of, json_records
from ftctl.datasets.curation.types import (
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
from ftctl.datasets.rules.types import JsonObject, shown

RECORDS = "records.json"
_FLAT_BASE = frozenset({"id", "status", "_server_id", "score"})
_FLAT_ENDS = (
    ".responses.users",
    ".responses.status",
    ".responses",
    ".suggestion.score",
    ".suggestion.agent",
    ".suggestion",
)


def recognised(path: Path) -> bool:
    """Whether this is a folder that `to_disk` wrote."""
    return (path / ".argilla").is_dir() or (path.is_dir() and (path / RECORDS).is_file())


def recognised_record(record: JsonObject) -> bool:
    """Whether this is a record in one of the JSON forms."""
    nested = isinstance(record.get("fields"), dict) and "responses" in record
    return nested or any(key.endswith(_FLAT_ENDS) for key in record)


def read(path: Path, hints: Hints) -> Iterator[Item | Fault]:
    """The records with their responses and suggestions."""
    del hints
    file = path / RECORDS if path.is_dir() else path
    yield from items_of(json_records(file), _item)


def _item(place: str, record: JsonObject) -> Item:
    if "fields" not in record:
        return _flat_item(place, record)
    fields = as_object(record["fields"], "fields", "an object with the texts that were shown")
    answers = [
        *_responses(record.get("responses") or {}),
        *_suggestions(record.get("suggestions") or {}),
    ]
    if metadata := record.get("metadata"):
        answers.append(Answer("metadata", metadata, kind="metadata"))
    return Item(place, _id(record), fields, tuple(answers))


def _id(record: JsonObject) -> str:
    found = record.get("id") or record.get("_server_id")
    if found is None:
        raise FaultError("id", "it has no id")
    return str(found)


def _responses(responses: object) -> Iterator[Answer]:
    for question, given in as_object(responses, "responses", "an object of questions").items():
        path = f"responses.{question}"
        for i, single in enumerate(as_list(given, path, "a list of responses")):
            one = as_object(single, f"{path}[{i}]", "an object with value and user_id")
            if "value" not in one:
                raise FaultError(f"{path}[{i}]", "it has no value")
            yield _response(question, one["value"], one.get("user_id"), one.get("status"), path)


def _response(question: str, value: object, user: object, status: object, path: str) -> Answer:
    known = get_args(Status)
    if status is None:
        status = "unknown"
    elif status not in known:
        raise FaultError(path, f"{shown(status)} is no status of a response")
    annotator = None if user in (None, "None") else str(user)
    named: Status = next(word for word in known if word == status)
    return Answer(question, value, annotator=annotator, status=named, sitting=annotator or "")


def _suggestions(suggestions: object) -> Iterator[Answer]:
    for question, single in as_object(suggestions, "suggestions", "an object").items():
        one = as_object(single, f"suggestions.{question}", "an object with a value")
        yield _suggestion(question, one.get("value"), one.get("agent"), one.get("score"))


def _suggestion(question: str, value: object, agent: object, score: object) -> Answer:
    return Answer(question, value, "suggestion", name_of(agent), "unknown", score)


def _flat_item(place: str, record: JsonObject) -> Item:
    questions = dict.fromkeys(
        key.removesuffix(end) for key in record for end in _FLAT_ENDS[2::3] if key.endswith(end)
    )
    answers: list[Answer] = []
    for question in questions:
        answers += _flat_responses(record, question)
        if (value := record.get(f"{question}.suggestion")) is not None:
            agent, score = (
                record.get(f"{question}.suggestion.{key}") for key in ("agent", "score")
            )
            answers.append(_suggestion(question, value, agent, score))
    fields = {
        key: value
        for key, value in record.items()
        if key not in _FLAT_BASE and not key.endswith(_FLAT_ENDS)
    }
    return Item(place, _id(record), fields, tuple(answers))


def _flat_responses(record: JsonObject, question: str) -> Iterator[Answer]:
    path = f"{question}.responses"
    values = record.get(path)
    if values is None:
        return
    users, statuses = (record.get(f"{path}.{key}") for key in ("users", "status"))
    columns: list[list[object]] = []
    for name, column in (("", values), (".users", users), (".status", statuses)):
        column = [None] * len(columns[0]) if column is None and columns else column
        wanted = "a list with an entry for each response"
        columns.append(as_list(column, f"{path}{name}", wanted))
        if len(columns[-1]) != len(columns[0]):
            said = f"{len(columns[0])} responses, {len(columns[-1])} entries"
            raise FaultError(f"{path}{name}", said)
    for value, user, status in zip(*columns, strict=True):
        yield _response(question, value, user, status, path)
