"""What is shown of an example: the document of `ftctl data show --json`."""

from typing import Literal

from pydantic import Field

from ftctl.datasets.document import Document, Value

Kind = Literal["trained", "untrained", "cut"]


class Token(Value):
    """One token.

    Attributes:
        id: In the model's vocabulary.
        text: What it adds; "" of all but the last token of a character that several make up.
        kind: Whether loss counts on it, or it is beyond the longest length.
        control: Whether it is a token that the tokenizer calls special.
    """

    id: int
    text: str
    kind: Kind
    control: bool


class Said(Value):
    """One message, shown without a tokenizer; its text may be shortened."""

    role: str
    text: str
    kind: Literal["trained", "untrained"]
    left_out_characters: int = 0


class Example(Value):
    """One example; either its tokens are shown, or its messages where no model was named.

    `left_out_tokens` are the tokens in the middle of a long example that aren't shown, after the
    first `left_out_after` of `tokens`; the totals count them.
    """

    line: int
    total_tokens: int | None = None
    trained_tokens: int | None = None
    cut_tokens: int | None = None
    left_out_tokens: int = 0
    left_out_after: int = 0
    remarks: tuple[str, ...] = ()
    tokens: tuple[Token, ...] = ()
    messages: tuple[Said, ...] = ()


class Broken(Value):
    """A line that can't be shown, and why."""

    file: str
    line: int
    message: str
    hint: str


class Shown(Document):
    """Some examples of a dataset: `ftctl.data-show/1`.

    `html` is the page that was written, if one was. `max_length` in tokens; None where no model
    was named.
    """

    schema_: Literal["ftctl.data-show/1"] = Field("ftctl.data-show/1", alias="schema")
    file: str
    source: Literal["chat", "prepared"]
    model: str | None
    max_length: int | None
    html: str | None
    examples: tuple[Example, ...]
    broken: tuple[Broken, ...]
