"""What differs: between the shipped facts and the user's, or between two days."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import NamedTuple

from ftctl.catalog.load import Catalog
from ftctl.catalog.types import Fact
from ftctl.catalog.user import row_key


class Change(NamedTuple):
    """What is said of a place before and after; None where nothing is."""

    where: str
    before: str | None
    after: str | None


def changes_of_user(shipped: Catalog, current: Catalog) -> list[Change]:
    """Every field in which the user's rows differ from the shipped ones."""
    before, after = dict(_iter_fields(shipped)), dict(_iter_fields(current))
    return _compare(before, after)


def changes_between(catalog: Catalog, first: date, last: date) -> list[Change]:
    """Who may create jobs, which models answer and where they are tuned: one day, then another."""
    return _compare(dict(_iter_states(catalog, first)), dict(_iter_states(catalog, last)))


def _compare(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    places = dict.fromkeys((*before, *after))
    return [
        Change(place, before.get(place), after.get(place))
        for place in places
        if before.get(place) != after.get(place)
    ]


def _iter_fields(catalog: Catalog) -> Iterator[tuple[str, str]]:
    for section, rows in catalog:
        for row in rows:
            yield from _inner_fields(f"{section} {row_key(section, row)}", row)


def _inner_fields(where: str, fact: Fact) -> Iterator[tuple[str, str]]:
    for name, value in fact:
        if isinstance(value, Fact):
            yield from _inner_fields(f"{where} {name}", value)
        elif isinstance(value, tuple) and value and isinstance(value[0], Fact):
            for number, part in enumerate(value, 1):
                yield from _inner_fields(f"{where} {name} {number}", part)
        elif value not in (None, ()):
            yield f"{where} {name}", ", ".join(value) if isinstance(value, tuple) else str(value)


def _iter_states(catalog: Catalog, day: date) -> Iterator[tuple[str, str]]:
    closed = set()
    for provider in catalog.providers:
        phase = catalog.phase(provider.name, day)
        if phase is None or phase.who == "nobody":
            closed.add(provider.name)
        yield f"{provider.name}: jobs from", phase.who if phase else "nobody, not begun"
    for model in catalog.models:
        if not model.open_weights:
            yield f"{model.name}: answers", "yes" if model.alive(day) else "no"
        for row in model.tunable:
            takes = row.open_on(day) and row.provider not in closed
            answers = row.serves_until is None or day < row.serves_until
            yield f"{model.name} at {row.provider}: takes jobs", "yes" if takes else "no"
            yield f"{model.name} at {row.provider}: tuned ones answer", "yes" if answers else "no"
