"""What an answer looks like: the family of outputs that it belongs to."""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping

_SQL = re.compile(
    r"\s*(?:select|insert|update|delete|create|with)\b.*\b(?:from|into|set|table|as)\b",
    re.IGNORECASE | re.DOTALL,
)
ODD_STARTS = frozenset("{[`sSiIuUdDcCwW")  # of JSON, code and SQL: all else is text
_SQL_WORD = re.compile(r"(?:select|insert|update|delete|create|with)\b", re.IGNORECASE)

_OCCUPIED = 0.02  # share of the texts below which a length is a gap between two kinds of them
_ALIKE_KEYS = 0.5  # share of their keys that two JSON objects of one task have in common

_STRAY_SHARE = 0.05  # of the rows, and fewer than this many rows, make a stray and no task
_STRAY_ROWS = 10

TOOL_CALL = "tool-call"  # the form of an answer that isn't text
OTHER = "other"  # the task of strays


def shape_of(answer: str) -> str:
    """One word for the form of an answer, such as `json:city,country`, `sql`, `text-32`.

    JSON objects differ by their keys, text by length: the number is the largest power of four
    words that it reaches.
    """
    start = answer.lstrip()[:1]
    if start in ("{", "["):
        try:
            value = json.loads(answer)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            return f"json:{','.join(sorted(value))[:200]}"
        if isinstance(value, list):
            return "json:list"
    if "```" in answer:
        return "code"
    if start.isalpha() and _SQL.match(answer[:4096]):
        return "sql"
    words = max(1, len(answer.split()))
    return f"text-{4 ** int(math.log(words, 4) + 1e-9)}"


def form_of(answer: str) -> str:
    """The form of an answer as its beginning tells it: like `shape_of`, but `text` of any length.

    Args:
        answer: Without space before it.
    """
    start = answer[:1]
    if start == "`":
        return "code" if answer.startswith("```") else "text"
    if start not in ODD_STARTS or not (start in "{[" or _SQL_WORD.match(answer)):
        return "text"
    shape = shape_of(answer)
    return "text" if shape.startswith("text-") else shape


def families(counts: Counter[str]) -> float:
    """How many families there are, in effect: 2 to the entropy of their shares (in bits).

    One family gives 1.0, two of equal size 2.0, a rare second one little above 1.
    """
    total = counts.total()
    if not total:
        return 0.0
    bits = -sum(n / total * math.log2(n / total) for n in counts.values())
    return float(2**bits)


def tasks(counts: Mapping[str, int]) -> dict[str, str]:
    """The task that each form of answer belongs to, as far as form tells: form → task's name.

    JSON objects that share half of their keys are one task's, with fields left out now and then.
    Texts are one task's over all lengths that follow one another without a gap. What has hardly
    any rows is `other`.
    """
    named = _by_form(counts)
    rows: Counter[str] = Counter()
    for shape, task in named.items():
        rows[task] += counts[shape]
    enough = min(_STRAY_ROWS, _STRAY_SHARE * rows.total())
    return {shape: task if rows[task] >= enough else OTHER for shape, task in named.items()}


def _by_form(counts: Mapping[str, int]) -> dict[str, str]:
    named = {shape: shape for shape in counts}
    objects = sorted((s for s in counts if s.startswith("json:")), key=lambda s: (-counts[s], s))
    heads: list[str] = []
    for shape in objects:
        head = next((head for head in heads if _keys_alike(head, shape)), None)
        if head is None:
            heads.append(shape)
        named[shape] = head or shape
    texts = sorted((s for s in counts if s.startswith("text-")), key=_words)
    enough = _OCCUPIED * sum(counts[shape] for shape in texts)
    groups: list[list[str]] = [[]]
    last = 0
    for shape in texts:
        if counts[shape] >= enough:
            if last and _words(shape) > 4 * last:
                groups.append([])
            last = _words(shape)
        groups[-1].append(shape)
    names = ["text"] if len(groups) == 1 else [f"text-{_words(group[0])}" for group in groups]
    named |= {shape: name for name, group in zip(names, groups, strict=True) for shape in group}
    return named


def task_counts(counts: Mapping[str, int]) -> Counter[str]:
    """How many rows each task of `tasks` has."""
    found: Counter[str] = Counter()
    for shape, task in tasks(counts).items():
        found[task] += counts[shape]
    return found


def _words(shape: str) -> int:
    return int(shape.removeprefix("text-"))


def _keys_alike(one: str, other: str) -> bool:
    a, b = (set(shape.removeprefix("json:").split(",")) for shape in (one, other))
    return len(a & b) >= _ALIKE_KEYS * len(a | b)
