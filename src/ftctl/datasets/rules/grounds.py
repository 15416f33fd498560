"""What an answer says that stands nowhere before it: numbers, names, dates and quotes.

Only spelling is compared. What is computed, translated, abbreviated or simply known isn't in the
prompt either, so one answer by itself proves nothing; `across` tells the answers of a file apart.
Names are told by capital letters inside a sentence, as English has them.
"""

import json
import re
from collections.abc import Iterator, Sequence

from ftctl.datasets.rules.types import shown

# A name is told by what stands before it: a word that ends no sentence. The first letter decides
# which half is tried, which makes this three times as fast as two patterns.
_FACT = re.compile(r"[A-Z0-9](?:(?<=\d)[\d,]*\d|(?<=[a-z,] [A-Z])[a-z]{2,}(?: [A-Z][a-z]+)*)")
_QUOTE = re.compile(r"[\"“]([^\"“”\n]{8,200})[\"”]")
# In data every text begins as it likes; two capitals in a row make a name.
_DATA = re.compile(r"(?P<number>\d[\d,]*\d)|(?P<name>[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})+)")
_MOST = 5  # items told of one answer

Items = Sequence[tuple[str, str]]  # kind and text of each


def items(answer: str) -> list[tuple[str, str]]:
    """What can be looked for in an answer, as kind and text: number, name or quote.

    A number has two digits at least, and is told by its digits alone: dates by their parts.
    """
    if answer[:1] not in ("{", "["):
        return list(_in_prose(answer))
    try:
        texts = _leaves(json.loads(answer))
    except (ValueError, RecursionError):
        return []
    return [(m.lastgroup or "", m[0]) for text in texts for m in _DATA.finditer(text)]


def told(found: Items, before: Sequence[str]) -> tuple[str, ...]:
    """Those of some items that stand in none of the texts before, as told in a message; five.

    Args:
        found: Of `items`.
        before: Everything that was said earlier.
    """
    said = "\n".join(before)
    missing = [item for item in found if item[1] not in said]
    if not missing:
        return ()
    folded = " ".join(said.casefold().split())
    joined = folded.replace(",", "")
    kept = [item for item in missing if not _stands(*item, folded, joined)]
    return tuple(f"{kind} {shown(text)}" for kind, text in list(dict.fromkeys(kept))[:_MOST])


def _stands(kind: str, text: str, folded: str, joined: str) -> bool:
    if kind == "number":
        digits = text.replace(",", "")
        return digits in joined or digits.lstrip("0") in joined
    if kind == "quote":
        return " ".join(text.casefold().split()).strip(" .,;:!?") in folded
    return all(word in folded for word in text.casefold().split())


def _in_prose(text: str) -> Iterator[tuple[str, str]]:
    if '"' in text or "“" in text:
        yield from (("quote", quote) for quote in _QUOTE.findall(text))
    for found in _FACT.findall(text):
        yield "number" if found[0].isdigit() else "name", found


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for child in value.values():
            yield from _leaves(child)
    elif isinstance(value, list):
        for child in value:
            yield from _leaves(child)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
