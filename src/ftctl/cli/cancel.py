"""`ftctl cancel`: stop a job."""

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.cli.watching import job_document


@make_command("cancel", short_help="Stop a job.")
@click.argument("job_id", metavar="ID")
def command(out: Output, job_id: str) -> None:
    """Stop a job; a local one leaves a checkpoint to resume from.

    Example: ftctl cancel job-7f3k2m9xab
    """
    from ftctl.api.job_handle import get_job

    job = get_job(job_id).cancel()
    if out.json:
        out.document(job_document(job.record))
    else:
        out.plain(f"{job.id} {job.state}: {job.record.message}")
