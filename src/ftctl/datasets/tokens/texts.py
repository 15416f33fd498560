"""Counters of chats whose texts are tokenized one by one: OpenAI's encodings, and the estimate."""

import json
from abc import abstractmethod
from collections.abc import Hashable, Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from ftctl.datasets.fast import screen
from ftctl.datasets.fast.rows import (
    ROLES,
    Answer,
    PlainRow,
    System,
    User,
    decode_plain_lines,
    plain_row,
)
from ftctl.datasets.fingerprints import BYTES_PER_TOKEN, ESTIMATE_ERROR, estimate_tokens
from ftctl.datasets.rules.types import JsonObject, read_example
from ftctl.datasets.tokens.bpe import BpeCounter
from ftctl.datasets.tokens.encodings import HARMONY, Encoding, base_name
from ftctl.datasets.tokens.images import OTHER_BILL, image_bill
from ftctl.datasets.tokens.pieces import (
    PER_MESSAGE,
    PER_NAME,
    PER_REPLY,
    Piece,
    is_trained,
    iter_pieces,
    tool_pieces,
)
from ftctl.datasets.tokens.types import Cut, LineTokens, TokenCounter

_OVERHEAD = "3 tokens a message, 1 a name, 3 for the reply; tools by the formula of its cookbook"

_REMEMBERED = 1000  # roles and lists of tools: few in a file, as a rule
_ROLE_OF = {kind: place for place, kind in enumerate(ROLES)}


class _Function(msgspec.Struct, gc=False):
    name: str
    arguments: str


class _Call(msgspec.Struct, gc=False):
    function: _Function


