"""Rules on chat rows in the own shape of a vendor that doesn't take OpenAI's.

Sources: Gemini's page on tuning data; Nova's data page and AWS's checker for it; read by 2026-11.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ftctl.datasets.rules.types import Finding, JsonObject, kind, shown


class _Shape(NamedTuple):
    """Where a vendor's row has its turns, and what they are made of.

    Attributes:
        rule: The row of the rule table.
        turns: The key of the list of turns.
        parts: The key of a turn's list of parts.
        model: The role of what is learnt.
        kinds: Keys of which a part has one.
    """

    rule: str
    turns: str
    parts: str
    model: str
    kinds: frozenset[str]


_GEMINI = _Shape(
    "gemini-row",
    "contents",
    "parts",
    "model",
    frozenset({"text", "fileData", "inlineData", "functionCall", "functionResponse"}),
)
_NOVA = _Shape(
    "bedrock-row",
    "messages",
    "content",
    "assistant",
    frozenset({"text", "image", "video", "reasoningContent", "toolUse", "toolResult"}),
)
_BY_FORMAT: Mapping[str, _Shape] = {"format/gemini": _GEMINI, "format/bedrock": _NOVA}


def values(format_key: str, row: JsonObject) -> Iterator[Finding]:
    """`gemini-row` or `bedrock-row`; nothing of a row in another format.

    Args:
        format_key: The row of the rule table that judges the row's format.
        row: The row.
    """
    shape = _BY_FORMAT.get(format_key)
    if shape is None:
        return
    if shape is _NOVA and not isinstance(row.get("schemaVersion"), str):
        yield Finding(shape.rule, "schemaVersion", "no schemaVersion")
    turns = row.get(shape.turns)
    if not isinstance(turns, list) or not turns:
        yield Finding(shape.rule, shape.turns, f"{shape.turns} is no list of turns")
        return
    expected = "user"
    for i, turn in enumerate(turns):
        path = f"{shape.turns}[{i}]"
        if not isinstance(turn, dict):
            yield Finding(shape.rule, path, f"the turn is {kind(turn)}, not an object")
            continue
        role = turn.get("role")
        if role not in ("user", shape.model):
            said = f"the role is {shown(role)}, not user or {shape.model}"
            yield Finding(shape.rule, f"{path}.role", said)
        elif role != expected:
            yield Finding(shape.rule, f"{path}.role", f"a turn of {role}, where {expected} is due")
        expected = shape.model if role == "user" else "user"
        yield from _parts(turn.get(shape.parts), f"{path}.{shape.parts}", shape)
    if expected != "user":
        path = f"{shape.turns}[{len(turns) - 1}].role"
        yield Finding(shape.rule, path, f"the last turn isn't of the role {shape.model}")


def _parts(parts: object, path: str, shape: _Shape) -> Iterator[Finding]:
    if not isinstance(parts, list) or not parts:
        yield Finding(shape.rule, path, "no list of parts")
        return
    for i, part in enumerate(parts):
        if not isinstance(part, dict) or not shape.kinds & set(part):
            yield Finding(shape.rule, f"{path}[{i}]", "a part of no known kind")
        elif "text" in part and not isinstance(part["text"], str):
            yield Finding(shape.rule, f"{path}[{i}].text", f"the text is {kind(part['text'])}")
