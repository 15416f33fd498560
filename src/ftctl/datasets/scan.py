"""Personal data and secrets in text: found by pattern, confirmed by checksum, never shown whole.

"None found by these patterns" is the most that may be said of a clean result.
"""

import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from ftctl.datasets.read import LineReader

Category = Literal["pii", "secret"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing found: what kind, where in the text, and a sample that gives nothing away."""

    category: Category
    kind: str
    start: int
    masked: str


@dataclass(frozen=True)
class ScanResult:
    """What a file holds: how many of each kind, and the first line each was seen on (1-based)."""

    counts: dict[str, int] = field(default_factory=dict)
    first_lines: dict[str, int] = field(default_factory=dict)


def luhn_valid(digits: str) -> bool:
    """Whether the last digit of a card number checks out. Source: ISO/IEC 7812-1."""
    total = 0
    for place, digit in enumerate(map(int, reversed(digits))):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def iban_valid(text: str) -> bool:
    """Whether an account number's check digits hold (mod 97 = 1). Source: ISO 13616."""
    compact = text.replace(" ", "")
    if not 15 <= len(compact) <= 34:
        return False
    moved = compact[4:] + compact[:4]
    return int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


def entropy_bits(text: str) -> float:
    """Shannon entropy of the characters, in bits per character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def _card_valid(text: str) -> bool:
    digits = re.sub(r"[ -]", "", text)
    return digits[0] in "23456" and len(set(digits)) > 1 and luhn_valid(digits)


def _phone_valid(text: str) -> bool:
    return 8 <= sum(c.isdigit() for c in text) <= 15  # E.164 allows 15


def _random_looking(text: str) -> bool:
    value = re.split(r"[:=]", text, maxsplit=1)[1].strip(" \"'")
    # Only words in ordinary case, as the gates have them.
    ordinary = text.startswith(_WORDS)
    return ordinary and bool(re.search(r"\d", value)) and entropy_bits(value) >= 3.5


def _always(_: str) -> bool:
    return True


class Pattern(NamedTuple):
    """How one kind is found: gates that are cheap to look for, a pattern, a confirmation."""

    category: Category
    kind: str
    gates: tuple[str, ...]
    pattern: re.Pattern[str]
    confirmed: Callable[[str], bool] = _always


def _p(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


# Seven digits close together: what every number of a person's has.
_LONG_NUMBER = _p(r"\d(?:[ ()./-]{0,2}\d){6}")
_DIGITS = ("<long number>",)
_SAID = ("api", "secret", "access", "auth", "passw")
_WORDS = (*_SAID, *map(str.upper, _SAID), *map(str.capitalize, _SAID))

_BEFORE_AT, _AFTER_AT = 64, 600  # more characters than an address has there

# Patterns begin with what is looked for fastest, and say what may stand before it afterwards.
# Prefixes are the issuers' own; source: their documentation of key formats, as read 2026-11.
PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "pii",
        "e-mail",
        ("@",),
        _p(r"(?<![\w.+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b"),
    ),
    Pattern(
        "pii",
        "card",
        _DIGITS,
        _p(
            r"\d(?<![\w.+-].)(?:\d{3}([ -])\d{4}\1\d{4}\1\d{4}"
            r"|(?<=3)\d{3}([ -])\d{6}\2\d{5}|\d{12,18})(?![\w-])"
        ),
        _card_valid,
    ),
    Pattern(
        "pii",
        "iban",
        _DIGITS,
        _p(r"[A-Z](?<!\w.)[A-Z]\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
        iban_valid,
    ),
    Pattern(
        "pii",
        "phone",
        _DIGITS,
        _p(
            r"[+(\d](?:(?<=\+)(?<![\w)+].)[1-9]\d{0,2}(?:[ ./-]?\(?\d{1,5}\)?){2,6}(?!\w)"
            r"|(?<![\w-].)(?:(?<=\()\d{3}\) ?|(?<=\d)\d{2}-)\d{3}-\d{4}(?![\w-]))"
        ),
        _phone_valid,
    ),
    Pattern("secret", "openai-key", ("sk-",), _p(r"sk-(?<!\w...)[A-Za-z0-9_-]{20,}")),
    Pattern("secret", "aws-key", ("AKIA", "ASIA"), _p(r"A(?<!\w.)(?:KIA|SIA)[0-9A-Z]{16}\b")),
    Pattern("secret", "huggingface-token", ("hf_",), _p(r"hf_(?<!\w...)[A-Za-z0-9]{20,}")),
    Pattern(
        "secret",
        "github-token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        _p(r"g(?<!\w.)(?:h[pousr]_[A-Za-z0-9]{20,}|ithub_pat_\w{22,})"),
    ),
    Pattern("secret", "gitlab-token", ("glpat-",), _p(r"glpat-(?<!\w.{6})[\w-]{20,}")),
    Pattern("secret", "slack-token", ("xox",), _p(r"xox(?<!\w...)[abeprs]-[A-Za-z0-9-]{10,}")),
    Pattern("secret", "google-key", ("AIza",), _p(r"AIza(?<!\w.{4})[\w-]{35}")),
    Pattern("secret", "stripe-key", ("k_live_",), _p(r"[rs](?<!\w.)k_live_[A-Za-z0-9]{16,}")),
    Pattern("secret", "npm-token", ("npm_",), _p(r"npm_(?<!\w.{4})[A-Za-z0-9]{36}\b")),
    Pattern("secret", "pypi-token", ("pypi-",), _p(r"pypi-(?<!\w.{5})[\w-]{50,}")),
    Pattern("secret", "jwt", ("eyJ",), _p(r"eyJ(?<!\w...)[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}")),
    Pattern(
        "secret",
        "private-key",
        ("PRIVATE KEY",),
        _p(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"),
    ),
    Pattern(
        "secret",
        "credential",
        _WORDS,
        _p(
            r"[aspASP](?<!\w.)(?i:(?:(?<=a)(?:pi[_-]?key|(?:ccess|uth)[_-]?token)"
            r"|(?<=s)ecret[_-]?key|(?<=p)assw(?:or)?d)[\"']?)\s{0,4}[:=]\s{0,4}[\"']?[A-Za-z0-9+/_=-]{16,}"
        ),
        _random_looking,
    ),
)


_ROW_OF_GATE = tuple(
    (gate, i) for i, row in enumerate(PATTERNS) for gate in row.gates if gate not in _DIGITS
)
_NUMBERS = tuple(row for row in PATTERNS if row.gates == _DIGITS)
_DIGIT_ROWS = {i for i, row in enumerate(PATTERNS) if row in _NUMBERS}


def _word_screens(word: str) -> tuple[str, ...]:
    ends = "tT" if word.lower() in ("access", "auth") else "kK"
    apart = tuple(f"{word}{sign}{end}" for sign in ("", "_", "-") for end in ends)
    return (word,) if word.lower() == "passw" else apart


# Text without any of these, nor a long number, holds nothing that is looked for. They are the
# gates; of a common word (`secret`), each with what goes on in the pattern.
SCREENS = tuple(gate for gate, _ in _ROW_OF_GATE if gate not in _WORDS)
WORD_SCREENS = {word: _word_screens(word) for word in _WORDS}


def has_long_number(text: str) -> bool:
    """Whether at least seven digits stand close together."""
    return _LONG_NUMBER.search(text) is not None


def has_private_number(text: str) -> bool:
    """Whether a text holds a long number, and a card, an account or a telephone's number."""
    return has_long_number(text) and any(
        row.confirmed(match[0]) for row in _NUMBERS for match in row.pattern.finditer(text)
    )


_CACHED_CHARACTERS = 64
_URL_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/\s@]+@")


