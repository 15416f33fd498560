"""`ftctl explain`: what went wrong with a job, and what to do."""

import click

from ftctl.cli.job import show_findings
from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output, local_time


@make_command("explain", short_help="What went wrong with a job, and what to do.")
@click.argument("job_id", metavar="ID")
def command(out: Output, job_id: str) -> None:
    """What went wrong with a job, if anything did, what its curves show, and what to do next.

    Read from the store; no provider is asked.

    Example: ftctl explain job-7f3k2m9xab
    """
    from ftctl.api.diagnosing import explain

    told = explain(job_id)
    if out.json:
        out.document({"schema": "ftctl.explanation/1", **told.model_dump(mode="json")})
        return
    seen = f", seen {told.observed_at.astimezone():%Y-%m-%d %H:%M}" if told.observed_at else ""
    out.styled((told.name, "bold"), f" ({told.id}) {told.state} at {told.provider}{seen}")
    out.plain(told.summary)
    if told.stale_because:
        out.plain(f"not seen since: {told.stale_because}")
    said = told.fault.message if told.fault else told.message
    if said:
        out.plain(f"it says: {said}")
    show_findings(out, told.diagnosis)
    if told.log:
        out.line("its last words:")
    for line in told.log:
        out.plain(f"  {local_time(line.at)}  {line.message}")
    out.line("what to do:")
    for step in told.next:
        out.plain(f"  → {step}")
