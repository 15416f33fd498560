"""Which lines of a block hold certain bytes, at the speed of memory."""

from collections.abc import Iterable

import stringzilla

from ftctl.datasets.scan import SCREENS

# Escapes of what rules look for: control characters, and ASCII, which nothing else escapes but
# which could hide a key's name or a mark.
_CONTROL = (b"\\u000", b"\\u001", b"\\b", b"\\f")
_ASCII = (b"\\u003", b"\\u004", b"\\u005", b"\\u006", b"\\u007")
# Part of every mark that `rules.content.special_tokens` knows, in any spelling of JSON.
_ANGLED = (b"<|", b"/s>", b"\\u002f", b"\\u002F", b"_of_turn>", b"SYS>>")
_SQUARE = (b"T]", b"S]")
# Of what the scan looks for, an escape could hide anything, space and hyphen too.
_PRIVATE = (*map(str.encode, SCREENS), b"\\u002", *_ASCII)


def lines_with(data: bytes, needles: Iterable[bytes]) -> set[int]:
    """The indexes of the lines in which any of the needles stands."""
    starts: set[int] = set()
    for needle in needles:
        at = stringzilla.find(data, needle)
        while at >= 0:
            starts.add(data.rfind(b"\n", 0, at) + 1)
            end = data.find(b"\n", at)
            at = stringzilla.find(data, needle, end) if end >= 0 else -1
    indexes: set[int] = set()
    index = before = 0
    for start in sorted(starts):
        index += stringzilla.count(data, b"\n", before, start)
        indexes.add(index)
        before = start
    return indexes


def careful_lines(data: bytes) -> set[int]:
    """The indexes of the lines whose decoded texts must be looked at."""
    angled = _ANGLED if stringzilla.find(data, b"<") >= 0 else ()
    return lines_with(data, (*_CONTROL, *_ASCII, *_SQUARE, *angled))


def private_lines(data: bytes) -> set[int]:
    """The indexes of the lines that may hold what the scan looks for, but for long numbers."""
    return lines_with(data, _PRIVATE)


def count(data: bytes, needle: bytes) -> int:
    """How often the needle stands in the data."""
    times: int = stringzilla.count(data, needle)
    return times
