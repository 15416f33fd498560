"""`submit`: from what a person asks to a job that is under way."""

import difflib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ftctl.account import MayCreate, ask_account
from ftctl.admission import (
    Consent,
    quote_for,
    require_affordable,
    require_capable,
    require_clean,
    require_route,
    require_valid,
    rows_leave,
)
from ftctl.api.consent import Consents
from ftctl.api.job_handle import Job, open_store
from ftctl.config import Settings, find_base_url, load_settings, mask_url, require_base_url
from ftctl.datasets.digest import file_sha256
from ftctl.datasets.read import OnProgress
from ftctl.errors import FtctlError, UsageError
from ftctl.estimation.quote import Quote
from ftctl.job import (
    TERMINAL,
    Hyperparameters,
    JobRecord,
    JobSpec,
    JobState,
    Method,
    Privacy,
    Tuning,
)
from ftctl.notification import check_target
from ftctl.providers.base import Provider
from ftctl.providers.prices import QuotingProvider
from ftctl.providers.registry import canonical_name, get_provider, is_plugin
from ftctl.submission import Patience, intention_of
from ftctl.submission import submit as submit_spec

OnStep = Callable[[str], None]


def submit(
    *,
    provider: str,
    data: Path | str,
    model: str,
    name: str | None = None,
    validation: Path | str | None = None,
    method: Method = "sft",
    tuning: Tuning = "lora",
    hyperparameters: Hyperparameters | Mapping[str, Any] | None = None,
    engine: str | None = None,
    base_url: str | None = None,
    privacy: Privacy | None = None,
    max_cost: float | None = None,
    allow_scan_hits: bool = False,
    on_scan_hits: Consent | None = None,
    notify: str | None = None,
    new: bool = False,
    as_of: date | None = None,
    on_step: OnStep | None = None,
    settings: Settings | None = None,
) -> Job:
    """Check, quote and submit a job; the same call again never makes a second one.

    Args:
        model: A name of `ftctl models`, a folder, a hub id.
        name: What to call the job; made of data and model when not given.
        hyperparameters: Any of `Hyperparameters`, and options of this provider; the rest is the
            provider's choice.
        engine: Which of the provider's ways to run it; its own choice when not given.
        max_cost: Highest cost accepted, in USD.
        allow_scan_hits: Send rows away even though the scan found personal data or secrets.
        on_scan_hits: Asked, once for each file, when it found some and nobody said so before.
        notify: A command or URL that is told of each move, by whoever watches the job.
        new: Make another job even though the same one is under way.
        as_of: The day to judge availability by; today when not given.
        on_step: Told what is being done.

    Raises: as `preflight`; no row was sent then, nor when the account's answer is a no.
    """
    spec = make_spec(
        provider=provider,
        data=data,
        model=model,
        name=name,
        validation=validation,
        method=method,
        tuning=tuning,
        hyperparameters=hyperparameters,
        engine=engine,
        base_url=base_url,
        privacy=privacy,
        max_cost_usd=max_cost,
        notify=notify,
    )
    settings = settings or load_settings()
    consents = Consents(settings, allow=allow_scan_hits, ask=on_scan_hits)
    return submit_job(
        spec, consents=consents, new=new, as_of=as_of, on_step=on_step, settings=settings
    )


def submit_job(
    spec: JobSpec,
    *,
    consents: Consents | None = None,
    new: bool = False,
    as_of: date | None = None,
    on_step: OnStep | None = None,
    on_progress: OnProgress | None = None,
    settings: Settings | None = None,
) -> Job:
    """Like `submit`, with a whole spec, and with what was said of rows that shouldn't leave.

    `on_progress` is told of bytes read and to read while the data are checked.
    """
    settings = settings or load_settings()
    consents = consents or Consents(settings)
    # One driver for all: what the vendor said of its limits isn't asked again.
    driver, quoted = _cleared(spec, settings, as_of, consents.of(spec), on_step, on_progress)
    with open_store(settings) as store:
        if rows_leave(spec, driver.capabilities):
            consents.keep(store)
            store.audit("rows_leave", _where_to(spec))
        record = submit_spec(
            spec,
            store=store,
            provider=driver,
            quoted=quoted,
            new=new,
            on_step=on_step,
            patience=Patience(settings.settle_s, as_of=as_of),
        )
    return Job(record, settings)


def left_behind(spec: JobSpec, *, settings: Settings) -> JobRecord | None:
    """The newest job of a request that hasn't ended: what an interrupted submission leaves."""
    intention, live = intention_of(spec), frozenset(JobState) - TERMINAL
    with open_store(settings) as store:
        same = (job for job in store.jobs(states=live) if intention_of(job.spec) == intention)
        return next(same, None)


def make_spec(
    *,
    provider: str,
    data: Path | str,
    model: str,
    name: str | None = None,
    validation: Path | str | None = None,
    hyperparameters: Hyperparameters | Mapping[str, Any] | None = None,
    base_url: str | None = None,
    **rest: Any,  # noqa: ANN401 - the spec's own fields, checked by it
) -> JobSpec:
    """The whole spec of a job, data hashed; the same for the command line and for code.

    Raises:
        UsageError: an unreadable file, an unknown setting or a value out of its range.
    """
    provider = canonical_name(provider)
    file = _home(data)
    held_out = None if validation is None else _home(validation)
    if not model:
        raise UsageError("--model is empty", hint="ftctl models")
    if base_url is not None:
        require_base_url(base_url, origin="--base-url")
    settings, options = read_settings(hyperparameters or {}, provider)
    try:
        return JobSpec(
            provider=provider,
            data=file.absolute(),
            data_sha256=file_sha256(file),
            model=whole_path(model, provider),
            name=name or f"{file.stem}-{Path(model).name}",
            validation=None if held_out is None else held_out.absolute(),
            validation_sha256=None if held_out is None else file_sha256(held_out),
            hyperparameters=settings,
            options=options,
            base_url=base_url or find_base_url(provider),
            **rest,
        )
    except ValidationError as error:
        raise _usage_error(error, JobSpec) from None


