"""How long a tuned model will answer: pure, from the catalog's dates."""

from datetime import date

from ftctl.catalog.load import Catalog, load_catalog
from ftctl.policy import availability, base_of, is_gateway

WARN_DAYS = 60  # a retraining takes weeks: data, evaluation, release


def lifetime(
    provider: str,
    model: str,
    *,
    as_of: date,
    base_url: str | None = None,
    catalog: Catalog | None = None,
) -> str:
    """One sentence: how long a model that is tuned there today will answer."""
    catalog = catalog or load_catalog()
    vendor = catalog.find_provider(provider)
    if vendor is None:
        return f"nothing is known of how long {provider} serves a tuned model"
    if is_gateway(vendor, base_url):
        return f"as long as {base_url} serves it"
    if vendor.weights_returned:
        return "no end: the weights come home"
    ends = serves_until(vendor.name, model, catalog=catalog)
    if ends is not None:
        return f"it answers until {ends}, {(ends - as_of).days} days from {as_of}"
    after = availability(vendor.name, as_of=as_of, catalog=catalog).after_closing
    return after or f"{vendor.title} has announced no end"


def serves_until(provider: str, model: str, *, catalog: Catalog | None = None) -> date | None:
    """The day from which a tuned model of this base answers no more; None: none is announced."""
    catalog = catalog or load_catalog()
    base = catalog.find_model(base_of(model))
    if base is None:
        return None
    there = (t.serves_until for t in base.tunable if t.provider == provider)
    # A base's own end is its maker's; another host may have named one of its own.
    return next(there, None) or (None if base.open_weights else base.shutdown)
