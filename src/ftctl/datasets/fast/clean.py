"""Whether a decoded row is so simple that no rule can find anything in it.

Each test here is at least as strict as the rules that it spares (`datasets/rules`); tests hold it
to that on generated rows.

A new rule that could find something in such a row needs its test here or its mark in `screen`.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import UNSET

from ftctl.datasets.fast.rows import Answer, Assistant, Call, System, Tool, ToolRow, User
from ftctl.datasets.fast.tool_sets import NO_TOOLS, ToolSet, arguments_fit, keys_once, tool_set
from ftctl.datasets.rules.content import special_tokens
from ftctl.datasets.rules.privacy import iter_hits
from ftctl.datasets.rules.tool_calls import MISTRAL_ID
from ftctl.datasets.rules.tools import tool_name_valid
from ftctl.datasets.rules.types import Example, Message

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_SHAPES_KEPT = 10_000
_shapes: dict[tuple[type, ...], bool] = {}


def in_turn(messages: Sequence[System | User | Answer]) -> bool:
    """Whether a system message is first if at all, then user and assistant in turn, answer last."""
    shape = tuple(map(type, messages))
    known = _shapes.get(shape)
    if known is None:
        if len(_shapes) >= _SHAPES_KEPT:
            _shapes.clear()
        spoken = shape[1:] if shape[:1] == (System,) else shape
        pairs = (User, Answer) * (len(spoken) // 2)
        known = _shapes[shape] = bool(spoken) and spoken == pairs
    return known


def size_bytes(said: list[str]) -> int:
    """UTF-8 bytes of texts."""
    if all(map(str.isascii, said)):
        return sum(map(len, said))
    return sum(len(text) if text.isascii() else len(text.encode()) for text in said)


class Talk(NamedTuple):
    """A clean row with tools.

    Attributes:
        billed: The texts that count as tokens.
        declared: Characters of the definitions of its tools.
        texts: All text of it but for the definitions.
    """

    billed: list[str]
    declared: int
    texts: list[str]


def talk(row: ToolRow, line: bytes, *, nine: bool) -> Talk | None:
    """A row that may declare and call tools, if it is clean.

    Args:
        row: The row.
        line: Its bytes, in which no key may come twice.
        nine: Whether somebody minds ids of calls that aren't nine letters and digits.
    """
    declared = NO_TOOLS if row.tools is UNSET else tool_set(bytes(row.tools))
    if declared is None:
        return None
    read = _Talk(declared, parallel=row.parallel_tool_calls is not False, nine=nine)
    if not all(map(read.takes, row.messages)) or not read.ended:
        return None
    # Each member of an object has one colon, which nothing can hide but an escape (`screen`).
    beside = 1 + (row.tools is not UNSET) + (row.parallel_tool_calls is not UNSET)
    colons = declared.colons + sum(text.count(":") for text in read.texts)
    if line.count(b":") != beside + read.members + colons and not keys_once(line.decode()):
        return None
    return Talk(read.billed, declared.size, read.texts)


class _Talk:
    """A row's messages one by one, as long as nothing about them is odd."""

    def __init__(self, declared: ToolSet, *, parallel: bool, nine: bool) -> None:
        self.members = 0  # of the objects so far
        self.texts: list[str] = []
        self.billed: list[str] = []  # those that count as tokens
        self.ended = False
        self._schemas = declared.schemas
        self._most_calls = None if parallel else 1
        self._nine = nine
        self._turn: type = User
        self._open: set[str] = set()  # ids of calls that wait for their answer

    def takes(self, message: System | User | Assistant | Tool) -> bool:
        """Whether the next message is as it must be."""
        kind, text = message.__class__, message.content
        self.members += 2
        first = not self.billed
        if text:
            self.billed.append(text)
            self.texts.append(text)
        self.ended = kind is Assistant
        if isinstance(message, Tool):
            return self._answer(message)
        if kind is not self._turn or self._open:
            return kind is System and first and _said(text)
        if not isinstance(message, Assistant):
            self._turn = Assistant
            return _said(text)
        self._turn = User
        if message.weight is not UNSET:
            self.members += 1
            if message.weight != 1:
                return False
        if message.tool_calls is UNSET:
            return _said(text)
        self.members += text is None
        return not text and text != "" and self._calls(message.tool_calls)

    def _calls(self, calls: list[Call]) -> bool:
        for call in calls:
            name, text = call.function.name, call.function.arguments
            if not call.id or call.id in self._open or name not in self._schemas:
                return False
            if self._nine and not MISTRAL_ID.fullmatch(call.id):
                return False
            if not arguments_fit(text, self._schemas[name]):
                return False
            self._open.add(call.id)
            self.members += 5
            self.billed.append(text)
            self.texts += (call.id, name, text)
        return bool(calls) and (self._most_calls is None or len(calls) <= self._most_calls)

    def _answer(self, message: Tool) -> bool:
        if message.tool_call_id not in self._open:
            return False
        self._open.remove(message.tool_call_id)
        self._turn = User if self._open else Assistant
        self.members += 1
        self.texts.append(message.tool_call_id)
        if message.name is UNSET:
            return True
        self.members += 1
        self.texts.append(message.name)
        return tool_name_valid(message.name)


def _said(text: object) -> bool:
    return isinstance(text, str) and bool(text) and text.strip() is text


def nothing_hidden(said: list[str], line: bytes) -> bool:
    """Whether it is sure that no key comes twice and no text holds control characters or marks."""
    if any(map(_CONTROL.search, said)) or not keys_once(line.decode()):
        return False
    messages = [Message(i, {"content": text}) for i, text in enumerate(said)]
    return next(special_tokens(Example({}, messages)), None) is None


def nothing_private(said: list[str]) -> bool:
    """Whether the scan finds neither personal data nor secrets."""
    return next(iter_hits(said), None) is None
