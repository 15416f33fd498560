"""From a spec to a queued job: the one path on which money is spent and rows may leave."""

import hashlib
import logging
from collections.abc import Callable
from datetime import date

from ftctl.datasets.check import check
from ftctl.datasets.report import Report
from ftctl.datasets.scan import scan_file
from ftctl.errors import DataInvalid, OverMaxCost, PrivacyForbids, Unsupported
from ftctl.estimation.quote import Quote, quote
from ftctl.job import JobRecord, JobSpec, JobState
from ftctl.policy import require_open, require_privacy
from ftctl.providers.base import Capabilities, Provider
from ftctl.store import Store
from ftctl.watcher import adopt

OnStep = Callable[[str], None]
_log = logging.getLogger(__name__)


def require_route(spec: JobSpec, *, as_of: date) -> list[str]:
    """The gates that need no driver and no data: is the route open, may these rows go there?

    Returns:
        Remarks that the user should read, such as that a gateway has no closing dates.

    Raises:
        ProviderClosed: the route takes no new jobs on that day.
        PrivacyForbids: the policy keeps these rows where they are.
    """
    availability = require_open(spec.provider, as_of=as_of, base_url=spec.base_url)
    require_privacy(spec.provider, spec.privacy, spec.base_url)
    uncertain = availability.gateway or availability.open_to_you is None
    return [availability.reason] if uncertain else []


def require_capable(spec: JobSpec, capabilities: Capabilities) -> None:
    """Refuse what the provider has said it can't do.

    Raises:
        Unsupported: names what it can do instead.
    """
    declared: list[tuple[str, str, frozenset[str]]] = [
        ("method", spec.method, frozenset(capabilities.methods)),
        ("tuning", spec.tuning, frozenset(capabilities.tunings)),
    ]
    for what, asked, able in declared:
        if asked not in able:
            raise Unsupported(
                f"{spec.provider} can't do {what} {asked}; it can do {', '.join(sorted(able))}",
                hint=f"--{what} {min(able)}",
            )
    unknown = set(spec.hyperparameters.model_dump(exclude_none=True)) - capabilities.hyperparameters
    if unknown:
        known = ", ".join(sorted(capabilities.hyperparameters))
        raise Unsupported(
            f"{spec.provider} doesn't take {', '.join(sorted(unknown))}; it takes {known}",
            hint="leave them out of --set",
        )


def require_clean(spec: JobSpec, capabilities: Capabilities, *, allow_scan_hits: bool) -> None:
    """Refuse to send personal data or secrets away unless somebody said so.

    Raises:
        PrivacyForbids: the scan found some, with kinds and first lines, never the text.
    """
    if capabilities.data_stays_here or allow_scan_hits:
        return
    for file in (spec.data, spec.validation):
        found = scan_file(file) if file is not None else None
        if found is not None and found.counts:
            kinds = ", ".join(f"{count} × {kind}" for kind, count in sorted(found.counts.items()))
            raise PrivacyForbids(
                f"{file}: the scan found {kinds}; these rows would leave this machine",
                hint="mend the lines that `ftctl data check` names, or say --allow-scan-hits",
            )


def require_valid(spec: JobSpec) -> Report:
    """Check the data against the provider's rules.

    Raises:
        DataInvalid: names the first error and how many there are.
    """
    report = check(
        [spec.data], providers=[spec.provider], method=spec.method, validation=spec.validation
    )
    first = next((issue for issue in report.issues if issue.severity == "error"), None)
    if first is not None:
        where = f"{first.file}:{first.line}" + (f" {first.path}" if first.path else "")
        raise DataInvalid(
            f"{where}: {first.message} ({first.rule}); {report.errors} errors in all",
            hint=f"ftctl data check {spec.data} --for {spec.provider}",
        )
    return report


def quote_for(spec: JobSpec, report: Report) -> Quote:
    """What the job will cost and take, from the counted data and the catalog's prices."""
    settings = spec.hyperparameters
    epochs = settings.epochs
    if settings.max_steps is not None and report.examples:
        epochs = settings.max_steps * (settings.batch_size or 16) / report.examples
    return quote(
        spec.provider,
        spec.model,
        rows=report.examples,
        tokens=report.tokens.total_tokens,
        epochs=epochs,
    )


def require_affordable(spec: JobSpec, quoted: Quote) -> None:
    """Refuse a quote whose high end is above the limit, and an unknown one when there is a limit.

    Raises:
        OverMaxCost: gives quote and limit.
    """
    limit = spec.max_cost_usd
    if limit is None:
        return
    cost = quoted.cost
    if cost is None:
        raise OverMaxCost(
            f"no price is known for {spec.model} at {spec.provider}: {limit:g} USD can't be held",
            hint="leave out --max-cost to accept an unknown price",
        )
    if cost.high > limit:
        raise OverMaxCost(
            f"the quote is {cost.low:.2f} to {cost.high:.2f} USD; the limit is {limit:.2f}",
            hint=f"--max-cost {cost.high:.2f}, fewer epochs, or a smaller dataset",
        )


def submit(
    spec: JobSpec,
    *,
    store: Store,
    provider: Provider,
    quoted: Quote | None = None,
    new: bool = False,
    on_step: OnStep | None = None,
) -> JobRecord:
    """Commit the intention, then bring the job to the provider; safe to run again after a crash.

    The same spec goes on with its open intention and never makes a second job.
    """
    estimate = None if quoted is None else quoted.model_dump(mode="json")
    record = store.add_job(spec, intention_of(spec), estimate, new=new)
    return carry_on(store, provider, record, on_step or (lambda _: None))


def carry_on(store: Store, provider: Provider, record: JobRecord, on_step: OnStep) -> JobRecord:
    """Bring an open intention to the provider: look for it first, create it only when absent."""
    if not record.state.open_intention:
        return record
    found = provider.find(record.marker)
    _log.info("%s: asked %s for it: %s", record.id, record.provider, found or "unknown there")
    if found is not None:
        on_step("found it at the provider")
        return adopt(store, record.id, found)
    spec = record.spec
    _advance(store, record, JobState.UPLOADING)
    on_step("uploading")
    files = {"training": provider.upload(spec.data, spec.data_sha256)}
    if spec.validation is not None and spec.validation_sha256 is not None:
        files["validation"] = provider.upload(spec.validation, spec.validation_sha256)
    _advance(store, record, JobState.SUBMITTING)
    on_step("submitting")
    remote_id = provider.create(spec, files, record.marker)
    _log.info("%s: created at %s as %s", record.id, record.provider, remote_id)
    return adopt(store, record.id, remote_id)


def _advance(store: Store, record: JobRecord, state: JobState) -> None:
    """Move on, unless another process that runs the same submission is ahead of us."""
    order = [JobState.CREATED, JobState.UPLOADING, JobState.SUBMITTING]

    def change(now: JobRecord) -> dict[str, JobState]:
        behind = now.state in order and order.index(now.state) < order.index(state)
        return {"state": state} if behind else {}

    store.update(record.id, change)


def intention_of(spec: JobSpec) -> str:
    """Equal for equal requests: the spec with the data's content instead of its place."""
    same = spec.model_dump_json(exclude={"data", "validation", "max_cost_usd"})
    return hashlib.sha256(same.encode()).hexdigest()
