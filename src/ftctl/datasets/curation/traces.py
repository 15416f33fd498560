"""What tools that record calls export: Langfuse, LangSmith, and OpenAI's stored completions.

Source: their documentation, read 2026-11; no live service was asked.
"""

from collections.abc import Iterator
from pathlib import Path

from ftctl.datasets.curation.records import Record, items_of, json_records, table
from ftctl.datasets.curation.types import Answer, Fault, FaultError, Hints, Item, as_object
from ftctl.datasets.rules.types import JsonObject, kind

INPUT, OUTPUT = "input", "output"


def langfuse_record(record: JsonObject) -> bool:
    """Whether this is an item of a Langfuse dataset."""
    return "input" in record and ("expectedOutput" in record or "expected_output" in record)


def langsmith_record(record: JsonObject) -> bool:
    """Whether this is an example of a LangSmith dataset."""
    return "inputs" in record and "outputs" in record


def stored_record(record: JsonObject) -> bool:
    """Whether this is a stored completion."""
    return record.get("object") == "chat.completion" or isinstance(record.get("completion"), dict)


def read_langfuse(path: Path, hints: Hints) -> Iterator[Item | Fault]:
    """Items of a dataset: CSV, JSON or JSON lines."""
    del hints

    def item(place: str, record: JsonObject) -> Item:
        output = record.get("expectedOutput", record.get("expected_output"))
        return _item(place, record, record.get("input"), output, ("sourceTraceId", "status"))

    yield from items_of(table(path), item)


def read_langsmith(path: Path, hints: Hints) -> Iterator[Item | Fault]:
    """Examples of a dataset: JSON, JSON lines, CSV or Parquet."""
    del hints

    def item(place: str, record: JsonObject) -> Item:
        return _item(place, record, record.get("inputs"), record.get("outputs"), ("split",))

    yield from items_of(table(path), item)


def _item(
    place: str, record: JsonObject, given: object, said: object, keys: tuple[str, ...]
) -> Item:
    for name, value in (("input", given), ("output", said)):
        if value in (None, "", {}, []):
            raise FaultError(name, f"it has no {name}")
    known = {key: record[key] for key in ("metadata", *keys) if record.get(key) not in (None, "")}
    time = next((record[k] for k in ("createdAt", "created_at") if record.get(k)), None)
    return Item(
        place,
        str(record.get("id") or place),
        {INPUT: given, OUTPUT: said},
        (Answer("metadata", known, "metadata", time=str(time) if time else None),),
    )


def read_stored(path: Path, hints: Hints) -> Iterator[Item | Fault]:
    """Completions, each with its prompt: beside it as `messages`, or as pages of the messages list.

    The API gives the two apart. A page's messages have ids that begin with the completion's.
    """
    del hints
    pages: dict[str, list[object]] = {}
    completions: list[Record] = []
    for record in json_records(path):
        found = record.value or {}
        listed = found.get("data") if found.get("object") == "list" else None
        if not isinstance(listed, list):
            completions.append(record)
            continue
        for i, one in enumerate(listed):
            place = f"{record.place}, data[{i}]"
            if not isinstance(one, dict):
                yield Fault(place, "", f"it is {kind(one)}, not an object")
            elif stored_record(one):
                completions.append(Record(place, one))
            else:
                pages.setdefault(str(one.get("id")).rpartition("-")[0], []).append(one)

    def item(place: str, record: JsonObject) -> Item:
        return _completion(place, record, pages)

    yield from items_of(iter(completions), item)


def _completion(place: str, record: JsonObject, pages: dict[str, list[object]]) -> Item:
    whole = as_object(record.get("completion", record), "completion", "a chat completion")
    named = str(whole.get("id") or place)
    given = record.get("messages") or record.get("input") or pages.get(named)
    if isinstance(given, dict) and isinstance(given.get("data"), list):
        given = given["data"]
    if not given:
        hint = "join it with what GET /chat/completions/ID/messages answers"
        raise FaultError("messages", f"its prompt isn't here: {hint}")
    choices = whole.get("choices")
    if not isinstance(choices, list) or not choices:
        raise FaultError("choices", "it has no answer")
    first = as_object(choices[0], "choices[0]", "an object")
    said = as_object(first.get("message"), "choices[0].message", "a message")
    known = {
        key: value
        for key in ("model", "metadata", "request_id", "service_tier", "seed")
        if (value := whole.get(key)) is not None
    } | ({"finish_reason": first["finish_reason"]} if first.get("finish_reason") else {})
    created = whole.get("created")
    answer = Answer("metadata", known, "metadata", time=None if created is None else str(created))
    fields: JsonObject = {INPUT: given, OUTPUT: said}
    if tools := whole.get("tools") or record.get("tools"):
        fields["tools"] = tools
    return Item(place, named, fields, (answer,))
