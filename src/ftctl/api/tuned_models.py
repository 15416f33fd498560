"""The models that our jobs made, and the day on which each stops answering."""

from datetime import UTC, date, datetime

from pydantic import BaseModel, ConfigDict

from ftctl.api.job_handle import open_store
from ftctl.config import Settings, load_settings
from ftctl.estimation.serving import endpoint_needed
from ftctl.job import JobRecord, JobState
from ftctl.lifetime import WARN_DAYS, lifetime, serves_until
from ftctl.policy import is_vendors_own


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

    Args:
        as_of: The day from which days are counted; today when not given.
        settings: Where the store is.
    """
    settings = settings or load_settings()
    day = as_of or datetime.now(UTC).date()
    models = []
    with open_store(settings) as store:
        for job in store.jobs():
            if job.state is not JobState.SUCCEEDED or job.fine_tuned_model is None:
                continue
            ends, says = _end(job, day)
            left = None if ends is None else (ends - day).days
            models.append(
                MyModel(
                    name=job.fine_tuned_model,
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


def _end(job: JobRecord, day: date) -> tuple[date | None, str]:
    vendors = is_vendors_own(job.provider, job.base_url)
    says = lifetime(job.provider, job.model, base_url=job.base_url, as_of=day)
    return serves_until(job.provider, job.model) if vendors else None, says
