"""Together: conversations, instructions, OpenAI's preference shape, plain text.

Source: its data-preparation page and the file checks of its SDK, 1.5.35 and 3.1.1. Content is
text in all of a row's messages, or parts in all of them.
"""

from dataclasses import replace

from ftctl.datasets.convert import openai_dpo, trl
from ftctl.datasets.convert import text as plain_text
from ftctl.datasets.convert.chat import write_conversation
from ftctl.datasets.convert.example import (
    CannotCarryError,
    Example,
    ImagePart,
    Message,
    Notes,
    PlainText,
    Preference,
    PromptCompletion,
    TextPart,
)
from ftctl.datasets.convert.reduce import (
    as_conversation,
    developer_as_system,
    joined_turns,
    one_system_first,
    refusals_as_content,
    text_only,
    through,
)
from ftctl.datasets.rules.types import JsonObject


def read(row: JsonObject, notes: Notes) -> Example:
    """A row as an example.

    Raises:
        CannotCarryError: it isn't one.
    """
    return openai_dpo.read(row, notes) if "preferred_output" in row else trl.read(row, notes)


def write(example: Example, notes: Notes) -> JsonObject | None:
    """An example as a row; None where all of it is left out.

    Raises:
        CannotCarryError: the format can't say it.
    """
    match example:
        case PlainText():
            return plain_text.write(example, notes)
        case PromptCompletion(prompt, completion):
            return {"prompt": prompt, "completion": completion}
        case Preference():
            return one_answer_each(example, notes)
    conversation = as_conversation(example, notes)
    if conversation is None:
        return None
    steps = (developer_as_system, one_system_first, refusals_as_content, _alike, joined_turns)
    return write_conversation(through(conversation, notes, *steps))


def one_answer_each(pair: Preference, notes: Notes) -> JsonObject:
    """A pair whose sides are one message each, in OpenAI's shape.

    Raises:
        CannotCarryError: a side is several messages.
    """
    for side in (pair.chosen, pair.rejected):
        if len(side) != 1:
            raise CannotCarryError(side[0].path, "an answer of several messages")
    prompt = through(pair.prompt, notes, developer_as_system, one_system_first)
    return openai_dpo.write(replace(pair, prompt=prompt), notes)


def _alike(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """Text in all messages, or parts in all where one holds an image."""
    contents = [message.content for message in messages]
    images = any(isinstance(p, ImagePart) for c in contents if isinstance(c, tuple) for p in c)
    if not images:
        return text_only(messages, notes)
    made = []
    for message in messages:
        if isinstance(message.content, str):
            notes.changed(f"{message.path}.content", "a text, to a list of one part")
            message = replace(message, content=(TextPart(message.content),))
        made.append(message)
    return tuple(made)
