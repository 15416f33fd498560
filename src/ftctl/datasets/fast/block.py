"""A block's lines: those that are clean are counted, the others take every rule."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from ftctl.datasets.examine import LABEL_CHARACTERS, breaks_off, open_characters
from ftctl.datasets.fast import clean, screen
from ftctl.datasets.fast.rows import (
    ROLES,
    Answer,
    PlainRow,
    System,
    ToolRow,
    User,
    decode_plain_lines,
    decode_tools,
    plain_row,
)
from ftctl.datasets.fast.tool_sets import keys_once
from ftctl.datasets.fingerprints import (
    BYTES_PER_TOKEN,
    TOKENS_PER_MESSAGE,
    fingerprints,
    hash_of,
    plain_fingerprints,
)
from ftctl.datasets.formats import CHAT
from ftctl.datasets.rules import grounds
from ftctl.datasets.rules.nova import RESERVED
from ftctl.datasets.rules.types import read_example
from ftctl.datasets.shapes import ODD_STARTS, form_of

if TYPE_CHECKING:
    from ftctl.datasets.fast.options import Options
    from ftctl.datasets.fast.part import Part

# Lines decoded in one call: few, so that they stay in the processor's cache until they are looked
# at, and that little is done twice because of a line that the decoder refuses.
_CHUNK_BYTES = 2**15
_TURN = 2  # messages that a clean row has at least: one asks, one answers
_FEW = 4  # lines that are looked at one by one as fast as together
_CHAT_SO_FAR = (None, CHAT)
_TOOL = b'"tool'  # in every line with tools, and in few others
_NO_KEYS: frozenset[str] = frozenset()
_ALONE = ("", _NO_KEYS)  # no system prompt, no keys
_strip = str.strip

Messages = list[System | User | Answer]
Kind = tuple[str, frozenset[str]]  # the system prompt, and the keys beside `messages`


class Block:
    """Some whole lines of a file.

    Args:
        part: Where what they show is put.
        options: How they are looked at.
        data: The lines.

    Attributes:
        count: How many lines were looked at.
        rows: Each of them decoded, where tokens are counted; None where one is no plain row.
    """

    def __init__(self, part: "Part", options: "Options", data: bytes) -> None:
        self.count = 0
        self.rows: list[PlainRow | None] = []
        self._keep_rows = options.counter is not None
        self._part = part
        self._asked = options.asked
        self._nine = options.nine
        self._data = data
        self._wary = screen.careful_lines(data)
        self._private = screen.private_lines(data) if options.asked.scan else set()
        self._numbers = screen.number_lines(data) if options.asked.scan else set()
        self._odd = self._wary | self._private | self._numbers
        self._texts = 0  # answers that are plain text
        self._forms: Counter[str] = Counter()  # of all others
        self._alike: dict[Kind, tuple[int, int]] = {}  # how many clean lines, and the first

    def run(self) -> None:
        """Look at every line."""
        part = self._part
        for chunk, tools in _chunks(self._data):
            self._look(chunk, together=not tools)
        for (prompt, keys), (count, first) in self._alike.items():
            system = hash_of(prompt) if prompt else 0
            part.lines.add_alike(first, count, system=system, keys=keys)
            part.add_clean(count)
        part.lines.add_forms(self._forms + Counter(text=self._texts))

    def _look(self, chunk: bytes, *, together: bool) -> None:
        """Look at some lines together, or at halves of them where one line stands in the way."""
        count, ended = screen.count(chunk, b"\n"), chunk[-1] == 0x0A
        together = together and ended and self._part.format in _CHAT_SO_FAR
        if together and self._together(chunk, count):
            self.count += count
        elif together and count > _FEW:
            middle = chunk.find(b"\n", len(chunk) // 2, -1) + 1 or chunk.find(b"\n") + 1
            self._look(chunk[:middle], together=True)
            self._look(chunk[middle:], together=True)
        else:
            self._one_by_one(chunk, ended=ended)
            self.count += count + (not ended)

    def _together(self, chunk: bytes, count: int) -> bool:
        """Look at some lines, unless there is one among them that must be looked at by itself."""
        if screen.spaced(chunk):
            return False
        try:
            rows = decode_plain_lines(chunk)
        except (ValueError, RecursionError):
            return False
        talks = [row.messages for row in rows]
        members = len(rows) + 2 * sum(map(len, talks))
        if not _one_a_line(chunk, count, len(rows)) or screen.members(chunk) != members:
            return False
        if self._keep_rows:
            self.rows += rows
        if self._all_plain(talks, chunk):
            return True
        lines: list[bytes] = []
        for i, row in enumerate(rows):
            if not self._plain(self.count + i, row, chunk):
                lines = lines or chunk.split(b"\n")
                self._part.slow(self.count + i, lines[i], ended=True)
        return True

    def _all_plain(self, rows: list[Messages], chunk: bytes) -> bool:
        """Count rows if all of them are clean: what `_plain` does, at half the cost."""
        asked = self._asked
        if asked.nova or self._sized(chunk) or (asked.scan and self._part.lines.look_for_facts):
            return False
        spoken: list[System | User | Answer] = []
        prompts: list[tuple[int, System | User | Answer]] = []
        for i, messages in enumerate(rows):
            if len(messages) % 2:
                prompts.append((i, messages[0]))
                spoken += messages[1:]
            else:
                spoken += messages
        said = [message.content for message in spoken]
        bare = list(map(_strip, said))
        # No text is blank; the answers, every other one, are as they are stripped.
        if "" in bare or bare[1::2] != said[1::2]:
            return False
        if min(map(len, rows)) < _TURN:  # else a system prompt alone adds nothing to look at
            return False
        if set(map(type, spoken[::2])) != {User} or set(map(type, spoken[1::2])) != {Answer}:
            return False
        if not all(type(p) is System and _strip(p.content) for _, p in prompts):
            return False
        return self._none_odd(rows) and self._count_all(rows, prompts)

    def _none_odd(self, rows: list[Messages]) -> bool:
        if not self._odd:
            return True
        lines = range(self.count, self.count + len(rows))
        return all(
            self._harmless(i, [message.content for message in rows[i - self.count]])
            for i in self._odd.intersection(lines)
        )

    def _one_by_one(self, chunk: bytes, *, ended: bool) -> None:
        lines = chunk.split(b"\n")
        if ended:
            lines.pop()
        last_open = -1 if ended else len(lines) - 1
        for i, line in enumerate(lines, self.count):
            row = None if screen.count(line, _TOOL) else plain_row(line)
            if self._keep_rows:
                self.rows.append(row)
            if self._part.format not in _CHAT_SO_FAR or not self._by_itself(i, row, line):
                self._part.slow(i, line, ended=i - self.count != last_open)

    def _by_itself(self, i: int, row: PlainRow | None, line: bytes) -> bool:
        """Count a line if it is clean."""
        if row is not None:
            members = 1 + 2 * len(row.messages)
            return _keys_once(line, members) and self._plain(i, row, line)
        try:
            with_tools = decode_tools(line)
        except (ValueError, RecursionError):
            return False
        talk = clean.talk(with_tools, nine=self._nine)
        if talk is None or not _keys_once(line, talk.members):
            return False
        return self._talk(i, with_tools, talk, line)

    def _plain(self, i: int, row: PlainRow, lines: bytes) -> bool:
        """Count a row if it is clean.

        Args:
            i: Its line in the block.
            row: The row.
            lines: Those in which it stands.
        """
        messages = row.messages
        said = [message.content for message in messages]
        if not clean.IN_TURN[tuple(map(type, messages))]:
            return False
        bare = list(map(_strip, said))
        # No text is blank; the answers, every other one from the last, are as they are stripped.
        if "" in bare or (bare != said and bare[::-2] != said[::-2]):
            return False
        if (i in self._odd or self._asked.nova) and not self._harmless(i, said):
            return False
        size = clean.size_bytes(said) if self._sized(lines) else 0
        kind = (said[0], _NO_KEYS) if len(said) % 2 else _ALONE
        if not self._count(i, size, len(said), said[-1], kind):
            return False
        self._add_plain_prints(i, messages)
        if self._asked.scan and self._part.lines.look_for_facts:
            self._facts(i, len(said) - 1, said[-1], said[:-1])
        return True

    def _talk(self, i: int, row: ToolRow, talk: clean.Talk, line: bytes) -> bool:
        """Count a row that may hold tools, if it is clean."""
        if self._asked.nova and row.tools is not UNSET:
            return False
        if (i in self._odd or self._asked.nova) and not self._harmless(i, talk.texts):
            return False
        size = clean.size_bytes(talk.billed) + len(talk.declared) if self._sized(line) else 0
        first, answer = row.messages[0], row.messages[-1].content
        kind = (first.content if isinstance(first, System) else "", talk.keys)
        said = answer if isinstance(answer, str) else ""
        if not self._count(i, size, len(row.messages), said, kind):
            return False
        prints = self._part.lines.prints
        if prints is not None:
            found = fingerprints(read_example(msgspec.json.decode(line)))
            prints.add(self._line(i), found, label_like=0 < len(said) <= LABEL_CHARACTERS)
        if said and self._asked.scan and self._part.lines.look_for_facts:
            before = [*talk.billed[:-1], talk.declared]
            self._facts(i, len(row.messages) - 1, said, before)
        return True

    def _facts(self, i: int, place: int, answer: str, before: list[str]) -> None:
        """Remember what an answer has that stands nowhere before it, if it has any facts."""
        if found := grounds.items(answer):
            missing = grounds.told(found, before)
            self._part.lines.add_facts(self._line(i), f"messages[{place}].content", missing)

    def _line(self, i: int) -> int:
        """A line's number in the part."""
        return self._part.lines_read + i + 1

    def _sized(self, lines: bytes) -> bool:
        """Whether it matters how long an example is that stands in some lines."""
        return self._asked.tokens or len(lines) > self._asked.most_tokens

    def _count(self, i: int, size: int, messages: int, answer: str, kind: Kind) -> bool:
        """Count an example, unless it is too long or its answer plainly breaks off.

        Args:
            i: Its line in the block.
            size: UTF-8 bytes that count as tokens; 0 where they don't matter.
            messages: How many it has.
            answer: What is said last; "" when that is calls.
            kind: What it has in common with others.
        """
        part = self._part
        tokens = -(-size // BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE * messages if size else 0
        if tokens > self._asked.most_tokens:
            return False
        if answer:
            if answer[-1].isalnum() and (length := open_characters(answer)):
                if breaks_off(answer):
                    return False
                part.lines.add_open(length, self._line(i), f"messages[{messages - 1}].content")
            self._add_forms([answer])
        self._add_alike(kind, 1, i)
        part.format = CHAT
        if tokens and self._asked.tokens:
            part.add_tokens(self._line(i), tokens)
        return True

    def _count_all(
        self, rows: list[Messages], prompts: list[tuple[int, System | User | Answer]]
    ) -> bool:
        """Count clean rows, unless an answer plainly breaks off."""
        answers = [messages[-1].content for messages in rows]
        open_ones = [(i, a) for i, a in enumerate(answers) if a[-1].isalnum()]
        opened = [(i, size) for i, a in open_ones if (size := open_characters(a))]
        if any(breaks_off(answers[i]) for i, _ in opened):
            return False
        for i, size in opened:
            path = f"messages[{len(rows[i]) - 1}].content"
            self._part.lines.add_open(size, self._line(self.count + i), path)
        self._add_forms(answers)
        for i, prompt in prompts:
            self._add_alike((prompt.content, _NO_KEYS), 1, self.count + i)
        if alone := len(rows) - len(prompts):
            first = next(i for i, messages in enumerate(rows) if not len(messages) % 2)
            self._add_alike(_ALONE, alone, self.count + first)
        self._part.format = CHAT
        for i, messages in enumerate(rows if self._asked.duplicates else ()):
            self._add_plain_prints(self.count + i, messages)
        return True

    def _add_plain_prints(self, i: int, messages: Messages) -> None:
        prints = self._part.lines.prints
        if prints is not None:
            text = b'{"messages":%b}' % msgspec.json.encode(messages, order="sorted")
            said = [message.content for message in messages]
            found = plain_fingerprints(text, [ROLES[type(m)] for m in messages], said)
            prints.add(self._line(i), found, label_like=len(said[-1]) <= LABEL_CHARACTERS)

    def _add_forms(self, answers: list[str]) -> None:
        odd = [answer for answer in answers if answer[0] in ODD_STARTS]
        self._texts += len(answers) - len(odd)
        self._forms.update(map(form_of, odd))

    def _add_alike(self, kind: Kind, count: int, first: int) -> None:
        seen = self._alike.get(kind)
        self._alike[kind] = (seen[0] + count, seen[1]) if seen else (count, self._line(first))

    def _harmless(self, i: int, said: list[str]) -> bool:
        """Whether nothing hides in the texts, and nothing private that is asked for."""
        if i in self._wary and not clean.nothing_hidden(said):
            return False
        if self._asked.nova and any(map(RESERVED.search, said)):
            return False
        if i in self._private:
            return clean.nothing_private(said)
        return i not in self._numbers or clean.no_private_number(said)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bool]]:
    """Whole lines of it, some at a time; one with tools by itself, and whether it is that."""
    at = 0
    for begin, end in (*screen.iter_lines_with(data, _TOOL), (len(data), len(data))):
        while at < begin:
            cut = begin
            if begin - at > _CHUNK_BYTES:
                cut = data.rfind(b"\n", at, at + _CHUNK_BYTES) + 1
                cut = cut or data.find(b"\n", at, begin) + 1 or begin
            yield data[at:cut], False
            at = cut
        if begin < end:
            yield data[begin:end], True
            at = end


def _one_a_line(lines: bytes, count: int, rows: int) -> bool:
    """Whether it is sure that rows decoded from lines have one line each.

    Nothing but an end of one stands between `}` and `{`, so that none goes over two lines.
    """
    return rows == count and screen.count(lines, b"}\n{") == count - 1


def _keys_once(line: bytes, members: int) -> bool:
    """Whether no key comes twice in the objects of a line, which have so many members if so."""
    counted = not screen.spaced(line) and screen.members(line) == members
    return counted or keys_once(line.decode())
