"""`migrate`: the same job at another provider, shown as a diff before it is submitted."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from ftctl.account import MayCreate
from ftctl.admission import Consent, require_route
from ftctl.api.consent import Consents
from ftctl.api.job_handle import Job, get_job
from ftctl.api.moved_data import by_old_name, move_data, origin_of
from ftctl.api.submitting import (
    OnStep,
    may_create,
    preflight,
    read_settings,
    submit_job,
    whole_path,
    with_fields,
)
from ftctl.config import Settings, find_base_url, load_settings, require_base_url
from ftctl.datasets.convert.report import Conversion
from ftctl.datasets.digest import file_sha256
from ftctl.datasets.read import OnProgress
from ftctl.errors import UsageError
from ftctl.estimation.quote import Quote
from ftctl.job import Hyperparameters, JobSpec
from ftctl.lifetime import lifetime
from ftctl.migration import Difference, translate
from ftctl.providers.registry import get_provider


class Migration(BaseModel):
    """What moving a job means: every setting, the data, the price, how long the model answers.

    `conversions` has an entry for each file that had to be converted, with all that was lost.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    spec: JobSpec
    differences: tuple[Difference, ...]
    quote: Quote
    lifetime: str
    may_create: MayCreate
    conversions: tuple[Conversion, ...] = ()


def plan_migration(
    job_id: str,
    *,
    to: str,
    model: str | None = None,
    hyperparameters: Hyperparameters | Mapping[str, Any] | None = None,
    base_url: str | None = None,
    name: str | None = None,
    max_cost: float | None = None,
    consents: Consents | None = None,
    as_of: date | None = None,
    on_step: OnStep | None = None,
    on_progress: OnProgress | None = None,
    settings: Settings | None = None,
) -> Migration:
    """What `migrate` would submit, data converted; all is asked that `submit` asks, no row sent.

    Args:
        job_id: The job to move.
        to: The new provider.
        model: The base model there; the same one when left out.
        hyperparameters: Settings, and options of the new provider, that win over the carried ones.
        base_url: A gateway there; what the environment names for it when left out.
        name: What to call the new job; the old one's name when left out.
        max_cost: Highest cost accepted, in USD; the old job's limit when left out.
        consents: What was said of rows in which the scan found something.
        as_of, on_step, on_progress, settings: As of `submit_job`.

    Raises: as `preflight`; or the model isn't there, or the data are gone or changed.
    """
    settings, day = settings or load_settings(), as_of or datetime.now(UTC).date()
    base_url = require_base_url(base_url, origin="--base-url") if base_url else find_base_url(to)
    old = get_job(job_id, settings=settings).record
    asked = {"provider": to, "base_url": base_url, "model": model or ""}  # closed is said first
    require_route(with_fields(old.spec, **asked), as_of=day)
    capabilities = get_provider(to, settings, base_url).capabilities
    model = model and whole_path(model, to)
    spec, differences = translate(
        old.spec, to, capabilities, model=model, base_url=base_url, as_of=day
    )
    spec, wins = _with_asked(spec, hyperparameters or {})
    limit = old.spec.max_cost_usd if max_cost is None else max_cost
    spec = with_fields(spec, name=name or spec.name, max_cost_usd=limit)
    _require_same_data(spec, old.id)
    moved = move_data(spec, capabilities.dialect, settings.home / "converted")
    spec = moved.spec
    consent = by_old_name(spec, (consents or Consents(settings)).of(spec))
    at: dict[str, Any] = {"settings": settings, "as_of": day}
    quote = preflight(spec, consent=consent, on_step=on_step, on_progress=on_progress, **at)
    return Migration(
        source=old.id,
        spec=spec,
        differences=(*_with_wins(differences, wins), *moved.differences),
        quote=quote,
        lifetime=lifetime(to, spec.model, base_url=base_url, as_of=day),
        may_create=may_create(spec, **at),
        conversions=moved.conversions,
    )


def migrate(
    job_id: str,
    *,
    to: str,
    allow_scan_hits: bool = False,
    on_scan_hits: Consent | None = None,
    settings: Settings | None = None,
    **options: Any,  # noqa: ANN401 - of `plan_migration`
) -> Job:
    """Submit the same job to another provider; the same call again makes no second one.

    Args:
        job_id: The job to move.
        to: The new provider.
        allow_scan_hits: Send rows away even though the scan found personal data or secrets.
        on_scan_hits: Asked when it found some and nobody said so before.
        settings: Where the store is.
        options: As of `plan_migration`.

    Raises: as `plan_migration`; nothing was sent then.
    """
    settings = settings or load_settings()
    consents = Consents(settings, allow=allow_scan_hits, ask=on_scan_hits)
    plan = plan_migration(job_id, to=to, settings=settings, consents=consents, **options)
    return submit_job(
        plan.spec,
        consents=consents,
        as_of=options.get("as_of"),
        on_step=options.get("on_step"),
        on_progress=options.get("on_progress"),
        settings=settings,
    )


def _with_asked(
    spec: JobSpec, asked: Hyperparameters | Mapping[str, Any]
) -> tuple[JobSpec, dict[str, Any]]:
    """The job with settings that win over the carried ones, and these."""
    settings, options = read_settings(asked, spec.provider)
    wins = settings.model_dump(exclude_none=True)
    kept = spec.hyperparameters.model_dump() | wins
    return with_fields(spec, hyperparameters=kept, options=spec.options | options), wins | options


def _with_wins(
    differences: tuple[Difference, ...], wins: Mapping[str, Any]
) -> tuple[Difference, ...]:
    said = [
        Difference(setting=key, before=None, after=f"{key}={_short(value)}", why="--set")
        for key, value in wins.items()
    ]
    lost = (d for d in differences if (d.after or "").partition("=")[0] not in wins)
    return (*lost, *said)


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _require_same_data(spec: JobSpec, job_id: str) -> None:
    for role in ("data", "validation"):
        file, sha256 = origin_of(spec, role)
        if file is not None and file_sha256(file) != sha256:
            raise UsageError(
                f"{file} changed since {job_id} was made of it",
                hint=f"put it back, or ftctl submit --from {job_id} --data FILE",
            )
