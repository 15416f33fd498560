"""What a run of a file's lines shows, small enough to be handed between processes."""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import UNSET, Raw, UnsetType

from ftctl.datasets.across import Lines
from ftctl.datasets.examine import (
    LABEL_CHARACTERS,
    TRL_TOKENS,
    Examined,
    breaks_off,
    examine,
    open_characters,
)
from ftctl.datasets.fast import clean, screen
from ftctl.datasets.fast.options import Options
from ftctl.datasets.fast.rows import (
    Answer,
    PlainRow,
    System,
    ToolRow,
    User,
    decode_plain,
    decode_tools,
)
from ftctl.datasets.fingerprints import (
    BYTES_PER_TOKEN,
    TOKENS_PER_MESSAGE,
    fingerprints,
    hash_of,
)
from ftctl.datasets.formats import CHAT, Format
from ftctl.datasets.read import Line
from ftctl.datasets.rules import grounds
from ftctl.datasets.rules.huge_line import huge, of_outline
from ftctl.datasets.rules.nova import RESERVED
from ftctl.datasets.rules.types import Finding, read_example
from ftctl.datasets.scan import has_long_number
from ftctl.datasets.shapes import ODD_STARTS, form_of
from ftctl.datasets.tokens.tally import Counting, Tally

_NO_KEYS: frozenset[str] = frozenset()
_ALONE = ("", _NO_KEYS)  # no system prompt, no keys
_OF_TRL = {"too-long": "too-long/trl", "too-long/prompt": "too-long/trl-prompt"}
_CHAT_SO_FAR = (None, CHAT)
_strip = str.strip
_KEYS = (b'"messages"', b'"role"', b'"content"')  # all that a plain row has


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
            lines = piece.split(b"\n")
            ended = not lines[-1]
            if ended:
                lines.pop()
            rows = None
            if self._options.fast and self._options.asked.method == "sft":
                block = _Block(self, self._options, piece, lines, ended=ended)
                rows = block.rows
                block.run()
            else:
                for i, line in enumerate(lines):
                    self.slow(i, line, ended=ended or i < len(lines) - 1)
            if self._counting is not None:
                self._cut(self._counting.add(lines, rows))
            self._template(lines, self.lines_read + 1)
            self.lines_read += len(lines)
        if self._counting is not None:
            self._cut(self._counting.flush())

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


