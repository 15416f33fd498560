"""Tool definitions that come on line after line: judged once by every rule, then remembered."""

import functools
import json
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from ftctl.datasets.fast.screen import members
from ftctl.datasets.fingerprints import canonical
from ftctl.datasets.rules import tools as rules
from ftctl.datasets.rules.json_text import parse_line
from ftctl.datasets.rules.privacy import iter_hits
from ftctl.datasets.rules.types import Example, JsonObject

_MOST_BRACKETS = 200  # fewer than `DEPTH_CAP`, so nesting can't pass it either
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_OBJECT_KEYS = {"type", "properties", "required", "additionalProperties", "description", "title"}
_VALUE_KEYS = {"type", "description", "title", "default", "enum"}


class Function(NamedTuple):
    """A function that may be called.

    Attributes:
        schema: Of its parameters; None where it declares none.
        required: Parameters that a call must have.
        simple: The types and values that each parameter takes; None where the schema says more
            than that.
    """

    schema: JsonObject | None
    required: frozenset[str] = frozenset()
    simple: Mapping[str, tuple[tuple[type, ...], list[object] | None]] | None = None


class ToolSet(NamedTuple):
    """Definitions in which no rule finds anything.

    Attributes:
        functions: By their names.
        text: The definitions as `canonical` writes them; "" where there are none.
        members: How many members the objects in them have.
    """

    functions: Mapping[str, Function]
    text: str
    members: int


NO_TOOLS = ToolSet({}, "", 0)


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
    functions: dict[str, Function] = {}
    for _, function in rules.functions_of(row):
        schema = function.get("parameters")
        simple = _simple(schema) if isinstance(schema, dict) else Function(None)
        functions[str(function.get("name"))] = simple
    written = canonical(row["tools"]) if row["tools"] else ""
    return ToolSet(functions, written, members(text))


def _simple(schema: JsonObject) -> Function:
    """What a schema asks for, as far as it says so in the simplest words."""
    known, required = schema.get("properties", {}), schema.get("required", [])
    if not schema.keys() <= _OBJECT_KEYS or schema.get("type", "object") != "object":
        return Function(schema)
    if not isinstance(known, dict) or not isinstance(required, list):
        return Function(schema)
    takes = {}
    for key, of_value in known.items():
        if isinstance(of_value, dict) and of_value.keys() <= _VALUE_KEYS:
            name, among = of_value.get("type"), of_value.get("enum")
            if isinstance(name, str) and name in _TYPES and isinstance(among, list | None):
                takes[key] = (_TYPES[name], among)
    return Function(schema, frozenset(required), takes)


def arguments_fit(text: str, function: Function) -> bool:
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
    schema = function.schema
    return schema is None or _fits(value, function) or not rules.arguments_problem(schema, value)


def _fits(value: JsonObject, function: Function) -> bool:
    """Whether it is sure, by the simplest schemas' few words, that a value fits."""
    if function.simple is None or not function.required <= value.keys():
        return False
    for key, item in value.items():
        takes = function.simple.get(key)
        if takes is None or type(item) not in takes[0]:
            return False
        if takes[1] is not None and not (isinstance(item, str) and item in takes[1]):
            return False
    return True


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
