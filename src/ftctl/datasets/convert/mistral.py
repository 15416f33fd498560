"""Mistral's chat format, for the strictest tokenizer that customers still meet.

Source: the validators of mistral-common 1.13.1 and mistral-finetune, run per tokenizer version.
"""

import hashlib
from dataclasses import replace

from ftctl.datasets.convert import openai
from ftctl.datasets.convert.chat import read_messages, write_conversation
from ftctl.datasets.convert.example import Conversation, Example, Message, Notes, Tool
from ftctl.datasets.convert.reduce import as_fitted
from ftctl.datasets.convert.says import ANY_ADDRESS, Says
from ftctl.datasets.convert.tools import read_tools
from ftctl.datasets.rules.tool_calls import MISTRAL_ID
from ftctl.datasets.rules.types import JsonObject

_ID_CHARACTERS = 9
_NO_PARAMETERS: JsonObject = {"type": "object", "properties": {}}

SAYS = Says(
    weights=True,
    tool_names=True,
    parts=True,
    tool_parts=True,
    images=ANY_ADDRESS,
    details=True,
    tools=True,
    several_calls=True,
    own_ids=True,
    strict=True,
    same_speaker=True,
)


def read(row: JsonObject, notes: Notes) -> Conversation:
    """A row as an example; the old trainer's keys, such as `interactions`, are read too.

    Raises:
        CannotCarryError: it isn't one.
    """
    if "interactions" not in row:
        return openai.read(row, notes)
    known = {"interactions", "available_tools", "tools", "system_prompt", "only_last"}
    notes.unknown(row, frozenset(known))
    messages = read_messages(row["interactions"], "interactions", notes)
    if row.get("only_last"):
        last = max((i for i, m in enumerate(messages) if m.role == "assistant"), default=0)
        messages = tuple(
            replace(m, weight=0) if m.role == "assistant" and i != last else m
            for i, m in enumerate(messages)
        )
    system = row.get("system_prompt")
    if isinstance(system, str) and system:
        messages = (Message("system", system, path="system_prompt"), *messages)
    named = {"tools": row.get("available_tools", row.get("tools"))}
    return Conversation(messages, read_tools(named, notes))


def write(example: Example, notes: Notes) -> JsonObject | None:
    """An example as a row; None where all of it is left out."""
    conversation = as_fitted(example, SAYS, notes)
    if conversation is None:
        return None
    conversation = conversation.with_messages(short_ids(conversation.messages, notes))
    return write_conversation(replace(conversation, tools=_declared(conversation, notes)))


def short_ids(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """Ids of nine letters and digits, the same for a call and its answer, whatever the order."""
    found = [call.id for message in messages for call in message.calls]
    found += [message.call_id for message in messages if message.call_id is not None]
    if not found:
        return messages
    new = {name: name for name in found if MISTRAL_ID.fullmatch(name)}
    taken = set(new)
    for name in found:
        if name not in new:
            new[name] = _short(name, taken)
            taken.add(new[name])
    made = []
    for message in messages:
        for i, call in enumerate(message.calls):
            if new[call.id] != call.id:
                path = f"{message.path}.tool_calls[{i}].id"
                notes.changed(path, "a call's id, to nine letters and digits")
        calls = tuple(replace(call, id=new[call.id]) for call in message.calls)
        answered = None if message.call_id is None else new[message.call_id]
        made.append(replace(message, calls=calls, call_id=answered))
    return tuple(made)


def _short(name: str, taken: set[str]) -> str:
    salt = 0
    while True:
        text = f"{name}\0{salt}" if salt else name
        short = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_ID_CHARACTERS]
        if short not in taken:
            return short
        salt += 1


def _declared(conversation: Conversation, notes: Notes) -> tuple[Tool, ...] | None:
    """Every tool with description and parameters, and what is called among them."""
    made = []
    for i, tool in enumerate(conversation.tools or ()):
        path = f"tools[{i}].function"
        if tool.description is None:
            notes.changed(f"{path}.description", "a tool without description, an empty one")
        if tool.parameters is None:
            notes.changed(f"{path}.parameters", "a tool without parameters, an empty schema")
        description = tool.description or ""
        parameters = _NO_PARAMETERS if tool.parameters is None else tool.parameters
        made.append(replace(tool, description=description, parameters=parameters))
    names = {tool.name for tool in made}
    for message in conversation.messages:
        for i, call in enumerate(message.calls):
            if call.name not in names:
                names.add(call.name)
                path = f"{message.path}.tool_calls[{i}].function.name"
                notes.changed(path, "a tool that is called undeclared, declared without a schema")
                made.append(Tool(call.name, "", _NO_PARAMETERS))
    return tuple(made) if made or conversation.tools is not None else None
