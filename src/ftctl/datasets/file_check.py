"""One file on its way through the rules."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, tee
from pathlib import Path

from ftctl.datasets.across import Lines
from ftctl.datasets.fast.options import Options
from ftctl.datasets.fast.part import Part
from ftctl.datasets.fast.processes import doing
from ftctl.datasets.fast.worker import Task
from ftctl.datasets.formats import format_of
from ftctl.datasets.read import Line, LineReader, OnProgress, joined, ranges
from ftctl.datasets.report import Collector
from ftctl.datasets.rules.json_text import parse_line
from ftctl.datasets.rules.limits import whole_file
from ftctl.datasets.rules.over_lines import beginning
from ftctl.datasets.rules.types import Finding
from ftctl.datasets.tokens.tally import Tally

_FIRST_LINES = 20


class Progress:
    """Bytes read over all files, told to whoever asked."""

    def __init__(self, files: Sequence[Path], on_progress: OnProgress | None) -> None:
        self._on_progress = on_progress
        self._total = sum(file.stat().st_size for file in files if file.is_file())
        self._before = 0

    def show(self, read_bytes: int) -> None:
        """Tell how far reading has come in the file at hand."""
        if self._on_progress is not None:
            self._on_progress(self._before + read_bytes, self._total)

    def file_done(self, size_bytes: int) -> None:
        """Go on to the next file."""
        self._before += size_bytes
        self.show(0)


class FileCheck:
    """One file on its way through the rules, and what is remembered of it.

    Args:
        file: The file.
        options: How lines are looked at.
        collector: Takes what is found.
        progress: Is told how far reading has come.

    Attributes:
        lines: What its examples show together.
        tally: Tokens as they were counted, where they were.
        examples: How many lines hold an object.
        lines_readable: Whether it is JSON lines in an encoding that is read.
    """

    def __init__(
        self, file: Path, options: Options, collector: Collector, progress: Progress
    ) -> None:
        self.file = file
        self.lines = Lines(duplicates=options.asked.duplicates)
        self.tally = Tally()
        self.size_bytes = self.examples = 0
        self.total_tokens = self.max_tokens = self.max_tokens_line = 0
        self.lines_readable = True
        self._options = options
        self._collector = collector
        self._progress = progress
        self._lines_read = 0
        self._format: str | None = None
        self._begun = False  # whether a line that isn't blank was seen

    def add(self, findings: Iterator[tuple[int, Finding]]) -> None:
        """Collect findings with their lines."""
        for number, finding in findings:
            self._collector.add(self.file, number, finding)

    @property
    def chats(self) -> int:
        """How many examples are conversations, or pairs of answers to one."""
        return self.examples if self._options.asked.method == "dpo" else self.lines.count

    def add_whole(self, findings: Iterator[Finding]) -> None:
        """Collect findings on the file as a whole."""
        self.add((1, finding) for finding in findings)

    def run(self, process_count: int | None) -> None:
        """Read the file once and apply every rule.

        Args:
            process_count: How many processes look at it; None for as many as help.

        Raises:
            UsageError: it can't be read.
        """
        try:
            with LineReader(self.file) as reader:
                self._read(reader, process_count)
        finally:  # a person who leaves off is told what is known so far
            self.add(self.lines.iter_findings())
            if more := self.lines.more_ungrounded:
                self._collector.count("ungrounded", more)
        self._progress.file_done(self.size_bytes)

    def _read(self, reader: LineReader, process_count: int | None) -> None:
        self.size_bytes = reader.size_bytes
        self.add_whole(whole_file(reader))
        self.lines_readable = not reader.oddity
        lines = iter(reader)
        head, opening = beginning(lines)
        if opening is not None:
            self._begun, self.lines_readable = True, False
            said = "one JSON value over several lines"
            self.add(iter([(opening.number, Finding("not-jsonl", "", said))]))
        elif reader.plain:
            likely = _likely_format([*head, *islice(lines, _FIRST_LINES)])
            self._look_at_ranges(3 if reader.bom else 0, likely, process_count)
        else:
            for piece in joined(chain(head, lines)):
                part = Part(self._options, self._format)
                part.look([piece])
                self._take(part)
                self._progress.show(reader.read_bytes)
        if reader.damage:
            last = self._lines_read
            said = f"the compressed data is damaged after line {last}: {reader.damage}"
            self.add(iter([(max(last, 1), Finding("compressed/unread", "", said))]))
        elif self.lines_readable and not self._begun:
            self.add(iter([(1, Finding("empty-file", "", "the file has no examples"))]))

    def _look_at_ranges(self, start: int, likely: str | None, process_count: int | None) -> None:
        """Look at the file in ranges, in several processes where that helps."""
        tasks, same = tee(
            Task(self.file, begin, end, likely if begin > start else None, self._options)
            for begin, end in ranges(self.file, start)
        )
        with doing(self.size_bytes, process_count) as done:
            for part, task in zip(done(tasks), same, strict=True):
                if part.before != self._format:
                    part = task._replace(known_format=self._format).done()
                self._take(part)
                self._progress.show(task.end)

    def _take(self, part: Part) -> None:
        """Add what the next lines of the file show."""
        before = self._lines_read
        for number, finding in part.findings:
            self._collector.add(self.file, before + number, finding)
        for key, count in part.counts.items():
            self._collector.count(key, count - min(count, self._options.kept))
        self.lines.extend(part.lines, before)
        self.tally.append(part.tally)
        self._lines_read += part.lines_read
        self._format = part.format if part.format is not None else self._format
        self._begun = self._begun or part.begun
        self.examples += part.examples
        self.total_tokens += part.total_tokens
        tokens, line = part.longest
        if tokens > self.max_tokens:
            self.max_tokens, self.max_tokens_line = tokens, before + line
        self._collector.lines["fast"] += part.fast
        self._collector.lines["slow"] += part.lines_read - part.fast


def _likely_format(first: Iterable[Line]) -> str | None:
    """The format of the first line that is in a known one; None when none of them is."""
    for line in first:
        row = parse_line(line.data).value if line.whole else None
        found = format_of(row) if isinstance(row, dict) else None
        if found is not None:
            return found.name
    return None
