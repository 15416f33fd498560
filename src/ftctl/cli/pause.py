"""`ftctl pause`: hold a job where it is."""

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.cli.watching import job_document


@make_command("pause", short_help="Hold a job where it is; resume lets it go on.")
@click.argument("job_id", metavar="ID")
def command(out: Output, job_id: str) -> None:
    """Hold a job where it is, at a provider that can; `ftctl resume` lets it go on.

    Example: ftctl pause job-7f3k2m9xab
    """
    from ftctl.api.job_handle import get_job

    job = get_job(job_id).pause()
    if out.json:
        out.document(job_document(job.record))
    else:
        out.plain(f"{job.id} {job.state}: {job.record.message}")
