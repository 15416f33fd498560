"""Bedrock's conversation format, `bedrock-conversation-2024`, and its pairs of candidates: read."""

import json
from typing import NamedTuple

from ftctl.datasets.convert.example import (
    Call,
    CannotCarryError,
    Content,
    Conversation,
    Example,
    ImagePart,
    Message,
    Notes,
    Preference,
    TextPart,
    Tool,
)
from ftctl.datasets.convert.tools import read_function
from ftctl.datasets.rules.types import JsonObject, kind, shown

SCHEMA = "bedrock-conversation-2024"
_FORMATS = {"png": "png", "gif": "gif", "webp": "webp"}  # any other image is taken for JPEG


def image_format(address: str) -> str:
    """The format of an image by the end of its address."""
    return _FORMATS.get(address.rpartition(".")[2].lower(), "jpeg")


def read(row: JsonObject, notes: Notes) -> Example:
    """A row as an example."""
    notes.unknown(row, frozenset({"schemaVersion", "system", "toolConfig", "messages"}))
    turns = row.get("messages")
    if not isinstance(turns, list) or not turns:
        raise CannotCarryError("messages", "no turns in messages")
    messages: list[Message] = []
    if row.get("system"):
        found = _Parts(notes).read(row["system"], "system")
        messages.append(Message("system", found.content, path="system"))
    for i, turn in enumerate(turns):
        path = f"messages[{i}]"
        fields = _object(turn, path)
        if i == len(turns) - 1 and "candidates" in fields:
            return _pair(fields, Conversation(tuple(messages), _tools(row, notes)), path, notes)
        notes.unknown(fields, frozenset({"role", "content"}), path)
        messages += _turn(fields, path, notes)
    return Conversation(tuple(messages), _tools(row, notes))


def _object(value: object, path: str) -> JsonObject:
    if not isinstance(value, dict):
        raise CannotCarryError(path, f"{path} is {kind(value)}, not an object")
    return value


def _turn(turn: JsonObject, path: str, notes: Notes) -> list[Message]:
    role = turn.get("role")
    if role not in ("user", "assistant"):
        raise CannotCarryError(f"{path}.role", f"unknown role {shown(role)}")
    found = _Parts(notes).read(turn.get("content"), f"{path}.content")
    if role == "assistant":
        if found.answers:
            raise CannotCarryError(path, "a tool's result that isn't the user's")
        calls, reasoning = tuple(found.calls), "".join(found.reasoning) or None
        return [Message("assistant", found.content, calls=calls, reasoning=reasoning, path=path)]
    if found.calls or found.reasoning:
        raise CannotCarryError(path, "a call or reasoning that isn't the assistant's")
    said = [Message("user", found.content, path=path)] if found.said or not found.answers else []
    return found.answers + said


def _pair(turn: JsonObject, prompt: Conversation, path: str, notes: Notes) -> Preference:
    notes.unknown(turn, frozenset({"role", "candidates"}), path)
    sides: dict[object, tuple[Message, ...]] = {}
    candidates = turn["candidates"]
    for i, item in enumerate(candidates if isinstance(candidates, list) else ()):
        place = f"{path}.candidates[{i}]"
        side = _object(item, place)
        notes.unknown(side, frozenset({"content", "preferenceLabel"}), place)
        found = _turn({"role": "assistant", "content": side.get("content")}, place, notes)
        sides[side.get("preferenceLabel")] = tuple(found)
    pair = {"preferred", "non-preferred"}
    if set(sides) != pair or not isinstance(candidates, list) or len(candidates) != 2:
        said = "no pair of one preferred and one non-preferred candidate"
        raise CannotCarryError(f"{path}.candidates", said)
    return Preference(prompt, sides["preferred"], sides["non-preferred"])


def _tools(row: JsonObject, notes: Notes) -> tuple[Tool, ...] | None:
    if row.get("toolConfig") is None:
        return None
    config = _object(row["toolConfig"], "toolConfig")
    notes.unknown(config, frozenset({"tools"}), "toolConfig")
    tools = config.get("tools")
    if not isinstance(tools, list):
        raise CannotCarryError("toolConfig.tools", f"tools is {kind(tools)}, not a list")
    made = []
    for i, item in enumerate(tools):
        path = f"toolConfig.tools[{i}]"
        notes.unknown(_object(item, path), frozenset({"toolSpec"}), path)
        path = f"{path}.toolSpec"
        spec = dict(_object(item.get("toolSpec"), path))
        schema = spec.pop("inputSchema", None)
        if schema is not None:
            notes.unknown(_object(schema, path), frozenset({"json"}), f"{path}.inputSchema")
            spec["parameters"] = _object(schema, path).get("json")
        made.append(read_function(spec, path, notes))
    return tuple(made)


