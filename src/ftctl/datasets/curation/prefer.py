"""Which of two or more texts a person prefers, where that is clear."""

from collections.abc import Mapping

from ftctl.datasets.curation.types import FaultError
from ftctl.datasets.rules.types import JsonObject

LEFT, RIGHT = "left", "right"
SELECTED, RANKER = "selected", "ranker"  # what Label Studio wraps a comparison and a ranking in


def side_of(value: object) -> str | None:
    """Left or right, where one of them is preferred."""
    named = value.get(SELECTED) if isinstance(value, dict) else value
    return named if isinstance(named, str) and named in (LEFT, RIGHT) else None


def preferred(
    fields: JsonObject, value: object, pair: tuple[str, str]
) -> tuple[str, str] | str | None:
    """The better and the worse text; a few words where none is better; None where that isn't asked.

    Of a ranking these are the first and the last.

    Args:
        fields: What was shown.
        value: What a person said.
        pair: The fields that stood left and right.

    Raises:
        FaultError: two fields were compared, and which they are isn't known.
    """
    if side := side_of(value):
        if not set(pair) <= fields.keys():
            if not isinstance(value, dict):
                return None  # just a word
            raise FaultError(SELECTED, "which fields were compared isn't known: --pair A,B")
        order: list[object] = list(pair) if side == LEFT else [pair[1], pair[0]]
    elif isinstance(value, dict) and value.keys() & {SELECTED, RANKER}:
        groups = value.get(RANKER)
        ranked = list(groups.values()) if isinstance(groups, dict) else []
        if len(ranked) != 1 or not isinstance(ranked[0], list) or len(ranked[0]) < 2:
            return "none is better than another"
        order = ranked[0]
    else:
        order = value if isinstance(value, list) and len(value) > 1 else []
    texts = _texts(fields)
    if order and all(isinstance(name, str | int) and str(name) in texts for name in order):
        return texts[str(order[0])], texts[str(order[-1])]
    return "what was ranked isn't among the fields" if isinstance(value, dict) and order else None


def _texts(fields: Mapping[str, object]) -> dict[str, str]:
    """What can be preferred, by name: the fields, and the entries of lists that carry ids."""
    found = {name: text for name, text in fields.items() if isinstance(text, str)}
    for listed in fields.values():
        for entry in listed if isinstance(listed, list) else ():
            if isinstance(entry, dict) and "id" in entry:
                text = next((entry[k] for k in ("body", "html", "text", "title") if k in entry), "")
                found[str(entry["id"])] = str(text)
    return found
