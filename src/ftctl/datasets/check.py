"""Check dataset files against every rule of the providers asked for, in one pass."""

import contextlib
import difflib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, combinations
from pathlib import Path

from ftctl.datasets.across import Lines, count_findings, overlaps, validation_size
from ftctl.datasets.examine import examine
from ftctl.datasets.fingerprints import BYTES_PER_TOKEN
from ftctl.datasets.formats import CHAT, Format
from ftctl.datasets.methods import ROWS
from ftctl.datasets.read import Line, LineReader
from ftctl.datasets.report import Collector, Report, TokenEstimate
from ftctl.datasets.rules.huge_line import huge, of_outline
from ftctl.datasets.rules.over_lines import beginning
from ftctl.datasets.rules.table import PROVIDERS
from ftctl.datasets.rules.types import Finding
from ftctl.errors import Unsupported, UsageError

MAX_FILE_BYTES = 512 * 2**20  # source: OpenAI and Mistral upload pages, read 2026-11
_PROGRESS_LINES = 1000

OnProgress = Callable[[int, int], None]


def check(
    files: Sequence[Path],
    *,
    providers: Sequence[str] = PROVIDERS,
    method: str = "sft",
    validation: Path | None = None,
    max_errors: int = 50,
    on_progress: OnProgress | None = None,
) -> Report:
    """Check training files, and what they share with each other and a validation file.

    Args:
        files: OpenAI-format JSONL.
        providers: Whose rules to apply.
        method: How the model will be tuned.
        validation: A held-out file, checked by the same rules but for its number of examples.
        max_errors: How many issues are kept of each rule and severity; all are counted.
        on_progress: Called now and then with bytes read and bytes to read.

    Raises:
        UsageError: a file can't be read, no file is given, or a provider's name is unknown.
        Unsupported: a method of which no rules are known.
    """
    providers = _known(providers)
    if method not in ("sft", *ROWS):
        raise Unsupported(
            f"data for {method} can't be checked; for sft, {', '.join(ROWS)} they can",
            hint="--method sft",
        )
    if not files:
        raise UsageError("no file to check", hint="ftctl data check FILE")
    every = [*files, validation] if validation is not None else list(files)
    _require_different(every)
    collector = Collector(every, providers, max_errors)
    progress = _Progress(every, on_progress)
    checked = [_FileCheck(file, method, collector, progress) for file in every]
    for file_check in checked:
        file_check.run()
    training = checked[: len(files)]
    for file_check in training:
        if file_check.lines_readable and file_check.examples:
            file_check.add(count_findings(file_check.examples))
    for one, other in combinations(checked, 2):
        for file, number, finding in overlaps(one.file, one.lines, other.file, other.lines):
            collector.add(file, number, finding)
    if validation is not None:
        total_bytes = sum(file_check.size_bytes for file_check in training)
        checked[-1].add(validation_size(checked[-1].size_bytes, total_bytes))
    return collector.report(sum(c.examples for c in training), _total_tokens(training))


