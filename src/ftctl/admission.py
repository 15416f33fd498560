"""What is asked before a job is written or sent: route, privacy, data, price.

Each gate refuses with the reason and the way out; none writes, sends or spends anything.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from typing_extensions import override

from ftctl.catalog.load import load_catalog
from ftctl.config import is_loopback
from ftctl.datasets.check import check
from ftctl.datasets.read import LineReader, OnProgress
from ftctl.datasets.report import Report
from ftctl.datasets.scan import scan_file
from ftctl.datasets.tokens.choose import billing_counter, max_example_tokens
from ftctl.errors import DataInvalid, OverMaxCost, PrivacyForbids, Unsupported
from ftctl.estimation.here import AtHome, HomeJob, longest_range, run_here
from ftctl.estimation.quote import Quote, epochs_asked, quote
from ftctl.estimation.setting import Ways
from ftctl.job import JobSpec, Method
from ftctl.policy import (
    require_base_open,
    require_open,
    require_privacy,
    require_unlisted_privacy,
)
from ftctl.providers.base import Capabilities
from ftctl.providers.registry import is_plugin
from ftctl.providers.sending import number_of


@dataclass(frozen=True)
class ScanHits:
    """What the scan found in a file whose rows would leave: how often each kind, never the text."""

    file: Path
    sha256: str
    counts: Mapping[str, int]

    @override
    def __str__(self) -> str:
        """One line, without the text that was found."""
        kinds = ", ".join(f"{count} × {kind}" for kind, count in sorted(self.counts.items()))
        return f"{self.file}: the scan found {kinds}"


Consent = Callable[[ScanHits], bool]


def require_route(spec: JobSpec, *, as_of: date) -> None:
    """The gates that need no driver and no data: is the route open, may these rows go there?

    Raises:
        ProviderClosed: the route takes no new jobs on that day, or none on that base.
        PrivacyForbids: the policy keeps these rows where they are.
    """
    if _unlisted(spec.provider):
        return
    require_open(spec.provider, as_of=as_of, base_url=spec.base_url)
    require_base_open(spec.provider, spec.model, as_of=as_of, base_url=spec.base_url)
    require_privacy(spec.provider, spec.privacy, spec.base_url)


def _unlisted(provider: str) -> bool:
    return load_catalog().find_provider(provider) is None and is_plugin(provider)


def require_capable(spec: JobSpec, capabilities: Capabilities) -> None:
    """Refuse what the provider has said it can't do.

    Raises:
        Unsupported: names what it can do instead.
        PrivacyForbids: the rows would go where nothing is known of how they are kept.
    """
    if _unlisted(spec.provider) and not capabilities.data_stays_here:
        require_unlisted_privacy(spec.provider, spec.privacy, spec.base_url)
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
    if spec.engine is not None and spec.engine not in capabilities.engines:
        ways = ", ".join(capabilities.engines) or "one only"
        raise Unsupported(
            f"{spec.provider} has no engine {spec.engine!r}; it has {ways}",
            hint=f"--engine {capabilities.engines[0]}" if capabilities.engines else "leave it out",
        )
    given = {*spec.hyperparameters.model_dump(exclude_none=True), *spec.options}
    unknown = given - capabilities.hyperparameters - set(capabilities.options)
    if unknown:
        known = ", ".join(sorted({*capabilities.hyperparameters, *capabilities.options}))
        raise Unsupported(
            f"{spec.provider} doesn't take {', '.join(sorted(unknown))}; it takes {known}",
            hint="leave them out of --set",
        )


def rows_leave(spec: JobSpec, capabilities: Capabilities) -> bool:
    """Whether rows go to another machine; an address on this one is not leaving."""
    here = spec.base_url is not None and is_loopback(spec.base_url)
    return not (capabilities.data_stays_here or here)


def require_clean(spec: JobSpec, capabilities: Capabilities, consent: Consent) -> None:
    """Refuse to send personal data or secrets away unless somebody says so for that file.

    Args:
        spec: The job.
        capabilities: Of its provider.
        consent: Asked for each file in which something was found.

    Raises:
        PrivacyForbids: the scan found some, and there is no consent.
    """
    if not rows_leave(spec, capabilities):
        return
    for file, sha256 in ((spec.data, spec.data_sha256), (spec.validation, spec.validation_sha256)):
        if file is None or sha256 is None:
            continue
        found = scan_file(file)
        if not found.counts:
            continue
        hits = ScanHits(file, sha256, found.counts)
        if not consent(hits):
            raise PrivacyForbids(
                f"{hits}; these rows would leave this machine",
                hint="mend the lines that `ftctl data check` names, or say --allow-scan-hits",
            )


def require_valid(spec: JobSpec, dialect: str, *, on_progress: OnProgress | None = None) -> Report:
    """Check the data against the rules of the provider's dialect.

    `on_progress` is told now and then of bytes read and to read.

    Raises:
        DataInvalid: names the first error and how many there are.
    """
    home = spec.provider == "local"
    report = check(
        [spec.data],
        providers=[dialect],
        method=spec.method,
        validation=spec.validation,
        grader=spec.options.get("grader"),
        counter=None if home else billing_counter(spec.model),
        limit=None if home else max_example_tokens(spec.model, spec.provider),
        on_progress=on_progress,
    )
    first = next((issue for issue in report.issues if issue.severity == "error"), None)
    if first is not None:
        where = f"{first.file}:{first.line}" + (f" {first.path}" if first.path else "")
        raise DataInvalid(
            f"{where}: {first.message} ({first.rule}); {report.errors} errors in all",
            hint=f"ftctl data check {spec.data} --for {dialect} --method {spec.method}",
        )
    if dialect in ("local", "huggingface"):
        for file in filter(None, (spec.data, spec.validation)):
            _require_our_lines(file, spec.method)
    return report


# What our own training programs read of what TRL reads: a list under this key, and what it is.
_OURS: Mapping[Method, tuple[str, str, str]] = {
    "sft": ("messages", "a chat example", "openai"),
    "dpo": ("preferred_output", "a pair of answers", "openai-dpo"),
}


def _require_our_lines(file: Path, method: Method) -> None:
    """The rules let everything pass that TRL reads; what runs the job reads less."""
    if method not in _OURS:
        return
    key, what, target = _OURS[method]
    with LineReader(file) as lines:
        for line in lines:
            if not line.data.strip():
                continue
            try:
                ours = isinstance(json.loads(line.data)[key], list)
            except (ValueError, TypeError, KeyError, RecursionError):
                ours = False
            if not ours:
                raise DataInvalid(
                    f"{file}:{line.number}: not {what}; ftctl trains on one a line, with a list "
                    f"under {key!r}",
                    hint=f"ftctl data convert {file} -o NEW --to {target}",
                )


def quote_for(spec: JobSpec, report: Report, *, as_of: date | None = None) -> Quote:
    """What the job will cost and take, from the counted data and the catalog's prices of a day."""
    home = _home_run(spec, report) if spec.provider == "local" else None
    evaluated = _evaluated_tokens(spec, report.tokens.total_tokens)
    quoted = quote(
        spec.provider,
        spec.model,
        rows=report.examples,
        tokens=report.tokens.total_tokens + evaluated,
        exact=report.tokens.exact and not evaluated,
        epochs=epochs_asked(spec.hyperparameters, report.examples),
        method=spec.method,
        tuning=spec.tuning,
        base_url=spec.base_url,
        as_of=as_of,
        machine=spec.options.get("flavor"),
        pace=home.pace if home else None,
    )
    return quoted.model_copy(update={"memory": home.memory}) if home else quoted


