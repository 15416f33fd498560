"""Check dataset files against every rule of the providers asked for, in one pass."""

import contextlib
import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, combinations, islice
from pathlib import Path

from ftctl.datasets.across import Lines, overlaps, validation_size
from ftctl.datasets.examine import Asked
from ftctl.datasets.fast import processes
from ftctl.datasets.fast.part import Options, Part
from ftctl.datasets.fast.processes import Done, cores, here
from ftctl.datasets.fast.worker import Task
from ftctl.datasets.formats import format_of
from ftctl.datasets.graded import grader_findings
from ftctl.datasets.methods import require_method
from ftctl.datasets.near import near_findings, near_overlaps
from ftctl.datasets.read import (
    STDIN,
    Line,
    LineReader,
    joined,
    must_be_readable_twice,
    ranges,
)
from ftctl.datasets.report import ESTIMATE_SAYS, Collector, Report, TokenEstimate, counted
from ftctl.datasets.rules import rft
from ftctl.datasets.rules.json_text import parse_line
from ftctl.datasets.rules.limits import example_count, validation_count
from ftctl.datasets.rules.over_lines import beginning
from ftctl.datasets.rules.table import USUAL, known_providers
from ftctl.datasets.rules.types import Finding
from ftctl.datasets.tokens.tally import Tally
from ftctl.datasets.tokens.types import TokenCounter
from ftctl.datasets.whole_file import whole_file
from ftctl.errors import UsageError

_FIRST_LINES = 20

OnProgress = Callable[[int, int], None]


class LeftOff(KeyboardInterrupt):
    """A person left off with Ctrl-C; `report` says what was found up to there."""

    def __init__(self, report: Report) -> None:
        super().__init__("left off")
        self.report = report


def check(  # noqa: PLR0913 - keywords are the flags of the command line
    files: Sequence[Path],
    *,
    providers: Sequence[str] = USUAL,
    method: str = "sft",
    validation: Path | None = None,
    grader: str | None = None,
    max_errors: int = 50,
    duplicates: bool = True,
    near: bool = False,
    scan: bool = True,
    tokens: bool = True,
    counter: TokenCounter | None = None,
    limit: int | None = None,
    process_count: int | None = None,
    fast: bool = True,
    on_progress: OnProgress | None = None,
) -> Report:
    """Check training files, and what they share with each other and a validation file.

    Args:
        files: OpenAI-format JSONL, as it is or packed (gzip, zstd); `-` is standard input.
        providers: Whose rules to apply: of `rules.table.PROVIDERS`, or `mistral-v3` and the like.
        method: How the model will be tuned.
        validation: A held-out file, checked by the same rules but for its number of examples.
        grader: What will give the reward, as JSON text; for rft only.
        max_errors: How many issues are kept of each rule and severity; all are counted.
        duplicates, scan, tokens: Whether examples are compared, personal data and secrets looked
            for, tokens told.
        near: Whether chat examples with nearly the same words are looked for, too.
        counter: Counts tokens as the model's tokenizer does; estimated when left out.
        limit: How many tokens of an example the model keeps; with a counter only.
        process_count: How many processes look at a file; None for as many as help.
        fast: False to apply every rule to every line; what is found is the same.
        on_progress: Called now and then with bytes read and bytes to read; 0 where a pipe doesn't
            say how many there will be.

    Raises:
        UsageError: a file can't be read, no file is given, or a provider's name is unknown.
        Unsupported: a method of which no rules are known.
        LeftOff: Ctrl-C; it holds what was found so far.
    """
    require_method(method)
    every = _all_of(files, validation)
    for file in every if near or grader is not None else ():
        must_be_readable_twice(file)
    collector = Collector(every, known_providers(providers), max_errors, method)
    progress = _Progress(every, on_progress)
    counting = counter if tokens and counter is not None and counter.encoding else None
    asked = Asked(method, duplicates=duplicates, scan=scan, tokens=tokens and counting is None)
    options = Options(asked, max_errors, fast=fast, counter=counting, limit=limit)
    minding = _minding(options, collector)
    checked = [_FileCheck(file, minding, collector, progress) for file in every]
    training = checked[: len(files)]
    tell = partial(_total_tokens, training, counter, limit, asked=tokens)
    try:
        _run(checked, process_count)
    except KeyboardInterrupt:
        raise LeftOff(collector.report(_examples(training), tell(), complete=False)) from None
    _add_counts(training, method)
    _add_overlaps(checked, collector, near=near)
    _add_held_out(checked, training, method, grader)
    return collector.report(_examples(training), tell())


def _run(checked: Sequence["_FileCheck"], process_count: int | None) -> None:
    with _collector_off():
        for file_check in checked:
            file_check.run(process_count)


