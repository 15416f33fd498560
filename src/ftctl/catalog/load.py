"""The catalog: dated facts from the TOML files beside this module, and the user's own rows."""

import difflib
import tomllib
from collections.abc import Iterable
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from ftctl.catalog.types import (
    Fee,
    Gpu,
    Hardware,
    InferencePrice,
    Model,
    OutputTerms,
    Phase,
    Provider,
    TrainingPrice,
)
from ftctl.catalog.user import with_user_rows
from ftctl.config import load_settings
from ftctl.errors import UsageError
from ftctl.job import Method, Tuning

STALE_DAYS = 90

# One file a vendor, in the order in which they are listed.
VENDORS = (
    "local",
    "openai",
    "azure",
    "mistral",
    "huggingface",
    "together",
    "fireworks",
    "nebius",
    "bedrock",
    "google",
    "tinker",
    "alibaba",
    "anthropic",
    "cohere",
    "ai21",
    "databricks",
    "watsonx",
    "anyscale",
)
_FILES = ("models.toml", *(f"vendors/{vendor}.toml" for vendor in VENDORS), "gpus.toml")
_STRICTEST_FIRST = ("no", "unknown", "not_competing", "yes")

Named = TypeVar("Named", bound=Provider | Model | Gpu)


class Catalog(BaseModel):
    """All facts; made by `load_catalog`, or by a test that changes a price."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    providers: tuple[Provider, ...]
    models: tuple[Model, ...]
    gpus: tuple[Gpu, ...]
    inference: tuple[InferencePrice, ...]
    training: tuple[TrainingPrice, ...]
    fees: tuple[Fee, ...] = ()
    hardware: tuple[Hardware, ...] = ()

    def provider_names(self) -> list[str]:
        """Every name a provider is known by, aliases included."""
        return _names(self.providers)

    def get_provider(self, name: str) -> Provider:
        """The provider of that name or alias.

        Raises:
            UsageError: nobody of that name; the hint names the nearest.
        """
        return _get(self.providers, name, "provider", "ftctl providers")

    def find_provider(self, name: str) -> Provider | None:
        """The provider of that name or alias, or None."""
        return _find(self.providers, name)

    def get_model(self, name: str) -> Model:
        """The base model of that name, alias or hub id.

        Raises:
            UsageError: no such model; the hint names the nearest.
        """
        return _get(self.models, name, "model", "ftctl models")

    def find_model(self, name: str) -> Model | None:
        """The base model of that name, alias or hub id, or None."""
        return _find(self.models, name)

    def get_gpu(self, name: str) -> Gpu:
        """The card of that name or alias.

        Raises:
            UsageError: no such card; the message names the nearest.
        """
        known = ", ".join(gpu.name for gpu in self.gpus)
        return _get(self.gpus, name, "gpu", f"known cards: {known}")

    def phase(self, provider: str, day: date) -> Phase | None:
        """Who may create jobs at a provider on a day; None before its fine-tuning began.

        Of a day before the fact was checked one knows no more surely than when the phase began.
        """
        begun = [p for p in self.get_provider(provider).phases if (p.starts or date.min) <= day]
        latest = max(begun, key=lambda p: p.starts or date.min, default=None)
        if latest is None or latest.starts_confidence is None or day >= latest.as_of:
            return latest
        return latest.model_copy(update={"confidence": latest.starts_confidence})

    def find_inference_price(
        self, model: str, provider: str | None = None, *, tuned: bool = False
    ) -> InferencePrice | None:
        """What a million tokens of a model cost, or None where no price is known."""
        for row in self.inference:
            if row.model == model and row.tuned == tuned and provider in (None, row.provider):
                return row
        return None

    def find_training_price(
        self, provider: str, model: Model, method: Method = "sft", tuning: Tuning = "lora"
    ) -> TrainingPrice | None:
        """What a million trained tokens cost, or None where no price is known.

        A row for the model comes before one for its size; qlora is billed as lora.
        """
        billed = "full" if tuning == "full" else "lora"
        rows = [
            row
            for row in self.training
            if (row.provider, row.method, row.tuning) == (provider, method, billed)
        ]
        for row in rows:
            if row.model == model.name:
                return row
        if model.parameters is None:
            return None
        size = model.parameters
        bands = [row for row in rows if row.max_parameters and size <= row.max_parameters]
        return min(bands, key=lambda row: row.max_parameters or 0) if bands else None

    def output_terms(self, model: Model, provider: str) -> OutputTerms | None:
        """The stricter of the model's licence and its host's terms; None where neither is known."""
        host = self.get_provider(provider)
        known = [row for row in (model.outputs_trainable, host.outputs_trainable) if row]
        return min(known, key=lambda row: _STRICTEST_FIRST.index(row.trainable), default=None)


@cache
def load_shipped() -> Catalog:
    """The catalog as shipped, without the user's rows; read and checked once per process."""
    folder = files("ftctl.catalog")
    rows: dict[str, list[Any]] = {}
    for name in _FILES:
        read = tomllib.loads(folder.joinpath(name).read_text(encoding="utf-8"))
        for section, found in read.items():
            rows.setdefault(section, []).extend(found)
    return Catalog.model_validate(rows)


def load_catalog() -> Catalog:
    """The shipped facts, with the rows of the user's own catalog file in their place.

    Raises:
        UsageError: a setting or a row of that file is wrong; names file and key.
    """
    path = load_settings().catalog
    try:
        changed = path.stat().st_mtime_ns
    except OSError:  # no such file, the usual case
        return load_shipped()
    return _overridden(path, changed)


@cache
def _overridden(path: Path, changed: int) -> Catalog:  # noqa: ARG001 - part of the cache's key
    shipped = load_shipped()
    return shipped.model_copy(update=with_user_rows(dict(shipped), path))


def stale(checked: date, day: date) -> bool:
    """Whether a fact that was checked on one day is old on another: more than 90 days later."""
    return (day - checked).days > STALE_DAYS


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like the given one, or None."""
    names = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    return names[near[0]] if near else None


def _find(rows: tuple[Named, ...], name: str) -> Named | None:
    for row in rows:  # the usual case, and asked thousands of times by advice
        if row.name == name:
            return row
    wanted = name.lower()
    for row in rows:
        hub_id = getattr(row, "hub_id", None)  # models have one, providers and cards don't
        if wanted in {known.lower() for known in (row.name, *row.aliases, hub_id or row.name)}:
            return row
    return None


def _get(rows: tuple[Named, ...], name: str, kind: str, hint: str) -> Named:
    found = _find(rows, name)
    if found is not None:
        return found
    near = nearest(name, _names(rows))
    did_you_mean = f"; did you mean {near}?" if near else ""
    raise UsageError(f"unknown {kind} {name!r}{did_you_mean}", hint=hint)


def _names(rows: tuple[Named, ...]) -> list[str]:
    return [name for row in rows for name in (row.name, *row.aliases)]
