"""What has to happen before a tuned model answers at its vendor, and what that costs."""

from datetime import date

from ftctl.catalog.load import Catalog, load_catalog
from ftctl.estimation.money import dedicated_usd
from ftctl.policy import is_gateway


def endpoint_needed(
    provider: str, base_url: str | None = None, *, as_of: date, catalog: Catalog | None = None
) -> str:
    """One sentence where somebody has to make an endpoint first; "" where a model just answers.

    Args:
        provider: A name or alias of the catalog; nothing is known of another one.
        base_url: Where the model is; the vendor's prices aren't a gateway's.
        as_of: The day on which the price is read.
        catalog: Facts to ask; the shipped ones and the user's when left out.
    """
    vendor = (catalog or load_catalog()).find_provider(provider)
    if vendor is None or vendor.serving.kind != "dedicated":
        return ""
    serving = vendor.serving
    how = "which you make there" if serving.self_serve else "which is made on request"
    needed = f"a tuned model answers at {vendor.title} only on an endpoint of its own, {how}"
    month = None if is_gateway(vendor, base_url) else dedicated_usd(vendor, 1, as_of)
    if month is None or serving.usd_per_gpu_hour is None:
        return f"{needed}; what it costs isn't known"
    card = serving.gpu or "a machine"
    return (
        f"{needed}: {card} at {serving.usd_per_gpu_hour:g} USD an hour, "
        f"{month.likely:,.0f} USD a month when always on ({serving.source}, {serving.as_of})"
    )
