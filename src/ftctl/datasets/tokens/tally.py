"""Tokens of many examples: total, trained, the longest example, and what a model's limit cuts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from typing_extensions import override

from ftctl.datasets.fast.rows import PlainRow
from ftctl.datasets.fingerprints import BYTES_PER_TOKEN
from ftctl.datasets.read import Line
from ftctl.datasets.rules.types import Finding
from ftctl.datasets.tokens.types import LineTokens, TokenCounter

_BATCH_BYTES = 8 * 2**20


@dataclass
class Tally:
    """What the examples of a run of lines have; line numbers count from 1 at its beginning.

    Attributes:
        total: Tokens.
        trained: Tokens that loss counts on.
        max_example: Tokens of the longest example.
        max_example_line: Its line; 0 without examples.
        inexact: Examples of which a part is estimated.
        above_limit: Examples longer than the limit.
        lines: How many lines were counted.
    """

    total: int = 0
    trained: int = 0
    max_example: int = 0
    max_example_line: int = 0
    inexact: int = 0
    above_limit: int = 0
    lines: int = 0

    def add(
        self,
        lines: Sequence[bytes],
        counter: TokenCounter,
        limit: int | None,
        rows: Sequence[PlainRow | None] | None = None,
    ) -> list[tuple[int, Finding]]:
        """Count more lines, and say what is cut of those that are too long.

        Args:
            lines: What comes next.
            counter: Whose tokens.
            limit: How many tokens of an example are kept; None where nothing is cut.
            rows: The lines decoded, where they are already.
        """
        return self._add(counter.count_lines(lines, rows), lines, counter, limit)

    def add_long(
        self, line: Line, counter: TokenCounter, limit: int | None
    ) -> list[tuple[int, Finding]]:
        """Count a line that may be too long to be held: what its outline lacks is estimated."""
        lines = [line.data if line.whole else line.outline]
        counted = counter.count_lines(lines)
        if not line.whole:
            rest = line.left_out_bytes // BYTES_PER_TOKEN
            counted = LineTokens([counted.total[0] + rest], counted.trained, 1)
            lines = [b""]
        return self._add(counted, lines, counter, limit)

    def append(self, other: "Tally") -> None:
        """Add what comes after these lines."""
        if other.max_example > self.max_example:
            self.max_example = other.max_example
            self.max_example_line = self.lines + other.max_example_line
        self.total += other.total
        self.trained += other.trained
        self.inexact += other.inexact
        self.above_limit += other.above_limit
        self.lines += other.lines

    def _add(
        self, counted: LineTokens, lines: Sequence[bytes], counter: TokenCounter, limit: int | None
    ) -> list[tuple[int, Finding]]:
        longest = max(counted.total, default=0)
        cuts = []
        if limit is not None and longest > limit:
            cuts = list(_iter_cuts(counted.total, lines, counter, limit))
        place = counted.total.index(longest) + 1 if longest else 0
        total, trained = sum(counted.total), sum(counted.trained)
        cut = [(self.lines + number, finding) for number, finding in cuts]
        self.append(Tally(total, trained, longest, place, counted.inexact, len(cuts), len(lines)))
        return cut


class Counting:
    """Lines on their way into a tally, many at a time.

    A tokenizer's tables are large: bringing them back into the processor's cache costs about as
    much as counting a quarter of a megabyte (measured, 2026-11-29).

    Args:
        counter: Whose tokens.
        limit: How many tokens of an example are kept; None where nothing is cut.

    Attributes:
        tally: What was counted; after `flush`, everything.
    """

    def __init__(self, counter: TokenCounter, limit: int | None) -> None:
        self.tally = Tally()
        self._counter = counter
        self._limit = limit
        self._lines = _Lines()
        self._rows: list[PlainRow | None] = []
        self._size_bytes = 0

    def add(
        self, block: bytes, count: int, rows: Sequence[PlainRow | None] | None
    ) -> list[tuple[int, Finding]]:
        """Take a block's first lines, decoded as far as they are, and say what is cut of any."""
        self._lines.add(block, count)
        self._rows += rows if rows is not None else [None] * count
        self._size_bytes += len(block)
        return self.flush() if self._size_bytes >= _BATCH_BYTES else []

    def add_long(self, line: Line) -> list[tuple[int, Finding]]:
        """Take a line that may be too long to be held, and say what is cut."""
        return self.flush() + self.tally.add_long(line, self._counter, self._limit)

    def flush(self) -> list[tuple[int, Finding]]:
        """Count what waits, and say what is cut."""
        cuts = self.tally.add(self._lines, self._counter, self._limit, self._rows)
        self._lines, self._rows, self._size_bytes = _Lines(), [], 0
        return cuts


class _Lines(Sequence[bytes]):
    """Lines of blocks, which are split when one is asked for: of most files none is."""

    def __init__(self) -> None:
        self._blocks: list[tuple[bytes, int]] = []
        self._split: list[bytes] | None = None
        self._count = 0

    def add(self, block: bytes, count: int) -> None:
        self._blocks.append((block, count))
        self._split = None
        self._count += count

    @override
    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[bytes]: ...
    @override
    def __getitem__(self, place: int | slice) -> bytes | Sequence[bytes]:
        if self._split is None:
            self._split = []
            for block, count in self._blocks:
                self._split += block.split(b"\n")[:count]
        return self._split[place]


def _iter_cuts(
    totals: Sequence[int], lines: Sequence[bytes], counter: TokenCounter, limit: int
) -> Iterator[tuple[int, Finding]]:
    for i, tokens in enumerate(totals):
        if tokens > limit:
            yield i + 1, _too_long(tokens, limit, counter, lines[i])


def _too_long(tokens: int, limit: int, counter: TokenCounter, line: bytes) -> Finding:
    from ftctl.datasets.tokens.texts import decoded  # numpy's import takes as long as a process

    said = f"{tokens:,} tokens; {limit:,} are kept"
    row = decoded(line)
    if row is None:
        return Finding("too-long", "", said)
    cut = counter.cut(row, limit)
    if cut.answer_tokens and cut.lost_tokens == cut.answer_tokens:
        return Finding("too-long/prompt", cut.path, f"{said}: no answer token is left")
    where = f", from character {cut.kept_characters + 1:,} of {cut.path} on" if cut.path else ""
    goes = f"{cut.lost_tokens:,} of {cut.answer_tokens:,} answer tokens go"
    return Finding("too-long", cut.path, f"{said}: {goes}{where}")