def _known(providers: Sequence[str]) -> tuple[str, ...]:
    for name in providers:
        if name not in PROVIDERS:
            near = difflib.get_close_matches(name.lower(), PROVIDERS, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise UsageError(
                f"no rules are known for the provider {name!r}",
                hint=f"{meant}known: {', '.join(PROVIDERS)}",
            )
    if not providers:
        raise UsageError("no provider to check for", hint=f"--for {','.join(PROVIDERS)}")
    return tuple(dict.fromkeys(providers))


def _require_different(files: Sequence[Path]) -> None:
    seen: set[tuple[int, int]] = set()
    for file in files:
        with contextlib.suppress(OSError, ValueError):  # reading it tells what is wrong
            found = file.stat()
            if (found.st_dev, found.st_ino) in seen:
                raise UsageError(f"{file} is given twice", hint="name each file once")
            seen.add((found.st_dev, found.st_ino))


def _total_tokens(checks: Sequence["_FileCheck"]) -> TokenEstimate:
    longest = max(checks, key=lambda c: c.max_tokens)
    return TokenEstimate(
        total_tokens=sum(c.total_tokens for c in checks),
        max_example_tokens=longest.max_tokens,
        max_example_line=longest.max_tokens_line or None,
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

    def __init__(self, file: Path, method: str, collector: Collector, progress: _Progress) -> None:
        self.file = file
        self._method = method
        self.lines = Lines()
        self.size_bytes = self.examples = 0
        self.total_tokens = self.max_tokens = self.max_tokens_line = 0
        self.lines_readable = True
        self._collector = collector
        self._progress = progress
        self._format: str | None = None
        self._begun = False  # whether a line that isn't blank was seen

    def add(self, findings: Iterator[tuple[int, Finding]]) -> None:
        """Collect findings with their lines."""
        for number, finding in findings:
            self._collector.add(self.file, number, finding)

    def run(self) -> None:
        """Read the file once and apply every rule.

        Raises:
            UsageError: it can't be read.
        """
        with LineReader(self.file) as reader:
            self.size_bytes = reader.size_bytes
            self.add((1, finding) for finding in _whole_file(reader))
            self.lines_readable = not reader.oddity
            last = 0
            lines = iter(reader)
            head, opening = beginning(lines)
            if opening is not None:
                self._begun, self.lines_readable = True, False
                said = "one JSON value over several lines"
                self.add(iter([(opening.number, Finding("not-jsonl", "", said))]))
                head, lines = [], iter(())
            for line in chain(head, lines):
                last = line.number
                if last % _PROGRESS_LINES == 0:
                    self._progress.show(reader.read_bytes)
                for finding in self._line(line):
                    self._collector.add(self.file, line.number, finding)
            if reader.damage:
                said = f"the compressed data is damaged after line {last}: {reader.damage}"
                self.add(iter([(max(last, 1), Finding("compressed/unread", "", said))]))
            elif self.lines_readable and not self._begun:
                self.add(iter([(1, Finding("empty-file", "", "the file has no examples"))]))
        self.add(self.lines.iter_findings())
        self._progress.file_done(self.size_bytes)

    def _line(self, line: Line) -> Iterator[Finding]:
        if not line.whole and not line.outline:
            self.examples += 1
            self._begun = True
            yield huge(line)
            return
        data = line.data if line.whole else line.outline
        seen = examine(data, ended=line.ended, method=self._method)
        first = seen.findings[0] if seen.findings else None
        if first is not None and first.key == "blank-line":
            yield first
            return
        self._begun = True
        self.examples += seen.row
        yield from seen.findings if line.whole else of_outline(line, seen.findings)
        if seen.row:
            known = seen.format is not None or seen.chat is not None
            yield from self._one_format(seen.format, known=known)
        if seen.chat is not None and line.whole:
            self.lines.add(line.number, seen.chat)
        tokens = seen.tokens + line.left_out_bytes // BYTES_PER_TOKEN
        self.total_tokens += tokens
        if tokens > self.max_tokens:
            self.max_tokens, self.max_tokens_line = tokens, line.number

    def _one_format(self, found: Format | None, *, known: bool) -> Iterator[Finding]:
        """`format` once a file, `format-two` where a line leaves the format of the first."""
        name = found.name if found else CHAT
        if self._format is None and not known:
            return  # a row of no known format says nothing of the file's
        if self._format is None:
            self._format = name
            if found and found.key:
                yield Finding(found.key, found.path, f"the file is in another format: {name}")
        elif name != self._format:
            usual = "chat examples" if self._format == CHAT else self._format
            said = f"the line is {name}, the file began as {usual}"
            yield Finding("format-two", "", said)


def _whole_file(reader: LineReader) -> Iterator[Finding]:
    """What is odd about a file before its first line."""
    if reader.oddity.startswith("UTF"):
        yield Finding("encoding", "", f"the file is {reader.oddity}, not UTF-8")
    elif reader.oddity:
        yield Finding("compressed/unread", "", f"the file is compressed ({reader.oddity})")
    named_gz = reader.path.suffix.lower() == ".gz"
    if reader.gzipped and named_gz:
        yield Finding("compressed", "", "the file is compressed (gzip)")
    elif reader.gzipped:
        said = "the file is compressed (gzip), whatever its name says"
        yield Finding("compressed/misnamed", "", said)
    elif named_gz and not reader.oddity:
        yield Finding("compressed/not", "", "the name says gzip, the file is plain text")
    if reader.bom:
        yield Finding("bom", "", "a byte order mark at the start")
    if reader.cr_only:
        yield Finding("line-ends", "", "lines end in CR alone")
    if reader.path.suffix != ".jsonl":
        yield Finding("file-extension", "", f"the name ends in {reader.path.suffix or 'nothing'}")
    if reader.size_bytes > MAX_FILE_BYTES:
        yield Finding("file-size", "", f"{reader.size_bytes:,} bytes; {MAX_FILE_BYTES:,} are taken")
