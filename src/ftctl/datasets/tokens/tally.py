"""Tokens of whole files: total, trained, the longest example, and what a model's limit cuts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ftctl.datasets.fingerprints import BYTES_PER_TOKEN
from ftctl.datasets.read import Line, LineReader
from ftctl.datasets.rules.types import Finding
from ftctl.datasets.tokens.texts import decoded
from ftctl.datasets.tokens.types import LineTokens, TokenCounter

_BATCH_BYTES = 2 * 2**20
_CUTS_SHOWN = 50  # an exact cut tokenizes its example again; of more examples only the size is told

OnProgress = Callable[[int], None]


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
        cuts: `too-long` findings with their lines, what goes told exactly for the first of them.
    """

    total: int = 0
    trained: int = 0
    max_example: int = 0
    max_example_line: int = 0
    inexact: int = 0
    above_limit: int = 0
    lines: int = 0
    cuts: list[tuple[int, Finding]] = field(default_factory=list)

    def add_lines(self, batch: Sequence[Line], counter: TokenCounter, limit: int | None) -> None:
        """Count more lines; of one too long to be held, what its outline lacks is estimated."""
        lines = [line.data if line.whole else line.outline for line in batch]
        counted = counter.count_lines(lines)
        cut = [i for i, line in enumerate(batch) if not line.whole]
        for i in cut:
            counted.total[i] += batch[i].left_out_bytes // BYTES_PER_TOKEN
        self._add(counted._replace(inexact=counted.inexact + len(cut)), lines, counter, limit)

    def add(self, lines: Sequence[bytes], counter: TokenCounter, limit: int | None) -> None:
        """Count more lines.

        Args:
            lines: What comes next.
            counter: Whose tokens.
            limit: How many tokens of an example are kept; None where nothing is cut.
        """
        self._add(counter.count_lines(lines), lines, counter, limit)

    def _add(
        self,
        counted: LineTokens,
        lines: Sequence[bytes],
        counter: TokenCounter,
        limit: int | None,
    ) -> None:
        longest = max(counted.total, default=0)
        if limit is not None and longest > limit:
            for i, tokens in enumerate(counted.total):
                if tokens > limit:
                    self.above_limit += 1
                    shown = self.above_limit <= _CUTS_SHOWN
                    finding = _too_long(tokens, limit, counter, lines[i] if shown else b"")
                    self.cuts.append((self.lines + i + 1, finding))
        part = Tally(sum(counted.total), sum(counted.trained), inexact=counted.inexact)
        part.max_example, part.lines = longest, len(lines)
        part.max_example_line = counted.total.index(longest) + 1 if longest else 0
        self.append(part)

    def append(self, other: "Tally") -> None:
        """Add what comes after these lines."""
        self.cuts += [(self.lines + line, finding) for line, finding in other.cuts]
        if other.max_example > self.max_example:
            self.max_example = other.max_example
            self.max_example_line = self.lines + other.max_example_line
        self.total += other.total
        self.trained += other.trained
        self.inexact += other.inexact
        self.above_limit += other.above_limit
        self.lines += other.lines


def count_file(
    file: Path,
    counter: TokenCounter,
    *,
    limit: int | None = None,
    on_progress: OnProgress | None = None,
) -> Tally:
    """Count a file's examples in one pass, in constant memory.

    Args:
        file: JSONL.
        counter: Whose tokens.
        limit: How many tokens of an example are kept; None where nothing is cut.
        on_progress: Called now and then with how many bytes of the file are read.

    Raises:
        UsageError: the file can't be read.
    """
    found = Tally()
    with LineReader(file) as reader:
        for batch in _batches(iter(reader)):
            found.add_lines(batch, counter, limit)
            if on_progress is not None:
                on_progress(reader.read_bytes)
    return found


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    size_bytes = 0
    for line in lines:
        batch.append(line)
        size_bytes += len(line.data)
        if size_bytes >= _BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def _too_long(tokens: int, limit: int, counter: TokenCounter, line: bytes) -> Finding:
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