def read_hyperparameters(given: Hyperparameters | Mapping[str, Any]) -> Hyperparameters:
    """Settings of optimisation from names and values, texts included.

    Raises:
        UsageError: names the nearest known setting, or the range.
    """
    if isinstance(given, Hyperparameters):
        return given
    try:
        return Hyperparameters.model_validate(dict(given))
    except ValidationError as error:
        raise _usage_error(error, Hyperparameters) from None


def read_settings(
    given: Hyperparameters | Mapping[str, Any], provider: str
) -> tuple[Hyperparameters, dict[str, str]]:
    """Settings of optimisation, and those that only this provider has.

    Raises:
        UsageError: names the nearest known setting, or the range.
    """
    if isinstance(given, Hyperparameters):
        return given, {}
    try:
        able = get_provider(provider, load_settings()).capabilities.options
    except FtctlError:  # an unknown provider is refused where it is asked for
        able = {}
    options = {
        name: json.dumps(value) if isinstance(value, dict) else str(value)  # such as a grader
        for name, value in given.items()
        if name in able
    }
    return read_hyperparameters({n: v for n, v in given.items() if n not in able}), options


def preflight(
    spec: JobSpec,
    *,
    settings: Settings,
    as_of: date | None = None,
    consent: Consent,
    on_step: OnStep | None = None,
    on_progress: OnProgress | None = None,
) -> Quote:
    """Everything that is asked before anything is written or sent; returns the quote.

    Raises:
        Refused: by availability, privacy, capability or cost.
        DataInvalid: the data breaks the provider's rules.
        UsageError: an unknown provider or model.
    """
    return _cleared(spec, settings, as_of, consent, on_step, on_progress)[1]


def _cleared(
    spec: JobSpec,
    settings: Settings,
    as_of: date | None,
    consent: Consent,
    on_step: OnStep | None,
    on_progress: OnProgress | None,
) -> tuple[Provider, Quote]:
    """The driver and the quote of a spec that every gate lets pass; raises as `preflight`."""
    tell = on_step or (lambda _: None)
    if spec.notify is not None:
        check_target(spec.notify)
    require_route(spec, as_of=as_of or datetime.now(UTC).date())
    provider = get_provider(spec.provider, settings, spec.base_url)
    require_capable(spec, provider.capabilities)
    provider.check(spec)
    tell("checking the data")
    report = require_valid(spec, provider.capabilities.dialect, on_progress=on_progress)
    require_clean(spec, provider.capabilities, consent)
    quoted = quote_for(spec, report, as_of=as_of)
    require_affordable(spec, quoted, vendor_says=isinstance(provider, QuotingProvider))
    return provider, quoted


def may_create(spec: JobSpec, *, settings: Settings, as_of: date | None = None) -> MayCreate:
    """What one free question to the account shows before a job that isn't to be sent yet.

    To be asked after `preflight`. No row leaves; a provider that can't be reached is no error.

    Raises:
        AuthError, NoBalance, Retired: a definite no, as `submit` would find.
    """
    return ask_account(
        get_provider(spec.provider, settings, spec.base_url),
        spec.provider,
        model=spec.model,
        base_url=spec.base_url,
        as_of=as_of or datetime.now(UTC).date(),
        must_answer=False,
    )


def _where_to(spec: JobSpec) -> dict[str, str | None]:
    """What the audit log keeps of rows that leave: whose, where to and by what policy."""
    return {
        "provider": spec.provider,
        "base_url": spec.base_url and mask_url(spec.base_url),
        "privacy": spec.privacy or "none given: naming the provider is consent",
        "data_sha256": spec.data_sha256,
        "validation_sha256": spec.validation_sha256,
    }


def whole_path(model: str, provider: str = "local") -> str:
    """A folder or file by its whole path, so that the job doesn't depend on where we stand.

    A vendor's model is a name, whatever lies beside us under the same one.
    """
    if canonical_name(provider) != "local" and not is_plugin(provider):
        return model
    path = _home(model)
    try:
        return str(path.absolute()) if path.exists() else model
    except OSError:  # no name that a file could have
        return model


def _home(path: Path | str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # `~nobody/file`
        raise UsageError(f"{path}: {error}", hint="write the path out") from None


def with_fields(spec: JobSpec, **fields: Any) -> JobSpec:  # noqa: ANN401 - the spec's own
    """A spec with other fields, checked like the first.

    Raises:
        UsageError: a value out of its range.
    """
    try:
        return JobSpec.model_validate(spec.model_dump() | fields)
    except ValidationError as error:
        raise _usage_error(error, JobSpec) from None


def _usage_error(
    error: ValidationError, model: type[JobSpec] | type[Hyperparameters]
) -> UsageError:
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(field, model.model_fields, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        return UsageError(
            f"unknown setting {field!r}{meant}", hint=f"known: {', '.join(model.model_fields)}"
        )
    return UsageError(f"{field}={first['input']!r}: {first['msg'].lower()}")
