"""`estimate`: what a job would cost, take and hold, before anything is spent or sent.

Arithmetic on the catalog and, where a file is given, on its rows; nobody is asked over a network.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from ftctl.api.submitting import read_settings
from ftctl.catalog.load import Catalog, load_catalog
from ftctl.catalog.types import Provider
from ftctl.config import find_base_url, load_settings, require_base_url
from ftctl.datasets.check import check
from ftctl.datasets.read import OnProgress
from ftctl.datasets.rules.table import PROVIDERS
from ftctl.datasets.tokens.choose import billing_counter
from ftctl.errors import DataInvalid, Unsupported, UsageError
from ftctl.estimation.estimate import Estimate
from ftctl.estimation.here import AtHome, HomeJob, Source, longest_range, run_here
from ftctl.estimation.home_plan import HomePlan, plan_home
from ftctl.estimation.lines import QuoteLine
from ftctl.estimation.machine import named_cards
from ftctl.estimation.quote import Quote, epochs_asked, quote
from ftctl.estimation.rented import rented_memory
from ftctl.estimation.setting import Cards, Ways
from ftctl.job import Hyperparameters, Method, Tuning
from ftctl.policy import availability, is_gateway
from ftctl.providers.registry import is_plugin

# Where neither file nor number is given: examples that fill one micro-batch.
_ROWS, _LENGTH = 16, 512


class JobEstimate(BaseModel):
    """The `ftctl.estimate/1` document.

    Attributes:
        counted: Whether rows and tokens were counted in a file (`data`), told (`said`), or aren't
            known (`none`, at home alone, where memory can be told without).
        tokens: Of the whole file, once.
        cost: The job's own bill in USD; None is unknown, which isn't zero.
        time: Seconds from start to end; None is unknown.
        memory: Peak GiB of training, on this machine or on the rented one; None is unknown.
        lines: What is billed: training, minimum fee, storage, serving, idle.
        plan: What your own cards can tune, and what to choose; None elsewhere or where unknown.
        unknown: Why each of `cost`, `time`, `memory` and `trained_tokens` that is None isn't known.
        remarks: What to know besides, such as that the route is closed on this day.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)

    schema_: Literal["ftctl.estimate/1"] = Field("ftctl.estimate/1", alias="schema")
    provider: str
    model: str
    method: Method
    tuning: Tuning
    base_url: str | None
    as_of: date
    counted: Literal["data", "said", "none"]
    rows: int | None
    tokens: int | None
    trained_tokens: Estimate | None
    cost: Estimate | None
    time: Estimate | None
    memory: Estimate | None
    lines: tuple[QuoteLine, ...]
    plan: HomePlan | None
    unknown: dict[str, str]
    remarks: tuple[str, ...]


class _Job(NamedTuple):
    """Where it would run, and how; `vendor` is None for a provider of no catalog."""

    catalog: Catalog
    vendor: Provider | None
    provider: str
    model: str
    method: Method
    tuning: Tuning
    settings: Hyperparameters
    options: Mapping[str, str]  # settings that only this provider has
    home: "_Home"
    base_url: str | None
    day: date

    @property
    def title(self) -> str:
        return self.vendor.title if self.vendor else self.provider


class _Home(NamedTuple):
    """One's own cards that were named, what is here when None; and the file to be timed on."""

    cards: Cards | None
    calibrate_on: Path | None


class _Size(NamedTuple):
    """How much there is to train on; `longest` is in tokens, low, likely and high."""

    counted: Literal["data", "said", "none"]
    rows: int
    tokens: int
    longest: tuple[float, float, float]
    remarks: tuple[str, ...] = ()
    exact: bool = False


