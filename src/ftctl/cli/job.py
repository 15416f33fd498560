"""`ftctl job`: one job whole."""

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.cli.watching import job_document


@make_command("job", short_help="Show one job whole.")
@click.argument("job_id", metavar="ID")
@click.option("--refresh", is_flag=True, help="Ask the provider first.")
def command(out: Output, job_id: str, *, refresh: bool) -> None:
    """Show one job whole: spec, state, history, cost, artifacts.

    Example: ftctl job job-7f3k2m9xab --refresh
    """
    from ftctl.api.job_handle import get_job

    job = get_job(job_id)
    if refresh:
        job.refresh()
    history = [event for _, event in job.events() if event.kind == "state"]
    if out.json:
        told = [event.model_dump(mode="json") for event in history]
        out.document({**job_document(job.record), "history": told})
        return
    rows = [
        (key, value)
        for key, value in job.record.model_dump(mode="json", exclude={"spec", "misses"}).items()
        if value not in (None, "", {})
    ]
    rows += [
        (f"spec.{key}", value)
        for key, value in job.record.spec.model_dump(mode="json", exclude_none=True).items()
        if value != {}
    ]
    out.table(("", ""), rows)
    for event in history:
        out.plain(f"{event.at.astimezone():%Y-%m-%d %H:%M:%S}  {event.message}")
