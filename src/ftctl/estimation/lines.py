"""What a job and its result are billed for, line by line; what is unknown says so."""

from collections.abc import Iterator
from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ftctl.catalog.load import Catalog
from ftctl.catalog.market import find_price
from ftctl.catalog.types import Fee, FeeKind, Model, Provider
from ftctl.estimation.estimate import Assumption, Estimate
from ftctl.estimation.money import Usage, dedicated_usd, inference_usd, widened
from ftctl.job import Method

# What the line on serving is told for, so that routes compare.
SERVED = Usage(requests=1e6, input_tokens=1_000, cached_tokens=0, output_tokens=200)
_SERVED = "a million requests of 1,000 tokens in and 200 out"


class QuoteLine(BaseModel):
    """One thing that is billed: once (USD) or each month (USD/month); None is unknown, not zero."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["training", "minimum fee", "storage", "serving", "idle"]
    amount: Estimate | None
    says: str


def fee_line(
    catalog: Catalog, provider: Provider, kind: Literal["minimum", "storage"], day: date
) -> QuoteLine | None:
    """The line of a fee, or None where the catalog knows of none."""
    fee = find_fee(catalog, provider, kind)
    if fee is None:
        return None
    name: Literal["minimum fee", "storage"] = "minimum fee" if kind == "minimum" else "storage"
    unit = "USD" if kind == "minimum" else "USD/month"
    basis = Assumption.from_fact(f"{provider.name} {name}", f"{fee.usd:g} {unit}", fee)
    low = fee.usd if fee.low_usd is None else fee.low_usd
    amount = Estimate(low=low, likely=fee.usd, high=fee.usd, unit=unit, basis=(basis,))
    says = "a job costs at least this" if kind == "minimum" else "each tuned model that is kept"
    return QuoteLine(name=name, amount=widened(amount, fee, day), says=says)


def find_fee(
    catalog: Catalog, provider: Provider, kind: FeeKind, method: Method | None = None
) -> Fee | None:
    """What a provider bills besides tokens, or None where the catalog knows of none."""
    for fee in catalog.fees:
        if (fee.provider, fee.kind, fee.method) == (provider.name, kind, method):
            return fee
    return None


def use_lines(
    catalog: Catalog, provider: Provider, model: Model | None, day: date
) -> Iterator[QuoteLine]:
    """What the tuned model costs a month: kept, asked, and idle; nothing for one's own machine."""
    storage = fee_line(catalog, provider, "storage", day)
    if storage is not None:
        yield storage
    serving = provider.serving
    if serving.kind == "own":
        return
    if serving.kind == "per_token":
        price = model and find_price(catalog, model, provider.name, day=day, tuned=True)
        amount = inference_usd(price, SERVED, day) if price else None
        yield QuoteLine(
            name="serving", amount=amount, says=_SERVED if price else _unknown(provider)
        )
        none = Assumption.from_fact("hosting", "billed by the token only", serving)
        yield QuoteLine(
            name="idle",
            amount=Estimate.exact(0.0, "USD/month", none),
            says="billed by the token only",
        )
        return
    month = dedicated_usd(provider, 1, day)
    if month is None:
        yield QuoteLine(name="serving", amount=None, says=_unknown(provider))
        yield QuoteLine(name="idle", amount=None, says=_unknown(provider))
        return
    card = f"{serving.gpu or 'one machine'} always on at {serving.usd_per_gpu_hour:g} USD an hour"
    missing = "" if serving.complete else "; tokens come on top, at a price that was not found"
    made = "an endpoint of its own, which you make afterwards: "
    yield QuoteLine(name="serving", amount=month, says=made + card + missing)
    if serving.idle_hours is None:
        yield QuoteLine(name="idle", amount=month, says="the same, whether or not anybody asks")
        return
    yield QuoteLine(
        name="idle",
        amount=month.model_copy(update={"low": 0.0, "likely": 0.0}),
        says=f"nothing once {serving.idle_hours:g} h pass without a request",
    )


def _unknown(provider: Provider) -> str:
    return f"no price for a tuned model at {provider.title} was found"
