"""What every tool's export is read into: items, and who said what of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ftctl.datasets.rules.types import JsonObject
from ftctl.datasets.rules.types import kind as kind_of

Status = Literal["submitted", "draft", "discarded", "unknown"]
Kind = Literal["response", "suggestion", "metadata"]

# What we write into each tool beside the texts that a person looks at, and find there again.
ID, ROW = "ftctl_id", "ftctl_row"
OURS = frozenset({ID, ROW, "prompt", "response", "left", "right"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What someone said of an item.

    Attributes:
        question: What was asked; "" where the item as a whole was skipped.
        value: As JSON has it; the plain text or the list of them where a tool wraps it.
        kind: A person's response, a model's suggestion, or what the tool knows of the item.
        annotator: A name or id; None where the tool doesn't keep it.
        status: `unknown` where the export lost it; only submitted and unknown ones decide.
        score: How sure a model was; a list where there is one for each value.
        time: As the tool writes it.
        sitting: What one person answered at once; its values of one question belong together.
    """

    question: str
    value: object
    kind: Kind = "response"
    annotator: str | None = None
    status: Status = "submitted"
    score: object = None
    time: str | None = None
    sitting: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that people were asked about, or one call that was recorded.

    Attributes:
        place: Where it stands in the export, such as `record 3`.
        id: The tool's name for it, or ours where we made the file.
        fields: What was shown, by name.
        answers: What was said, in the export's order.
    """

    place: str
    id: str
    fields: JsonObject
    answers: tuple[Answer, ...] = ()


class Fault(NamedTuple):
    """A record that can't be read: its place, the JSON path in it, and what is wrong."""

    place: str
    path: str
    what: str


class FaultError(Exception):
    """A record can't be read; carries path and reason of its `Fault`."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(what)
        self.path = path
        self.what = what


@dataclass(frozen=True, slots=True)
class Hints:
    """What a person says of an export that doesn't say it itself.

    Attributes:
        shown: Names of the fields that make up the prompt.
        answer: The question, or the field, that holds what the model should say.
        annotator: Who labelled, for tools that don't keep it.
    """

    shown: tuple[str, ...] = ()
    answer: str = ""
    annotator: str | None = None


Read = Callable[[Path, Hints], Iterator[Item | Fault]]


def as_object(value: object, path: str, wanted: str) -> JsonObject:
    """The value, which must be an object.

    Raises:
        FaultError: it isn't one.
    """
    if isinstance(value, dict):
        return value
    raise FaultError(path, f"{wanted} was expected here, this is {kind_of(value)}")


def as_list(value: object, path: str, wanted: str) -> list[object]:
    """The value, which must be a list.

    Raises:
        FaultError: it isn't one.
    """
    if isinstance(value, list):
        return value
    raise FaultError(path, f"{wanted} was expected here, this is {kind_of(value)}")


def name_of(value: object) -> str | None:
    """Who that is: a tool's number, name or address of a person or a model."""
    if isinstance(value, dict):
        value = value.get("email") or value.get("username") or value.get("id")
    return None if value is None else str(value)
