"""Which lines of a block hold certain bytes, at the speed of memory."""

from collections.abc import Iterable, Iterator
from itertools import chain

import stringzilla

from ftctl.datasets.scan import SCREENS, WORD_SCREENS

# Escapes of what rules look for: control characters, and ASCII, which nothing else escapes but
# which could hide a key's name or a mark.
_CONTROL = (b"\\b", b"\\f")
_CONTROL_HEX = (b"\\u000", b"\\u001")
_ASCII = (b"\\u003", b"\\u004", b"\\u005", b"\\u006", b"\\u007")
# Part of every mark that `rules.content.special_tokens` knows, in any spelling of JSON.
_SLASH = (b"\\u002f", b"\\u002F")
_ANGLED = (b"<|", b"/s>", b"_of_turn>", b"SYS>>")
_SQUARE = (b"T]", b"S]")
# Of what the scan looks for, an escape could hide anything, space and hyphen too.
_PRIVATE = tuple(map(str.encode, SCREENS))
_PRIVATE_WORDS = tuple(
    (word.encode(), tuple(map(str.encode, screens))) for word, screens in WORD_SCREENS.items()
)
_ESCAPED = (b"\\u002", *_ASCII)
_CLOSE_DIGITS = 7  # so many make a long number, with at most two signs between any two
_BETWEEN = tuple(byte in b" ()./-" for byte in range(256))


def iter_lines_with(data: bytes, needle: bytes) -> Iterator[tuple[int, int]]:
    """Where each line in which the needle stands begins and ends, its end included."""
    # Counting goes at the speed of memory, twice that of a look for the first place.
    at = stringzilla.find(data, needle) if count(data, needle) else -1
    while at >= 0:
        end = data.find(b"\n", at) + 1 or len(data)
        yield data.rfind(b"\n", 0, at) + 1, end
        at = stringzilla.find(data, needle, end) if end < len(data) else -1


def lines_with(data: bytes, needles: Iterable[bytes]) -> set[int]:
    """The indexes of the lines in which any of the needles stands."""
    starts = {start for needle in needles for start, _ in iter_lines_with(data, needle)}
    indexes: set[int] = set()
    index = before = 0
    for start in sorted(starts):
        index += stringzilla.count(data, b"\n", before, start)
        indexes.add(index)
        before = start
    return indexes


def careful_lines(data: bytes) -> set[int]:
    """The indexes of the lines whose decoded texts must be looked at."""
    escaped = (*_CONTROL_HEX, *_ASCII, *_SLASH) if count(data, b"\\u00") else ()
    angled = _ANGLED if count(data, b"<") else ()
    return lines_with(data, (*_CONTROL, *escaped, *_SQUARE, *angled))


def private_lines(data: bytes) -> set[int]:
    """The indexes of the lines that may hold what the scan looks for, but for long numbers."""
    words = [screens for word, screens in _PRIVATE_WORDS if count(data, word)]
    escaped = _ESCAPED if count(data, b"\\u00") else ()
    return lines_with(data, (*_PRIVATE, *escaped, *chain.from_iterable(words)))


def number_lines(data: bytes) -> set[int]:
    """The indexes of the lines in which digits stand as `scan.has_long_number` has them."""
    import numpy as np

    if count(data, b"\\/"):
        data = data.replace(b"\\/", b"/")
    codes = np.frombuffer(data, dtype=np.uint8)
    places = np.flatnonzero(codes - np.uint8(ord("0")) < 10)
    if len(places) < _CLOSE_DIGITS:
        return set()
    gaps = np.diff(places)
    between = np.array(_BETWEEN)
    close = gaps == 1
    for gap in (2, 3):
        some = np.flatnonzero(gaps == gap)
        fits = [between[codes[places[some] + place]] for place in range(1, gap)]
        close[some] = np.logical_and.reduce(fits)
    run, runs, indexes = b"\x01" * (_CLOSE_DIGITS - 1), close.tobytes(), set()
    at, index, before = runs.find(run), 0, 0
    while at >= 0:
        index += stringzilla.count(data, b"\n", before, int(places[at]))
        indexes.add(index)
        before = data.find(b"\n", int(places[at]))
        if before < 0:
            break
        at = runs.find(run, int(np.searchsorted(places, before)))
    return indexes


def count(data: bytes, needle: bytes) -> int:
    """How often the needle stands in the data."""
    times: int = stringzilla.count(data, needle)
    return times


def members(data: bytes) -> int:
    """How many members the objects in some JSON have, or more, if nothing is `spaced` in it.

    Each has a quote and a colon, which in a text could only come after a backslash, or where it
    begins with a colon, which counts too.
    """
    return count(data, b'":') - count(data, b'\\":')


def spaced(data: bytes) -> bool:
    """Whether a space may stand between a member's name and its colon."""
    if b"\t" in data or count(data, b'"\r'):
        return True
    return count(data, b'" ') != count(data, b'\\" ')