class _Block:
    """A block's lines: those that are clean are counted, the others take every rule.

    Attributes:
        rows: The lines decoded; None where one is no plain row.
    """

    def __init__(
        self, part: Part, options: Options, data: bytes, lines: list[bytes], *, ended: bool
    ) -> None:
        self._part = part
        self._asked = options.asked
        self._nine = options.nine
        self._lines = lines
        self._before = part.lines_read + 1
        self._last_open = -1 if ended else len(lines) - 1
        self._wary = screen.careful_lines(data)
        self._nova = self._asked.nova
        self._scan = self._asked.scan
        self._private = screen.private_lines(data) if self._scan else set()
        self.rows = list(map(_decoded, lines))
        self._find_repeated_keys(data)
        self._texts = 0  # answers that are plain text
        self._forms: Counter[str] = Counter()  # of all others
        # By system prompt and keys beside messages: how many clean lines, and the first.
        self._alike: dict[tuple[str, frozenset[str]], tuple[int, int]] = {}

    def _find_repeated_keys(self, data: bytes) -> None:
        """Add to the wary lines those with more keys in their text than in their row.

        Keys are counted over all lines that could not hide one behind an escape.
        """
        rows, others = 0, []
        messages = 0
        for i, row in enumerate(self.rows):
            if row is None or i in self._wary:
                others.append(self._lines[i])
            else:
                rows += 1
                messages += len(row.messages)
        apart = b"\n".join(others)
        if all(
            screen.count(data, key) - screen.count(apart, key) == count
            for key, count in zip(_KEYS, (rows, messages, messages), strict=True)
        ):
            return
        for i, row in enumerate(self.rows):
            if row is not None:
                due = (1, len(row.messages), len(row.messages))
                if tuple(map(self._lines[i].count, _KEYS)) != due:
                    self._wary.add(i)

    def run(self) -> None:
        """Look at every line."""
        part, plain, with_tools = self._part, self._plain, self._with_tools
        for i, row in enumerate(self.rows):
            if part.format not in _CHAT_SO_FAR or not (
                plain(i, row.messages) if row is not None else with_tools(i)
            ):
                part.slow(i, self._lines[i], ended=i != self._last_open)
        for (prompt, keys), (count, first) in self._alike.items():
            system = hash_of(prompt) if prompt else 0
            part.lines.add_alike(first, count, system=system, keys=keys)
            part.add_clean(count)
        part.lines.add_forms(self._forms + Counter(text=self._texts))

    def _plain(self, i: int, messages: list[System | User | Answer]) -> bool:
        """Count a row if it is clean."""
        said = [message.content for message in messages]
        bare = list(map(_strip, said))
        # No text is blank; the answers, every other one from the last, are as they are stripped.
        if not clean.in_turn(messages) or "" in bare or bare[::-2] != said[::-2]:
            return False
        if (self._scan or i in self._wary) and not self._harmless(i, said):
            return False
        kind = (said[0], _NO_KEYS) if len(said) % 2 else _ALONE
        if not self._clean(i, said, 0, len(said), said[-1], kind):
            return False
        if self._scan and self._part.lines.look_for_facts:
            self._facts(i, len(said) - 1, said[-1], said[:-1], UNSET)
        return True

    def _with_tools(self, i: int) -> bool:
        """Count a line that may hold tools, if it is one and clean."""
        line = self._lines[i]
        try:
            row = decode_tools(line)
        except (ValueError, RecursionError):
            return False
        if self._nova and row.tools is not UNSET:
            return False
        talk = clean.talk(row, line, nine=self._nine)
        if talk is None or not self._harmless(i, talk.texts):
            return False
        first, answer = row.messages[0], row.messages[-1].content
        kind = (first.content if isinstance(first, System) else "", _keys(row))
        said = answer if isinstance(answer, str) else ""
        if not self._clean(i, talk.billed, talk.declared, len(row.messages), said, kind):
            return False
        if said and self._scan and self._part.lines.look_for_facts:
            self._facts(i, len(row.messages) - 1, said, talk.texts[:-1], row.tools)
        return True

    def _facts(
        self, i: int, place: int, answer: str, before: list[str], tools: Raw | UnsetType
    ) -> None:
        """Remember what an answer has that stands nowhere before it, if it has any facts."""
        if found := grounds.items(answer):
            if not isinstance(tools, UnsetType):
                before = [*before, bytes(tools).decode()]
            missing = grounds.told(found, before)
            self._part.lines.add_facts(self._before + i, f"messages[{place}].content", missing)

    def _clean(
        self,
        i: int,
        billed: list[str],
        declared: int,
        count: int,
        answer: str,
        kind: tuple[str, frozenset[str]],
    ) -> bool:
        """Count an example, unless it is too long or its answer plainly breaks off.

        Args:
            i: Its line in the block.
            billed: The texts that count as tokens.
            declared: Characters of its tools' definitions.
            count: How many messages there are.
            answer: What is said last; "" when that is calls.
            kind: The system prompt, and the keys beside `messages`.
        """
        tokens = 0
        most_tokens = self._asked.most_tokens
        if self._asked.tokens or len(self._lines[i]) > most_tokens:
            tokens = -(-(clean.size_bytes(billed) + declared) // BYTES_PER_TOKEN)
            tokens += TOKENS_PER_MESSAGE * count
            if tokens > most_tokens:
                return False
        part = self._part
        if answer:
            if answer[-1].isalnum() and (length := open_characters(answer)):
                if breaks_off(answer):
                    return False
                path = f"messages[{count - 1}].content"
                part.lines.add_open(length, self._before + i, path)
            if answer[0] in ODD_STARTS:
                self._forms[form_of(answer)] += 1
            else:
                self._texts += 1
        seen = self._alike.get(kind)
        self._alike[kind] = (seen[0] + 1, seen[1]) if seen else (1, self._before + i)
        part.format = CHAT
        if tokens and self._asked.tokens:
            part.add_tokens(self._before + i, tokens)
        if part.lines.prints is not None:
            prints = fingerprints(read_example(msgspec.json.decode(self._lines[i])))
            label_like = 0 < len(answer) <= LABEL_CHARACTERS
            part.lines.prints.add(self._before + i, prints, label_like=label_like)
        return True

    def _harmless(self, i: int, said: list[str]) -> bool:
        """Whether nothing hides in the line, and nothing private that is asked for."""
        if i in self._wary and not clean.nothing_hidden(said, self._lines[i]):
            return False
        if self._nova and any(map(RESERVED.search, said)):
            return False
        if not self._scan:
            return True
        gated = i in self._private or any(map(has_long_number, said))
        return not gated or clean.nothing_private(said)


def _decoded(line: bytes) -> PlainRow | None:
    try:
        return decode_plain(line)
    except (ValueError, RecursionError):
        return None


def _keys(row: ToolRow) -> frozenset[str]:
    beside = (("tools", row.tools), ("parallel_tool_calls", row.parallel_tool_calls))
    return frozenset(key for key, value in beside if value is not UNSET)
