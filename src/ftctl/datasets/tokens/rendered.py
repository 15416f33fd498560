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
from ftctl.datasets.tokens.types import Cut, LineTokens, TokenCounter
from ftctl.errors import DataInvalid

ONE_AT_A_TIME = threading.Lock()  # tokenizers of transformers fail when two threads use them


class RenderedCounter(TokenCounter):
    """Examples as one list of ids; a row that can't be rendered is counted by its texts."""

    @abstractmethod
    def rendered(self, row: JsonObject) -> Rendered:
        """Ids and mask of a chat example.

        Raises:
            DataInvalid: it can't be rendered.
        """

    @abstractmethod
    def _text(self, ids: Sequence[int]) -> str:
        """What so many tokens say, without special ones."""

    @override
    def count_lines(
        self, lines: Sequence[bytes], rows: Sequence[PlainRow | None] | None = None
    ) -> LineTokens:
        with ONE_AT_A_TIME:
            found = [self._count_row(row) for row in map(decoded, lines)]
        totals, trained, inexact = ([row[i] for row in found] for i in range(3))
        return LineTokens(totals, trained, sum(inexact))

    def _count_row(self, row: JsonObject | None) -> tuple[int, int, int]:
        """Tokens of a row, those that are trained, and 1 where they aren't exact."""
        if row is None:
            return 0, 0, 0
        try:
            made = self.rendered(row)
        except DataInvalid:
            return self._count_texts(row)
        return len(made.ids), made.trained_tokens, 0

    def _count_texts(self, row: JsonObject) -> tuple[int, int, int]:
        pieces = list(iter_pieces(row, self.encoding))
        counts = self.count([piece.text for piece in pieces])
        trained = sum(c for c, piece in zip(counts, pieces, strict=True) if piece.trained)
        return sum(counts) + sum(p.before for p in pieces), trained, 1

    @override
    def cut(self, row: JsonObject, limit: int) -> Cut:
        try:
            made = self.rendered(row)
        except DataInvalid:
            return Cut(self._count_texts(row)[1], 0)
        lost = sum(made.mask[limit:])
        messages = read_example(row).messages
        answers = [m for m in messages if is_trained(m.role, m.fields.get("weight"))]
        for answer, (begin, end) in zip(answers, _runs(made.mask), strict=False):
            if end > limit:
                kept = self._text(made.ids[begin : max(limit, begin)])
                return Cut(made.trained_tokens, lost, f"{answer.path}.content", len(kept))
        return Cut(made.trained_tokens, lost)


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

    Attributes:
        tokenizer: The tokenizer itself, for whoever shows what is counted.

    Raises:
        ExtraMissing: transformers isn't installed.
        UsageError: no tokenizer with a chat template can be read there.
    """

    def __init__(self, place: Path) -> None:
        says = f"the tokenizer and chat template of {place.name}, as in training here"
        super().__init__((place,), encoding=place.name, says=says)
        self.tokenizer: Tokenizer = load_tokenizer(place)

    @override
    def count(self, texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        whole = [text.encode("utf-8", "replace").decode() for text in texts]
        tokenizer: Any = self.tokenizer  # which takes many texts at once, too
        return [len(ids) for ids in tokenizer(whole, add_special_tokens=False)["input_ids"]]

    @override
    def rendered(self, row: JsonObject) -> Rendered:
        messages, tools = row.get("messages"), row.get("tools")
        if not isinstance(messages, list) or len(read_example(row).messages) != len(messages):
            raise DataInvalid("not a chat example")
        if not all(isinstance(message.get("role"), str) for message in messages):
            raise DataInvalid("a message without a role")
        try:
            return render(self.tokenizer, messages, tools if isinstance(tools, list) else None)
        except (AttributeError, TypeError, ValueError) as error:  # content that no rule lets pass
            raise DataInvalid(f"the row can't be rendered: {error}") from None

    @override
    def _text(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True)
