"""What a month of use and a training run cost in USD; what is unknown is None, never zero."""

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from ftctl.catalog.load import STALE_DAYS, stale
from ftctl.catalog.types import Fact, InferencePrice, Provider, TrainingPrice
from ftctl.estimation.estimate import Assumption, Estimate

HOURS_PER_MONTH = 730
# 0.1 engineer = 1,250 USD a month: break-even arithmetic of the advisor's research, 2026-11.
ENGINEER_USD_PER_MONTH = 12_500.0
OLD_PRICE_FACTOR = 2.0


class Usage(NamedTuple):
    """Requests a month, and the mean tokens of one; `cached_tokens` are part of the input."""

    requests: float
    input_tokens: float
    cached_tokens: float
    output_tokens: float


def request_usd(price: InferencePrice, usage: Usage) -> float:
    """USD of one request; the shared prefix at the cached rate."""
    fresh = max(usage.input_tokens - usage.cached_tokens, 0.0)
    cached = min(usage.cached_tokens, usage.input_tokens)
    tokens_usd = (
        fresh * price.input_usd + cached * price.cached_usd + usage.output_tokens * price.output_usd
    )
    return tokens_usd / 1e6


def widened(money: Estimate, fact: Fact, day: date | None) -> Estimate:
    """A sum that rests on a fact: where that is old on the day, from half to twice as much.

    Twice is the widest move of a listed price within a year that the research of 2026-11 met
    (rent of B200 and RTX 5090); price lists of tuning vendors moved by up to a third. Old is
    checked more than 90 days before; without a day nothing is widened.
    """
    if day is None or not stale(fact.as_of, day):
        return money
    old = Assumption.prior(
        "old price",
        f"half to twice, as it was checked on {fact.as_of}",
        f"more than {STALE_DAYS} days before {day}; prices have doubled within a year",
    )
    return Estimate(
        low=money.low / OLD_PRICE_FACTOR,
        likely=money.likely,
        high=money.high * OLD_PRICE_FACTOR,
        unit=money.unit,
        basis=(*money.basis, old),
    )


def inference_usd(price: InferencePrice, usage: Usage, day: date | None = None) -> Estimate:
    """USD a month for use billed by the token; wider on a day on which the price is old."""
    basis = Assumption.from_fact(
        f"{price.model} price",
        f"{price.input_usd:g} in, {price.cached_usd:g} cached, {price.output_usd:g} out "
        "USD per million tokens",
        price,
    )
    month = Estimate.exact(usage.requests * request_usd(price, usage), "USD/month", basis)
    return widened(month, price, day)


def dedicated_usd(provider: Provider, replicas: int, day: date | None = None) -> Estimate | None:
    """USD a month for a tuned model on a vendor's always-on cards; None where no price is known.

    Wider on a day on which the price is old.
    """
    serving = provider.serving
    if serving.usd_per_gpu_hour is None:
        return None
    basis = Assumption.from_fact(
        f"{provider.name} endpoint", f"{serving.usd_per_gpu_hour:g} USD/h", serving
    )
    month = serving.usd_per_gpu_hour * HOURS_PER_MONTH * replicas
    return widened(Estimate.exact(month, "USD/month", basis), serving, day)


def people_usd(share: tuple[float, float, float], why: str) -> Estimate:
    """USD a month for shares of an engineer, as low, likely and high."""
    low, likely, high = (part * ENGINEER_USD_PER_MONTH for part in share)
    value = f"{share[0]:g} to {share[2]:g} engineers at {ENGINEER_USD_PER_MONTH:,.0f} USD/month"
    return Estimate(
        low=low,
        likely=likely,
        high=high,
        unit="USD/month",
        basis=(Assumption.prior("people", value, why),),
    )


def training_usd(
    price: TrainingPrice, trained_tokens: Estimate, day: date | None = None
) -> Estimate:
    """USD of one training run: tokens times epochs, as billed; wider where the price is old."""
    basis = Assumption.from_fact(
        f"{price.provider} training", f"{price.usd:g} USD per million tokens", price
    )
    money = trained_tokens.scaled(price.usd / 1e6, "USD")
    billed = money.model_copy(update={"basis": (*trained_tokens.basis, basis)})
    return widened(billed, price, day)


def spread(one_off: Iterable[Estimate], months: float) -> list[Estimate]:
    """One-off sums in USD as USD a month over so many months."""
    return [sum_.scaled(1 / max(months, 1.0), "USD/month") for sum_ in one_off]
