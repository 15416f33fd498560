"""`migrate`: the same job at another provider, shown as a diff before it is submitted."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from ftctl.admission import Consent, require_route
from ftctl.api.job_handle import Job, get_job
from ftctl.api.submitting import OnStep, preflight, read_hyperparameters, submit_job
from ftctl.config import Settings, load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.errors import UsageError
from ftctl.estimation.quote import Quote
from ftctl.job import Hyperparameters, JobSpec
from ftctl.lifetime import lifetime
from ftctl.migration import Difference, translate
from ftctl.providers.registry import get_provider


class Migration(BaseModel):
    """What moving a job means: every setting, the new price, how long the new model answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    spec: JobSpec
    differences: tuple[Difference, ...]
    quote: Quote
    lifetime: str


def plan_migration(
    job_id: str,
    *,
    to: str,
    model: str | None = None,
    hyperparameters: Hyperparameters | Mapping[str, Any] | None = None,
    base_url: str | None = None,
    name: str | None = None,
    max_cost: float | None = None,
    allow_scan_hits: bool = False,
    on_scan_hits: Consent | None = None,
    as_of: date | None = None,
    on_step: OnStep | None = None,
    settings: Settings | None = None,
) -> Migration:
    """What `migrate` would submit; everything is asked that a submission asks, nothing is sent.

    Args not named here are those of `submit`.

    Args:
        job_id: The job to move.
        to: The new provider.
        model: The base model there; the same one when left out.
        hyperparameters: Settings that win over the carried ones.
        name: What to call the new job; the old one's name when left out.

    Raises: as `preflight`; or the model isn't there, or the data are gone or changed.
    """
    settings, day = settings or load_settings(), as_of or datetime.now(UTC).date()
    old = get_job(job_id, settings=settings).record
    # Before anything else: a closed route needs no model named.
    require_route(old.spec.model_copy(update={"provider": to, "base_url": base_url}), as_of=day)
    driver = get_provider(to, settings, base_url)
    spec, differences = translate(
        old.spec, to, driver.capabilities, model=model, base_url=base_url, as_of=day
    )
    wins = read_hyperparameters(hyperparameters or {}).model_dump(exclude_none=True)
    spec = spec.model_copy(
        update={
            "hyperparameters": spec.hyperparameters.model_copy(update=wins),
            "name": name or spec.name,
            "max_cost_usd": max_cost,
        }
    )
    _require_same_data(spec, old.id)
    quote = preflight(
        spec,
        settings=settings,
        as_of=day,
        allow_scan_hits=allow_scan_hits,
        on_scan_hits=on_scan_hits,
        on_step=on_step,
    )
    return Migration(
        source=old.id,
        spec=spec,
        differences=_with_wins(differences, wins),
        quote=quote,
        lifetime=lifetime(to, spec.model, as_of=day),
    )


def migrate(job_id: str, *, to: str, settings: Settings | None = None, **options: Any) -> Job:  # noqa: ANN401 - of `plan_migration`
    """Submit the same job to another provider; the same call again makes no second one.

    Args:
        job_id: The job to move.
        to: The new provider.
        settings: Where the store is.
        options: As of `plan_migration`.

    Raises:
        Refused: by availability, privacy, capability or cost; nothing was sent.
        UsageError: the model isn't there, or the data are gone or changed.
    """
    plan = plan_migration(job_id, to=to, settings=settings, **options)
    return submit_job(
        plan.spec,
        allow_scan_hits=bool(options.get("allow_scan_hits")),
        on_scan_hits=options.get("on_scan_hits"),
        as_of=options.get("as_of"),
        on_step=options.get("on_step"),
        settings=settings,
    )


def _with_wins(
    differences: tuple[Difference, ...], wins: Mapping[str, Any]
) -> tuple[Difference, ...]:
    said = [
        Difference(setting=key, before=None, after=f"{key}={value:g}", why="--set")
        for key, value in wins.items()
    ]
    return (*(d for d in differences if d.setting not in wins), *said)


def _require_same_data(spec: JobSpec, job_id: str) -> None:
    for file, sha256 in ((spec.data, spec.data_sha256), (spec.validation, spec.validation_sha256)):
        if file is not None and file_sha256(file) != sha256:
            raise UsageError(
                f"{file} changed since {job_id} was made of it",
                hint=f"put it back, or ftctl submit --from {job_id} --data FILE",
            )
