"""The examples of part of a file, as looking for near-duplicates needs them."""

from array import array
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from ftctl.datasets.fast.rows import ROLES, Answer, PlainRow, plain_row
from ftctl.datasets.fingerprints import Fingerprints, fingerprints, plain_fingerprints
from ftctl.datasets.near_hashes import BANDS, Hashes, iter_band_keys
from ftctl.datasets.read import Line, read_range
from ftctl.datasets.rules.json_text import parse_line
from ftctl.datasets.rules.structure import chat_example
from ftctl.datasets.rules.types import Example, read_example

Found = PlainRow | Example


class NearPart:
    """A run of a file's lines. Line numbers count from 1 at its beginning.

    Attributes:
        lines_read: How many lines there are.
        numbers: Those of the examples.
        keys: What texts that are alike share, [example, band].
    """

    def __init__(self) -> None:
        self.lines_read = 0
        self.numbers = array("Q")
        self.keys: Hashes = np.zeros((0, BANDS), dtype=np.uint32)

    def look(self, lines: Iterable[Line | bytes], roles: Collection[str]) -> None:
        """Look at lines, and at blocks of them."""
        blocks = list(iter_band_keys(self._iter_texts(lines, roles)))
        self.keys = np.concatenate([self.keys, *blocks])

    def extend(self, other: "NearPart") -> None:
        """Add the examples of the lines that follow."""
        self.numbers.extend(number + self.lines_read for number in other.numbers)
        self.lines_read += other.lines_read

    def _iter_texts(self, lines: Iterable[Line | bytes], roles: Collection[str]) -> Iterator[str]:
        for row in _iter_examples(lines):
            self.lines_read += 1
            if row is not None:
                self.numbers.append(self.lines_read)
                yield text_of(row, roles)


class NearTask(NamedTuple):
    """Lines of a file, from byte to byte, and what is wanted of them."""

    path: Path
    start: int
    end: int
    roles: tuple[str, ...]

    def done(self) -> NearPart:
        """What the lines show.

        Raises:
            UsageError: the file can't be read.
        """
        part = NearPart()
        part.look(read_range(self.path, self.start, self.end), self.roles)
        return part


def _iter_examples(lines: Iterable[Line | bytes]) -> Iterator[Found | None]:
    """Of each line the chat example on it; None of a line that isn't one."""
    for piece in lines:
        if isinstance(piece, Line):
            yield example_of(piece.data, ended=piece.ended)
            continue
        block = piece.split(b"\n")
        ended = not block[-1]
        if ended:
            block.pop()
        for i, line in enumerate(block):
            yield example_of(line, ended=ended or i < len(block) - 1)


def example_of(line: bytes, *, ended: bool) -> Found | None:
    """The chat example on a line; None when there is none."""
    plain = plain_row(line)
    if plain is not None:
        return plain if plain.messages else None
    return chat_example(parse_line(line.removesuffix(b"\r"), ended=ended).value)


def text_of(row: Found, roles: Collection[str]) -> str:
    """What an example says in some roles."""
    if isinstance(row, PlainRow):
        return "\n".join([m.content for m in row.messages if ROLES[type(m)] in roles])
    return "\n".join(text for _, m, text in row.iter_texts() if m.role in roles)


def prints_of(row: Found) -> Fingerprints:
    """The prints of an example; of what it is exactly, any."""
    if isinstance(row, Example):
        return fingerprints(row)
    if type(row.messages[-1]) is not Answer:
        return fingerprints(read_example(msgspec.to_builtins(row)))
    roles = [ROLES[type(message)] for message in row.messages]
    return plain_fingerprints(b"", roles, [message.content for message in row.messages])
