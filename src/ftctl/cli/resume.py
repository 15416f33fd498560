"""`ftctl resume`: go on with a failed or cancelled job from its last checkpoint."""

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.cli.watching import job_document


@make_command("resume", short_help="Go on with a failed or cancelled job from its last checkpoint.")
@click.argument("job_id", metavar="ID")
def command(out: Output, job_id: str) -> None:
    """Go on with a failed or cancelled job from its last checkpoint, as a new attempt.

    Example: ftctl resume job-7f3k2m9xab
    """
    from ftctl.api.job_handle import get_job

    job = get_job(job_id).resume()
    if out.json:
        out.document(job_document(job.record))
    else:
        out.plain(f"{job.id} {job.state}: {job.record.message}")