def estimate(
    *,
    provider: str,
    model: str,
    data: Path | str | None = None,
    rows: int | None = None,
    tokens: int | None = None,
    method: Method = "sft",
    tuning: Tuning = "lora",
    hyperparameters: Hyperparameters | Mapping[str, Any] | None = None,
    base_url: str | None = None,
    as_of: date | None = None,
    gpu: str | None = None,
    gpu_count: int = 1,
    calibrate: bool = False,
    on_progress: OnProgress | None = None,
) -> JobEstimate:
    """What a job would cost, how long it would take and what memory it would hold.

    Nothing is sent, and no key is needed.

    Args:
        provider: A name or alias of `ftctl providers`, or an installed provider.
        model: A name of `ftctl models`; of another one price and size are unknown.
        data: Training examples, to be counted.
        rows: How many examples there are, where no file is given.
        tokens: How many tokens all of them hold, once; likewise.
        method: How it is tuned; vendors bill some methods at another rate.
        tuning: An adapter, or all weights.
        hyperparameters: Any of `Hyperparameters`; epochs are the provider's choice when not given.
        base_url: Where requests would go; the vendor's prices aren't a gateway's.
        as_of: The day whose prices and closing dates count; today when not given.
        gpu: At home, a card of the catalog that it would run on; what is here when not given.
        gpu_count: How many of them.
        calibrate: At home, tell the time by three steps of training on the file, run here.
        on_progress: Told of bytes read and to read while the file is counted.

    Raises:
        UsageError: an unknown provider, card or setting, an unreadable file, or not enough said.
        ExtraMissing: three steps are to be run, and what runs them isn't installed.
        DataInvalid: the file holds no example.
        Unsupported: data for this method can't be counted yet.
    """
    day = as_of or datetime.now(UTC).date()
    catalog = load_catalog()
    plugin = catalog.find_provider(provider) is None and is_plugin(provider)
    vendor = None if plugin else catalog.get_provider(provider)
    name = vendor.name if vendor else provider
    if base_url is not None:
        require_base_url(base_url, origin="--base-url")
    base_url = base_url or find_base_url(name)
    settings, options = read_settings(hyperparameters or {}, name)
    home = _asked_at_home(catalog, name, gpu, gpu_count, data if calibrate else None)
    if calibrate and home.calibrate_on is None:
        raise UsageError(
            "--calibrate trains three steps on a file, on this machine",
            hint="--provider local --data FILE, without --gpu",
        )
    job = _Job(catalog, vendor, name, model, method, tuning, settings, options, home, base_url, day)
    return _estimate(job, _size(data, rows, tokens, job, on_progress))


def _asked_at_home(
    catalog: Catalog, provider: str, gpu: str | None, count: int, data: Path | str | None
) -> _Home:
    if gpu is None and count == 1:
        there = provider == "local" and data is not None
        return _Home(None, Path(str(data)).expanduser() if there else None)
    if provider != "local" or gpu is None:
        raise UsageError(
            "--gpu and --gpu-count name your own cards", hint="--provider local --gpu NAME"
        )
    if count < 1:
        raise UsageError("--gpu-count is at least 1", hint="--gpu-count 1")
    return _Home(named_cards(catalog.get_gpu(gpu), count), None)


def _estimate(job: _Job, size: _Size) -> JobEstimate:
    home = _home(job, size) if job.provider == "local" else None
    run = home if isinstance(home, AtHome) else None
    quoted = quote(
        job.provider,
        job.model,
        rows=size.rows,
        tokens=size.tokens,
        epochs=epochs_asked(job.settings, size.rows),
        method=job.method,
        tuning=job.tuning,
        base_url=job.base_url,
        as_of=job.day,
        catalog=job.catalog,
        counted=size.counted == "data",
        exact=size.exact,
        machine=job.options.get("flavor"),
        pace=run.pace if run else None,
    )
    known = size.counted != "none"
    memory = run.memory if run else home if isinstance(home, str) else _memory(job)
    unknown = _unknown(job, quoted, run, known=known)
    if isinstance(memory, str):
        unknown["memory"] = memory
    told = run and plan_home(run, _home_job(job, size), job.catalog.models)
    return JobEstimate(
        schema="ftctl.estimate/1",
        provider=job.provider,
        model=job.model,
        method=job.method,
        tuning=job.tuning,
        base_url=job.base_url,
        as_of=job.day,
        counted=size.counted,
        rows=size.rows if known else None,
        tokens=size.tokens if known else None,
        trained_tokens=quoted.trained_tokens if known else None,
        cost=quoted.cost,
        time=quoted.time if known else None,
        memory=None if isinstance(memory, str) else memory,
        lines=quoted.lines,
        plan=told,
        unknown=unknown,
        remarks=(*size.remarks, *_route(job)),
    )


def _home(job: _Job, size: _Size) -> AtHome | str:
    """How it would run on one's own cards, or why that isn't known."""
    if job.vendor is not None and is_gateway(job.vendor, job.base_url):
        return f"on machines of {job.base_url}, of which nothing is known"
    speed = None
    if job.home.calibrate_on is not None:
        from ftctl.local_backend.pace import measure_pace

        speed = measure_pace(
            job.model,
            job.home.calibrate_on,
            job.settings,
            job.method,
            job.tuning,
            catalog=job.catalog,
            home=load_settings().home,
        )
    return run_here(job.model, job.catalog, _home_job(job, size), cards=job.home.cards, speed=speed)


