"""Counters of examples that a template renders whole, ids and mask: local models and Mistral's."""

import threading
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from ftctl.datasets.fast.rows import PlainRow
from ftctl.datasets.render import Rendered, Tokenizer, load_tokenizer, render
from ftctl.datasets.rules.types import JsonObject, read_example
from ftctl.datasets.tokens.pieces import is_trained, iter_pieces
from ftctl.datasets.tokens.texts import decoded
from ftctl.datasets.tokens.types import Cut, ExampleTokens, LineTokens, TokenCounter, made_again
from ftctl.errors import DataInvalid

ONE_AT_A_TIME = threading.Lock()  # tokenizers of transformers fail when two threads use them


class RenderedCounter(TokenCounter):
    """Examples as one list of ids; a row that can't be rendered is counted by its texts."""

    @abstractmethod
    def _rendered(self, row: JsonObject) -> Rendered:
        """Ids and mask of a chat example.

        Raises:
            DataInvalid: it can't be rendered.
        """

    @abstractmethod
    def _text(self, ids: Sequence[int]) -> str:
        """What so many tokens say, without special ones."""

    @property
    @override
    def exact(self) -> bool:
        return True

    @property
    @override
    def error(self) -> str:
        return ""

    @override
    def count_lines(
        self, lines: Sequence[bytes], rows: Sequence[PlainRow | None] | None = None
    ) -> LineTokens:
        with ONE_AT_A_TIME:
            found = [self._count_row(row) for row in map(decoded, lines)]
        inexact = sum(not tokens.exact for tokens in found)
        return LineTokens([t.total for t in found], [t.trained for t in found], inexact)

    def _count_row(self, row: JsonObject | None) -> ExampleTokens:
        if row is None:
            return ExampleTokens(0, 0, exact=True)
        try:
            made = self._rendered(row)
        except DataInvalid:
            return self._count_texts(row)
        return ExampleTokens(len(made.ids), made.trained_tokens, exact=True)

    def _count_texts(self, row: JsonObject) -> ExampleTokens:
        pieces = list(iter_pieces(row, self.encoding))
        counts = self.count([piece.text for piece in pieces])
        trained = sum(c for c, piece in zip(counts, pieces, strict=True) if piece.trained)
        return ExampleTokens(sum(counts) + sum(p.before for p in pieces), trained, exact=False)

    @override
    def cut(self, row: JsonObject, limit: int) -> Cut:
        try:
            made = self._rendered(row)
        except DataInvalid:
            return Cut(self._count_texts(row).trained, 0)
        lost = sum(made.mask[limit:])
        answers = [m for m in read_example(row).messages if _learnt(m.role, m.fields)]
        for answer, (begin, end) in zip(answers, _runs(made.mask), strict=False):
            if end > limit:
                kept = self._text(made.ids[begin : max(limit, begin)])
                return Cut(made.trained_tokens, lost, f"{answer.path}.content", len(kept))
        return Cut(made.trained_tokens, lost)


def _learnt(role: str, fields: JsonObject) -> bool:
    return is_trained(role, fields.get("weight"))


def _runs(mask: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where each run of trained tokens begins and ends."""
    begin = None
    for place, trained in enumerate([*mask, 0]):
        if trained and begin is None:
            begin = place
        elif not trained and begin is not None:
            yield begin, place
            begin = None


class LocalCounter(RenderedCounter):
    """A tokenizer that lies on this machine, with its chat template: what training here sees.

    Args:
        place: A model's folder, or a `.gguf` file.

    Raises:
        ExtraMissing: transformers isn't installed.
        UsageError: no tokenizer with a chat template can be read there.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._tokenizer = load_tokenizer(place)

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer itself, for whoever shows what is counted."""
        return self._tokenizer

    @override
    def __reduce__(self) -> tuple[object, ...]:
        return made_again, (LocalCounter, self._place)

    @property
    @override
    def encoding(self) -> str:
        return self._place.name

    @property
    @override
    def says(self) -> str:
        return f"the tokenizer and chat template of {self._place.name}, as in training here"

    @override
    def count(self, texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        whole = [text.encode("utf-8", "replace").decode() for text in texts]
        tokenizer: Any = self._tokenizer  # which takes many texts at once, too
        return [len(ids) for ids in tokenizer(whole, add_special_tokens=False)["input_ids"]]

    @override
    def _rendered(self, row: JsonObject) -> Rendered:
        messages, tools = row.get("messages"), row.get("tools")
        if not isinstance(messages, list) or len(read_example(row).messages) != len(messages):
            raise DataInvalid("not a chat example")
        if not all(isinstance(message.get("role"), str) for message in messages):
            raise DataInvalid("a message without a role")
        try:
            return render(self._tokenizer, messages, tools if isinstance(tools, list) else None)
        except (AttributeError, TypeError, ValueError) as error:  # content that no rule lets pass
            raise DataInvalid(f"the row can't be rendered: {error}") from None

    @override
    def _text(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True)
