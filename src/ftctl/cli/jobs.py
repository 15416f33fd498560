"""`ftctl jobs`: list jobs."""

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.cli.watching import job_document


@make_command("jobs", short_help="List jobs.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the newest ones.")
@click.option("--state", help="Only jobs in this state.")
def command(out: Output, *, limit: int | None, state: str | None) -> None:
    """List jobs, newest first, as they were last seen; no provider is asked.

    Example: ftctl jobs --state running
    """
    from ftctl.api.job_handle import jobs
    from ftctl.errors import UsageError
    from ftctl.job import JobState

    if state is not None and state not in set(JobState):
        raise UsageError(f"unknown state {state!r}", hint="one of " + ", ".join(JobState))
    found = [job.record for job in jobs() if state is None or job.state == state][:limit]
    if out.json:
        out.document({"schema": "ftctl.jobs/1", "jobs": [job_document(job) for job in found]})
        return
    if not found:
        out.line("no jobs yet; ftctl submit --help shows how to make one")
        return
    out.table(
        ("id", "name", "provider", "model", "state", "made", "seen"),
        [
            (
                job.id,
                job.name,
                job.provider,
                job.model,
                job.state,
                f"{job.created_at.astimezone():%Y-%m-%d %H:%M}",
                f"{job.observed_at.astimezone():%Y-%m-%d %H:%M}" if job.observed_at else "never",
            )
            for job in found
        ],
    )
