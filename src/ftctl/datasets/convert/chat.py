"""Chat messages and tools as OpenAI shapes them, which most formats share: read, and written."""

import json
from collections.abc import Iterator

from ftctl.datasets.convert.example import (
    Call,
    CannotCarryError,
    Content,
    Conversation,
    ImagePart,
    Message,
    Notes,
    Role,
    TextPart,
)
from ftctl.datasets.convert.tools import read_tools, write_tools
from ftctl.datasets.rules.types import JsonObject, kind, shown

_ROLES: dict[str, Role] = {
    **{role: role for role in ("system", "developer", "user", "assistant", "tool")},
    "human": "user",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
}
ROW_KEYS = frozenset({"messages", "tools", "parallel_tool_calls", "functions"})
_MESSAGE_KEYS = frozenset(
    {
        *("role", "content", "text", "name", "weight", "refusal"),
        *("tool_calls", "function_call", "tool_call_id", "reasoning_content", "reasoning"),
    }
)
_ROLE_OF = {"tool_calls": "assistant", "function_call": "assistant", "weight": "assistant"}


def made_up_id(number: int) -> str:
    """The id of a call that came without one: nine letters and digits, as Mistral wants them."""
    return f"call{number:05d}"


def read_conversation(row: JsonObject, notes: Notes) -> Conversation:
    """A chat row, legacy functions included.

    Raises:
        CannotCarryError: it isn't one.
    """
    notes.unknown(row, ROW_KEYS, "")
    return Conversation(
        messages=read_messages(row.get("messages"), "messages", notes),
        tools=read_tools(row, notes),
        parallel=_parallel(row, notes),
    )


def _parallel(row: JsonObject, notes: Notes) -> bool | None:
    value = row.get("parallel_tool_calls")
    if value is None or isinstance(value, bool):
        return value
    notes.dropped("parallel_tool_calls", f"parallel_tool_calls that is {kind(value)}")
    return None


def read_messages(value: object, path: str, notes: Notes) -> tuple[Message, ...]:
    """A list of messages.

    Args:
        value: What stands at the path.
        path: Its JSON path.
        notes: Told of what is left out.

    Raises:
        CannotCarryError: one of them can't be understood.
    """
    if not isinstance(value, list) or not value:
        found = "an empty list" if value == [] else kind(value)
        raise CannotCarryError(path, f"{path} is {found}, not a list of messages")
    reader = _MessageReader(notes)
    return tuple(reader.read(item, f"{path}[{i}]") for i, item in enumerate(value))


