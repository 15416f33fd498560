"""Text of others, made safe to look at: in a terminal and in a page."""

import re
import unicodedata
from html import escape

# What could move a cursor, or write text in another order than it stands.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def visible(text: str) -> str:
    """Text in which nothing is hidden: control and direction characters stand as their code."""
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def safe(text: str) -> str:
    """Text as HTML, whatever it holds; a surrogate without its other half, as no file takes it."""
    return escape(visible(text)).encode("utf-8", "backslashreplace").decode()


def shorten(text: str, columns: int) -> str:
    """One line of so many columns at most, where East Asian characters take two."""
    line = " ".join(text.split())
    used = 0
    for place, character in enumerate(line):
        used += 1 + (unicodedata.east_asian_width(character) in "WF")
        if used > columns:
            return f"{line[: max(place - 1, 0)]}…"
    return line
