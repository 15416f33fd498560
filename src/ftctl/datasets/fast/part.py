"""What a run of a file's lines shows, small enough to be handed between processes."""

from collections import Counter
from collections.abc import Iterable, Sequence

from ftctl.datasets.across import Lines
from ftctl.datasets.examine import TRL_TOKENS, Examined, examine
from ftctl.datasets.fast.block import Block
from ftctl.datasets.fast.options import Options
from ftctl.datasets.fingerprints import BYTES_PER_TOKEN
from ftctl.datasets.formats import CHAT, Format
from ftctl.datasets.read import Line
from ftctl.datasets.rules.huge_line import huge, of_outline
from ftctl.datasets.rules.types import Finding
from ftctl.datasets.tokens.tally import Counting, Tally

_OF_TRL = {"too-long": "too-long/trl", "too-long/prompt": "too-long/trl-prompt"}


class Part:
    """What a run of lines shows. Line numbers count from 1 at its beginning.

    Attributes:
        format: The file's format as far as it is known, which may be from before.
        before: What it was before the run.
        lines_read: How many lines there are, blank ones and all.
        begun: Whether one of them isn't blank.
        examples: How many hold an object.
        total_tokens: Of all examples, estimated.
        longest: Tokens of the longest example and its line.
        findings: With their lines; the first of each row of the rule table.
        counts: How many findings each row of the rule table has.
        lines: What the examples show together.
        fast: How many lines were found clean at once.
        tally: Tokens as they were counted, where they were.
    """

    def __init__(self, options: Options, known_format: str | None) -> None:
        self.format = self.before = known_format
        self.lines_read = self.examples = self.total_tokens = self.fast = 0
        self.begun = False
        self.longest = (0, 0)
        self.findings: list[tuple[int, Finding]] = []
        self.counts: Counter[str] = Counter()
        self.lines = Lines(duplicates=options.asked.duplicates)
        counter, limit = options.counter, options.limit
        self._counting = Counting(counter, limit) if counter is not None else None
        self.tally = self._counting.tally if self._counting is not None else Tally()
        self._options = options

    def look(self, pieces: Iterable[bytes | Line]) -> None:
        """Look at blocks of whole lines, and at lines too long for a block."""
        for piece in pieces:
            if isinstance(piece, Line):
                self._long(piece)
                continue
            if self._options.fast and self._options.asked.method == "sft":
                block = Block(self, self._options, piece)
                block.run()
                count, rows = block.count, block.rows
            else:
                count, rows = self._every_rule(piece), None
            if self._counting is not None:
                self._cut(self._counting.add(piece, count, rows))
            if self._options.template is not None:
                self._template(piece.split(b"\n")[:count], self.lines_read + 1)
            self.lines_read += count
        if self._counting is not None:
            self._cut(self._counting.flush())

    def _every_rule(self, piece: bytes) -> int:
        """Apply every rule to each line of a block, and say how many there are."""
        lines = piece.split(b"\n")
        ended = not lines[-1]
        if ended:
            lines.pop()
        for i, line in enumerate(lines):
            self.slow(i, line, ended=ended or i < len(lines) - 1)
        return len(lines)

    def _cut(self, cuts: Iterable[tuple[int, Finding]]) -> None:
        for number, finding in cuts:
            key = _OF_TRL.get(finding.key) if self._options.limit == TRL_TOKENS else None
            self._add(number, finding._replace(key=key or finding.key))

    def _template(self, lines: Sequence[bytes], first: int) -> None:
        template = self._options.template
        if template is None:
            return
        for number, line in enumerate(lines, first):
            for finding in template.findings(line):
                self._add(number, finding)

    def slow(self, index: int, line: bytes, *, ended: bool) -> None:
        """Apply every rule to a line of a block."""
        data = line.removesuffix(b"\r")
        self._seen(
            self.lines_read + index + 1, examine(data, ended=ended, asked=self._options.asked)
        )

    def _long(self, line: Line) -> None:
        """A line by itself, with its tokens."""
        self._look_at_long(line)
        self.lines_read += 1
        if self._counting is not None:
            self._cut(self._counting.add_long(line))
        if line.whole:
            self._template([line.data], self.lines_read)

    def _look_at_long(self, line: Line) -> None:
        number = self.lines_read + 1
        if line.whole or line.outline:
            data = line.data if line.whole else line.outline
            seen = examine(data, ended=line.ended, asked=self._options.asked)
            self._seen(number, seen, line)
        else:
            self.examples += 1
            self.begun = True
            self._add(number, huge(line))

    def _seen(self, number: int, seen: Examined, line: Line | None = None) -> None:
        first = seen.findings[0] if seen.findings else None
        if first is not None and first.key == "blank-line":
            self._add(number, first)
            return
        self.begun = True
        self.examples += seen.row
        cut = line is not None and not line.whole
        for finding in of_outline(line, seen.findings) if line and cut else seen.findings:
            # Where tokens are counted, what is too long isn't guessed.
            if self._options.counter is None or not finding.key.startswith("too-long"):
                self._add(number, finding)
        if seen.row:
            self._one_format(number, seen.format, known=seen.format is not None or bool(seen.chat))
        if seen.chat is not None and not cut:
            self.lines.add(number, seen.chat)
        self.add_tokens(
            number, seen.tokens + (line.left_out_bytes // BYTES_PER_TOKEN if line else 0)
        )

    def add_clean(self, count: int) -> None:
        """Count examples in which nothing was found."""
        self.begun = True
        self.examples += count
        self.fast += count

    def add_tokens(self, number: int, tokens: int) -> None:
        """Count an example's tokens."""
        self.total_tokens += tokens
        if tokens > self.longest[0]:
            self.longest = tokens, number

    def _one_format(self, number: int, found: Format | None, *, known: bool) -> None:
        """`format` once a file, `format-two` where a line leaves the format of the first."""
        name = found.name if found else CHAT
        if self.format is None and not known:
            return  # a row of no known format says nothing of the file's
        if self.format is None:
            self.format = name
            if found and found.key:
                said = f"the file is in another format: {name}"
                self._add(number, Finding(found.key, found.path, said))
        elif name != self.format:
            usual = "chat examples" if self.format == CHAT else self.format
            said = f"the line is {name}, the file began as {usual}"
            self._add(number, Finding("format-two", "", said))

    def _add(self, number: int, finding: Finding) -> None:
        self.counts[finding.key] += 1
        if self.counts[finding.key] <= self._options.kept:
            self.findings.append((number, finding))
