"""OpenAI's chat format with `functions` and `function_call`, as it was before tools."""

from dataclasses import replace

from ftctl.datasets.convert import openai
from ftctl.datasets.convert.chat import write_content, write_messages
from ftctl.datasets.convert.example import Example, Message, Notes
from ftctl.datasets.convert.reduce import as_fitted
from ftctl.datasets.convert.steps import with_function_names
from ftctl.datasets.convert.tools import write_function
from ftctl.datasets.rules.types import JsonObject

SAYS = replace(
    openai.SAYS, tool_names=False, several_calls=False, own_ids=False, parallel=False, strict=False
)

read = openai.read


def write(example: Example, notes: Notes) -> JsonObject | None:
    """An example as a row; None where all of it is left out."""
    conversation = as_fitted(example, replace(SAYS, tool_names=True), notes)
    if conversation is None:
        return None
    messages = with_function_names(conversation.messages, notes)
    row: JsonObject = {"messages": [_written(message) for message in messages]}
    if conversation.tools is not None:
        row["functions"] = [write_function(tool) for tool in conversation.tools]
    return row


def _written(message: Message) -> JsonObject:
    if message.role == "tool":
        content = write_content(message.content)
        return {"role": "function", "name": message.name, "content": content}
    (fields,) = write_messages((message,))
    if message.calls:
        (call,) = message.calls
        del fields["tool_calls"]
        fields["function_call"] = {"name": call.name, "arguments": call.arguments}
    return fields
