"""What one submission costs and how long it takes, said before it is sent."""

from pydantic import BaseModel, ConfigDict

from ftctl.catalog.load import Catalog, load_catalog
from ftctl.estimation.estimate import Assumption, Estimate
from ftctl.estimation.money import training_usd
from ftctl.estimation.speed import cpu_training_s


class Quote(BaseModel):
    """Money (USD), time (s) and trained tokens of one job; None is unknown, which isn't zero."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cost: Estimate | None
    time: Estimate | None
    trained_tokens: Estimate


def quote(
    provider: str,
    model: str,
    *,
    rows: int,
    tokens: int,
    epochs: float | None = None,
    catalog: Catalog | None = None,
    cores: int = 2,
) -> Quote:
    """What training on so many rows costs at a provider, and how long it takes at home.

    Args:
        provider: A name or alias of the catalog; another one's price is unknown.
        model: A name of the catalog; for another one the price and the time are unknown.
        rows: Training examples.
        tokens: Tokens in the training file.
        epochs: Passes over the file; the provider's own choice, as a range, when left out.
        catalog: Facts to ask; the shipped ones when left out.
        cores: CPU cores that a local job would use.
    """
    catalog = catalog or load_catalog()
    vendor = catalog.find_provider(provider)
    if vendor is None:
        trained = _trained_tokens(provider, rows, tokens, epochs)
        return Quote(cost=None, time=None, trained_tokens=trained)
    base = catalog.find_model(model)
    trained = _trained_tokens(vendor.name, rows, tokens, epochs)
    if vendor.name == "local":
        free = Assumption.from_fact("vendor's bill", "none: your own machine", vendor)
        seconds = cpu_training_s(base, 1.0, cores=cores) if base else None
        return Quote(
            cost=Estimate.exact(0.0, "USD", free),
            time=_product(trained, seconds) if seconds else None,
            trained_tokens=trained,
        )
    price = catalog.find_training_price(vendor.name, base) if base else None
    cost = training_usd(price, trained) if price else None
    return Quote(cost=cost, time=None, trained_tokens=trained)


def openai_epochs(rows: int) -> int:
    """Epochs that OpenAI chooses when none are named.

    Source: rule of its cookbook, not re-read; one observed job agrees (10 rows, 10 epochs).
    """
    if rows * 3 < 100:
        return min(25, max(1, 100 // max(rows, 1)))
    if rows * 3 > 25_000:
        return max(1, 25_000 // rows)
    return 3


def _trained_tokens(provider: str, rows: int, tokens: int, epochs: float | None) -> Estimate:
    counted = Assumption(
        name="tokens in the file", value=f"{tokens:,}", origin="measured", as_of=None, source="data"
    )
    if epochs is not None:
        said = Assumption.from_user("epochs", f"{epochs:g}")
        low, likely, high = epochs, epochs, epochs
    elif provider == "openai":
        likely = openai_epochs(rows)
        low, high = min(likely, 3), max(likely, 3) + 1
        said = Assumption.prior("epochs", f"{low:g} to {high:g}", "OpenAI's rule, not re-read")
    else:
        low, likely, high = 1.0, 3.0, 4.0
        said = Assumption.prior("epochs", "1 to 4", "vendors' defaults run from 1 to 3")
    # Another tokenizer than the one that counted may differ by a tenth.
    return Estimate(
        low=0.9 * tokens * low,
        likely=tokens * likely,
        high=1.1 * tokens * high,
        unit="tokens",
        basis=(counted, said),
    )


def _product(tokens: Estimate, seconds_per_token: Estimate) -> Estimate:
    return Estimate(
        low=tokens.low * seconds_per_token.low,
        likely=tokens.likely * seconds_per_token.likely,
        high=tokens.high * seconds_per_token.high,
        unit="s",
        basis=(*tokens.basis, *seconds_per_token.basis),
    )
