"""`ftctl resume`: let a paused job go on, or start a stopped one's next attempt."""

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.cli.watching import job_document


@make_command("resume", short_help="Go on with a job that was paused, cancelled, or failed.")
@click.argument("job_id", metavar="ID")
def command(out: Output, job_id: str) -> None:
    """Let a paused job go on; a failed or cancelled one begins at its last checkpoint.

    That is a new attempt of the same job; a paused one goes on in its own.

    Example: ftctl resume job-7f3k2m9xab
    """
    from ftctl.api.job_handle import get_job

    job = get_job(job_id).resume()
    if out.json:
        out.document(job_document(job.record))
    else:
        out.plain(f"{job.id} {job.state}: {job.record.message}")
