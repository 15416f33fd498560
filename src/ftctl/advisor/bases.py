"""The shortlist of open bases: the newest of each family, the smallest class that suits first."""

import re
from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from ftctl.advisor.types import TaskKind
from ftctl.catalog.types import Model, Tunable

# Least parameters of each size class: below 1B, 1B, 4B, 7B, 20B and 70B.
_CLASSES = (0.0, 1e9, 2.5e9, 6e9, 10e9, 40e9)
_SEVEN = 3
# Below it nobody showed that tuning a generative model is worth it (distil labs: 0.6B and up).
_LEAST = 0.4e9
# Of bases, beside the newest one: older ones are superseded, whatever their family.
_OLDEST = timedelta(days=3 * 365)
# The smallest class that the evidence carries, by task: 1B with QLoRA was as good as GPT-4.1 on
# narrow intents (arXiv 2510.21970), 4B reached its 120B teacher on 7 of 8 tasks (distil labs,
# 2025-26); everything else has the evidence of LoRA Land's bases, 7B and 8B (arXiv 2405.00732).
_SMALLEST: dict[TaskKind | None, int] = {"classification": 1, "extraction": 2, "tool_use": 2}

_OPEN = re.compile(r"apache|\bmit\b|\bbsd\b|\bisc\b|cc0|cc-by-(sa-)?\d|unlicense|openrail", re.I)
_CONDITIONAL = re.compile(r"community license|gemma", re.I)
_FORBIDDEN = re.compile(r"non-?commercial|\bnc\b|research|academic|evaluation only", re.I)


def first_day(model: Model, tunable: Tunable | None = None) -> date:
    """The first day on which a model is known to be there, and to be tuned at a place.

    Where nobody knows when it began, the day its row was checked.
    """
    known = [model.available_from, tunable.starts if tunable else None]
    return max((day for day in known if day is not None), default=model.as_of)


def size_class(model: Model) -> int:
    """Which of the size classes a model is of: 0 below 1B, 3 the 7B class, 5 the 70B class."""
    return sum((model.parameters or 0) >= least for least in _CLASSES) - 1


def licence_forbids(model: Model) -> str | None:
    """Why a base may not be tuned for business, or None: by its licence, no legal advice.

    A vendor's own model comes under the contract with the vendor; of a row of their own users say
    what they may.
    """
    if not model.open_weights:
        return None
    read = f"(row of {model.as_of})"
    if _FORBIDDEN.search(model.licence):
        return f"{model.title} is under {model.licence} {read}, which forbids commercial use"
    if model.confidence == "user" or _OPEN.search(model.licence):
        return None
    if _CONDITIONAL.search(model.licence):
        return None
    return (
        f"the licence of {model.title} is {model.licence!r} {read}: nothing known says that "
        "commercial use is allowed; read it, and put what it allows into a row of your own"
    )


def licence_conditions(model: Model) -> str | None:
    """What a licence asks for in return, or None."""
    if not model.open_weights or not _CONDITIONAL.search(model.licence):
        return None
    users = " and above 700 million users a month Meta's leave" if "Llama" in model.title else ""
    return f"{model.licence}: asks for its name and terms to be passed on{users}"


def shortlist(models: Iterable[Model], day: date, task: TaskKind | None) -> list[Model]:
    """Open bases out on a day that are worth a look, the first to try first.

    The newest of each family and size class, not much older than the newest of all; with it those
    newer ones that a licence forbids, so that it is told.
    """
    alive = [
        model
        for model in models
        if model.open_weights and (model.parameters or 0) >= _LEAST and first_day(model) <= day
    ]
    newest = max(map(first_day, alive), default=day)
    alive = [model for model in alive if first_day(model) >= newest - _OLDEST]
    alive.sort(key=_age)
    return by_suitability(_newest(alive), task)


def by_suitability(models: Iterable[Model], task: TaskKind | None) -> list[Model]:
    """Bases, the first to try first.

    The smallest class that suits the task comes first, within it the newest; then larger ones up to
    the 7B class, then smaller ones, as there is little evidence for them, then what is larger than
    the 7B class and needs a reason.
    """
    floor = _SMALLEST.get(task, _SEVEN)

    def order(model: Model) -> tuple[int, int, int, int]:
        size = size_class(model)
        if size > _SEVEN:
            return 2, size, *_age(model)
        return (0, size, *_age(model)) if size >= floor else (1, -size, *_age(model))

    return sorted(models, key=order)


def _age(model: Model) -> tuple[int, int]:
    """The newest first, of those of one day the smallest."""
    return -first_day(model).toordinal(), model.parameters or 0


def needs_reason(model: Model) -> bool:
    """Whether a base is larger than the 7B class."""
    return size_class(model) > _SEVEN


def _newest(newest_first: Iterable[Model]) -> Iterator[Model]:
    seen: set[tuple[str, int]] = set()
    for model in newest_first:
        kind = model.family.rstrip("0123456789.-"), size_class(model)
        if kind in seen:
            continue
        yield model
        if licence_forbids(model) is None:
            seen.add(kind)
