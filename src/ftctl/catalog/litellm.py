"""LiteLLM's price file, where LiteLLM is installed: retirement dates, and tuned models' prices.

Read as data: importing LiteLLM takes seconds and asks the network for a newer file.
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from ftctl.catalog.types import Fact, InferencePrice, Model

_FILE = "litellm/model_prices_and_context_window_backup.json"
# Where it lists a family under a prefix; other hosts' dates for a model aren't its maker's.
_PREFIXES = {"gemini": ("", "gemini/", "vertex_ai/"), "mistral": ("mistral/",)}


class Retirement(Fact):
    """The day from which a model no longer answers; `as_of` is the day the file was installed."""

    day: date


class _Entry(BaseModel):
    """What we read of an entry; USD per token."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    input_cost_per_token: float | None = None
    output_cost_per_token: float | None = None
    cache_read_input_token_cost: float | None = None
    deprecation_date: date | None = None


class _PriceFile(NamedTuple):
    entries: dict[str, Any]
    source: str
    as_of: date


def find_retirement(model: Model, *, tuned: bool = False) -> Retirement | None:
    """When a base model, or what was tuned on it, stops answering; None where it isn't said."""
    found = _read_file()
    for entry in _entries(model, tuned=tuned) if found else ():
        if found and entry.deprecation_date is not None:
            return Retirement(
                day=entry.deprecation_date,
                as_of=found.as_of,
                source=found.source,
                confidence="third_party",
            )
    return None


def find_tuned_price(model: Model) -> InferencePrice | None:
    """What a million tokens of a model tuned at OpenAI cost, or None."""
    found = _read_file()
    for entry in _entries(model, tuned=True) if found else ():
        fresh, output = entry.input_cost_per_token, entry.output_cost_per_token
        if found and fresh is not None and output is not None:
            cached = entry.cache_read_input_token_cost
            return InferencePrice(
                provider="openai",
                model=model.name,
                tuned=True,
                input_usd=round(fresh * 1e6, 6),
                cached_usd=round((fresh if cached is None else cached) * 1e6, 6),
                output_usd=round(output * 1e6, 6),
                as_of=found.as_of,
                source=found.source,
                confidence="third_party",
            )
    return None


def _entries(model: Model, *, tuned: bool) -> Iterator[_Entry]:
    found = _read_file()
    if found is None:
        return
    for prefix in ("ft:",) if tuned else _PREFIXES.get(model.family, ("",)):
        for name in (model.name, *model.aliases):
            try:
                yield _Entry.model_validate(found.entries[f"{prefix}{name}"])
            except (KeyError, ValidationError):  # unknown, or shaped as no version we know
                continue


@cache
def _read_file() -> _PriceFile | None:
    try:
        installed = distribution("litellm")
        path = Path(str(installed.locate_file(_FILE)))
        entries = json.loads(path.read_text(encoding="utf-8"))
        # The folder's day: some installers keep the day of 1980 that files have in a wheel.
        changed = datetime.fromtimestamp(path.parent.stat().st_mtime, UTC).date()
    except (PackageNotFoundError, OSError, ValueError):
        return None
    if not isinstance(entries, dict):
        return None
    return _PriceFile(entries, f"LiteLLM {installed.version} price file", changed)
