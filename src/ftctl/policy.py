"""May this go there, today, for this account? Asked by advice and by submit alike.

Pure functions of the catalog and a day: no clock, no network.
"""

from datetime import date, timedelta
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from ftctl.catalog.load import Catalog, load_catalog, stale
from ftctl.catalog.types import Confidence, Phase, Provider
from ftctl.config import is_loopback
from ftctl.errors import PrivacyForbids, ProviderClosed
from ftctl.job import Privacy

Status = Literal["open", "existing_only", "closed"]


class Account(BaseModel):
    """What the user's account at a provider has done.

    `since` is the first day on which it fine-tuned there, `last_used` the last day on which a
    tuned model of it answered. Where only its list of jobs was seen, `last_job` is the day of the
    newest one: that it made it tells much, but not all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: date | None = None
    last_used: date | None = None
    last_job: date | None = None


class Availability(BaseModel):
    """Who may create jobs at a provider on a day, and whether this account may.

    `open_to_you` is None when the provider takes only some customers and nothing is known of the
    account. `closes_on` is the next day on which fewer may.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: str
    status: Status
    open_to_you: bool | None
    gateway: bool = False
    reason: str
    since: date | None
    closes_on: date | None
    as_of: date
    source: str
    confidence: Confidence
    after_closing: str
    way_out: str


class PrivacyVerdict(BaseModel):
    """Whether rows of a privacy class may go to a place, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allowed: bool
    reason: str


def availability(
    provider: str,
    *,
    as_of: date,
    account: Account | None = None,
    base_url: str | None = None,
    catalog: Catalog | None = None,
) -> Availability:
    """Who may create jobs at a provider on a day.

    Args:
        provider: A name or alias of the catalog.
        as_of: The day asked about.
        account: What is known of the user's account; None when nothing is.
        base_url: Where requests would go; one that isn't the vendor's names a gateway, to which
            the vendor's dates don't apply.
        catalog: Facts to ask; the shipped ones when left out.

    Raises:
        UsageError: no such provider.
    """
    catalog = catalog or load_catalog()
    row = catalog.get_provider(provider)
    if is_gateway(row, base_url):
        return Availability(
            provider=row.name,
            status="open",
            open_to_you=True,
            gateway=True,
            reason=f"{base_url} is a gateway, not {row.title}: the vendor's dates don't apply",
            since=None,
            closes_on=None,
            as_of=row.as_of,
            source=row.source,
            confidence=row.confidence,
            after_closing="",
            way_out="",
        )
    phase = catalog.phase(row.name, as_of)
    if phase is None:
        return _not_begun(row, as_of)
    later = [p.starts for p in row.phases if p.starts is not None and p.starts > as_of]
    status: dict[str, Status] = {"everybody": "open", "nobody": "closed"}
    since = f"since {phase.starts}: " if phase.starts else ""
    allowed, remark = _judge(phase, account, as_of)
    return Availability(
        provider=row.name,
        status=status.get(phase.who, "existing_only"),
        open_to_you=allowed,
        reason=f"{since}{phase.says}{remark}{_age(phase, as_of)}",
        since=phase.starts,
        closes_on=min(later, default=None),
        as_of=phase.as_of,
        source=phase.source,
        confidence=phase.confidence,
        after_closing=row.after_closing,
        way_out=row.way_out,
    )


def require_open(
    provider: str,
    *,
    as_of: date,
    account: Account | None = None,
    base_url: str | None = None,
    catalog: Catalog | None = None,
) -> Availability:
    """The availability, unless the provider takes no job of this account on this day.

    A provider open to some customers passes when nothing is known of the account: the vendor
    itself decides, before anything is spent, and the reason says so.

    Raises:
        ProviderClosed: with the date and source, and the way out as hint.
        UsageError: no such provider.
    """
    found = availability(provider, as_of=as_of, account=account, base_url=base_url, catalog=catalog)
    if found.open_to_you is False:
        raise ProviderClosed(
            f"{found.provider} is closed to you on {as_of}: {found.reason} "
            f"(source: {found.source}, checked {found.as_of}).",
            hint=found.way_out,
        )
    return found


def require_base_open(
    provider: str,
    model: str,
    *,
    as_of: date,
    base_url: str | None = None,
    catalog: Catalog | None = None,
) -> None:
    """Refuse a base model that the vendor tunes no more on a day, though it tunes others.

    Where the catalog names no end, or not the model, the vendor itself decides.

    Raises:
        ProviderClosed: with the day and source.
        UsageError: no such provider.
    """
    catalog = catalog or load_catalog()
    vendor, base = catalog.get_provider(provider), catalog.find_model(base_of(model))
    if base is None or is_gateway(vendor, base_url):
        return
    for row in base.tunable:
        if row.provider == vendor.name and row.until is not None and row.until <= as_of:
            raise ProviderClosed(
                f"{vendor.title} stopped tuning {base.name} on {row.until} "
                f"(source: {row.source}, checked {row.as_of}).",
                hint="ftctl models shows what can be tuned where",
            )


def base_of(model: str) -> str:
    """The base model's name; `ft:BASE:org:suffix:id` names a tuned one to go on from."""
    return model.split(":")[1] if model.startswith("ft:") and model.count(":") >= 2 else model


