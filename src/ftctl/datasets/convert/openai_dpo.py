"""OpenAI's preference format, which Azure, Together and Fireworks take too: text only.

Source: the preference guide, and the file checks of Together's SDK 1.5.35.
"""

from dataclasses import replace

from ftctl.datasets.convert.chat import (
    read_conversation,
    read_messages,
    write_conversation,
    write_messages,
)
from ftctl.datasets.convert.example import CannotCarryError, Example, Message, Notes, Preference
from ftctl.datasets.convert.openai import SAYS as CHAT
from ftctl.datasets.convert.reduce import fitted, fitted_messages
from ftctl.datasets.rules.types import JsonObject, kind

_KEYS = frozenset({"input", "preferred_output", "non_preferred_output"})
SAYS = replace(CHAT, images=(), details=False, refusals=False, weights=False)


def read(row: JsonObject, notes: Notes) -> Preference:
    """A row as an example."""
    notes.unknown(row, _KEYS)
    asked = row.get("input")
    if not isinstance(asked, dict):
        raise CannotCarryError("input", f"input is {kind(asked)}, not an object")
    inner = Notes()
    try:
        prompt = read_conversation(asked, inner)
    except CannotCarryError as error:
        raise CannotCarryError(f"input.{error.path}", error.what) from None
    notes += [note._replace(path=f"input.{note.path}") for note in inner]
    messages = tuple(replace(m, path=f"input.{m.path}") for m in prompt.messages)
    chosen, rejected = (
        read_messages(row.get(key), key, notes)
        for key in ("preferred_output", "non_preferred_output")
    )
    return Preference(prompt.with_messages(messages), chosen, rejected)


def write(example: Example, notes: Notes) -> JsonObject:
    """An example as a row.

    Raises:
        CannotCarryError: it isn't a pair of answers.
    """
    if not isinstance(example, Preference):
        raise CannotCarryError("", "there is no pair of answers in it to prefer one of")
    return {
        "input": write_conversation(fitted(example.prompt, SAYS, notes)),
        "preferred_output": _answer(example.chosen, notes),
        "non_preferred_output": _answer(example.rejected, notes),
    }


def _answer(messages: tuple[Message, ...], notes: Notes) -> list[JsonObject]:
    return write_messages(fitted_messages(messages, SAYS, notes))
