"""What is wrong with the catalog, and where others say something else."""

from collections.abc import Iterator
from datetime import date
from typing import Literal, NamedTuple

from ftctl.catalog.litellm import find_retirement, find_tuned_price
from ftctl.catalog.load import Catalog
from ftctl.catalog.market import find_market_price
from ftctl.catalog.types import Fact, InferencePrice, Model, Provider
from ftctl.catalog.user import row_key

TOLERANCE = 0.01  # two copies of one price list agree to the cent


class Finding(NamedTuple):
    """One thing that is wrong (error), or that another source says differently (warning)."""

    severity: Literal["error", "warning"]
    where: str
    message: str


def iter_facts(catalog: Catalog) -> Iterator[tuple[str, Fact]]:
    """Every fact with its place: `providers together serving`."""
    for section, rows in catalog:
        for row in rows:
            yield from _with_inner(f"{section} {row_key(section, row)}", row)


def lint(catalog: Catalog, day: date) -> list[Finding]:
    """Every error of the catalog, then every place where other sources differ, on a day."""
    wrong = [*_fact_errors(catalog, day), *_name_errors(catalog), *_reference_errors(catalog)]
    for provider in catalog.providers:
        wrong += _phase_errors(provider)
    for model in catalog.models:
        wrong += _model_errors(catalog, model)
    wrong += [*_price_errors(catalog), *_billing_errors(catalog)]
    errors = [Finding("error", where, message) for where, message in wrong]
    differing = [*_price_differences(catalog, day), *_retirement_differences(catalog)]
    return errors + [Finding("warning", where, message) for where, message in differing]


_Wrong = Iterator[tuple[str, str]]


def _with_inner(where: str, fact: Fact) -> Iterator[tuple[str, Fact]]:
    yield where, fact
    for name, value in fact:
        if isinstance(value, Fact):
            yield from _with_inner(f"{where} {name}", value)
        elif isinstance(value, tuple):
            for number, part in enumerate(value, 1):
                if isinstance(part, Fact):
                    yield from _with_inner(f"{where} {name} {number}", part)


def _fact_errors(catalog: Catalog, day: date) -> _Wrong:
    for where, fact in iter_facts(catalog):
        if not fact.source.strip():
            yield where, "has no source"
        if fact.as_of > day:
            yield where, f"was checked on {fact.as_of}, after {day}"


def _name_errors(catalog: Catalog) -> _Wrong:
    for section, rows in (
        ("providers", catalog.providers),
        ("models", catalog.models),
        ("gpus", catalog.gpus),
    ):
        taken: set[str] = set()
        for row in rows:
            for name in (row.name, *row.aliases):
                if name.lower() in taken:
                    yield f"{section} {row.name}", f"the name {name} is taken"
                taken.add(name.lower())


def _reference_errors(catalog: Catalog) -> _Wrong:
    known = {
        "provider": {row.name for row in catalog.providers},
        "model": {row.name for row in catalog.models},
        "gpu": {row.name for row in catalog.gpus},
        "replacement": {row.name for row in catalog.models},
    }
    for where, fact in iter_facts(catalog):
        for field, names in known.items():
            name = getattr(fact, field, None)
            if name is not None and name not in names:
                yield where, f"there is no {field} {name}"


def _phase_errors(provider: Provider) -> _Wrong:
    where = f"providers {provider.name} phases"
    starts = [phase.starts or date.min for phase in provider.phases]
    if not starts:
        yield where, "are missing: who may create jobs?"
    if starts != sorted(set(starts)):
        yield where, "are not in the order of their dates"
    for phase in provider.phases:
        if phase.who in ("existing", "active") and phase.existing_before is None:
            yield where, f"from {phase.starts}: `existing_before` is missing"
        if (phase.who == "active") != (phase.active_within_days is not None):
            yield where, f"from {phase.starts}: `active_within_days` goes with who = active"


def _model_errors(catalog: Catalog, model: Model) -> _Wrong:
    where = f"models {model.name}"
    if (model.available_from or date.min) >= (model.shutdown or date.max):
        yield where, "shuts down before it begins"
    for row in model.tunable:
        place = f"{where} at {row.provider}"
        until = row.until or date.max
        if (row.starts or date.min) >= until:
            yield place, "closes before it opens"
        if row.serves_until is not None and row.serves_until < until:
            yield place, "takes jobs longer than their results answer"
        provider = catalog.find_provider(row.provider)
        beyond = set(row.methods) - set(provider.methods if provider else row.methods)
        if beyond:
            yield place, f"{', '.join(sorted(beyond))} isn't offered there"


def _price_errors(catalog: Catalog) -> _Wrong:
    for price in catalog.inference:
        where = f"inference {row_key('inference', price)}"
        if min(price.input_usd, price.output_usd) <= 0:
            yield where, "has a price of 0: leave out what isn't known"
        if price.cached_usd > price.input_usd:
            yield where, "cached tokens cost more than fresh ones"
    for gpu in catalog.gpus:
        if not gpu.price.low <= gpu.price.likely <= gpu.price.high:
            yield f"gpus {gpu.name} price", "low, likely and high are not in order"


def _billing_errors(catalog: Catalog) -> _Wrong:
    for row in catalog.training:
        where = f"training {row_key('training', row)}"
        if row.usd <= 0:
            yield where, "has a price of 0: leave out what isn't known"
        if (row.model is None) == (row.max_parameters is None):
            yield where, "needs either a model or a size"
    for fee in catalog.fees:
        if (fee.low_usd or 0.0) > fee.usd:
            yield f"fees {row_key('fees', fee)}", "low_usd is above usd"


def _price_differences(catalog: Catalog, day: date) -> _Wrong:
    for price in catalog.inference:
        model = catalog.find_model(price.model)
        if model is None:
            continue
        if price.tuned:
            other = find_tuned_price(model) if price.provider == "openai" else None
        else:
            other = find_market_price(model, price.provider, day)
        if other is not None and _differ(price, other):
            yield (
                f"inference {row_key('inference', price)}",
                f"we say {_amounts(price)}, {other.source} says {_amounts(other)}",
            )


def _retirement_differences(catalog: Catalog) -> _Wrong:
    for model in catalog.models:
        if not model.open_weights:
            other = find_retirement(model)
            if other is not None and other.day != model.shutdown:
                ours = model.shutdown or "no day"
                yield f"models {model.name}", f"we say {ours}, {other.source} says {other.day}"
        for row in model.tunable:
            other = find_retirement(model, tuned=True) if row.provider == "openai" else None
            if other is not None and other.day != row.serves_until:
                ours = row.serves_until or "no day"
                yield (
                    f"models {model.name} at openai",
                    f"tuned ones answer until: we say {ours}, {other.source} says {other.day}",
                )


def _differ(one: InferencePrice, other: InferencePrice) -> bool:
    pairs = [
        (one.input_usd, other.input_usd),
        (one.cached_usd, other.cached_usd),
        (one.output_usd, other.output_usd),
    ]
    return any(abs(a - b) > TOLERANCE * max(a, b) for a, b in pairs)


def _amounts(price: InferencePrice) -> str:
    return f"{price.input_usd:g} in, {price.cached_usd:g} cached, {price.output_usd:g} out"
