"""Two JSON objects compared field by field: what is right, wrong, missing and extra."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

Path = tuple[str, ...]
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class FieldComparison:
    """How an answer's fields stand to the reference's; names are written as `price.amount`."""

    right: int
    total: int
    wrong: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]


def reference_fields(text: str) -> dict[Path, Json]:
    """The fields of a JSON object by path; empty when the text isn't such an object."""
    try:
        return _fields(text)
    except ValueError:
        return {}


def compare_fields(answer: str, reference: str) -> FieldComparison:
    """Compare an answer with a reference that has fields.

    Raises:
        ValueError: the answer isn't a JSON object, with the reason in one line.
    """
    wanted, given = reference_fields(reference), _fields(answer)
    try:
        right = {path for path in wanted if path in given and _same(given[path], wanted[path])}
    except RecursionError:
        raise ValueError("the answer is nested too deeply") from None
    return FieldComparison(
        right=len(right),
        total=len(wanted),
        wrong=tuple(".".join(path) for path in wanted if path in given and path not in right),
        missing=tuple(".".join(path) for path in wanted if path not in given),
        extra=tuple(".".join(path) for path in given if path not in wanted),
    )


def _fields(text: str) -> dict[Path, Json]:
    try:
        value: Json = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError("the answer is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"the answer isn't JSON: {error.msg} at character {error.pos}") from None
    except ValueError as error:  # a number too long for Python, NaN
        raise ValueError(f"the answer isn't JSON: {error}") from None
    if isinstance(value, dict):
        return dict(_leaves(value))
    raise ValueError(f"the answer is JSON, but no object: {type(value).__name__}")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _leaves(value: dict[str, Json]) -> Iterator[tuple[Path, Json]]:
    # A stack of our own: an answer may nest deeper than Python calls may.
    waiting: list[tuple[Path, Json]] = [((name,), item) for name, item in reversed(value.items())]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, dict) and item:
            inner = reversed(item.items())
            waiting.extend(((*path, name), each) for name, each in inner)
        else:
            yield path, item


def _same(given: Json, wanted: Json) -> bool:
    if isinstance(given, bool) or isinstance(wanted, bool):
        return given is wanted
    if isinstance(given, int | float) and isinstance(wanted, int | float):
        return _same_number(given, wanted)
    if isinstance(given, str) and isinstance(wanted, str):
        return given.strip() == wanted.strip()
    if isinstance(given, list) and isinstance(wanted, list):
        return _same_members(given, wanted)
    if isinstance(given, dict) and isinstance(wanted, dict):
        return given.keys() == wanted.keys() and all(_same(given[k], wanted[k]) for k in wanted)
    return given is None and wanted is None


def _same_number(given: float, wanted: float) -> bool:
    if given == wanted:
        return True
    try:
        # 1e-9 forgives how a decimal fraction is written, not a wrong digit.
        return math.isclose(given, wanted, rel_tol=1e-9)
    except OverflowError:
        return False


def _same_members(given: list[Json], wanted: list[Json]) -> bool:
    if len(given) != len(wanted):
        return False
    left = list(given)
    for item in wanted:
        match = next((i for i, each in enumerate(left) if _same(each, item)), None)
        if match is None:
            return False
        del left[match]
    return True


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
