"""The outline of a huge line: its JSON with long strings cut short, in constant memory.

Whatever the rules say of the outline they would say of the line: what is left out is known to be
sound (UTF-8, escapes, no control characters), and what isn't sound stays in.
"""

import re

KEPT_BYTES = 700 * 2**10  # of a string; still more than any model reads of an example
MAX_BYTES = 8 * 2**20  # of an outline; ten images of the largest size fit

_SOUND = re.compile(
    rb"(?:[\x20!#-\[\]-\x7f]++"
    rb"|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}"
    rb"|\xf4[\x80-\x8f][\x80-\xbf]{2}"
    rb'|\\["\\/nrt]|\\u(?!00[01]|007[fF]|[dD][89a-fA-F])[0-9a-fA-F]{4}'
    # So many at once that little memory is taken; without end they would have to be possessive,
    # and Python before 3.11.5 then keeps half of what doesn't match (python/cpython#106052).
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}){1,4096}"
)
_LONGEST_UNIT = 12  # bytes: a pair of surrogates, escaped
_ODD = re.compile(rb"\\u[0-9a-fA-F]{4}|\\.|.", re.DOTALL)
_SPACES = re.compile(rb"[ \t\r]+")


class Outline:
    """Made from the pieces of a line as they come.

    Args:
        kept_bytes: How much of a string is kept, in UTF-8.

    Attributes:
        left_out_bytes: How much of strings was left out.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self.left_out_bytes = 0
        self._kept_bytes = kept_bytes
        self._made = bytearray()
        self._rest = b""
        self._in_string = False
        self._room = 0  # what may still be kept of the string

    def add(self, piece: bytes) -> None:
        """Take the next piece."""
        if len(self._made) <= MAX_BYTES:
            self._rest = self._taken(self._rest + piece, ended=False)

    def end(self) -> bytes:
        """The outline; nothing of a line that has too much to it besides long strings."""
        if len(self._made) <= MAX_BYTES:
            self._taken(self._rest, ended=True)
        return bytes(self._made) if len(self._made) <= MAX_BYTES else b""

    def _taken(self, data: bytes, *, ended: bool) -> bytes:
        """What must wait for the next piece: a character or an escape that isn't whole."""
        at = 0
        while at < len(data):
            if self._in_string:
                at = self._sound(data, at)
                if len(data) - at < _LONGEST_UNIT and not ended and data[at : at + 1] != b'"':
                    break
                at = self._odd(data, at)
            else:
                quote = data.find(b'"', at)
                end = quote + 1 or len(data)
                self._made += _SPACES.sub(b" ", data[at:end])
                at, self._in_string, self._room = end, quote >= 0, self._kept_bytes
        return data[at:]

    def _sound(self, data: bytes, at: int) -> int:
        """Keep what there is room for, leave out the rest, and stop at what isn't sound."""
        while self._room and (end := _end(data, at, at + self._room)) > at:
            kept = data[at:end]
            self._made += kept
            self._room -= min(self._room, len(kept) - 4 * kept.count(b"\\u"))
            if self._room < _LONGEST_UNIT:
                self._room = 0
            at = end
        if self._room:
            return at
        end = _end(data, at, len(data))
        self.left_out_bytes += end - at
        return end

    def _odd(self, data: bytes, at: int) -> int:
        """Keep the end of the string, or what isn't sound; when there is neither, do nothing."""
        found = _ODD.match(data, at)
        if found is None:
            return at
        self._made += found[0]
        self._in_string = found[0] != b'"'
        return found.end()


def _end(data: bytes, start: int, limit: int) -> int:
    while found := _SOUND.match(data, start, limit):
        start = found.end()
    return start
