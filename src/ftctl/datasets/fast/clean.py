"""Whether a decoded row is so simple that no rule can find anything in it.

Each test here is at least as strict as the rules that it spares (`datasets/rules`); tests hold it
to that on generated rows.

A new rule that could find something in such a row needs its test here or its mark in `screen`.
"""

import re
from typing import NamedTuple

from msgspec import UNSET

from ftctl.datasets.fast.rows import Answer, Assistant, Call, System, Tool, ToolRow, User
from ftctl.datasets.fast.tool_sets import NO_TOOLS, ToolSet, arguments_fit, tool_set
from ftctl.datasets.rules.content import special_tokens
from ftctl.datasets.rules.privacy import iter_hits
from ftctl.datasets.rules.tool_calls import MISTRAL_ID
from ftctl.datasets.rules.tools import tool_name_valid
from ftctl.datasets.rules.types import Example, Message
from ftctl.datasets.scan import has_private_number

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_SHAPES_KEPT = 10_000


class _InTurn(dict[tuple[type, ...], bool]):
    """By the types of messages: a system message first if at all, user and assistant in turn."""

    def __missing__(self, shape: tuple[type, ...]) -> bool:
        if len(self) >= _SHAPES_KEPT:
            self.clear()
        spoken = shape[1:] if shape[:1] == (System,) else shape
        pairs = (User, Answer) * (len(spoken) // 2)
        known = self[shape] = bool(spoken) and spoken == pairs
        return known


IN_TURN = _InTurn()


def size_bytes(said: list[str]) -> int:
    """UTF-8 bytes of texts."""
    if all(map(str.isascii, said)):
        return sum(map(len, said))
    return sum(len(text) if text.isascii() else len(text.encode()) for text in said)


class Talk(NamedTuple):
    """A clean row that may hold tools.

    Attributes:
        members: Of all its objects, if no key comes twice.
        billed: What is said and called: the texts that count as tokens.
        declared: The definitions of its tools as JSON.
        texts: All text of it but for the definitions: ids and names, too.
        keys: Those beside `messages`.
    """

    members: int
    billed: list[str]
    declared: str
    texts: list[str]
    keys: frozenset[str]


_PARALLEL = "parallel_tool_calls"
_KEYS = {
    (tools, parallel): frozenset(["tools"] * tools + [_PARALLEL] * parallel)
    for tools in (False, True)
    for parallel in (False, True)
}


def talk(row: ToolRow, *, nine: bool) -> Talk | None:
    """A row, if it is clean and no key comes twice, which only its bytes tell.

    Args:
        row: The row.
        nine: Whether somebody minds ids of calls that aren't nine letters and digits.
    """
    has_tools, parallel = row.tools is not UNSET, row.parallel_tool_calls is not UNSET
    declared = NO_TOOLS if row.tools is UNSET else tool_set(bytes(row.tools))
    if declared is None:
        return None
    read = _Talk(declared, parallel=row.parallel_tool_calls is not False, nine=nine)
    if not all(map(read.takes, row.messages)) or not read.ended:
        return None
    members = 1 + has_tools + parallel + declared.members + read.members
    keys = _KEYS[has_tools, parallel]
    return Talk(members, read.billed, declared.text, read.texts, keys)


class _Talk:
    """A row's messages one by one, as long as nothing about them is odd."""

    def __init__(self, declared: ToolSet, *, parallel: bool, nine: bool) -> None:
        self.members = 0  # of the objects so far
        self.texts: list[str] = []
        self.billed: list[str] = []  # those that count as tokens
        self.ended = False
        self._functions = declared.functions
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
            function = self._functions.get(name)
            if function is None or not call.id or call.id in self._open:
                return False
            if self._nine and not MISTRAL_ID.fullmatch(call.id):
                return False
            if not arguments_fit(text, function):
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


def nothing_hidden(said: list[str]) -> bool:
    """Whether no text holds control characters or marks."""
    if any(map(_CONTROL.search, said)):
        return False
    messages = [Message(i, {"content": text}) for i, text in enumerate(said)]
    return next(special_tokens(Example({}, messages)), None) is None


def nothing_private(said: list[str]) -> bool:
    """Whether the scan finds neither personal data nor secrets."""
    return next(iter_hits(said), None) is None


def no_private_number(said: list[str]) -> bool:
    """Whether the scan finds no card, account or telephone's number."""
    return not any(map(has_private_number, said))
