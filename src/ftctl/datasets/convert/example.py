"""One example, whatever format it came in, and what is told of it on its way.

The types say what any format here can say; each format's module reads a row into them and writes
them as a row. Nothing in them is a vendor's.
"""

from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Self

from ftctl.datasets.rules.types import JsonObject, join, shown

Role = Literal["system", "developer", "user", "assistant", "tool"]
Kind = Literal["dropped", "changed"]


class Note(NamedTuple):
    """What became of something that the new format can't say as it was.

    Attributes:
        kind: `dropped`: it is gone. `changed`: it says the same in other words.
        path: Where it stood in the old row, as a JSON path.
        what: The same words for every such place, so that they can be counted.
    """

    kind: Kind
    path: str
    what: str


class Notes(list[Note]):
    """Everything told of one row, in order."""

    def dropped(self, path: str, what: str) -> None:
        """Tell of something that is gone."""
        self.append(Note("dropped", path, what))

    def changed(self, path: str, what: str) -> None:
        """Tell of something that is said in other words."""
        self.append(Note("changed", path, what))

    def unknown(self, fields: JsonObject, known: frozenset[str], path: str = "") -> None:
        """Tell of keys that have no place in an example; null says nothing."""
        for key, value in fields.items():
            if key not in known and value is not None:
                self.dropped(join(path, key), f"the key {shown(key)}")


class CannotCarryError(Exception):
    """A row can't be read in the old format, or not be said at all in the new one."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(what)
        self.path = path
        self.what = what


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text as one part of a message."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image, by https or data URL."""

    url: str
    detail: str | None = None


Content = str | tuple[TextPart | ImagePart, ...] | None


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call; `arguments` is JSON text, as the model writes it."""

    id: str
    name: str
    arguments: str


class Span(NamedTuple):
    """A stretch of a message's text that is learnt, or isn't.

    Attributes:
        begin: Its first character, from 0.
        end: Its last one.
        learnt: Whether it is trained on.
    """

    begin: int
    end: int
    learnt: bool


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `path` is where it stood, for telling what becomes of it."""

    role: Role
    content: Content
    name: str | None = None
    weight: int | None = None
    calls: tuple[Call, ...] = ()
    call_id: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    spans: tuple[Span, ...] = ()
    path: str = field(default="messages", compare=False)


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that may be called; `parameters` is a JSON Schema."""

    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages to learn the assistant's part of; `tools` None where the row says nothing of any."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] | None = None
    parallel: bool | None = None

    def with_messages(self, messages: tuple[Message, ...]) -> Self:
        """The same with other messages."""
        return replace(self, messages=messages)


@dataclass(frozen=True, slots=True)
class Preference:
    """A prompt, a better and a worse answer; `plain` where they are bare texts, without roles."""

    prompt: Conversation
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Unpaired:
    """A prompt, and an answer that is good or isn't; `plain` as of `Preference`."""

    prompt: Conversation
    answer: tuple[Message, ...]
    good: bool
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """A prompt without an answer, and the fields by which an answer will be graded.

    `plain` as of `Preference`.
    """

    prompt: Conversation
    fields: JsonObject
    plain: bool = False


@dataclass(frozen=True, slots=True)
class PromptCompletion:
    """Bare text and how it goes on, without roles."""

    prompt: str
    completion: str


@dataclass(frozen=True, slots=True)
class PlainText:
    """Bare text, all of it learnt."""

    text: str


class Segment(NamedTuple):
    """A piece of bare text, learnt or not."""

    text: str
    learnt: bool


@dataclass(frozen=True, slots=True)
class Segments:
    """Bare text in pieces, some of which are learnt."""

    pieces: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Stepwise:
    """A question in bare text, and the steps of an answer, each right or not."""

    prompt: str
    steps: tuple[str, ...]
    right: tuple[bool, ...]


Example = (
    Conversation | Preference | Unpaired | Task | PromptCompletion | PlainText | Segments | Stepwise
)
