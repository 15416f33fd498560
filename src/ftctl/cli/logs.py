"""`ftctl logs`: what a job said."""

import time

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output, local_time
from ftctl.errors import Interrupted
from ftctl.job import JobState


@make_command("logs", short_help="Print what a job said.")
@click.argument("job_id", metavar="ID")
@click.option("--follow", is_flag=True, help="Go on until the job has ended.")
def command(out: Output, job_id: str, *, follow: bool) -> None:
    """Print what a job said and went through, oldest first.

    Example: ftctl logs job-7f3k2m9xab --follow
    """
    from ftctl.api.job_handle import get_job
    from ftctl.config import load_settings

    job = get_job(job_id)
    pause = load_settings().poll_s
    last = 0
    while True:
        job.refresh()
        for number, event in job.events(after=last):
            last = number
            if out.json:
                out.document({"schema": "ftctl.event/1", **event.model_dump(mode="json")})
            else:
                mark = "" if event.level == "info" else f"{event.level}: "
                out.plain(f"{local_time(event.at)}  {mark}{event.message}")
        waits = job.state.open_intention or job.state is JobState.NEEDS_ATTENTION
        if not follow or waits or job.state.terminal or out.unheard:
            return
        try:
            time.sleep(pause)
        except KeyboardInterrupt:
            again = f"ftctl logs {job.id} --follow"
            raise Interrupted("no longer following; the job goes on", hint=again) from None
