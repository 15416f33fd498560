"""`ftctl jobs`: list jobs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output, short_time
from ftctl.cli.watching import job_document
from ftctl.errors import StoreError, UsageError
from ftctl.job import JobRecord, JobState

if TYPE_CHECKING:
    from ftctl.store.rows import DamagedJob


@make_command("jobs", short_help="List jobs.", cls=click.Group, invoke_without_command=True)
@click.option("--limit", type=click.IntRange(min=1), help="Only the newest ones.")
@click.option("--state", help="Only jobs in this state.")
def command(out: Output, *, limit: int | None, state: str | None) -> None:
    """List jobs, newest first, as they were last seen; no provider is asked.

    A job whose record is damaged hides no other: it is named, and the exit code is 1. With
    `--json` a document `ftctl.jobs/1`: `jobs`, and `damaged` with `id`, `message` and `hint`.

    Example: ftctl jobs --state running
    """
    from ftctl.api.job_handle import survey_jobs

    if click.get_current_context().invoked_subcommand is not None:
        return
    if state is not None and state not in set(JobState):
        raise UsageError(f"unknown state {state!r}", hint="one of " + ", ".join(JobState))
    known, damaged = survey_jobs()
    found = [job for job in known if state is None or job.state == state][:limit]
    _show(out, found, damaged)
    if damaged and out.json:
        raise click.exceptions.Exit(1)
    if damaged:
        others = [f"{job.id} likewise" for job in damaged[1:]]
        first = damaged[0].error
        raise StoreError("; ".join([first.message, *others]), hint=first.hint)


@make_command("reconcile", short_help="Settle what a crash left open.")
def reconcile_command(out: Output) -> None:
    """Settle what a crash left open: adopt what the provider holds, send again what it doesn't.

    A create that was never answered is sent again only after FTCTL_SETTLE_S seconds of lists
    that answered. Exits 1 when a person must decide, 5 when a provider could not be asked.

    Example: ftctl jobs reconcile
    """
    from ftctl.api.settling import reconcile

    records, unsettled = reconcile(on_step=out.note)
    _show(out, records)
    for error in unsettled:
        out.note(f"{error.message}" + (f"\n  → {error.hint}" if error.hint else ""))
    if unsettled:
        raise click.exceptions.Exit(max(error.exit_code for error in unsettled))
    if any(record.state is JobState.NEEDS_ATTENTION for record in records):
        raise click.exceptions.Exit(1)


@make_command("resolve", short_help="Say what became of a job that needs attention.")
@click.argument("job_id", metavar="ID")
@click.option("--remote", metavar="REMOTE_ID", help="Its id at the provider.")
@click.option("--none", "nothing", is_flag=True, help="The provider has no such job.")
def resolve_command(out: Output, job_id: str, *, remote: str | None, nothing: bool) -> None:
    """Say what became of a job that needs attention, after looking at the provider.

    Taken, too, of a job whose submission got no answer, once FTCTL_SETTLE_S seconds are over.
    With --none the same submit, or `ftctl jobs reconcile`, sends it again.

    Example: ftctl jobs resolve job-7f3k2m9xab --remote ftjob-abc123
    """
    from ftctl.api.settling import resolve_job

    if (remote is not None) == nothing:
        raise UsageError("say either --remote REMOTE_ID or --none", hint=f"ftctl job {job_id}")
    record = resolve_job(job_id, remote)
    if out.json:
        out.document(job_document(record))
    else:
        out.plain(f"{record.id} {record.state}: {record.message}")


command.add_command(reconcile_command)  # type: ignore[attr-defined]  # it is a click.Group
command.add_command(resolve_command)  # type: ignore[attr-defined]


def _show(out: Output, found: Sequence[JobRecord], damaged: "Sequence[DamagedJob]" = ()) -> None:
    if out.json:
        lost = [
            {"id": job.id, "message": job.error.message, "hint": job.error.hint} for job in damaged
        ]
        jobs = [job_document(job) for job in found]
        out.document({"schema": "ftctl.jobs/1", "jobs": jobs, "damaged": lost})
        return
    if not found:
        out.line("no jobs; ftctl submit --help shows how to make one")
        return
    out.table(
        ("id", "name", "provider", "model", "state", "made", "seen"),
        [
            (
                job.id,
                job.name,
                job.provider,
                Path(job.model).name,
                job.state,
                short_time(job.created_at),
                short_time(job.observed_at),
            )
            for job in found
        ],
        whole=("id", "state"),
    )
