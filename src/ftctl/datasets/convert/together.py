"""Together: conversations, instructions, OpenAI's preference shape, plain text.

Source: its data-preparation page and the file checks of its SDK, 1.5.35 and 3.1.1. Content is
text in all of a row's messages, or parts in all of them.
"""

from dataclasses import replace

from ftctl.datasets.convert import openai, openai_dpo, trl
from ftctl.datasets.convert import text as plain_text
from ftctl.datasets.convert.chat import write_conversation
from ftctl.datasets.convert.example import (
    Example,
    ImagePart,
    Message,
    Notes,
    PlainText,
    Preference,
    PromptCompletion,
    TextPart,
)
from ftctl.datasets.convert.reduce import as_fitted, fitted, one_message
from ftctl.datasets.convert.says import Says
from ftctl.datasets.rules.types import JsonObject

SAYS = replace(
    openai.SAYS,
    developer=False,
    systems=False,
    refusals=False,
    reasoning=True,
    parts=False,
    same_speaker=False,
)
_PAIRED = replace(openai_dpo.SAYS, developer=False, systems=False, parts=False)


def read(row: JsonObject, notes: Notes) -> Example:
    """A row as an example."""
    return openai_dpo.read(row, notes) if "preferred_output" in row else trl.read(row, notes)


def write(example: Example, notes: Notes) -> JsonObject | None:
    """An example as a row; None where all of it is left out."""
    match example:
        case PlainText():
            return plain_text.write(example, notes)
        case PromptCompletion(prompt, completion):
            return {"prompt": prompt, "completion": completion}
        case Preference():
            return one_answer_each(example, notes, _PAIRED)
    conversation = as_fitted(example, SAYS, notes)
    if conversation is None:
        return None
    return write_conversation(conversation.with_messages(_alike(conversation.messages, notes)))


def one_answer_each(pair: Preference, notes: Notes, says: Says) -> JsonObject:
    """A pair whose sides are one message each, in OpenAI's shape.

    Args:
        pair: What is written.
        notes: Told of what isn't.
        says: What the format can say of a pair.

    Raises:
        CannotCarryError: a side is several messages.
    """
    chosen, rejected = (one_message(x, says, notes) for x in (pair.chosen, pair.rejected))
    prompt = fitted(pair.prompt, says, notes)
    return openai_dpo.write(Preference(prompt, (chosen,), (rejected,)), notes)


def _alike(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """Text in all messages, or parts in all where one holds an image."""
    contents = [message.content for message in messages]
    images = any(isinstance(p, ImagePart) for c in contents if isinstance(c, tuple) for p in c)
    if not images:
        return messages
    made = []
    for message in messages:
        if isinstance(message.content, str):
            notes.changed(f"{message.path}.content", "a text, to a list of one part")
            message = replace(message, content=(TextPart(message.content),))
        made.append(message)
    return tuple(made)
