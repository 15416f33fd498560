"""What an answer looks like: the family of outputs that it belongs to."""

import json
import math
import re
from collections import Counter

_SQL = re.compile(
    r"\s*(?:select|insert|update|delete|create|with)\b.*\b(?:from|into|set|table|as)\b",
    re.IGNORECASE | re.DOTALL,
)


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


def is_data(answer: str) -> bool:
    """Whether an answer is a JSON object or list."""
    if answer.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(answer)
    except (ValueError, RecursionError):
        return False
    return True


def families(counts: Counter[str]) -> float:
    """How many families there are, in effect: 2 to the entropy of their shares (in bits).

    One family gives 1.0, two of equal size 2.0, a rare second one little above 1.
    """
    total = counts.total()
    if not total:
        return 0.0
    bits = -sum(n / total * math.log2(n / total) for n in counts.values())
    return float(2**bits)
