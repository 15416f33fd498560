"""Fireworks: OpenAI's chat and preference shapes, with one system message, first.

Source: its fine-tuning pages and SDK 1.2.30.
"""

from dataclasses import replace

from ftctl.datasets.convert import openai, openai_dpo
from ftctl.datasets.convert.chat import write_conversation
from ftctl.datasets.convert.example import Example, Notes, Preference
from ftctl.datasets.convert.reduce import as_fitted
from ftctl.datasets.convert.together import one_answer_each
from ftctl.datasets.rules.types import JsonObject

SAYS = replace(openai.SAYS, developer=False, systems=False, refusals=False, reasoning=True)
_PAIRED = replace(openai_dpo.SAYS, developer=False, systems=False)


def read(row: JsonObject, notes: Notes) -> Example:
    """A row as an example."""
    return openai_dpo.read(row, notes) if "preferred_output" in row else openai.read(row, notes)


def write(example: Example, notes: Notes) -> JsonObject | None:
    """An example as a row; None where all of it is left out."""
    if isinstance(example, Preference):
        return one_answer_each(example, notes, _PAIRED)
    conversation = as_fitted(example, SAYS, notes)
    return None if conversation is None else write_conversation(conversation)
