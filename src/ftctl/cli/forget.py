"""`ftctl forget`: delete what a job left at its provider."""

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output


@make_command("forget", short_help="Delete what a job left at its provider.")
@click.argument("job_id", metavar="ID")
def command(out: Output, job_id: str) -> None:
    """Delete what a job left at its provider: files, run folder, tuned model.

    Copies of its data that were converted for that provider go as well, unless another job uses
    them. What you fetched, your own files and the job's record here stay.

    Example: ftctl forget job-7f3k2m9xab
    """
    from ftctl.api.job_handle import get_job

    job = get_job(job_id)
    job.forget()
    if out.json:
        out.document({"schema": "ftctl.forget/1", "id": job.id, "provider": job.record.provider})
    else:
        out.plain(f"{job.id}: nothing of it is left at {job.record.provider}")
