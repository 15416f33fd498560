"""Bedrock's conversation format, `bedrock-conversation-2024`, and its pairs of candidates: written.

Source: Nova's data pages and AWS's checker for it, read by 2026-11. Read by `bedrock_read`.
"""

from ftctl.datasets.convert.bedrock_read import SCHEMA, image_format
from ftctl.datasets.convert.bedrock_read import read as read
from ftctl.datasets.convert.example import (
    CannotCarryError,
    Conversation,
    Example,
    Message,
    Notes,
    Preference,
    TextPart,
    Tool,
)
from ftctl.datasets.convert.reduce import as_fitted, fitted
from ftctl.datasets.convert.says import Says
from ftctl.datasets.convert.tools import arguments_object
from ftctl.datasets.rules.types import JsonObject

SAYS = Says(
    reasoning=True,
    images=("s3://",),
    tools=True,
    several_calls=True,
    own_ids=True,
    text_beside_calls=True,
)


def write(example: Example, notes: Notes) -> JsonObject | None:
    """An example as a row; None where all of it is left out."""
    if isinstance(example, Preference):
        return _pair(example, notes)
    conversation = as_fitted(example, SAYS, notes)
    return None if conversation is None else _row(conversation, notes)


def _pair(pair: Preference, notes: Notes) -> JsonObject:
    row = _row(fitted(pair.prompt, SAYS.of_prompts, notes), notes)
    candidates = []
    for label, side in (("preferred", pair.chosen), ("non-preferred", pair.rejected)):
        written = _turns(fitted(Conversation(side), SAYS, notes).messages, notes)
        if len(written) != 1 or written[0]["role"] != "assistant":
            raise CannotCarryError(side[0].path, "an answer of several messages")
        candidates.append({"content": written[0]["content"], "preferenceLabel": label})
    turns = row["messages"]
    assert isinstance(turns, list)  # noqa: S101 - a turn each
    turns.append({"role": "assistant", "candidates": candidates})
    return row


def _row(conversation: Conversation, notes: Notes) -> JsonObject:
    row: JsonObject = {"schemaVersion": SCHEMA}
    messages = conversation.messages
    if messages and messages[0].role == "system":
        row["system"] = _said(messages[0])
        messages = messages[1:]
    if not messages:
        raise CannotCarryError("messages", "nothing but a system message")
    if conversation.tools is not None:
        row["toolConfig"] = {"tools": [_tool(tool) for tool in conversation.tools]}
    return row | {"messages": _turns(messages, notes)}


def _tool(tool: Tool) -> JsonObject:
    spec: JsonObject = {"name": tool.name}
    if tool.description is not None:
        spec["description"] = tool.description
    if tool.parameters is not None:
        spec["inputSchema"] = {"json": tool.parameters}
    return {"toolSpec": spec}


def _turns(messages: tuple[Message, ...], notes: Notes) -> list[JsonObject]:
    """User and assistant in turn; a tool's answers are the user's, with what is said after."""
    turns: list[JsonObject] = []
    parts: list[JsonObject] = []  # of the last turn
    last: Message | None = None
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        if last is not None and turns[-1]["role"] == role:
            if last.role != "tool":
                notes.changed(message.path, "a second message in a row, joined to the first")
            parts += _parts(message)
        else:
            parts = _parts(message)
            turns.append({"role": role, "content": parts})
        last = message
    return turns


def _parts(message: Message) -> list[JsonObject]:
    if message.role == "tool":
        if message.call_id is None:
            raise CannotCarryError(message.path, "a tool's answer that names no call")
        content: list[JsonObject] = [{"text": message.content or ""}]
        return [{"toolResult": {"toolUseId": message.call_id, "content": content}}]
    made: list[JsonObject] = []
    if message.reasoning is not None:
        made.append({"reasoningContent": {"reasoningText": {"text": message.reasoning}}})
    made += _said(message)
    for i, call in enumerate(message.calls):
        given = arguments_object(call.arguments)
        if given is None:
            path = f"{message.path}.tool_calls[{i}].function.arguments"
            raise CannotCarryError(path, "arguments that are no JSON object")
        made.append({"toolUse": {"toolUseId": call.id, "name": call.name, "input": given}})
    if not made:
        raise CannotCarryError(message.path, "nothing is left of the message")
    return made


def _said(message: Message) -> list[JsonObject]:
    if not isinstance(message.content, tuple):
        return [{"text": message.content}] if message.content else []
    made: list[JsonObject] = []
    for part in message.content:
        if isinstance(part, TextPart):
            made.append({"text": part.text})
        else:
            source = {"s3Location": {"uri": part.url}}
            made.append({"image": {"format": image_format(part.url), "source": source}})
    return made