def _all_of(files: Sequence[Path], validation: Path | None) -> list[Path]:
    if not files:
        raise UsageError("no file to check", hint="ftctl data check FILE")
    every = [*files, validation] if validation is not None else list(files)
    _require_different(every)
    return every


def _minding(options: Options, collector: Collector) -> Options:
    """Look as well for what only some providers mind, where one of them is asked about."""
    nova = collector.minded("reserved-string")
    return replace(
        options,
        asked=replace(options.asked, nova=nova),
        nine=collector.minded("tool-call-id-format"),
    )


def _add_counts(training: Sequence["_FileCheck"], method: str) -> None:
    for one in training:
        if one.lines_readable and one.examples:
            one.add_whole(example_count(one.examples, method))


def _add_overlaps(checked: Sequence["_FileCheck"], collector: Collector, *, near: bool) -> None:
    for one, other in combinations(checked, 2):
        for file, number, finding in overlaps(one.file, one.lines, other.file, other.lines):
            collector.add(file, number, finding)
    if near:
        _add_near([one for one in checked if one.examples], collector)


def _add_near(checked: Sequence["_FileCheck"], collector: Collector) -> None:
    for one in checked:
        one.add(near_findings(one.file))
    for one, other in combinations(checked, 2):
        for file, number, finding in near_overlaps(one.file, other.file):
            collector.add(file, number, finding)


def _add_held_out(
    checked: Sequence["_FileCheck"],
    training: Sequence["_FileCheck"],
    method: str,
    grader: str | None,
) -> None:
    validation = checked[len(training) :]
    for one in validation:
        _add_validation(one, training)
    if method == "rft":
        _add_graded(checked, grader, no_validation=not validation)


def _add_validation(held_out: "_FileCheck", training: Sequence["_FileCheck"]) -> None:
    total_bytes = sum(file_check.size_bytes for file_check in training)
    held_out.add(validation_size(held_out.size_bytes, total_bytes))
    held_out.add_whole(validation_count(held_out.examples))


def _add_graded(
    checked: Sequence["_FileCheck"], grader: str | None, *, no_validation: bool
) -> None:
    if no_validation:
        checked[0].add_whole(rft.no_validation())
    if grader is not None:
        for file_check in checked:
            file_check.add(grader_findings(file_check.file, grader))


@contextlib.contextmanager
def _collector_off() -> Iterator[None]:
    """Without Python's search for cycles, of which decoded lines have none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _examples(checks: Sequence["_FileCheck"]) -> int:
    return sum(file_check.examples for file_check in checks)


def _require_different(files: list[Path]) -> None:
    seen: set[tuple[int, int]] = set()
    if files.count(STDIN) > 1:
        raise UsageError("standard input is given twice", hint="name each file once")
    for file in files:
        with contextlib.suppress(OSError, ValueError):  # reading it tells what is wrong
            found = file.stat()
            if (found.st_dev, found.st_ino) in seen:
                raise UsageError(f"{file} is given twice", hint="name each file once")
            seen.add((found.st_dev, found.st_ino))


def _total_tokens(
    checks: Sequence["_FileCheck"],
    counter: TokenCounter | None,
    limit: int | None,
    *,
    asked: bool,
) -> TokenEstimate:
    if not asked:
        return TokenEstimate(method="none", source="not asked for", error="")
    if counter is not None and counter.encoding:
        return counted([file_check.tally for file_check in checks], counter, limit)
    longest = max(checks, key=lambda c: c.max_tokens)
    return TokenEstimate(
        total_tokens=sum(c.total_tokens for c in checks),
        max_example_tokens=longest.max_tokens,
        max_example_line=longest.max_tokens_line or None,
        says=counter.says if counter is not None else ESTIMATE_SAYS,
    )


class _Progress:
    """Bytes read over all files, told to whoever asked."""

    def __init__(self, files: Sequence[Path], on_progress: OnProgress | None) -> None:
        self._on_progress = on_progress
        self._total = sum(file.stat().st_size for file in files if file.is_file())
        self._before = 0

    def show(self, read_bytes: int) -> None:
        if self._on_progress is not None:
            self._on_progress(self._before + read_bytes, self._total)

    def file_done(self, size_bytes: int) -> None:
        self._before += size_bytes
        self.show(0)


class _FileCheck:
    """One file on its way through the rules, and what is remembered of it."""

    def __init__(
        self, file: Path, options: Options, collector: Collector, progress: _Progress
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
        tasks = (
            Task(self.file, begin, end, likely if begin > start else None, self._options)
            for begin, end in ranges(self.file, start)
        )
        if process_count is None:
            process_count = cores() if self.size_bytes >= processes.MIN_BYTES else 1
        if process_count == 1:
            self._take_all(here(tasks))
            return
        with processes.processes(process_count) as done:
            self._take_all(done(tasks))

    def _take_all(self, done: Iterator[Done]) -> None:
        for task, part in done:
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
