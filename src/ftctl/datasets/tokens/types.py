"""What every way of counting tokens has in common."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from typing_extensions import override

from ftctl.datasets.fast.rows import PlainRow
from ftctl.datasets.rules.types import JsonObject


class LineTokens(NamedTuple):
    """Tokens of the examples on many lines, by columns: there may be millions.

    Attributes:
        total: Of each line, with what the chat adds; 0 of one that holds no object.
        trained: Of each line, those of answers that loss counts on.
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


class TokenCounter(ABC):
    """Counts tokens as one model's tokenizer does, or estimates them and says so.

    It goes to other processes as what it is made of.

    Args:
        made_of: The arguments that make another one.
        encoding: The tokenizer's name; "" of an estimate.
        says: How it counts, and on whose word, as a phrase.
        error: How far off an estimate may be; "" of an exact count.
    """

    def __init__(
        self, made_of: tuple[Hashable, ...], *, encoding: str, says: str, error: str = ""
    ) -> None:
        self.encoding, self.says, self.error = encoding, says, error
        self._made_of = made_of

    @property
    def exact(self) -> bool:
        """Whether counts are those of the model's own tokenizer."""
        return not self.error

    @override
    def __reduce__(self) -> tuple[object, ...]:
        return _made_again, (type(self), *self._made_of)

    @abstractmethod
    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by itself; what looks like a special token is text to OpenAI's."""

    @abstractmethod
    def count_lines(
        self, lines: Sequence[bytes], rows: Sequence[PlainRow | None] | None = None
    ) -> LineTokens:
        """Tokens of the example on each line.

        Args:
            lines: JSON.
            rows: The same decoded, None where a line is no plain row; decoded here when left out.
        """

    @abstractmethod
    def cut(self, row: JsonObject, limit: int) -> Cut:
        """What goes when only the first `limit` tokens of an example are kept."""


@functools.lru_cache(maxsize=8)
def _made_again(kind: Callable[..., TokenCounter], *arguments: Hashable) -> TokenCounter:
    """What an unpickled counter is: made once in each process, as its tables are large."""
    return kind(*arguments)
