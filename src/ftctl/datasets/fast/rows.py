"""Rows as types: what doesn't fit them exactly is for the rules to look at.

The decoder refuses what is no strict JSON (NaN, halves of surrogate pairs, UTF-8 that isn't),
unknown keys and other types. It lets three things pass, measured with msgspec 0.22: keys that
come twice, anything inside `Raw`, and control characters written as escapes.
"""

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.json import Decoder


class System(Struct, tag_field="role", tag="system", forbid_unknown_fields=True, gc=False):
    """A system message of text."""

    content: str


class User(Struct, tag_field="role", tag="user", forbid_unknown_fields=True, gc=False):
    """A user message of text."""

    content: str


class Answer(Struct, tag_field="role", tag="assistant", forbid_unknown_fields=True, gc=False):
    """An assistant message of nothing but text."""

    content: str


class PlainRow(Struct, forbid_unknown_fields=True, gc=False):
    """What most rows are: messages of role and text."""

    messages: list[System | User | Answer]


class Function(Struct, forbid_unknown_fields=True, gc=False):
    """What is called, with its arguments as JSON text."""

    name: str
    arguments: str


class Call(Struct, forbid_unknown_fields=True, gc=False):
    """A tool call."""

    id: str
    type: Literal["function"]
    function: Function


class Assistant(Struct, tag_field="role", tag="assistant", forbid_unknown_fields=True, gc=False):
    """An assistant message that may call tools."""

    content: str | UnsetType | None = UNSET
    tool_calls: list[Call] | UnsetType = UNSET
    weight: int | UnsetType = UNSET


class Tool(Struct, tag_field="role", tag="tool", forbid_unknown_fields=True, gc=False):
    """A tool's answer."""

    content: str
    tool_call_id: str
    name: str | UnsetType = UNSET


class ToolRow(Struct, forbid_unknown_fields=True, gc=False):
    """A row in which tools are declared and called."""

    messages: list[System | User | Assistant | Tool]
    tools: Raw | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET


ROLES: dict[type, str] = {System: "system", User: "user", Answer: "assistant"}
_decode_plain = Decoder(PlainRow).decode
decode_plain_lines = Decoder(PlainRow).decode_lines
decode_tools = Decoder(ToolRow).decode


def plain_row(line: bytes) -> PlainRow | None:
    """What stands on a line, where that is a plain row."""
    try:
        return _decode_plain(line)
    except (ValueError, RecursionError):
        return None
