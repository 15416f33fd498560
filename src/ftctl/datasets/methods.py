"""Rows of the methods that don't learn from one answer: pairs of answers, and prompts to grade.

Source: OpenAI's preference and reinforcement guides; a prompt ends on the user's turn from memory.
"""

from collections.abc import Callable, Iterator, Mapping

from ftctl.datasets.convert import openai_dpo, openai_rft
from ftctl.datasets.convert.example import CannotCarryError, Notes
from ftctl.datasets.rules.types import Finding, JsonObject


def _pair(row: JsonObject) -> Iterator[Finding]:
    """`preference`: a prompt, and two answers that differ."""
    notes = Notes()
    try:
        pair = openai_dpo.read(row, notes)
    except CannotCarryError as error:
        yield Finding("preference", error.path, error.what)
        return
    if not pair.prompt.messages:
        yield Finding("preference", "input.messages", "input.messages is empty")
    for key, answer in (("preferred_output", pair.chosen), ("non_preferred_output", pair.rejected)):
        if not any(message.role == "assistant" for message in answer):
            yield Finding("preference", key, f"{key} holds no assistant message")
    if pair.chosen == pair.rejected:
        yield Finding("preference/same", "non_preferred_output", "both answers are the same")
    for note in notes:
        yield Finding("preference/odd", note.path, note.what)


def _task(row: JsonObject) -> Iterator[Finding]:
    """`task`: a prompt that ends with the user's turn; any field beside it is the grader's."""
    notes = Notes()
    try:
        task = openai_rft.read(row, notes)
    except CannotCarryError as error:
        yield Finding("task", error.path, error.what)
        return
    if not task.prompt.messages or task.prompt.messages[-1].role != "user":
        yield Finding("task", "messages", "the prompt doesn't end with a message of the user")
    for note in notes:
        yield Finding("task/odd", note.path, note.what)


ROWS: Mapping[str, Callable[[JsonObject], Iterator[Finding]]] = {"dpo": _pair, "rft": _task}
