"""OpenAI's chat format: tools, weights, images, the role developer; legacy functions are read.

Source: the fine-tuning guides and the public specification before 2026-08.
"""

from ftctl.datasets.convert.chat import read_conversation, write_conversation
from ftctl.datasets.convert.example import Conversation, Example, Notes
from ftctl.datasets.convert.reduce import (
    as_conversation,
    through,
    tool_text,
    without_reasoning,
)
from ftctl.datasets.rules.types import JsonObject


def read(row: JsonObject, notes: Notes) -> Conversation:
    """A row as an example.

    Raises:
        CannotCarryError: it isn't one.
    """
    return read_conversation(row, notes)


def write(example: Example, notes: Notes) -> JsonObject | None:
    """An example as a row; None where all of it is left out.

    Raises:
        CannotCarryError: the format can't say it.
    """
    conversation = as_conversation(example, notes)
    if conversation is None:
        return None
    return write_conversation(through(conversation, notes, tool_text, without_reasoning))
