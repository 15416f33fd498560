"""`not-jsonl`: whether a file is JSON values over several lines, told by its beginning."""

import json
from collections.abc import Iterator, Sequence

from ftctl.datasets.read import Line
from ftctl.datasets.rules.json_text import after_spaces, parse_line

_HEAD_BYTES = 4 * 2**20
_HEAD_LINES = 20_000
_LONGEST_LEXEME = 16  # of those that a cut can split, but for strings: a number or an escape


def beginning(lines: Iterator[Line]) -> tuple[list[Line], Line | None]:
    """The first lines, and the one that opens JSON values over several lines; None if none does.

    Lines are taken up to the first that isn't blank; only when that one opens an array or an
    object and doesn't close it, more are, up to 4 MiB: by then the value has ended, goes on, or
    has shown that the first line is merely broken.
    """
    head: list[Line] = []
    for line in lines:
        head.append(line)
        if line.data.strip() or len(head) > _HEAD_LINES:
            break
    if not head or not _opens(head[-1]):
        return head, None
    opening, size, ended = head[-1], 0, True
    for line in lines:
        head.append(line)
        size += line.size_bytes
        if size > _HEAD_BYTES or len(head) > _HEAD_LINES:
            ended = False
            break
    return head, opening if _spans_lines(head, ended=ended) else None


def _opens(line: Line) -> bool:
    if not line.ended or not line.whole or line.data.lstrip()[:1] not in (b"{", b"["):
        return False
    parsed = parse_line(line.data)
    return not parsed.valid and parsed.findings[0].key == "json"


def _spans_lines(head: Sequence[Line], *, ended: bool) -> bool:
    """Whether lines are JSON values, none of them on one line, as far as the lines go."""
    try:
        text = b"\n".join(line.data for line in head).decode()
    except UnicodeDecodeError:
        return False
    decoder, at = json.JSONDecoder(), after_spaces(text, 0)
    while at < len(text):
        try:
            _, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            cut = error.msg.startswith("Unterminated") or error.pos > len(text) - _LONGEST_LEXEME
            return cut and not ended
        except (RecursionError, ValueError):
            return False
        if text.find("\n", at, end) < 0:
            return False
        at = after_spaces(text, end)
    return True
