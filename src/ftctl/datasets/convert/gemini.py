"""Gemini's tuning format: `contents` of parts, a system instruction, pairs with scores.

Source: Google's tuning-data pages, read 2026-11. Preference rows write `system_instruction`,
others `systemInstruction`.
"""

import json
from dataclasses import replace

from ftctl.datasets.convert.chat import made_up_id
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
    Role,
    TextPart,
    Tool,
)
from ftctl.datasets.convert.reduce import as_conversation, fitted
from ftctl.datasets.convert.says import Says
from ftctl.datasets.convert.steps import text_of, with_function_names
from ftctl.datasets.convert.tools import arguments_object, read_tool_list, write_function
from ftctl.datasets.rules.types import JsonObject, kind, shown

_KEYS = frozenset({"contents", "tools", "systemInstruction", "system_instruction", "completions"})
SAYS = Says(
    images=("https://", "gs://"),
    tools=True,
    several_calls=True,
    text_beside_calls=True,
    open_end=True,
    same_speaker=True,
)
_TYPES = {".png": "image/png", ".webp": "image/webp"}  # any other image is taken for JPEG


def read(row: JsonObject, notes: Notes) -> Example:
    """A row as an example."""
    notes.unknown(row, _KEYS)
    reader = _Reader(notes)
    messages: list[Message] = []
    for key in ("systemInstruction", "system_instruction"):
        if row.get(key) is not None:
            messages += reader.turn({**_object(row[key], key), "role": "system"}, key)
    contents = row.get("contents")
    if not isinstance(contents, list) or not contents:
        raise CannotCarryError("contents", "no turns in contents")
    for i, turn in enumerate(contents):
        messages += reader.turn(_object(turn, f"contents[{i}]"), f"contents[{i}]")
    prompt = Conversation(tuple(messages), _tools(row, notes))
    return prompt if row.get("completions") is None else _preference(row, prompt, reader)


def _object(value: object, path: str) -> JsonObject:
    if not isinstance(value, dict):
        raise CannotCarryError(path, f"{path} is {kind(value)}")
    return value


def _tools(row: JsonObject, notes: Notes) -> tuple[Tool, ...] | None:
    found = row.get("tools")
    if found is None:
        return None
    made: tuple[Tool, ...] = ()
    for i, item in enumerate(found if isinstance(found, list) else [found]):
        path = f"tools[{i}]"
        notes.unknown(_object(item, path), frozenset({"functionDeclarations"}), path)
        declared = _object(item, path).get("functionDeclarations") or []
        made += read_tool_list(declared, f"{path}.functionDeclarations", notes)
    return made


def _preference(row: JsonObject, prompt: Conversation, reader: "_Reader") -> Preference:
    sides: dict[object, tuple[Message, ...]] = {}
    completions = row["completions"]
    for i, item in enumerate(completions if isinstance(completions, list) else ()):
        path = f"completions[{i}]"
        side = _object(item, path)
        turn = _object(side.get("completion"), f"{path}.completion")
        sides[side.get("score")] = tuple(reader.turn(turn, f"{path}.completion"))
    if set(sides) != {0, 1} or not isinstance(completions, list) or len(completions) != 2:
        raise CannotCarryError("completions", "no pair with the scores 1 and 0")
    return Preference(prompt, sides[1], sides[0])