class _NamedMessage(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    role: str
    content: str | None = None
    name: str | None = None
    weight: Any = 1
    tool_calls: list[_Call] = []
    tool_call_id: Any = None


class _NamedRow(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """With names, weights, and calls; what isn't even that takes the way by `iter_pieces`."""

    messages: list[_NamedMessage]
    tools: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    parallel_tool_calls: Any = None


class TextCounter(TokenCounter):
    """Examples as texts, with what OpenAI's chat adds; how a text is counted is the subclass's."""

    _bill = OTHER_BILL

    def __init__(
        self, made_of: tuple[Hashable, ...], *, encoding: str, says: str, error: str
    ) -> None:
        super().__init__(made_of, encoding=encoding, says=says, error=error)
        self._decode_named = msgspec.json.Decoder(_NamedRow).decode
        self._role_tokens: dict[str, int] = {}
        self._tools_tokens: dict[bytes, tuple[int, bool]] = {}

    @override
    def count_lines(
        self, lines: Sequence[bytes], rows: Sequence[PlainRow | None] | None = None
    ) -> LineTokens:
        rows = rows or plain_rows(lines)
        plain = [row.messages for row in rows if row is not None and row.messages]
        total, trained = self._count_plain(plain)
        if len(plain) == len(lines):
            return LineTokens(total.tolist(), trained.tolist(), 0)
        batch = _Batch()
        others = [i for i, row in enumerate(rows) if row is None or not row.messages]
        for i in others:
            if not self._add_named(batch, lines[i]):
                self._add_other(batch, lines[i])
        places = [i - before for before, i in enumerate(others)]  # among the plain ones
        counted = batch.tokens(self.count(batch.texts))
        total, trained = map(np.insert, (total, trained), (places, places), counted)
        return LineTokens(total.tolist(), trained.tolist(), batch.inexact)

    @override
    def cut(self, row: JsonObject, limit: int) -> Cut:
        pieces = list(iter_pieces(row, self.encoding, self._bill))
        counts = self.count([piece.text for piece in pieces])
        at = answer = lost = 0
        first: tuple[Piece, int] | None = None
        for piece, count in zip(pieces, counts, strict=True):
            at += piece.before
            left = max(at + count - max(limit, at), 0)
            if left and piece.trained and first is None:
                first = (piece, count - left)
            at += count
            answer += count * piece.trained
            lost += left * piece.trained
        if first is None:
            return Cut(answer, lost)
        piece, kept = first
        return Cut(answer, lost, piece.path, self._kept_characters(piece.text, kept))

    @abstractmethod
    def _kept_characters(self, text: str, tokens: int) -> int:
        """How many characters of a text its first tokens hold."""

    def _count_plain(
        self, rows: list[list[System | User | Answer]]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Total and trained tokens of each row, column by column: most files are nothing else."""
        messages = list(chain.from_iterable(rows))
        kinds = np.fromiter(map(_ROLE_OF.__getitem__, map(type, messages)), np.int8, len(messages))
        texts = [message.content for message in messages]
        systems = np.flatnonzero(kinds == _ROLE_OF[System]).tolist()
        prompts = [texts[i] for i in systems]
        for i in systems:
            texts[i] = ""
        counts = np.array(self.count(texts), np.int64)
        different = list(dict.fromkeys(prompts))  # few, as a rule, and often most of the text
        tokens = dict(zip(different, self.count(different), strict=True))
        counts[systems] = [tokens[prompt] for prompt in prompts]
        openings = np.array([self._opening(role) for role in ROLES.values()])
        ends = np.cumsum(np.fromiter(map(len, rows), np.int64, len(rows)))
        total = PER_REPLY + _between(ends, counts + openings[kinds])
        return total, _between(ends, counts * (kinds == _ROLE_OF[Answer]))

    def _add_named(self, batch: "_Batch", line: bytes) -> bool:
        try:
            row = self._decode_named(line)
            added, exact = self._tools(row.tools)
        except (ValueError, RecursionError):
            return False
        if not row.messages:
            return False
        added += PER_REPLY
        for message in row.messages:
            added += self._opening(message.role)
            if message.name is not None:
                added += PER_NAME
                batch.add(message.name, trained=False)
            trained = is_trained(message.role, message.weight)
            if message.content:
                batch.add(message.content, trained=trained)
            for call in message.tool_calls:
                exact = False
                batch.add(call.function.name, trained=trained)
                batch.add(call.function.arguments, trained=trained)
        batch.end(added, exact=exact)
        return True

    def _opening(self, role: str) -> int:
        """Tokens that begin a message of a role."""
        tokens = self._role_tokens.get(role)
        if tokens is None:
            (tokens,) = self.count([role])
            if len(self._role_tokens) < _REMEMBERED:
                self._role_tokens[role] = tokens
        return PER_MESSAGE + tokens

    def _tools(self, value: msgspec.Raw | msgspec.UnsetType) -> tuple[int, bool]:
        """Tokens of a row's definitions, and whether a published rule says all of them."""
        if isinstance(value, msgspec.UnsetType):
            return 0, True
        raw = bytes(value)
        found = self._tools_tokens.get(raw)
        if found is None:
            pieces = list(tool_pieces(json.loads(raw), self.encoding))
            tokens = sum(self.count([p.text for p in pieces])) + sum(p.before for p in pieces)
            found = tokens, all(piece.exact for piece in pieces)
            if len(self._tools_tokens) < _REMEMBERED:
                self._tools_tokens[raw] = found
        return found

    def _add_other(self, batch: "_Batch", line: bytes) -> None:
        row = decoded(line)
        if row is None:
            batch.end(0, exact=True)
            return
        added, exact = 0, True
        for piece in iter_pieces(row, self.encoding, self._bill):
            added += piece.before
            exact = exact and piece.exact
            if piece.text:
                batch.add(piece.text, trained=piece.trained)
        batch.end(added, exact=exact)


class OpenAICounter(TextCounter):
    """One of OpenAI's encodings.

    Args:
        encoding: Which, and whether a source says that it is the model's.
        model: For `says`.

    Raises:
        ExtraMissing: nothing that counts in it is installed.
    """

    def __init__(self, encoding: Encoding, model: str) -> None:
        self._bill = image_bill(base_name(model))
        self._bpe = BpeCounter(encoding.name)
        assumed = "" if encoding.known else f", assumed for {model}"
        says = f"{encoding.name}{assumed}, counted by {self._bpe.source}; {_OVERHEAD}"
        error = _error(encoding, model)
        super().__init__((encoding, model), encoding=encoding.name, says=says, error=error)

    @override
    def count(self, texts: Sequence[str]) -> list[int]:
        return self._bpe.count(texts)

    @override
    def _kept_characters(self, text: str, tokens: int) -> int:
        return self._bpe.kept_characters(text, tokens)


def _error(encoding: Encoding, model: str) -> str:
    if not encoding.known:
        return (
            f"which encoding {model} uses isn't published; from cl100k_base to o200k_base counts "
            "fell by 6 % on mixed text, and by more in other scripts"
        )
    return (
        "the system message of its own template isn't counted" if encoding.name == HARMONY else ""
    )


class EstimateCounter(TextCounter):
    """UTF-8 bytes / 4, for a model whose tokenizer isn't here.

    Args:
        why: Why it isn't counted, and what would make it exact.
    """

    def __init__(self, why: str) -> None:
        says = f"estimated as UTF-8 bytes / {BYTES_PER_TOKEN}: {why}"
        super().__init__((why,), encoding="", says=says, error=ESTIMATE_ERROR)

    @override
    def count_lines(
        self, lines: Sequence[bytes], rows: Sequence[PlainRow | None] | None = None
    ) -> LineTokens:
        found = super().count_lines(lines, rows)
        # As `data check` estimates: an example's bytes are added up before they are divided.
        return found._replace(total=list(map(_estimated, lines, found.total)))

    @override
    def count(self, texts: Sequence[str]) -> list[int]:
        return [-(-_size_bytes(text) // BYTES_PER_TOKEN) for text in texts]

    @override
    def _kept_characters(self, text: str, tokens: int) -> int:
        kept = text.encode("utf-8", "replace")[: tokens * BYTES_PER_TOKEN]
        return len(kept.decode("utf-8", "ignore"))


class _Batch:
    """The texts of many examples in one list, and which belong together."""

    def __init__(self) -> None:
        self.inexact = 0  # examples
        self.texts: list[str] = []
        self.trained: list[bool] = []
        self._ends: list[int] = []
        self._added: list[int] = []

    def add(self, text: str, *, trained: bool) -> None:
        """One more text of the example at hand."""
        self.texts.append(text)
        self.trained.append(trained)

    def end(self, added: int, *, exact: bool) -> None:
        """The texts since the last end are one line's, which has so many tokens besides."""
        self._ends.append(len(self.texts))
        self._added.append(added)
        if not exact:
            self.inexact += 1

    def tokens(self, counts: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Total and trained tokens of each line, given those of each text."""
        of_texts, ends = np.array(counts, np.int64), np.array(self._ends)
        trained = _between(ends, of_texts * np.array(self.trained, np.bool_))
        return self._added + _between(ends, of_texts), trained


def _between(ends: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of the counts up to each end, from the one before."""
    return np.diff(np.append(0, np.cumsum(counts))[ends], prepend=0)


def plain_rows(lines: Sequence[bytes]) -> list[PlainRow | None]:
    """Lines of nothing but messages of role and text, decoded; None in the place of any other."""
    # At once where all are. What decodes them looks for no line's end, so every line must begin and
    # end as an object does: then none goes on in the next, and two on a line are one row too many.
    data = b"\n".join(lines)
    if data[:1] + data[-1:] == b"{}" and screen.count(data, b"}\n{") == len(lines) - 1:
        try:
            rows = decode_plain_lines(data)
        except (ValueError, RecursionError):
            rows = []
        if len(rows) == len(lines):
            return list(rows)
    return list(map(plain_row, lines))


def decoded(line: bytes) -> JsonObject | None:
    """The object on a line, read leniently; None when there is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _estimated(line: bytes, of_texts: int) -> int:
    """Tokens of a chat example; of any other line those of its texts."""
    example = read_example(decoded(line) or {})
    return estimate_tokens(example)[0] if example.messages else of_texts


def _size_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
