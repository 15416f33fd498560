"""What people are asked of each row."""

from typing import NamedTuple

from ftctl.datasets.curation.types import OURS
from ftctl.datasets.curation.view import ANSWER, PREFERENCE
from ftctl.errors import UsageError


class Ask(NamedTuple):
    """One question: its name, and what may be chosen; nothing to choose means free text."""

    name: str
    options: tuple[str, ...] = ()


def read_ask(text: str) -> Ask:
    """A question as a person writes it: `quality=good,bad`, or `answer` for free text.

    Raises:
        UsageError: it can't be asked so.
    """
    name, chosen, options = text.partition("=")
    name = name.strip()
    hint = "such as --ask quality=good,bad, or --ask answer for free text"
    if not name.isascii() or not name.replace("_", "").isalnum() or name != name.lower():
        said = "a question's name has small letters, digits and _"
        raise UsageError(f"--ask {text}: {said}", hint=hint)
    if name in OURS or name in ("id", "changed", "example", "annotator"):
        raise UsageError(f"--ask {text}: {name} is what the text itself is called", hint=hint)
    found = tuple(dict.fromkeys(part.strip() for part in options.split(",") if part.strip()))
    if chosen and len(found) < 2:
        raise UsageError(f"--ask {text}: there is no choice", hint=hint)
    return Ask(name, found)


def asked_of(*, pairs: bool, asked: tuple[Ask, ...]) -> tuple[Ask, ...]:
    """The questions, or where none is named the one that a row itself asks."""
    if asked:
        return asked
    return (Ask(PREFERENCE, ("left", "right")),) if pairs else (Ask(ANSWER),)
