"""`ftctl job`: one job whole."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output, duration, local_time
from ftctl.cli.watching import job_document

if TYPE_CHECKING:
    from ftctl.diagnosis.types import Finding
    from ftctl.job import JobRecord


@make_command("job", short_help="Show one job whole.")
@click.argument("job_id", metavar="ID")
@click.option("--refresh", is_flag=True, help="Ask the provider first.")
def command(out: Output, job_id: str, *, refresh: bool) -> None:
    """Show one job whole: spec, state, history, cost, artifacts, and what its curves show.

    Example: ftctl job job-7f3k2m9xab --refresh
    """
    from ftctl.api.diagnosing import diagnose_job
    from ftctl.api.job_handle import get_job
    from ftctl.diagnosis.explanation import submit_again

    job = get_job(job_id)
    if refresh:
        job.refresh()
    events = [event for _, event in job.events()]
    history = [event for event in events if event.kind == "state"]
    findings = diagnose_job(job.record, events)
    if out.json:
        told = [event.model_dump(mode="json") for event in history]
        shown = [finding.model_dump(mode="json") for finding in findings]
        out.document({**job_document(job.record), "history": told, "diagnosis": shown})
        return
    out.table(
        ("what", "value"),
        [
            *_rows(job.record.model_dump(exclude={"spec", "misses", "estimate", "actual"})),
            *_quoted_and_actual(job.record),
            *_rows(job.record.spec.model_dump(exclude_none=True), "spec."),
        ],
    )
    for event in history:
        out.plain(f"{local_time(event.at)}  {event.message}")
    show_findings(out, findings)
    again = submit_again(job.id, findings)
    if again is not None:
        out.plain(f"  → {again}")


def _rows(fields: Mapping[str, object], within: str = "") -> Iterator[tuple[str, str]]:
    """Fields that hold something, as a person reads them."""
    for name, value in fields.items():
        if value not in (None, "", {}):
            yield within + name, told(value)


def told(value: object) -> str:
    """A field's value as a person reads it: local time, `key=value` pairs, no more digits."""
    if isinstance(value, datetime):
        return local_time(value)
    if isinstance(value, Mapping):
        return ", ".join(
            f"{name}={told(one)}" for name, one in value.items() if one not in (None, "")
        )
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _quoted_and_actual(record: "JobRecord") -> list[tuple[str, str]]:
    """Each estimate as a range, with what it came to beside it; what isn't known says so."""
    quoted, actual = record.estimate or {}, record.actual or {}
    shown = []
    for name, became, form in (
        ("cost", "cost_usd", lambda usd: f"{usd:.2f} USD"),
        ("time", "seconds", duration),
        ("memory", "memory_gib", lambda gib: f"{gib:.1f} GiB"),
        ("trained_tokens", "trained_tokens", lambda tokens: f"{tokens:,.0f}"),
    ):
        estimate, was = quoted.get(name), actual.get(became)
        if name not in quoted and was is None:
            continue
        said = "unknown"
        if estimate is not None:
            ends = (form(estimate["low"]), form(estimate["high"]))
            said = " to ".join(dict.fromkeys(ends))
        shown.append((name, f"quoted {said}" + ("" if was is None else f"; was {form(was)}")))
    return shown


def show_findings(out: Output, findings: Sequence["Finding"]) -> None:
    """What curves show, each with its numbers and whose rule it is."""
    for finding in findings:
        out.plain(f"{finding.name}: {finding.sentence}")
        numbers = [
            f"{measure.what} {measure.value:.4g}"
            + (f" (step {measure.step})" if measure.step is not None else "")
            for measure in finding.evidence
        ]
        out.plain(f"  {'; '.join([*numbers, f'rule: {finding.source}'])}")