def masked_text(text: str) -> str:
    """The text with everything that `scan_text` finds in it masked, and users in URLs."""
    return _masked_short(text) if len(text) <= _CACHED_CHARACTERS else _masked(text)


def _masked(text: str) -> str:
    if "://" in text:
        text = _URL_USER.sub(r"\1…@", text)
    shown, last = [], 0
    for start, end, hit in _found(text):
        shown += [text[last:start], hit.masked]
        last = end
    return "".join([*shown, text[last:]])


_masked_short = functools.lru_cache(maxsize=4096)(_masked)  # names of keys, over and over


def scan_text(text: str) -> list[Hit]:
    """Personal data and secrets in a text, in order of appearance.

    A secret inside what another pattern took already (a token after `api_key=`) counts once.
    """
    return [hit for _, _, hit in _found(text)]


def _found(text: str) -> list[tuple[int, int, Hit]]:
    """Hits with where they begin and end, in order of appearance."""
    rows = {row for gate, row in _ROW_OF_GATE if gate in text}
    if has_long_number(text):
        rows |= _DIGIT_ROWS
    hits: list[tuple[int, int, Hit]] = []
    for row in map(PATTERNS.__getitem__, sorted(rows)):
        for match in _matches(row, text):
            start, end = match.span()
            taken = any(start < other_end and end > begin for begin, other_end, _ in hits)
            if not taken and row.confirmed(match[0]):
                hit = Hit(row.category, row.kind, start, mask(row.kind, match[0]))
                hits.append((start, end, hit))
    return sorted(hits, key=lambda found: found[0])


def _matches(row: Pattern, text: str) -> Iterator[re.Match[str]]:
    """What `finditer` gives; of addresses only a little around each sign is looked at."""
    if row.kind != "e-mail":
        yield from row.pattern.finditer(text)
        return
    end, at = 0, text.find("@")
    while at >= 0:
        match = row.pattern.search(text, max(end, at - _BEFORE_AT), at + _AFTER_AT)
        if match is not None and match.start() < at:
            end = match.end()
            yield match
        at = text.find("@", max(end, at + 1))


def mask(kind: str, text: str) -> str:
    """A sample that shows which one is meant without giving it away."""
    if kind == "e-mail":
        name, _, domain = text.partition("@")
        return f"{name[0]}…@…{domain[domain.rfind('.') :]}"
    if kind == "private-key":
        return text
    if kind == "credential":
        return f"{re.split(r'[:=]', text, maxsplit=1)[0]}=… ({len(text)} characters)"
    if kind in ("card", "iban", "phone"):
        return f"…{text[-2:]} ({len(text)} characters)"
    return f"{text[:4]}… ({len(text)} characters)"


def scan_file(path: Path) -> ScanResult:
    """Scan every line of a file, whatever its format; JSON escapes are undone first.

    Raises:
        UsageError: it can't be read.
    """
    result = ScanResult()
    with LineReader(path) as reader:
        for line in reader:
            for hit in line_hits(line.data):
                result.counts[hit.kind] = result.counts.get(hit.kind, 0) + 1
                result.first_lines.setdefault(hit.kind, line.number)
    return result


def line_hits(data: bytes) -> Iterator[Hit]:
    """Personal data and secrets in a line as it is written, JSON or not."""
    text = data.decode("utf-8", errors="replace")
    if "\\" in text:
        # Only what could hide a pattern's border or letters; a faithful parse may be impossible.
        text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), text)
        text = re.sub(r"\\[nrt]", " ", text).replace("\\", "")
    yield from scan_text(text)
