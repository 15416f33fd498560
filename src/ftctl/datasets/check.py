"""Check dataset files against every rule of the providers asked for, in one pass."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

from ftctl.datasets.fingerprints import estimate_tokens
from ftctl.datasets.formats import CHAT, format_of, second_format
from ftctl.datasets.read import LINE_CAP_BYTES, Line, LineReader
from ftctl.datasets.report import Collector, Report, TokenEstimate
from ftctl.datasets.rules import content, structure, tool_calls, tools
from ftctl.datasets.rules.across import Lines, count_findings, overlaps, validation_size
from ftctl.datasets.rules.json_text import open_path, parse_line
from ftctl.datasets.rules.table import PROVIDERS
from ftctl.datasets.rules.types import Example, Finding, JsonObject, kind, read_example
from ftctl.errors import Unsupported, UsageError

MAX_FILE_BYTES = 512 * 2**20  # source: OpenAI and Mistral upload pages, read 2026-11
MAX_EXAMPLE_TOKENS = 65_536  # source: OpenAI's fine-tuning guide; longer ones are cut at the end
# The estimate is at most this much above the truth (Hindi), so only beyond it are we sure.
_WORST_OVERCOUNT = 2.5
_PROGRESS_LINES = 1000

OnProgress = Callable[[int, int], None]

_EXAMPLE_RULES = (*structure.RULES, *content.RULES, *tools.RULES, *tool_calls.RULES)


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
        method: How the model will be tuned; `sft` so far.
        validation: A held-out file, checked by the same rules but for its number of examples.
        max_errors: How many issues are kept of each rule and severity; all are counted.
        on_progress: Called now and then with bytes read and bytes to read.

    Raises:
        UsageError: a file can't be read, no file is given, or a provider's name is unknown.
        Unsupported: another method than sft.
    """
    providers = _known(providers)
    if method != "sft":
        raise Unsupported(
            f"data for {method} can't be checked yet; sft can", hint="leave out --method"
        )
    if not files:
        raise UsageError("no file to check", hint="ftctl data check FILE")
    every = [*files, validation] if validation is not None else list(files)
    collector = Collector(every, providers, max_errors)
    progress = _Progress(every, on_progress)
    checked = [_FileCheck(file, collector, progress) for file in every]
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

    def __init__(self, file: Path, collector: Collector, progress: _Progress) -> None:
        self.file = file
        self.lines = Lines()
        self.size_bytes = self.examples = 0
        self.total_tokens = self.max_tokens = self.max_tokens_line = 0
        self.lines_readable = True
        self._collector = collector
        self._progress = progress
        self._format: str | None = None

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
            for line in reader:
                last = line.number
                if last % _PROGRESS_LINES == 0:
                    self._progress.show(reader.read_bytes)
                for finding in self._line(line):
                    self._collector.add(self.file, line.number, finding)
                if not self.lines_readable:
                    break
            if reader.damage:
                said = f"the compressed data is damaged after line {last}: {reader.damage}"
                self.add(iter([(max(last, 1), Finding("compressed/unread", "", said))]))
            elif self.lines_readable and not self.examples:
                self.add(iter([(1, Finding("empty-file", "", "the file has no examples"))]))
        self.add(self.lines.iter_findings())
        self._progress.file_done(self.size_bytes)

    def _line(self, line: Line) -> Iterator[Finding]:
        if not line.whole:
            self.examples += 1
            said = f"the line has {line.size_bytes:,} bytes; above {LINE_CAP_BYTES:,} none is read"
            yield Finding("too-long/prompt", open_path(line.data), said)
            return
        parsed = parse_line(line.data, ended=line.ended)
        if not parsed.valid:
            broken = parsed.findings[0]
            if broken.key == "blank-line":
                yield broken
            elif not self.examples and _spans_lines(line, broken):
                self.lines_readable = False
                said = "one JSON value over several lines, not one object a line"
                yield Finding("not-jsonl", "", said)
            else:
                self.examples += 1
                yield broken
            return
        self.examples += 1
        yield from parsed.findings
        if isinstance(parsed.value, dict):
            yield from self._row(line, parsed.value)
        else:
            yield _not_object(parsed.value)

    def _row(self, line: Line, row: JsonObject) -> Iterator[Finding]:
        found = format_of(row)
        name = found.name if found else CHAT
        if self._format is None:
            self._format = name
            if found and found.key:
                yield Finding(found.key, found.path, f"the file is in another format: {name}")
        elif name != self._format:
            usual = "chat examples" if self._format == CHAT else self._format
            yield Finding("format-two", "", f"this line is {name}, the file began as {usual}")
        if name != CHAT:
            self._count_tokens(line.number, -(-line.size_bytes // 4))
            return
        if other := second_format(row):
            yield Finding("format-two", other, f"{other} beside messages")
        yield from self._chat(line.number, read_example(row))

    def _chat(self, number: int, example: Example) -> Iterator[Finding]:
        broken = list(structure.iter_messages_problems(example.row))
        yield from broken
        for rule in _EXAMPLE_RULES:
            yield from rule(example)
        total, prompt = estimate_tokens(example)
        self._count_tokens(number, total)
        if total > MAX_EXAMPLE_TOKENS:
            sure = prompt > MAX_EXAMPLE_TOKENS * _WORST_OVERCOUNT
            said = f"about {total:,} tokens, {prompt:,} before the answer; {MAX_EXAMPLE_TOKENS:,} "
            yield Finding("too-long/prompt" if sure else "too-long", "messages", f"{said}are kept")
        if not broken:
            for line, finding in self.lines.add(number, example):
                self._collector.add(self.file, line, finding)

    def _count_tokens(self, number: int, tokens: int) -> None:
        self.total_tokens += tokens
        if tokens > self.max_tokens:
            self.max_tokens, self.max_tokens_line = tokens, number


def _whole_file(reader: LineReader) -> Iterator[Finding]:
    """What is odd about a file before its first line."""
    if reader.oddity.startswith("UTF"):
        yield Finding("encoding", "", f"the file is {reader.oddity}, not UTF-8")
    elif reader.oddity:
        yield Finding("compressed/unread", "", f"the file is compressed ({reader.oddity})")
    if reader.gzipped:
        named = "" if reader.path.suffix == ".gz" else ", whatever its name says"
        yield Finding("compressed", "", f"the file is compressed (gzip){named}")
    if reader.bom:
        yield Finding("bom", "", "a byte order mark at the start")
    if reader.cr_only:
        yield Finding("line-ends", "", "lines end in CR alone")
    if reader.path.suffix != ".jsonl":
        yield Finding("file-extension", "", f"the name ends in {reader.path.suffix or 'nothing'}")
    if reader.size_bytes > MAX_FILE_BYTES:
        yield Finding("file-size", "", f"{reader.size_bytes:,} bytes; {MAX_FILE_BYTES:,} are taken")


def _spans_lines(line: Line, broken: Finding) -> bool:
    """Whether a first line that isn't JSON opens a value that goes on below."""
    text = line.data.strip()
    opens = broken.key == "json" and line.ended and "a comma after" not in broken.message
    return opens and (text[:1] == b"[" or (text[:1] == b"{" and text[-1:] in b"{[,:"))


def _not_object(value: object) -> Finding:
    rows = isinstance(value, list) and value and all(isinstance(item, dict) for item in value)
    key = "line-not-object/list" if rows else "line-not-object"
    return Finding(key, "", f"the line is {kind(value)}, not an object")
