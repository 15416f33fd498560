"""What every way of counting tokens has in common."""

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, Protocol

from ftctl.datasets.fast.rows import PlainRow
from ftctl.datasets.rules.types import JsonObject


class ExampleTokens(NamedTuple):
    """Tokens of one example.

    Attributes:
        total: All of them, with what the chat adds.
        trained: Those of answers that loss counts on.
        exact: Whether all are counted; False where a part follows no published rule.
    """

    total: int
    trained: int
    exact: bool


class LineTokens(NamedTuple):
    """Tokens of the examples on many lines, by columns: there may be millions.

    Attributes:
        total: Of each line; 0 of one that holds no object.
        trained: Of each line.
        inexact: How many lines aren't counted by a published rule in all their parts.
    """

    total: list[int]
    trained: list[int]
    inexact: int


class Cut(NamedTuple):
    """What an example loses where only its first tokens are kept.

    Attributes:
        answer_tokens: Trained tokens of the whole example.
        lost_tokens: How many of those go.
        path: JSON path of the first answer that loses something; "" where none does.
        kept_characters: How many characters of that text stay.
    """

    answer_tokens: int
    lost_tokens: int
    path: str = ""
    kept_characters: int = 0


class TokenCounter(Protocol):
    """Counts tokens as one model's tokenizer does, or estimates them and says so."""

    @property
    def encoding(self) -> str:
        """The tokenizer's name; "" of an estimate."""

    @property
    def exact(self) -> bool:
        """Whether counts are those of the model's own tokenizer."""

    @property
    def says(self) -> str:
        """How it counts, and on whose word, as a phrase."""

    @property
    def error(self) -> str:
        """How far off an estimate may be; "" of an exact count."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by itself; what looks like a special token is text to OpenAI's."""

    def count_lines(
        self, lines: Sequence[bytes], rows: Sequence[PlainRow | None] | None = None
    ) -> LineTokens:
        """Tokens of the example on each line.

        Args:
            lines: JSON.
            rows: The same decoded, None where a line is no plain row; decoded here when left out.
        """

    def cut(self, row: JsonObject, limit: int) -> Cut:
        """What goes when only the first `limit` tokens of an example are kept."""


@functools.lru_cache(maxsize=8)
def made_again(kind: Callable[..., TokenCounter], *arguments: Hashable) -> TokenCounter:
    """What an unpickled counter is: made once in each process, as its tables are large."""
    return kind(*arguments)


def count_example(counter: TokenCounter, row: JsonObject) -> ExampleTokens:
    """Tokens of one example that is already decoded."""
    import json

    found = counter.count_lines([json.dumps(row).encode()])
    return ExampleTokens(found.total[0], found.trained[0], not found.inexact)