class _Reader:
    """Turns one after the other; remembers which call a response answers."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._made_up = 0
        self._open: dict[object, list[str]] = {}  # ids of calls that wait for theirs, by name

    def turn(self, turn: JsonObject, path: str) -> list[Message]:
        self._notes.unknown(turn, frozenset({"role", "parts"}), path)
        parts, role = turn.get("parts"), turn.get("role", "user")
        if not isinstance(parts, list) or not parts:
            raise CannotCarryError(f"{path}.parts", "no parts in the turn")
        if role not in ("user", "model", "system", "function"):
            raise CannotCarryError(f"{path}.role", f"unknown role {shown(role)}")
        found = [
            self._part(_object(part, f"{path}.parts[{i}]"), f"{path}.parts[{i}]")
            for i, part in enumerate(parts)
        ]
        answers = [part for part in found if isinstance(part, Message)]
        calls = tuple(part for part in found if isinstance(part, Call))
        said = tuple(part for part in found if isinstance(part, TextPart | ImagePart))
        for call in calls:
            self._open.setdefault(call.name, []).append(call.id)
        if answers:
            if said or calls:
                raise CannotCarryError(path, "a response beside something else")
            return answers
        if calls and role != "model":
            raise CannotCarryError(path, "a call that isn't the model's")
        content: Content = said or None
        if len(said) == 1 and isinstance(said[0], TextPart):
            content = said[0].text
        by: Role = "assistant" if role == "model" else "system" if role == "system" else "user"
        return [Message(by, content, calls=calls, path=path)]

    def _part(self, part: JsonObject, path: str) -> TextPart | ImagePart | Call | Message:
        if isinstance(part.get("text"), str):
            return TextPart(str(part["text"]))
        if "fileData" in part:
            return self._image(_object(part["fileData"], path), path)
        if "functionCall" in part:
            return self._call(_object(part["functionCall"], path), path)
        if "functionResponse" in part:
            return self._answer(_object(part["functionResponse"], path), path)
        raise CannotCarryError(path, "a part that is no text, image, call or response")

    def _image(self, data: JsonObject, path: str) -> ImagePart:
        self._notes.unknown(data, frozenset({"mimeType", "fileUri"}), path)
        media, url = data.get("mimeType"), data.get("fileUri")
        if not isinstance(url, str) or not str(media).startswith("image/"):
            raise CannotCarryError(path, f"a file of type {shown(media)} can't be carried")
        return ImagePart(url)

    def _call(self, call: JsonObject, path: str) -> Call:
        self._notes.unknown(call, frozenset({"name", "args"}), path)
        name, given = call.get("name"), call.get("args") or {}
        if not isinstance(name, str) or not name:
            raise CannotCarryError(path, "the call names no function")
        self._made_up += 1
        return Call(made_up_id(self._made_up), name, json.dumps(given, ensure_ascii=False))

    def _answer(self, answer: JsonObject, path: str) -> Message:
        self._notes.unknown(answer, frozenset({"name", "response"}), path)
        name, response = answer.get("name"), answer.get("response")
        waiting = self._open.get(name) if isinstance(name, str) else None
        call_id = waiting.pop(0) if waiting else None
        text = response.get("output") if isinstance(response, dict) and len(response) == 1 else None
        if not isinstance(text, str):
            text = json.dumps(response, ensure_ascii=False)
        return Message("tool", text, call_id=call_id, path=path)


def write(example: Example, notes: Notes) -> JsonObject | None:
    """An example as a row; None where all of it is left out."""
    if isinstance(example, Preference):
        return _written_pair(example, notes)
    conversation = as_conversation(example, notes)
    return None if conversation is None else _written(conversation, notes, "systemInstruction")


def _written_pair(pair: Preference, notes: Notes) -> JsonObject:
    row = _written(pair.prompt, notes, "system_instruction")
    sides = []
    for score, messages in ((1, pair.chosen), (0, pair.rejected)):
        turns = _written(Conversation(messages), notes, "")["contents"]
        if not isinstance(turns, list) or len(turns) != 1:
            raise CannotCarryError(messages[0].path, "an answer of several messages")
        sides.append({"score": score, "completion": turns[0]})
    return row | {"completions": sides}


def _written(conversation: Conversation, notes: Notes, system: str) -> JsonObject:
    conversation = fitted(conversation, replace(SAYS, tool_names=True), notes)
    row: JsonObject = {}
    turns: list[JsonObject] = []
    parts: list[JsonObject] = []  # of the last turn
    answering = False
    for message in with_function_names(conversation.messages, notes):
        if message.role == "system":
            text = text_of(message.content, f"{message.path}.content", notes)
            row[system] = {"role": "system", "parts": [{"text": text}]}
            continue
        if message.role == "tool" and answering:  # answers to one message's calls are one turn
            parts += _parts(message)
        else:
            parts = _parts(message)
            role = "model" if message.role == "assistant" else "user"
            turns.append({"role": role, "parts": parts})
        answering = message.role == "tool"
    if not turns:
        raise CannotCarryError("messages", "nothing but a system message")
    row["contents"] = turns
    if conversation.tools is not None:
        declared = [write_function(tool) for tool in conversation.tools]
        row["tools"] = [{"functionDeclarations": declared}]
    return row


def _parts(message: Message) -> list[JsonObject]:
    if message.role == "tool":
        answer = {"name": message.name, "response": {"output": message.content or ""}}
        return [{"functionResponse": answer}]
    content = message.content
    said = (TextPart(content),) if isinstance(content, str) else content or ()
    made: list[JsonObject] = []
    for part in said:
        if isinstance(part, TextPart):
            made.append({"text": part.text})
            continue
        ending = part.url[part.url.rfind(".") :].lower()
        media = _TYPES.get(ending, "image/jpeg")
        made.append({"fileData": {"mimeType": media, "fileUri": part.url}})
    for i, call in enumerate(message.calls):
        given = arguments_object(call.arguments)
        if given is None:
            path = f"{message.path}.tool_calls[{i}].function.arguments"
            raise CannotCarryError(path, "arguments that are no JSON object")
        made.append({"functionCall": {"name": call.name, "args": given}})
    if not made:
        raise CannotCarryError(message.path, "nothing is left of the message")
    return made
