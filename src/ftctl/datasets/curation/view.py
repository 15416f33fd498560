"""A row as people look at it in a tool: prompt and answer as text, beside the row itself."""

import hashlib
import json
from typing import NamedTuple

from ftctl.datasets.curation.types import FaultError
from ftctl.datasets.fingerprints import canonical
from ftctl.datasets.rules.types import JsonObject

ANSWER, PREFERENCE = "answer", "preference"


class View(NamedTuple):
    """What is shown of a row.

    Attributes:
        id: Ours, the same for the same row; see `row_id`.
        texts: By name: `prompt`, and `response`, or `left` and `right`.
        row: The row as JSON text.
    """

    id: str
    texts: dict[str, str]
    row: str


def row_id(row: JsonObject) -> str:
    """What a row is called in tools and sidecars: it follows from what the row says.

    The word before the hash keeps programs that guess types from taking it for a number.
    """
    return f"row-{hashlib.sha256(canonical(row).encode('utf-8', 'replace')).hexdigest()[:32]}"


def view(row: JsonObject) -> View:
    """What is shown of a chat row, or of a pair.

    Raises:
        FaultError: it is neither.
    """
    named, text = row_id(row), json.dumps(row, ensure_ascii=False)
    if "preferred_output" in row:
        asked = row.get("input")
        messages = _messages(asked.get("messages") if isinstance(asked, dict) else None, "input")
        better = _said(_messages(row["preferred_output"], "preferred_output")[-1])
        worse = _said(_messages(row.get("non_preferred_output"), "non_preferred_output")[-1])
        left, right = (better, worse) if better_is_left(row) else (worse, better)
        return View(named, {"prompt": _prompt(messages), "left": left, "right": right}, text)
    messages = _messages(row.get("messages"), "messages")
    last = messages[-1] if messages[-1].get("role") == "assistant" else None
    before = messages[:-1] if last is not None else messages
    response = "" if last is None else _said(last)
    return View(named, {"prompt": _prompt(before), "response": response}, text)


def better_is_left(row: JsonObject) -> bool:
    """On which side a pair's better answer is shown: either, so that sides give nothing away.

    It is the same for both orders of the pair.
    """
    pair = [canonical(row.get(key)) for key in ("preferred_output", "non_preferred_output")]
    told = hashlib.sha256("\x1e".join(sorted(pair)).encode("utf-8", "replace")).digest()
    return (pair[0] <= pair[1]) == bool(told[0] % 2)


def row_of(text: object) -> JsonObject:
    """The row that we sent to a tool, from its JSON text.

    Raises:
        FaultError: it was changed there, and is no row any more.
    """
    try:
        row = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        row = None
    if isinstance(row, dict) and ("messages" in row or "preferred_output" in row):
        return row
    raise FaultError("ftctl_row", "it no longer holds the row that was sent there")


def answered(row: JsonObject, text: str) -> JsonObject:
    """A chat row with this as its last answer: the row itself where it says so already."""
    messages = _messages(row.get("messages"), "messages")
    last = messages[-1]
    if last.get("role") != "assistant":
        return {**row, "messages": [*messages, {"role": "assistant", "content": text}]}
    if _said(last) == text:
        return row
    kept = {key: last[key] for key in last if key not in ("tool_calls", "refusal")}
    return {**row, "messages": [*messages[:-1], {**kept, "content": text}]}


def preferring(row: JsonObject, *, left: bool) -> JsonObject:
    """A pair in which the answer on this side is the better one."""
    if left == better_is_left(row):
        return row
    better, worse = row["non_preferred_output"], row["preferred_output"]
    return {**row, "preferred_output": better, "non_preferred_output": worse}


def _messages(value: object, path: str) -> list[JsonObject]:
    messages = value if isinstance(value, list) else []
    if not messages or not all(isinstance(message, dict) for message in messages):
        raise FaultError(path, "it has no list of messages")
    return messages


def _prompt(messages: list[JsonObject]) -> str:
    """Messages as text: a lone question as it is, else each under the name of its role."""
    if len(messages) == 1 and messages[0].get("role") == "user":
        return _said(messages[0])
    return "\n\n".join(f"[{message.get('role')}]\n{_said(message)}" for message in messages)


def _said(message: JsonObject) -> str:
    content = message.get("content")
    if isinstance(content, str):
        text = content
    elif isinstance(content, list):
        text = "\n".join(_part(part) for part in content)
    else:
        text = ""
    if calls := message.get("tool_calls"):
        text = f"{text}\n{json.dumps(calls, ensure_ascii=False)}".lstrip("\n")
    return text


def _part(part: object) -> str:
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return str(part["text"])
    url = part.get("image_url") if isinstance(part, dict) else None
    named = url.get("url") if isinstance(url, dict) else None
    shown = named if isinstance(named, str) and not named.startswith("data:") else "in the row"
    return f"[image: {shown}]"
