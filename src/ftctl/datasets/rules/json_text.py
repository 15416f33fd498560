"""Rules on the JSON text of one line: strict RFC 8259, and what parsers disagree on."""

import contextlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from ftctl.datasets.rules.types import Finding, join, shown

DEPTH_CAP = 256
_SPACE = " \t\r\n"  # all the white space that JSON knows

# Escapes that may hide a control character or half of a surrogate pair.
_SUSPECT = re.compile(rb"\\(?:u00[01]|u007[fF]|u[dD][89a-fA-F]|[bf])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_IN_SCHEMA = re.compile(r"(?:tools\[\d+\]\.function|functions\[\d+\])\.parameters\b")
_SPACES = re.compile(rf"[{_SPACE}]*")
_LEXEME = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\],:"]|[^\s"{}\[\],:]++', re.DOTALL)


class Parsed(NamedTuple):
    """A line as JSON.

    Attributes:
        value: What it says; None with findings when it isn't JSON at all.
        findings: What is odd about the text.
        valid: Whether `value` may be looked at.
    """

    value: object
    findings: list[Finding]
    valid: bool


class _Repeated(dict[str, object]):
    """An object in which keys came twice; the last value won, as in every lenient parser."""

    keys_twice: tuple[str, ...] = ()


class _StrictParser:
    """Python's JSON scanner with ears for what it lets through."""

    def __init__(self) -> None:
        self.suspicious = False
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_constant=self._constant,
            parse_float=self._float,
            parse_int=_whole_number,
        )

    def parse(self, text: str, start: int = 0) -> tuple[object, int]:
        """The value at `start` and where it ends.

        Raises:
            json.JSONDecodeError: it isn't JSON.
            RecursionError: it is nested too deeply.
        """
        return self._decoder.raw_decode(text, start)

    def _object(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        made = dict(pairs)
        if len(made) == len(pairs):
            return made
        self.suspicious = True
        repeated = _Repeated(made)
        times = Counter(key for key, _ in pairs)
        repeated.keys_twice = tuple(key for key in made if times[key] > 1)
        return repeated

    def _constant(self, name: str) -> float:
        self.suspicious = True
        return float(name)

    def _float(self, text: str) -> float:
        value = float(text)
        self.suspicious = self.suspicious or math.isinf(value)
        return value


def _whole_number(text: str) -> int:
    # Python refuses to read more than 4,300 digits; no rule needs more than "huge".
    return int(text) if len(text) <= 400 else int(text[:400])


def parse_line(data: bytes, *, ended: bool = True) -> Parsed:
    """One line's bytes as JSON, with everything that is odd about them.

    Args:
        data: The line, without its end.
        ended: Whether a line end followed; only the explanation of a broken line depends on it.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _refused(_encoding(data, error))
    start = len(text) - len(text.lstrip(_SPACE))
    if start == len(text):
        return _refused(Finding("blank-line", "", "an empty line"))
    parser = _StrictParser()
    try:
        value, end = parser.parse(text, start)
    except RecursionError:
        return _refused(_too_deep(data))
    except json.JSONDecodeError as error:
        return _refused(_broken(text, error, ended=ended))
    if rest := text[end:].strip(_SPACE):
        return _refused(_extra(value, rest, parser))
    return _examined(value, data, suspicious=parser.suspicious)


def _examined(value: object, data: bytes, *, suspicious: bool) -> Parsed:
    """A value that is JSON, with what is odd in it; most lines need no look inside."""
    if data.count(b"[") + data.count(b"{") > DEPTH_CAP and _depth(value) > DEPTH_CAP:
        return _refused(_too_deep(data))
    odd = suspicious or _SUSPECT.search(data)
    return Parsed(value, list(_iter_odd(value)) if odd else [], valid=True)


def _refused(finding: Finding) -> Parsed:
    return Parsed(None, [finding], valid=False)


def _encoding(data: bytes, error: UnicodeDecodeError) -> Finding:
    byte = data[error.start]
    guess = "UTF-8 of half a surrogate pair (CESU-8)" if byte == 0xED else "Latin-1 or cp1252?"
    where = f"byte 0x{byte:02X} at column {error.start + 1}"
    return Finding("encoding", "", f"not UTF-8: {where} ({guess})")


def _too_deep(data: bytes) -> Finding:
    path = open_path(data, depth=DEPTH_CAP)
    return Finding("json-depth", path, f"nested more than {DEPTH_CAP} levels deep")


def _broken(text: str, error: json.JSONDecodeError, *, ended: bool) -> Finding:
    what = error.msg.lower().removesuffix(" at")
    message, hint = f"not JSON: {what} at column {error.pos + 1}", ""
    if (not ended and error.pos >= len(text.rstrip()) - 1) or (
        not ended and error.msg.startswith("Unterminated")
    ):
        message += "; the file ends here, in the middle of the line"
        hint = "the write was cut off: write the file again, or drop its last line"
    elif error.msg.startswith("Invalid control character"):
        code = f"\\u{ord(text[error.pos]):04x}"
        hint = f"write the character escaped, as {code}; json.dumps does"
    elif text.startswith("\ufeff"):
        hint = "drop the byte order mark; two files were probably joined"
    elif error.msg.startswith("Invalid \\escape"):
        hint = 'JSON knows \\" \\\\ \\/ \\b \\f \\n \\r \\t and \\uXXXX; double the backslash'
    elif error.msg.startswith("Expecting property name"):
        hint = "names stand in double quotes, and no comma comes before }"
    return Finding("json", "", message, hint)


def _extra(value: object, rest: str, parser: _StrictParser) -> Finding:
    if rest == ",":
        return Finding("json", "", "a comma after the object", "drop the comma at the line's end")
    end = 0
    with contextlib.suppress(json.JSONDecodeError, RecursionError):
        while isinstance(value, dict) and end < len(rest):
            value, end = parser.parse(rest, end)
            end = after_spaces(rest, end)
    if isinstance(value, dict) and end == len(rest):
        return Finding("json/two-objects", "", "a second object on the same line")
    return Finding("json", "", "something comes after the JSON value", "one object a line")


def after_spaces(text: str, start: int) -> int:
    """The place of the first character from `start` on that isn't JSON's white space."""
    found = _SPACES.match(text, start)
    return found.end() if found else start


def _depth(value: object) -> int:
    level, depth = [value], 0
    while level:
        depth += 1
        deeper: list[object] = []
        for node in level:
            if isinstance(node, dict):
                deeper += node.values()
            elif isinstance(node, list):
                deeper += node
        level = [node for node in deeper if isinstance(node, dict | list)]
    return depth


def _iter_odd(value: object) -> Iterator[Finding]:
    """Walk a value of bounded depth and tell of every odd thing in it, in order."""
    stack: list[tuple[str, object]] = [("", value)]
    while stack:
        path, node = stack.pop()
        if isinstance(node, dict):
            for key in getattr(node, "keys_twice", ()):
                message = f"the key {shown(key)} comes twice in one object"
                yield Finding("duplicate-key", join(path, key), message)
            children = [(join(path, key), child) for key, child in node.items()]
            stack += reversed(children)
            for key in node:
                yield from _odd_text(path, key)
        elif isinstance(node, list):
            stack += [(f"{path}[{i}]", child) for i, child in reversed(list(enumerate(node)))]
        elif isinstance(node, str):
            yield from _odd_text(path, node)
        elif isinstance(node, float) and not math.isfinite(node):
            variant = "json-nan/schema" if _IN_SCHEMA.match(path) else "json-nan"
            name = "NaN" if math.isnan(node) else f"{'-' * (node < 0)}Infinity"
            yield Finding(variant, path, f"{name} is no JSON number")


def _odd_text(path: str, text: str) -> Iterator[Finding]:
    if found := _SURROGATE.search(text):
        code = f"\\u{ord(found[0]):04x}"
        yield Finding("lone-surrogate", path, f"{code} alone is half a character")
    if found := _CONTROL.search(text):
        code = f"\\u{ord(found[0]):04x}"
        yield Finding("control-char", path, f"the control character {code} in text")


def open_path(head: bytes, *, depth: int | None = None) -> str:
    """The JSON path of the value that is still open where some bytes end.

    For text that can't be held or parsed whole: a line above the cap, or nesting without end.

    Args:
        head: The beginning of a JSON text.
        depth: Stop where nesting passes this depth, and give the top-level key only.
    """
    # Each level is [the current key, or None in a list; the current index].
    levels: list[tuple[str | None, int]] = []
    last = ""
    for match in _LEXEME.finditer(head):
        lexeme = match[0]
        if lexeme in (b"{", b"["):
            levels.append(("", 0) if lexeme == b"{" else (None, 0))
        elif lexeme in (b"}", b"]"):
            del levels[-1:]
        elif lexeme == b"," and levels and levels[-1][0] is None:
            levels[-1] = (None, levels[-1][1] + 1)
        elif lexeme == b":" and levels and levels[-1][0] is not None:
            levels[-1] = (last, 0)
        elif lexeme == b'"':  # a string that doesn't end here
            break
        if lexeme[:1] == b'"':
            last = lexeme[1:-1].decode("utf-8", errors="replace")
        if depth is not None and len(levels) > depth:
            return levels[0][0] or ""
    path = ""
    for key, index in levels:
        path = f"{path}[{index}]" if key is None else join(path, key) if key else path
    return path