def privacy_allows(
    provider: str,
    privacy: Privacy | None,
    base_url: str | None = None,
    *,
    catalog: Catalog | None = None,
) -> PrivacyVerdict:
    """Whether rows of this privacy class may go to a provider or base URL.

    `stays_inside` allows your own machine and loopback addresses; `regulated` also providers
    whose catalog row says that residency and contract suit.

    Raises:
        UsageError: no such provider.
    """
    row = (catalog or load_catalog()).get_provider(provider)
    if row.name == "local" and base_url is None:
        return PrivacyVerdict(allowed=True, reason="rows stay on your own machine")
    if base_url is not None and is_loopback(base_url):
        return PrivacyVerdict(allowed=True, reason=f"{base_url} is this machine")
    where = base_url if is_gateway(row, base_url) else row.title
    if privacy == "stays_inside":
        return PrivacyVerdict(
            allowed=False, reason=f"the rows must stay inside, and {where} is outside"
        )
    if privacy == "regulated":
        if is_gateway(row, base_url):
            return PrivacyVerdict(
                allowed=False,
                reason=f"the rows are regulated, and nothing is known of where {where} keeps them",
            )
        suits = "suits" if row.residency.regulated else "doesn't suit"
        return PrivacyVerdict(
            allowed=row.residency.regulated,
            reason=f"regulated data {suits} {where}: {row.residency.says} "
            f"({row.residency.source}, {row.residency.as_of})",
        )
    said = f"`{privacy}`" if privacy else "no privacy class set, which"
    return PrivacyVerdict(allowed=True, reason=f"{said} allows {where}")


def require_privacy(
    provider: str,
    privacy: Privacy | None,
    base_url: str | None = None,
    *,
    catalog: Catalog | None = None,
) -> PrivacyVerdict:
    """The verdict, unless the rows may not go there.

    Raises:
        PrivacyForbids: with the reason, and the way out as hint.
        UsageError: no such provider.
    """
    verdict = privacy_allows(provider, privacy, base_url, catalog=catalog)
    if not verdict.allowed:
        raise PrivacyForbids(
            f"not sent: {verdict.reason}.", hint="ftctl submit --provider local keeps rows here"
        )
    return verdict


def require_unlisted_privacy(provider: str, privacy: Privacy | None, base_url: str | None) -> None:
    """Let rows go to a provider that no catalog row describes, unless they mustn't go anywhere.

    Raises:
        PrivacyForbids: the rows must stay inside or are regulated.
    """
    here = base_url is not None and is_loopback(base_url)
    if privacy in ("stays_inside", "regulated") and not here:
        raise PrivacyForbids(
            f"not sent: the rows are `{privacy}`, and nothing is known of where {provider} "
            "keeps them.",
            hint="ftctl submit --provider local keeps rows here",
        )


def is_gateway(provider: Provider, base_url: str | None) -> bool:
    """Whether a base URL is somebody else's than the vendor's own."""
    if base_url is None:
        return False
    host = (urlsplit(base_url).hostname or "").lower().rstrip(".")
    return not any(host == own or host.endswith(f".{own}") for own in provider.hosts)


def is_vendors_own(provider: str, base_url: str | None) -> bool:
    """Whether a job is at the vendor itself, so that the catalog's dates apply to it."""
    row = load_catalog().find_provider(provider)
    return row is not None and not is_gateway(row, base_url)


def _age(phase: Phase, day: date) -> str:
    """A remark where the fact is old on that day: it may have changed since."""
    return f"; last checked on {phase.as_of}, long before" if stale(phase.as_of, day) else ""


def _judge(phase: Phase, account: Account | None, day: date) -> tuple[bool | None, str]:
    """Whether an account may create jobs in this phase, and what to add to its sentence."""
    if phase.who in ("everybody", "nobody"):
        return phase.who == "everybody", ""
    if account is None:
        return None, "; nothing is known of your account"
    if account.since is None and account.last_job is not None:
        return _judge_by_jobs(phase, account.last_job, day)
    why = ""
    if account.since is None or account.since >= (phase.existing_before or day):
        why = "; your account isn't one that fine-tuned before"
    elif phase.active_within_days is not None:
        oldest = day - timedelta(days=phase.active_within_days)
        if account.last_used is None:
            why = "; no `last_used` is given for your account"
        elif account.last_used < oldest:
            why = f"; your account last used one on {account.last_used}"
    return not why, why or "; your account qualifies"


def _judge_by_jobs(phase: Phase, last_job: date, day: date) -> tuple[bool | None, str]:
    """Like `_judge`, from a job that the account made: who was let in under a rule may be again.

    An account that tunes is taken for one that uses what it tunes, within the same days.
    """
    made = f"; your account made a job on {last_job}"
    if phase.active_within_days is not None:
        oldest = day - timedelta(days=phase.active_within_days)
        if last_job < max(oldest, phase.starts or oldest):
            return None, f"{made}: whether it was active since isn't known"
    return True, f"{made}: it likely qualifies"


def _not_begun(row: Provider, day: date) -> Availability:
    first = min(row.phases, key=lambda p: p.starts or date.min)
    return Availability(
        provider=row.name,
        status="closed",
        open_to_you=False,
        reason=f"{row.title} offered no fine-tuning on {day}; it began on {first.starts}",
        since=None,
        closes_on=None,
        as_of=first.as_of,
        source=first.source,
        confidence=first.starts_confidence or first.confidence,
        after_closing="",
        way_out=row.way_out,
    )
