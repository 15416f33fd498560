"""What becomes of a job's settings at another provider: pure, before anything is asked or sent."""

from collections.abc import Iterator
from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ftctl.catalog.load import Catalog, load_catalog
from ftctl.errors import UsageError
from ftctl.job import Hyperparameters, JobSpec, Tuning, default_learning_rate
from ftctl.policy import is_gateway
from ftctl.providers.base import Capabilities

_RATE_RULE = "a multiplier of 1 stands for {rate:g}; OpenAI publishes no base rate"

_MOST_SUGGESTED = 5

# One term under two names: DPO's beta is `dpo_beta` at Together and Fireworks.
_ALSO_CALLED = {"beta": "dpo_beta", "dpo_beta": "beta"}


class Difference(BaseModel):
    """One line of the diff: what a setting was, what it becomes (None: dropped), and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    setting: str
    before: str | None
    after: str | None
    why: str = ""

    @property
    def kind(self) -> Literal["kept", "changed", "dropped"]:
        """What happens to the setting."""
        if self.after is None:
            return "dropped"
        return "kept" if self.before == self.after else "changed"


def translate(
    spec: JobSpec,
    to: str,
    capabilities: Capabilities,
    *,
    model: str | None = None,
    base_url: str | None = None,
    as_of: date,
    catalog: Catalog | None = None,
) -> tuple[JobSpec, tuple[Difference, ...]]:
    """The same job at another provider, and what differs.

    Args:
        spec: The job as it was asked.
        to: The new provider, by its name.
        capabilities: What its driver says it can do.
        model: The base model there; the same one when left out.
        base_url: A gateway there; the old one's is never carried over.
        as_of: The day on which the model must be open there.
        catalog: Facts to ask; the shipped ones when left out.

    Raises:
        UsageError: the model isn't there, and none is named.
    """
    catalog = catalog or load_catalog()
    vendor = catalog.find_provider(to)
    gateway = vendor is not None and is_gateway(vendor, base_url)  # its models are its own affair
    base = model or (spec.model if gateway else _same_model(spec.model, to, as_of, catalog))
    tuning, why = _tuning(spec.tuning, to, capabilities)
    settings, lines = _settings(spec, to, capabilities)
    own, dropped = _own_settings(spec, to, capabilities)
    differences = [
        Difference(
            setting="provider",
            before=_place(spec.provider, spec.base_url),
            after=_place(to, base_url),
        ),
        Difference(setting="model", before=spec.model, after=base),
        Difference(setting="method", before=spec.method, after=spec.method),
        Difference(setting="tuning", before=spec.tuning, after=tuning, why=why),
        *lines,
        *dropped,
    ]
    moved = {"provider": to, "model": base, "tuning": tuning, "base_url": base_url}
    new = spec.model_copy(update={**moved, **own, "hyperparameters": settings})
    return new, tuple(differences)


def _place(provider: str, base_url: str | None) -> str:
    return provider if base_url is None else f"{provider} at {base_url}"


def _same_model(model: str, to: str, day: date, catalog: Catalog) -> str:
    row = catalog.find_model(model)
    if row is None and catalog.find_provider(to) is None:
        return model  # nobody here knows either: the provider will say
    if row is not None and any(t.provider == to and t.open_on(day) for t in row.tunable):
        return row.name
    there = [
        m for m in catalog.models if any(t.provider == to and t.open_on(day) for t in m.tunable)
    ]
    size = row.parameters if row is not None else None
    there.sort(key=lambda m: abs((m.parameters or 0) - (size or 8_000_000_000)))
    names = ", ".join(m.name for m in there[:_MOST_SUGGESTED])
    raise UsageError(
        f"{model} isn't tuned at {to} on {day}",
        hint=f"name a base that is: --model, one of {names}" if names else "ftctl models",
    )


def _tuning(asked: Tuning, to: str, capabilities: Capabilities) -> tuple[Tuning, str]:
    if asked in capabilities.tunings:
        return asked, ""
    other: Tuning = "lora" if "lora" in capabilities.tunings else min(capabilities.tunings)
    return other, f"{to} doesn't tune by {asked}"


def _own_settings(
    spec: JobSpec, to: str, capabilities: Capabilities
) -> tuple[dict[str, Any], list[Difference]]:
    """What only the old provider knew: kept where the new one has it, under its name there."""
    lines = []
    kept: dict[str, str] = {}
    for name, value in spec.options.items():
        there = [n for n in (name, _ALSO_CALLED.get(name, name)) if n in capabilities.options]
        kept |= dict.fromkeys(there[:1], value)
        after = f"{there[0]}={value}" if there else None
        why = "" if after else f"{to} has no such setting"
        lines.append(Difference(setting=name, before=f"{name}={value}", after=after, why=why))
    engine = spec.engine if spec.engine in capabilities.engines else None
    if spec.engine is not None:
        why = "" if engine else f"{to} has no such engine"
        lines.append(Difference(setting="engine", before=spec.engine, after=engine, why=why))
    return {"options": kept, "engine": engine}, lines


def _settings(
    spec: JobSpec, to: str, capabilities: Capabilities
) -> tuple[Hyperparameters, list[Difference]]:
    """Every setting that was made: kept, put in the other's terms, or dropped."""
    kept: dict[str, Any] = {}
    lines = []
    one = default_learning_rate(spec.method)
    for name, value in spec.hyperparameters.model_dump(exclude_none=True).items():
        before = f"{name}={value:g}"
        for new, put, why in _in_terms_of(name, value, capabilities, one):
            kept[new] = put
            lines.append(Difference(setting=name, before=before, after=f"{new}={put:g}", why=why))
            break
        else:
            why = f"{to} takes no {name}; its own choice holds"
            lines.append(Difference(setting=name, before=before, after=None, why=why))
    try:
        return Hyperparameters.model_validate(kept), lines
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            f"{first['loc'][0]}={first['input']:g} is out of range at {to}: {first['msg'].lower()}",
            hint=f"--set {first['loc'][0]}=…",
        ) from None


def _in_terms_of(
    name: str, value: float, capabilities: Capabilities, one: float
) -> Iterator[tuple[str, float, str]]:
    takes = capabilities.hyperparameters
    if name in takes:
        yield name, value, ""
    elif name == "learning_rate" and "learning_rate_multiplier" in takes:
        yield "learning_rate_multiplier", value / one, _RATE_RULE.format(rate=one)
    elif name == "learning_rate_multiplier" and "learning_rate" in takes:
        yield "learning_rate", value * one, _RATE_RULE.format(rate=one)
