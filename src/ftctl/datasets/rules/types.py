"""What rules are made of: a finding, and the view of an example that they look at."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ftctl.datasets.scan import masked_text

_SCANNED = 4096  # characters looked at before a value is cut for a message

JsonObject = dict[str, object]


class Finding(NamedTuple):
    """One thing a rule found; `rules.table` says who minds and how much.

    Attributes:
        key: The row of the table: a rule id, or `id/variant` where severity differs by case.
        path: JSON path such as `messages[2].content`; "" for the whole line or file.
        message: What was found, as a phrase. User text in it is short and quoted.
        hint: How to mend it, where the table's own hint isn't exact enough.
    """

    key: str
    path: str
    message: str
    hint: str = ""


class Message:
    """One message of a chat example; what isn't an object is left out by `read_example`.

    Attributes:
        index: Its place in the list.
        fields: What it holds.
        within: The list's JSON path.
        role: Its role, "" when it has none that is a string.
    """

    __slots__ = ("fields", "index", "role", "within")

    def __init__(self, index: int, fields: JsonObject, within: str = "messages") -> None:
        self.index = index
        self.fields = fields
        self.within = within
        role = fields.get("role")
        self.role = role if isinstance(role, str) else ""

    @property
    def path(self) -> str:
        """Its JSON path."""
        return f"{self.within}[{self.index}]"

    @property
    def calls(self) -> list[tuple[str, JsonObject]]:
        """The path and fields of each tool call that is an object."""
        calls = self.fields.get("tool_calls")
        if not isinstance(calls, list):
            return []
        return [
            (f"{self.path}.tool_calls[{i}]", call)
            for i, call in enumerate(calls)
            if isinstance(call, dict)
        ]


@dataclass(frozen=True, slots=True)
class Example:
    """One line's object, with the messages that can be looked at."""

    row: JsonObject
    messages: list[Message]

    def iter_texts(self) -> Iterator[tuple[str, Message, str]]:
        """Path, message and text of everything a person or a model wrote."""
        for message in self.messages:
            content = message.fields.get("content")
            if isinstance(content, str):
                yield f"{message.path}.content", message, content
            elif isinstance(content, list):
                for i, part in enumerate(content):
                    text = part.get("text") if isinstance(part, dict) else part
                    if isinstance(text, str):
                        yield f"{message.path}.content[{i}]", message, text
            for path, call in message.calls:
                function = call.get("function")
                arguments = function.get("arguments") if isinstance(function, dict) else None
                if isinstance(arguments, str):
                    yield f"{path}.function.arguments", message, arguments


def read_example(row: JsonObject) -> Example:
    """The view of a row; messages are empty when the row has none that can be looked at."""
    messages = row.get("messages")
    found = messages if isinstance(messages, list) else []
    return Example(row, [Message(i, m) for i, m in enumerate(found) if isinstance(m, dict)])


def text_in(content: object) -> str:
    """What content says: itself, or the text parts of it joined; empty when it is neither."""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def shown(value: object, limit: int = 40) -> str:
    """A value as it may stand in a message: quoted, on one line, cut short."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**20:
        return "a very large whole number"
    if isinstance(value, str):
        value = masked_text(value[:_SCANNED])  # before it is cut: half a key matches no pattern
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    text = repr(value) if isinstance(value, str | int | float) else kind(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def kind(value: object) -> str:
    """JSON's own word for a value's type."""
    if isinstance(value, bool):
        return "true or false"
    names = {dict: "an object", list: "a list", str: "a string", type(None): "null"}
    return names.get(type(value), "an object" if isinstance(value, dict) else "a number")


def join(path: str, key: str) -> str:
    """The path of a key below a path; a key that is no plain word is quoted."""
    key = masked_text(key[:_SCANNED])
    if not re.fullmatch(r"[A-Za-z_][\w-]{0,63}", key, re.ASCII):
        shown = key if len(key) <= 64 else f"{key[:64]}…"
        return f"{path}[{json.dumps(shown)}]"
    return f"{path}.{key}" if path else key
