"""Inference prices that others keep: asked where the catalog has none, and to check ours.

The package genai-prices is imported inside the functions that need it: it takes half a second.
"""

from datetime import UTC, date, datetime, time
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ftctl.catalog.litellm import find_tuned_price
from ftctl.catalog.load import Catalog, load_shipped
from ftctl.catalog.types import InferencePrice, Model

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo

# Our name of a provider: theirs.
PROVIDERS = {
    "openai": "openai",
    "azure": "azure",
    "mistral": "mistral",
    "together": "together",
    "fireworks": "fireworks",
    "bedrock": "aws",
    "google": "google",
    "anthropic": "anthropic",
    "cohere": "cohere",
}


def find_price(
    catalog: Catalog, model: Model, provider: str | None = None, *, day: date, tuned: bool = False
) -> InferencePrice | None:
    """What a million tokens of a model cost on a day: our row or the user's, then others'.

    Others are genai-prices for prompted models and LiteLLM's price file, where it is installed,
    for tuned ones. None where nobody knows a price.
    """
    own = catalog.find_inference_price(model.name, provider, tuned=tuned)
    if own is not None:
        return own
    if tuned:
        return find_tuned_price(model) if provider in (None, "openai") else None
    homes = [tunable.provider for tunable in model.tunable]
    for name in [provider] if provider else dict.fromkeys((*homes, *PROVIDERS)):
        found = find_market_price(model, name, day)
        if found is not None:
            return found
    return None


def find_market_price(model: Model, provider: str, day: date) -> InferencePrice | None:
    """What genai-prices says of a prompted model at a provider on a day, or None."""
    info = _find_info(model, provider)
    if info is None:
        return None
    prices = info.get_prices(datetime.combine(day, time(12), UTC))
    per_million = [_base(getattr(prices, f"{name}_mtok")) for name in ("input", "output")]
    if None in per_million:
        return None
    fresh, output = (value or 0.0 for value in per_million)
    cached = _base(prices.cache_read_mtok)
    return InferencePrice(
        provider=provider,
        model=model.name,
        input_usd=fresh,
        cached_usd=fresh if cached is None else cached,
        output_usd=output,
        as_of=_newest_date(),
        source=f"genai-prices {version('genai-prices')}",
        confidence="third_party",
    )


def _find_info(model: Model, provider: str) -> "ModelInfo | None":
    from genai_prices.data_snapshot import get_snapshot

    theirs = PROVIDERS.get(provider)
    if theirs is None:
        return None
    snapshot = get_snapshot()
    for name in filter(None, (model.name, *model.aliases, model.hub_id)):
        try:
            return snapshot.find_provider_model(name, None, theirs, None)[1]
        except LookupError:
            continue
    return None


def _base(price: Any) -> float | None:  # noqa: ANN401 - their decimal, or tiers above a base
    if price is None:
        return None
    return float(getattr(price, "base", price))


@cache
def _newest_date() -> date:
    """The newest dated price in the package: it says nowhere when it was last checked.

    Prices announced for later than our own catalog's day don't count.
    """
    from genai_prices.data_snapshot import get_snapshot
    from genai_prices.types import StartDateConstraint

    shipped = max(row.as_of for row in load_shipped().inference)
    dated = [
        part.constraint.start_date
        for provider in get_snapshot().providers
        for model in provider.models
        if isinstance(model.prices, list)
        for part in model.prices
        if isinstance(part.constraint, StartDateConstraint)
    ]
    return max(day for day in dated if day <= shipped)
