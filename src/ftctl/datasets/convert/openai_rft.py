"""OpenAI's format for reinforcement tuning: a prompt, and any fields for the grader.

Source: the reinforcement guide. Text only, and the last message is the user's.
"""

from dataclasses import replace

from ftctl.datasets.convert.chat import ROW_KEYS, read_conversation, write_conversation
from ftctl.datasets.convert.example import CannotCarryError, Conversation, Example, Notes, Task
from ftctl.datasets.convert.openai import SAYS as CHAT
from ftctl.datasets.convert.reduce import as_conversation, fitted
from ftctl.datasets.rules.types import JsonObject

SAYS = replace(CHAT, images=(), details=False, weights=False)


def read(row: JsonObject, notes: Notes) -> Task:
    """A row as an example."""
    prompt = read_conversation({k: v for k, v in row.items() if k in ROW_KEYS}, notes)
    return Task(prompt, {k: v for k, v in row.items() if k not in ROW_KEYS})


def write(example: Example, notes: Notes) -> JsonObject | None:
    """An example as a row; None where all of it is left out."""
    if not isinstance(example, Task):
        conversation = as_conversation(example, notes)
        if conversation is None:
            return None
        example = _with_reference(conversation, notes)
    taken = [key for key in example.fields if key in ROW_KEYS]
    for key in taken:
        notes.dropped(key, "a field of the grader's that is called like a part of the prompt")
    kept = {key: value for key, value in example.fields.items() if key not in taken}
    return write_conversation(fitted(example.prompt, SAYS, notes)) | kept


def _with_reference(conversation: Conversation, notes: Notes) -> Task:
    """The last answer as what the grader compares with."""
    *before, last = conversation.messages
    if last.role != "assistant" or not isinstance(last.content, str) or last.calls or not before:
        raise CannotCarryError(last.path, "the last message is no answer to compare with")
    notes.changed(last.path, "the last answer, to the field reference_answer")
    if last.weight == 0:
        notes.dropped(f"{last.path}.weight", "weight 0: the message is trained on")
    prompt = replace(conversation, messages=tuple(before))
    return Task(prompt, {"reference_answer": last.content})
