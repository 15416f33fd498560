"""Tool definitions that come on line after line: judged once by every rule, then remembered."""

import functools
import json
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from ftctl.datasets.fingerprints import canonical
from ftctl.datasets.rules import tools as rules
from ftctl.datasets.rules.json_text import parse_line
from ftctl.datasets.rules.privacy import iter_hits
from ftctl.datasets.rules.types import Example, JsonObject

_MOST_BRACKETS = 200  # fewer than `DEPTH_CAP`, so nesting can't pass it either
_TYPES: Mapping[object, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_OBJECT_KEYS = {"type", "properties", "required", "additionalProperties", "description", "title"}
_VALUE_KEYS = {"type", "description", "title", "default", "enum"}


class ToolSet(NamedTuple):
    """Definitions in which no rule finds anything.

    Attributes:
        schemas: Of each function, by its name; None where it declares no parameters.
        size: Characters of the definitions as JSON.
        colons: How many colons their text has.
    """

    schemas: Mapping[str, JsonObject | None]
    size: int
    colons: int


NO_TOOLS = ToolSet({}, 0, 0)


@functools.lru_cache(maxsize=512)
def tool_set(text: bytes) -> ToolSet | None:
    """The definitions in some JSON; None when a rule finds anything in them."""
    if few_brackets(text):
        parsed = parse_line(text)
        tools = parsed.value
        if parsed.valid and not parsed.findings and isinstance(tools, list):
            row: JsonObject = {"tools": tools}
            found = (finding for rule in rules.RULES for finding in rule(Example(row, [])))
            if next(found, None) is None and next(iter_hits(row), None) is None:
                return _described(row, text)
    return None


def few_brackets(text: bytes | str) -> bool:
    """Whether a JSON text can't be nested deeply."""
    if isinstance(text, str):
        return text.count("[") + text.count("{") <= _MOST_BRACKETS
    return text.count(b"[") + text.count(b"{") <= _MOST_BRACKETS


def _described(row: JsonObject, text: bytes) -> ToolSet:
    schemas: dict[str, JsonObject | None] = {}
    for _, function in rules.functions_of(row):
        schema = function.get("parameters")
        schemas[str(function.get("name"))] = schema if isinstance(schema, dict) else None
    size = len(canonical(row["tools"])) if row["tools"] else 0
    return ToolSet(schemas, size, text.count(b":"))


def arguments_fit(text: str, schema: JsonObject | None) -> bool:
    """Whether it is sure that no rule finds anything in a call's arguments."""
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, dict) or not few_brackets(text):
        return False
    # No more colons than keys: none of them came twice.
    if text.count(":") != len(value) and not keys_once(text):
        return False
    return schema is None or _fits(value, schema) or not rules.arguments_problem(schema, value)


def _fits(value: JsonObject, schema: JsonObject) -> bool:
    """Whether it is sure, by the simplest schemas' few words, that a value fits."""
    known, required = schema.get("properties", {}), schema.get("required", [])
    if not schema.keys() <= _OBJECT_KEYS or schema.get("type", "object") != "object":
        return False
    if not isinstance(known, dict) or not isinstance(required, list):
        return False
    return all(key in value for key in required) and all(
        _value_fits(item, known.get(key)) for key, item in value.items()
    )


def _value_fits(value: object, schema: object) -> bool:
    if not isinstance(schema, dict) or not schema.keys() <= _VALUE_KEYS:
        return False
    name, among = schema.get("type"), schema.get("enum")
    if not isinstance(name, str) or type(value) not in _TYPES.get(name, ()):
        return False
    return among is None or (isinstance(value, str) and isinstance(among, list) and value in among)


class _TwiceError(ValueError):
    pass


def _once(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise _TwiceError


_decoder = json.JSONDecoder(object_pairs_hook=_once)


def keys_once(text: str) -> bool:
    """Whether each key comes once in its object, in a text that is JSON."""
    try:
        _decoder.raw_decode(text, len(text) - len(text.lstrip()))
    except (ValueError, RecursionError):
        return False
    return True
