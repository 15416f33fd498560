"""One free question to the account that a job would be made with, before any row leaves.

A key that is refused, an account that can't pay, a route that is gone: asking for a list shows
them for nothing, where an upload would show them once the rows are away. That a create will be
taken only the create itself shows; how much is known of it is said in one of three words.
"""

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict
from typing_extensions import override

from ftctl.catalog.load import load_catalog
from ftctl.catalog.types import Tunable
from ftctl.errors import InvalidRequest, NotFound, RateLimited, Unavailable
from ftctl.policy import Account, require_base_open, require_open
from ftctl.providers.base import ListingProvider, Probe, ProbingProvider, Provider


class MayCreate(BaseModel):
    """How much is known of whether this account may create a job; a no is an error instead.

    Attributes:
        word: `known`: it may. `dated`: it may before the day `until`. `unknown`: only the create
            itself will show.
        until: The first day on which it may no longer, where one is known.
        reason: What the word rests on.
        source: Where that stands and when it was checked; empty where it stands nowhere.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    word: Literal["known", "dated", "unknown"]
    until: date | None = None
    reason: str
    source: str = ""

    @override
    def __str__(self) -> str:
        """One line for a person."""
        until = f", until {self.until}" if self.until else ""
        source = f" (source: {self.source})" if self.source else ""
        return f"may it create a job? {self.word}{until}: {self.reason}{source}"


def ask_account(
    driver: Provider,
    provider: str,
    *,
    model: str | None = None,
    base_url: str | None = None,
    as_of: date,
    must_answer: bool = True,
) -> MayCreate:
    """Ask the account one free question, and say how far it is known that it may create.

    Where rows stay on this machine there is no account, and nothing is asked.

    Args:
        driver: The provider's, which holds the key.
        provider: A name of the catalog, or of an installed provider.
        model: The base model; None when only the account is asked about.
        base_url: Where requests go; the vendor's own when None.
        as_of: The day on which it would create.
        must_answer: Whether a provider that can't be reached is an error; else it is `unknown`.

    Raises:
        AuthError, NoBalance, Retired: a definite no.
        ProviderClosed: the route takes no job on that day, whatever the account.
        Unavailable, RateLimited: nobody answered for now.
    """
    if driver.capabilities.data_stays_here:
        return MayCreate(word="known", reason="no account is asked: the rows stay on this machine")
    seen, unseen = None, "it has no free question to be asked"
    try:
        seen = _probe(driver, model)
    except (Unavailable, RateLimited) as error:
        if must_answer:
            raise
        unseen = f"it can't be asked now: {error.message}"
    return _judge(provider, model, base_url, as_of, seen, unseen)


def _probe(driver: Provider, model: str | None) -> Probe | None:
    """What the account shows; None where there is nothing to ask, such as a gateway's list."""
    try:
        if isinstance(driver, ProbingProvider):
            return driver.probe(model)
        if isinstance(driver, ListingProvider):
            return Probe(has_jobs=bool(next(iter(driver.list_jobs()), {})))
    except (InvalidRequest, NotFound):  # it knows no such list: that says nothing of a create
        pass
    return None


def _judge(
    provider: str,
    model: str | None,
    base_url: str | None,
    as_of: date,
    seen: Probe | None,
    unseen: str,
) -> MayCreate:
    """Weigh what was seen of the account with what the catalog says of that day."""
    catalog = load_catalog()
    vendor = catalog.find_provider(provider)
    if vendor is None:
        nothing = f"{provider} stands in no catalog: its prices, dates and limits are unknown"
        return MayCreate(word="unknown", reason=nothing)
    base = None if model is None else catalog.find_model(model)
    rows = base.tunable if base else ()
    row = next((row for row in rows if row.provider == vendor.name), None)
    account = Account(last_job=seen.last_job) if seen and seen.last_job else None
    found = require_open(
        vendor.name, as_of=as_of, account=account, base_url=base_url, catalog=catalog
    )
    if model is not None:
        require_base_open(vendor.name, model, as_of=as_of, base_url=base_url, catalog=catalog)
    if found.gateway:
        row, sure, why = None, False, "whether it takes jobs only a create shows"
    elif seen is None:
        sure, why = False, unseen
    elif found.open_to_you is None or (row is not None and row.existing_only):
        sure = bool(found.open_to_you and seen.has_jobs)
        why = _of_jobs(seen)
    else:
        sure, why = True, "the key is good"
    until = _first_end(as_of, found.closes_on, row, seen)
    return MayCreate(
        word="unknown" if not sure else "dated" if until else "known",
        until=until,
        reason=f"{found.reason}; {why}",
        source=f"{found.source}, checked {found.as_of}",
    )


def _of_jobs(seen: Probe) -> str:
    if seen.has_jobs is None:
        return "the account's jobs aren't shown"
    return "it has jobs already" if seen.has_jobs else "the key's list shows no job"


def _first_end(
    day: date, closes_on: date | None, row: Tunable | None, seen: Probe | None
) -> date | None:
    """The first day on which less is taken: from anybody, on this model, by the vendor's word."""
    ends = (closes_on, row.until if row else None, seen.closes_on if seen else None)
    return min((end for end in ends if end is not None and end > day), default=None)
