"""ShareGPT: `{"conversations": [{"from": ..., "value": ...}], "tools"?, "system"?}`.

Source: LLaMA-Factory's data page and what hubs hold. Calls are JSON texts of their own turns.
"""

import json

from ftctl.datasets.convert.chat import made_up_id, read_arguments
from ftctl.datasets.convert.example import (
    Call,
    CannotCarryError,
    Conversation,
    Example,
    Message,
    Notes,
    Preference,
    Role,
)
from ftctl.datasets.convert.reduce import as_conversation, fitted, one_message
from ftctl.datasets.convert.says import Says
from ftctl.datasets.convert.tools import arguments_object, read_tool_list, write_function
from ftctl.datasets.rules.types import JsonObject, kind, shown

SPEAKERS: dict[str, Role] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "assistant": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "function_response": "tool",
    "tool": "tool",
}
_NAMES = {"system": "system", "user": "human", "assistant": "gpt", "tool": "observation"}
SAYS = Says(tools=True, open_end=True, same_speaker=True)


def read(row: JsonObject, notes: Notes) -> Example:
    """A row as an example."""
    known = frozenset({"conversations", "system", "tools", "chosen", "rejected"})
    notes.unknown(row, known, "")
    turns, system, tools = row.get("conversations"), row.get("system"), row.get("tools")
    if not isinstance(turns, list) or not turns:
        raise CannotCarryError("conversations", "no turns in conversations")
    reader = _TurnReader(notes)
    messages = [reader.read(turn, f"conversations[{i}]") for i, turn in enumerate(turns)]
    if isinstance(system, str) and system:
        messages.insert(0, Message("system", system, path="system"))
    prompt = Conversation(
        tuple(messages), None if tools is None else read_tool_list(tools, "tools", notes)
    )
    if "chosen" not in row or "rejected" not in row:
        return prompt
    chosen, rejected = (reader.read(row[key], key) for key in ("chosen", "rejected"))
    return Preference(prompt, (chosen,), (rejected,))


class _TurnReader:
    """Turns one after the other; remembers which call an observation answers."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._made_up = 0
        self._open: list[str] = []

    def read(self, turn: object, path: str) -> Message:
        if not isinstance(turn, dict):
            raise CannotCarryError(path, f"the turn is {kind(turn)}")
        self._notes.unknown(turn, frozenset({"from", "value", "role", "content"}), path)
        by, said = ("from", turn.get("value")) if "from" in turn else ("role", turn.get("content"))
        speaker = turn.get(by)
        role = SPEAKERS.get(speaker.strip().lower()) if isinstance(speaker, str) else None
        if role is None:
            raise CannotCarryError(f"{path}.{by}", f"unknown speaker {shown(speaker)}")
        if not isinstance(said, str):
            raise CannotCarryError(path, f"what is said is {kind(said)}, not text")
        if speaker == "function_call":
            return Message("assistant", None, calls=self._calls(said, path), path=path)
        call_id = self._open.pop(0) if role == "tool" and self._open else None
        return Message(role, said, call_id=call_id, path=path)

    def _calls(self, said: str, path: str) -> tuple[Call, ...]:
        try:
            value = json.loads(said)
        except (ValueError, RecursionError):
            raise CannotCarryError(path, "the call isn't JSON") from None
        made = []
        for item in value if isinstance(value, list) else [value]:
            name = item.get("name") if isinstance(item, dict) else None
            if not isinstance(name, str) or not name:
                raise CannotCarryError(path, "the call names no function")
            self._notes.unknown(item, frozenset({"name", "arguments"}), path)
            self._made_up += 1
            arguments = read_arguments(item.get("arguments"), path, self._notes)
            made.append(Call(made_up_id(self._made_up), name, arguments))
        self._open = [call.id for call in made]
        return tuple(made)


def write(example: Example, notes: Notes) -> JsonObject | None:
    """An example as a row; None where all of it is left out."""
    answers: JsonObject = {}
    if isinstance(example, Preference):
        answers = {
            "chosen": _turn(one_message(example.chosen, SAYS, notes)),
            "rejected": _turn(one_message(example.rejected, SAYS, notes)),
        }
        conversation: Conversation | None = example.prompt
    else:
        conversation = as_conversation(example, notes)
    if conversation is None:
        return None
    conversation = fitted(conversation, SAYS, notes)
    row: JsonObject = {"conversations": [_turn(m) for m in conversation.messages]}
    if conversation.tools is not None:
        declared = [write_function(tool) for tool in conversation.tools]
        row["tools"] = json.dumps(declared, ensure_ascii=False)
    return row | answers


def _turn(message: Message) -> JsonObject:
    if not message.calls:
        text = message.content if isinstance(message.content, str) else ""
        return {"from": _NAMES[message.role], "value": text}
    (call,) = message.calls
    found = arguments_object(call.arguments)
    value = {"name": call.name, "arguments": call.arguments if found is None else found}
    return {"from": "function_call", "value": json.dumps(value, ensure_ascii=False)}