def _home_job(job: _Job, size: _Size) -> HomeJob:
    source: dict[str, Source] = {
        "data": "longest example",
        "said": "one to four times the mean",
        "none": "a full micro-batch",
    }
    # Every card that was named works, unless the job says otherwise.
    ways = Ways.of(job.options)
    if job.home.cards is not None and ways.processes is None:
        ways = ways._replace(processes=job.home.cards.count)
    return HomeJob(
        job.method,
        job.tuning,
        job.settings,
        size.rows,
        size.longest,
        size.tokens / size.rows,
        source[size.counted],
        ways,
    )


def _size(
    data: Path | str | None,
    rows: int | None,
    tokens: int | None,
    job: _Job,
    on_progress: OnProgress | None,
) -> _Size:
    if data is not None:
        if rows is not None or tokens is not None:
            raise UsageError(
                "--data counts the rows: --rows and --tokens say them where there is no file",
                hint="leave out the one or the other",
            )
        return _count(Path(data).expanduser(), job, on_progress)
    if rows is None and tokens is None and job.provider == "local":
        return _Size("none", _ROWS, _ROWS * _LENGTH, (_LENGTH, _LENGTH, _LENGTH))
    if rows is None or tokens is None:
        raise UsageError(
            "how much there is to train on isn't said", hint="--data FILE, or --rows N --tokens N"
        )
    if rows < 1 or tokens < 1:
        raise UsageError("--rows and --tokens are at least 1", hint="--data FILE counts them")
    mean = tokens / rows
    return _Size("said", rows, tokens, (mean, 2 * mean, 4 * mean))


def _count(file: Path, job: _Job, on_progress: OnProgress | None) -> _Size:
    dialect = job.provider if job.provider in PROVIDERS else "openai"
    counter = billing_counter(job.model)
    try:
        report = check(
            [file],
            providers=[dialect],
            method=job.method,
            counter=counter,
            on_progress=on_progress,
        )
    except Unsupported as error:
        raise Unsupported(error.message, hint="--rows N --tokens N say how much it is") from None
    if not report.examples or not report.tokens.total_tokens:
        raise DataInvalid(f"{file}: no line is an example", hint=f"ftctl data check {file}")
    wrong = f"{report.errors} errors in {file} must go first: ftctl data check {file}"
    longest, exact = report.tokens.max_example_tokens, report.tokens.exact
    return _Size(
        "data",
        report.examples,
        report.tokens.total_tokens,
        longest_range(longest, exact=exact),
        (wrong,) if report.errors else (),
        exact,
    )


def _memory(job: _Job) -> Estimate | str:
    """Of the rented machine that trains; else why it isn't known."""
    rents = any(machine.provider == job.provider for machine in job.catalog.hardware)
    if job.vendor is not None and is_gateway(job.vendor, job.base_url):
        return f"on machines of {job.base_url}, of which nothing is known"
    if job.vendor is None or not rents:
        return f"on machines of {job.title}, of which nothing is known"
    if (job.method, job.tuning) != ("sft", "lora"):
        return f"the formula is of sft with lora, not of {job.method} with {job.tuning}"
    base = job.catalog.find_model(job.model)
    return (base and rented_memory(base)) or "the model's shape isn't in the catalog"


def _unknown(job: _Job, quoted: Quote, run: AtHome | None, *, known: bool) -> dict[str, str]:
    why: dict[str, str] = {}
    if not known:
        why["trained_tokens"] = "how much there is to train on isn't said: --data FILE"
    if quoted.cost is None:
        why["cost"] = next(line.says for line in quoted.lines if line.name == "training")
    if not known:
        why["time"] = why["trained_tokens"]
    elif quoted.time is None:
        why["time"] = f"no speed of {job.title} is known"
        if job.provider == "local":
            why["time"] = "the model's size isn't in the catalog"
        if run is not None:
            why["time"] = f"no speed of {run.cards.name} is known; --calibrate measures it here"
    return why


def _route(job: _Job) -> tuple[str, ...]:
    """What a quote for a route that is closed, or not surely open, must not hide."""
    if job.vendor is None:
        return (f"{job.title} stands in no catalog: its prices, dates and limits are unknown",)
    able, remarks = job.vendor.methods, []
    if job.method not in able:
        remarks.append(f"{job.title} doesn't do {job.method}: it does {', '.join(able) or 'none'}")
    found = availability(job.provider, as_of=job.day, base_url=job.base_url, catalog=job.catalog)
    state = "closed to you: " if found.open_to_you is False else ""
    if found.gateway:
        remarks.append(found.reason)
    elif not found.open_to_you:
        remarks.append(f"{state}{found.reason} (source: {found.source}, checked {found.as_of})")
    return tuple(remarks)