def _evaluated_tokens(spec: JobSpec, tokens: int) -> int:
    """Tokens of the validation file that are billed with each epoch, by its size beside the data.

    Every driver of a vendor that bills them asks for one evaluation an epoch, or `n_evals` in all.
    """
    vendor = load_catalog().find_provider(spec.provider)
    if vendor is None or not vendor.bills_evaluations or spec.validation is None:
        return 0
    epochs = spec.hyperparameters.epochs or vendor.default_epochs or 1
    share = spec.validation.stat().st_size / spec.data.stat().st_size
    return math.ceil(tokens * share * number_of(spec.options.get("n_evals", f"{epochs}")) / epochs)


def _home_run(spec: JobSpec, report: Report) -> AtHome | None:
    """How the job would run on this machine, where that is known."""
    job = HomeJob(
        spec.method,
        spec.tuning,
        spec.hyperparameters,
        report.examples,
        longest_range(report.tokens.max_example_tokens, exact=report.tokens.exact),
        report.tokens.total_tokens / report.examples,
        source="longest example",
        ways=Ways.of(spec.options),
    )
    found = run_here(spec.model, load_catalog(), job)
    return None if isinstance(found, str) else found


def require_affordable(spec: JobSpec, quoted: Quote, *, vendor_says: bool = False) -> None:
    """Refuse a quote whose high end is above the limit, and an unknown one when there is a limit.

    Args:
        spec: The job.
        quoted: Our own quote of it.
        vendor_says: Whether the vendor is asked for a price once it holds the data, before the
            job is made: an unknown quote of ours is left to it.

    Raises:
        OverMaxCost: gives quote and limit.
    """
    limit = spec.max_cost_usd
    if limit is None:
        return
    cost = quoted.cost
    if cost is None:
        if vendor_says:
            return
        raise OverMaxCost(
            f"no price is known for {spec.model} at {spec.provider}: {limit:g} USD can't be held",
            hint="leave out --max-cost to accept an unknown price",
        )
    if cost.high > limit:
        raise OverMaxCost(
            f"the quote is {cost.low:.2f} to {cost.high:.2f} USD; the limit is {limit:.2f}",
            hint=f"--max-cost {cost.high:.2f}, fewer epochs, or a smaller dataset",
        )