class _Found(NamedTuple):
    """What the parts of one turn are."""

    said: list[TextPart | ImagePart]
    calls: list[Call]
    answers: list[Message]
    reasoning: list[str]

    @property
    def content(self) -> Content:
        """What is said, as text where it is just that."""
        if len(self.said) == 1 and isinstance(self.said[0], TextPart):
            return self.said[0].text
        return tuple(self.said) or None


class _Parts:
    """Reads the parts of a turn."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def read(self, parts: object, path: str) -> _Found:
        if not isinstance(parts, list) or not parts:
            raise CannotCarryError(path, "no list of parts")
        found = _Found([], [], [], [])
        for i, part in enumerate(parts):
            self._part(_object(part, f"{path}[{i}]"), f"{path}[{i}]", found)
        return found

    def _part(self, part: JsonObject, path: str, found: _Found) -> None:
        kinds = [key for key, value in part.items() if value is not None]
        if len(kinds) != 1:
            raise CannotCarryError(path, "a part that isn't of one kind")
        (key,) = kinds
        if key == "text" and isinstance(part[key], str):
            found.said.append(TextPart(str(part[key])))
        elif key == "image":
            found.said.append(self._image(_object(part[key], path), f"{path}.image"))
        elif key == "toolUse":
            found.calls.append(self._call(_object(part[key], path), f"{path}.toolUse"))
        elif key == "toolResult":
            found.answers.append(self._answer(_object(part[key], path), f"{path}.toolResult"))
        elif key == "reasoningContent":
            found.reasoning.append(self._thought(_object(part[key], path), f"{path}.{key}"))
        else:
            raise CannotCarryError(path, f"a part of the kind {shown(key)} can't be carried")

    def _image(self, image: JsonObject, path: str) -> ImagePart:
        self._notes.unknown(image, frozenset({"format", "source"}), path)
        source = _object(image.get("source"), f"{path}.source")
        place = source.get("s3Location")
        address = place.get("uri") if isinstance(place, dict) else None
        if not isinstance(place, dict) or not isinstance(address, str):
            raise CannotCarryError(f"{path}.source", "an image that isn't in S3")
        self._notes.unknown(place, frozenset({"uri"}), f"{path}.source.s3Location")
        if image.get("format") != image_format(address):
            self._notes.dropped(f"{path}.format", "an image's format, other than by its address")
        return ImagePart(address)

    def _call(self, call: JsonObject, path: str) -> Call:
        self._notes.unknown(call, frozenset({"toolUseId", "name", "input"}), path)
        name, call_id, given = call.get("name"), call.get("toolUseId"), call.get("input")
        if not isinstance(name, str) or not name or not isinstance(call_id, str):
            raise CannotCarryError(path, "a call without name or id")
        return Call(call_id, name, json.dumps(given or {}, ensure_ascii=False))

    def _answer(self, answer: JsonObject, path: str) -> Message:
        self._notes.unknown(answer, frozenset({"toolUseId", "content"}), path)
        call_id, content = answer.get("toolUseId"), answer.get("content")
        if not isinstance(call_id, str) or not isinstance(content, list):
            raise CannotCarryError(path, "a tool's result without id or content")
        texts = []
        for i, item in enumerate(content):
            part = _object(item, f"{path}.content[{i}]")
            if isinstance(part.get("text"), str):
                texts.append(str(part["text"]))
            elif "json" in part:
                self._notes.changed(f"{path}.content[{i}]", "a result in JSON, to its text")
                texts.append(json.dumps(part["json"], ensure_ascii=False))
            else:
                raise CannotCarryError(f"{path}.content[{i}]", "a result that is no text")
        parts: Content = texts[0] if len(texts) == 1 else tuple(TextPart(text) for text in texts)
        return Message("tool", parts, call_id=call_id, path=path)

    def _thought(self, thought: JsonObject, path: str) -> str:
        self._notes.unknown(thought, frozenset({"reasoningText"}), path)
        text = _object(thought.get("reasoningText"), path)
        self._notes.unknown(text, frozenset({"text"}), f"{path}.reasoningText")
        return str(text.get("text") or "")
