"""Plain text, all of it learnt: `{"text": ...}`."""

from ftctl.datasets.convert.example import (
    CannotCarryError,
    Example,
    Notes,
    PlainText,
    PromptCompletion,
    Segments,
)
from ftctl.datasets.convert.says import Says
from ftctl.datasets.rules.types import JsonObject, kind

SAYS = Says()


def read(row: JsonObject, notes: Notes) -> PlainText:
    """A row as an example."""
    notes.unknown(row, frozenset({"text"}))
    text = row.get("text")
    if not isinstance(text, str):
        raise CannotCarryError("text", f"text is {kind(text)}")
    return PlainText(text)


def write(example: Example, notes: Notes) -> JsonObject:
    """An example as a row.

    Raises:
        CannotCarryError: it has turns, which only a model's chat template makes text of.
    """
    match example:
        case PlainText(text):
            return {"text": text}
        case PromptCompletion(prompt, completion):
            notes.dropped("prompt", "that a prompt isn't learnt: all of the text is")
            return {"text": prompt + completion}
        case Segments(pieces):
            if not all(piece.learnt for piece in pieces):
                notes.dropped("segments", "that a segment isn't learnt: all of the text is")
            notes.changed("segments", "segments, to one text")
            return {"text": "".join(piece.text for piece in pieces)}
        case _:
            raise CannotCarryError("", "turns become text by a model's chat template only")
