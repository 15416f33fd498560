"""The vendor's own price, asked once it holds the data and before the job is made.

Some vendors say a price only of a file that they hold. Theirs then takes the place of ours in the
quote that is kept with the job, and is held against the limit once more.
"""

from datetime import date
from typing import Any

from ftctl.catalog.load import load_catalog
from ftctl.errors import (
    InvalidRequest,
    NoBalance,
    NotFound,
    OverMaxCost,
    RateLimited,
    Unavailable,
)
from ftctl.estimation.estimate import Assumption, Estimate
from ftctl.estimation.lines import QuoteLine
from ftctl.estimation.quote import Quote
from ftctl.job import JobRecord
from ftctl.providers.base import Provider, RemoteFile
from ftctl.providers.prices import QuotingProvider, VendorPrice


def ask_price(
    provider: Provider, record: JobRecord, files: dict[str, RemoteFile]
) -> VendorPrice | None:
    """What the vendor says that the job will cost; None where it says nothing.

    Raises:
        OverMaxCost: more than the job's limit, or nothing, where our own quote says nothing either.
        NoBalance: more than the account may spend.
        Unavailable, RateLimited: it doesn't answer now, and there is a limit to be held.
    """
    if not isinstance(provider, QuotingProvider):
        return None
    limit = record.spec.max_cost_usd
    try:
        price = provider.price(record.spec, files)
    except (InvalidRequest, NotFound):  # a gateway that has no such question
        price = None
    except (Unavailable, RateLimited):
        if limit is None:
            return None
        raise
    if price is None:
        if limit is not None and not (record.estimate and record.estimate["cost"]):
            raise OverMaxCost(
                f"no price is known for {record.model} at {record.provider}, which quotes none in "
                f"USD either: {limit:g} USD can't be held. The data are there, no job was made",
                hint="leave out --max-cost to accept an unknown price",
            )
        return None
    who = _title(record)
    if limit is not None and price.usd > limit:
        raise OverMaxCost(
            f"{who} itself estimates {price.usd:.2f} USD; the limit is {limit:.2f}. The data are "
            "there, no job was made",
            hint=f"--max-cost {price.usd:.2f}, fewer epochs, or a smaller dataset",
        )
    if price.allowed is False:
        raise NoBalance(
            f"{who} estimates {price.usd:.2f} USD, which is more than the account may spend",
            hint="pay in, or raise the limit, at the provider; then run the same command again",
        )
    return price


def with_price(record: JobRecord, price: VendorPrice, day: date) -> dict[str, Any]:
    """The fields of a record in whose quote the vendor's price stands in the place of ours.

    Args:
        record: The job; without a quote of ours there is nothing to put it into.
        price: What the vendor said.
        day: On which it said so.
    """
    if record.estimate is None:
        return {}
    ours = Quote.model_validate(record.estimate)
    who = _title(record)
    said = Assumption(
        name=f"{who}'s own estimate",
        value=f"{price.usd:g} USD",
        origin="vendor",
        as_of=day,
        source=f"asked of {who} for the data that it holds",
    )
    cost = Estimate.exact(price.usd, "USD", said)
    before = "unknown"
    if ours.cost is not None:
        before = f"{ours.cost.low:.2f} to {ours.cost.high:.2f} USD"
    line = QuoteLine(name="training", amount=cost, says=f"{who}'s own estimate; ours was {before}")
    others = [one for one in ours.lines if one.name not in ("training", "minimum fee")]
    quoted = ours.model_copy(update={"cost": cost, "lines": (line, *others)})
    return {"estimate": quoted.model_dump(mode="json")}


def _title(record: JobRecord) -> str:
    vendor = load_catalog().find_provider(record.provider)
    return vendor.title if vendor else record.provider