class _MessageReader:
    """Messages one after the other; remembers the calls that legacy answers belong to."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._made_up = 0
        self._open: dict[str, list[str]] = {}  # ids of legacy calls that wait for theirs, by name

    def read(self, fields: object, path: str) -> Message:
        if not isinstance(fields, dict):
            raise CannotCarryError(path, f"the message is {kind(fields)}")
        self._notes.unknown(fields, _MESSAGE_KEYS, path)
        legacy = fields.get("role") == "function"
        said = "tool" if legacy else fields.get("role")
        role = read_role(said, f"{path}.role", self._notes)
        for key, owner in _ROLE_OF.items():
            if role != owner and fields.get(key) not in (None, []):
                self._notes.dropped(f"{path}.{key}", f"{key} on a message that isn't the {owner}'s")
        answers = role == "assistant"
        name = _text(fields, "name", path)
        call_id = self._call_id(fields, role, path)
        if legacy:
            call_id = self._answered(name or "", path)
        return Message(
            role=role,
            content=self._content(fields, path),
            name=None if legacy else name,
            weight=self._weight(fields.get("weight"), f"{path}.weight") if answers else None,
            calls=tuple(self._calls(fields, path)) if answers else (),
            call_id=call_id,
            refusal=_text(fields, "refusal", path) or None,
            reasoning=_text(fields, "reasoning_content", path) or _text(fields, "reasoning", path),
            path=path,
        )

    def _content(self, fields: JsonObject, path: str) -> Content:
        if fields.get("text") is not None:
            if fields.get("content") is None and isinstance(fields["text"], str):
                self._notes.changed(f"{path}.text", "the key text, to content")
                return fields["text"]
            self._notes.dropped(f"{path}.text", "the key 'text'")
        return read_content(fields.get("content"), f"{path}.content", self._notes)

    def _weight(self, value: object, path: str) -> int | None:
        if value is None:
            return None
        if value in (0, 1) or value in ("0", "1"):
            if type(value) is not int:
                self._notes.changed(path, "the weight, to a whole number")
            return int(value in (1, "1"))
        self._notes.dropped(path, "a weight other than 0 and 1")
        return None

    def _calls(self, fields: JsonObject, path: str) -> Iterator[Call]:
        calls, legacy = fields.get("tool_calls"), fields.get("function_call")
        if calls is not None and not isinstance(calls, list):
            raise CannotCarryError(f"{path}.tool_calls", f"tool_calls is {kind(calls)}, not a list")
        for i, call in enumerate(calls or ()):
            yield self._call(call, f"{path}.tool_calls[{i}]")
        if legacy is not None:
            self._notes.changed(f"{path}.function_call", "function_call, to tool_calls")
            made = self._function(legacy, f"{path}.function_call", self._new_id())
            self._open.setdefault(made.name, []).append(made.id)
            yield made

    def _call(self, call: object, path: str) -> Call:
        if not isinstance(call, dict):
            raise CannotCarryError(path, f"the call is {kind(call)}")
        if call.get("type", "function") != "function":
            raise CannotCarryError(f"{path}.type", "a call of something that is no function")
        self._notes.unknown(call, frozenset({"id", "type", "function", "index"}), path)
        found = call.get("id")
        if not isinstance(found, str) or not found:
            found = self._new_id()
            self._notes.changed(f"{path}.id", "an id made up for a call without one")
        return self._function(call.get("function"), f"{path}.function", found)

    def _function(self, function: object, path: str, call_id: str) -> Call:
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(function, dict) or not isinstance(name, str) or not name:
            raise CannotCarryError(path, "the call names no function")
        self._notes.unknown(function, frozenset({"name", "arguments"}), path)
        return Call(call_id, name, read_arguments(function.get("arguments"), path, self._notes))

    def _new_id(self) -> str:
        self._made_up += 1
        return made_up_id(self._made_up)

    def _answered(self, name: str, path: str) -> str | None:
        self._notes.changed(f"{path}.role", "the role function, to tool")
        waiting = self._open.get(name)
        return waiting.pop(0) if waiting else None

    def _call_id(self, fields: JsonObject, role: Role, path: str) -> str | None:
        found = _text(fields, "tool_call_id", path)
        if role == "tool" or found is None:
            return found
        self._notes.dropped(f"{path}.tool_call_id", "tool_call_id on a message that isn't a tool's")
        return None


def read_role(value: object, path: str, notes: Notes) -> Role:
    """One of the five roles; case, spaces and ShareGPT's words are mended.

    Raises:
        CannotCarryError: it is none of them.
    """
    if not isinstance(value, str):
        raise CannotCarryError(path, f"the role is {kind(value)}")
    role = _ROLES.get(value.strip().lower())
    if role is None:
        raise CannotCarryError(path, f"unknown role {shown(value)}")
    if role != value:
        notes.changed(path, "the role, to its usual word")
    return role


def _text(fields: JsonObject, key: str, path: str) -> str | None:
    value = fields.get(key)
    if value is None or isinstance(value, str):
        return value
    raise CannotCarryError(f"{path}.{key}", f"{key} is {kind(value)}")


def read_content(value: object, path: str, notes: Notes) -> Content:
    """Text, or parts of text and images.

    Raises:
        CannotCarryError: a part is neither.
    """
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise CannotCarryError(path, f"content is {kind(value)}")
    return tuple(_part(part, f"{path}[{i}]", notes) for i, part in enumerate(value))


def _part(part: object, path: str, notes: Notes) -> TextPart | ImagePart:
    if isinstance(part, str):
        notes.changed(path, "a bare text among parts, to a part")
        return TextPart(part)
    if not isinstance(part, dict):
        raise CannotCarryError(path, f"the part is {kind(part)}")
    notes.unknown(part, frozenset({"type", "text", "image_url"}), path)
    text, image = part.get("text"), part.get("image_url")
    if part.get("type") == "text" and isinstance(text, str):
        return TextPart(text)
    if part.get("type") != "image_url":
        raise CannotCarryError(path, f"a part of type {shown(part.get('type'))} can't be carried")
    if isinstance(image, str):
        return ImagePart(image)
    url = image.get("url") if isinstance(image, dict) else None
    if not isinstance(image, dict) or not isinstance(url, str):
        raise CannotCarryError(f"{path}.image_url", "no URL in the part")
    notes.unknown(image, frozenset({"url", "detail"}), f"{path}.image_url")
    detail = image.get("detail")
    if not isinstance(detail, str | None):
        notes.dropped(f"{path}.image_url.detail", f"detail that is {kind(detail)}")
    return ImagePart(url, detail if isinstance(detail, str) else None)


def read_arguments(value: object, path: str, notes: Notes) -> str:
    """Arguments as the JSON text that a model writes."""
    if isinstance(value, str):
        return value
    if not isinstance(value, dict | type(None)):
        raise CannotCarryError(f"{path}.arguments", f"arguments is {kind(value)}")
    if value is None:
        notes.changed(f"{path}.arguments", "no arguments, to an empty object")
    return json.dumps(value or {}, ensure_ascii=False)


def write_conversation(conversation: Conversation) -> JsonObject:
    """A chat row of everything that the conversation says."""
    row: JsonObject = {"messages": write_messages(conversation.messages)}
    if conversation.tools is not None:
        row["tools"] = write_tools(conversation.tools)
    if conversation.parallel is not None:
        row["parallel_tool_calls"] = conversation.parallel
    return row


def write_messages(messages: tuple[Message, ...]) -> list[JsonObject]:
    """Messages as OpenAI shapes them."""
    return [_message(message) for message in messages]


def _message(message: Message) -> JsonObject:
    fields: JsonObject = {"role": message.role, "content": write_content(message.content)}
    if message.calls:
        fields["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.calls
        ]
    more = {
        "tool_call_id": message.call_id,
        "name": message.name,
        "weight": message.weight,
        "refusal": message.refusal,
        "reasoning_content": message.reasoning,
    }
    return fields | {key: value for key, value in more.items() if value is not None}


def write_content(content: Content) -> object:
    """Content as OpenAI shapes it."""
    if not isinstance(content, tuple):
        return content
    return [_written(part) for part in content]


def _written(part: TextPart | ImagePart) -> JsonObject:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    image = {"url": part.url} | ({"detail": part.detail} if part.detail is not None else {})
    return {"type": "image_url", "image_url": image}
