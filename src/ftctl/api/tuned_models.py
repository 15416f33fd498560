"""The models that our jobs made, and the day on which each stops answering."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

from pydantic import BaseModel, ConfigDict

from ftctl.api.job_handle import open_store, provider_of
from ftctl.config import Settings, load_settings
from ftctl.errors import FtctlError
from ftctl.estimation.serving import endpoint_needed
from ftctl.job import JobRecord, JobState
from ftctl.lifetime import WARN_DAYS, lifetime, serves_until
from ftctl.policy import is_vendors_own
from ftctl.providers.base import DatingProvider

_log = logging.getLogger(__name__)


class MyModel(BaseModel):
    """A tuned model: who serves it, until when, and whether that is soon.

    `serves_until` is the first day without an answer; None where no end is announced. `needed` is
    what has to happen before it answers at its vendor, and what that costs; "" where nothing has.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    job: str
    provider: str
    base_model: str
    tuned_at: datetime | None
    serves_until: date | None
    days_left: int | None
    ends_soon: bool
    lifetime: str
    needed: str = ""


def my_models(*, as_of: date | None = None, settings: Settings | None = None) -> list[MyModel]:
    """Every model that a job here made, those that end first on top.

    A vendor that can be asked for its models' last days is asked: its word goes before ours.

    Args:
        as_of: The day from which days are counted; today when not given.
        settings: Where the store is.
    """
    settings = settings or load_settings()
    day = as_of or datetime.now(UTC).date()
    models = []
    with open_store(settings) as store:
        made = [job for job in store.jobs(states={JobState.SUCCEEDED}) if job.fine_tuned_model]
        announced = _announced(made, settings)
        for job in made:
            ends, says = _end(job, day)
            own = announced.get((job.provider, job.base_url), {}).get(job.fine_tuned_model or "")
            if own is not None:
                ends = own
                says = (
                    f"it answers until {own}, {(own - day).days} days from {day}, the vendor says"
                )
            left = None if ends is None else (ends - day).days
            models.append(
                MyModel(
                    name=job.fine_tuned_model or "",
                    job=job.id,
                    provider=job.provider,
                    base_model=job.model,
                    tuned_at=job.observed_at,
                    serves_until=ends,
                    days_left=left,
                    ends_soon=left is not None and left <= WARN_DAYS,
                    lifetime=says,
                    needed=endpoint_needed(job.provider, job.base_url, as_of=day),
                )
            )
    return sorted(models, key=lambda m: (m.serves_until or date.max, m.name))


def _announced(
    made: Sequence[JobRecord], settings: Settings
) -> dict[tuple[str, str | None], Mapping[str, date]]:
    """What each vendor says of its models' ends; nothing of one that can't be asked now."""
    found: dict[tuple[str, str | None], Mapping[str, date]] = {}
    for job in made:
        place = (job.provider, job.base_url)
        if place in found:
            continue
        found[place] = {}
        try:
            provider = provider_of(job, settings)
            if isinstance(provider, DatingProvider):
                found[place] = provider.shutdown_dates()
        except FtctlError as error:
            _log.info("%s: can't be asked how long its models answer: %s", job.provider, error)
    return found


def _end(job: JobRecord, day: date) -> tuple[date | None, str]:
    vendors = is_vendors_own(job.provider, job.base_url)
    says = lifetime(job.provider, job.model, base_url=job.base_url, as_of=day)
    return serves_until(job.provider, job.model) if vendors else None, says
