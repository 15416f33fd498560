"""OpenAI's chat format with `functions` and `function_call`, as it was before tools."""

from ftctl.datasets.convert import openai
from ftctl.datasets.convert.chat import write_content, write_messages
from ftctl.datasets.convert.example import Example, Message, Notes
from ftctl.datasets.convert.reduce import (
    as_conversation,
    numbered_ids,
    one_call_each,
    through,
    tool_text,
    without_parallel,
    without_reasoning,
    without_strict,
)
from ftctl.datasets.convert.tools import write_function
from ftctl.datasets.rules.types import JsonObject

read = openai.read


def write(example: Example, notes: Notes) -> JsonObject | None:
    """An example as a row; None where all of it is left out.

    Raises:
        CannotCarryError: the format can't say it.
    """
    conversation = as_conversation(example, notes)
    if conversation is None:
        return None
    steps = (tool_text, without_reasoning, one_call_each, numbered_ids)
    conversation = without_parallel(through(conversation, notes, *steps), notes)
    conversation = without_strict(conversation, notes)
    names: dict[str | None, str] = {}
    messages = []
    for message in conversation.messages:
        names |= {call.id: call.name for call in message.calls}
        messages.append(_written(message, names, notes))
    row: JsonObject = {"messages": messages}
    if conversation.tools is not None:
        row["functions"] = [write_function(tool) for tool in conversation.tools]
    return row


def _written(message: Message, names: dict[str | None, str], notes: Notes) -> JsonObject:
    if message.role == "tool":
        called = names.get(message.call_id) or message.name or "unknown"
        if message.name not in (None, called):
            notes.dropped(f"{message.path}.name", "a tool's name that isn't the function's")
        return {"role": "function", "name": called, "content": write_content(message.content)}
    (fields,) = write_messages((message,))
    if message.calls:
        (call,) = message.calls
        del fields["tool_calls"]
        fields["function_call"] = {"name": call.name, "arguments": call.arguments}
    return fields
