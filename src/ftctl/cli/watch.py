"""`ftctl watch`: follow jobs live."""

import math

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.cli.watching import show_live
from ftctl.errors import UsageError


@make_command("watch", short_help="Follow jobs live: progress, loss curve, ETA.")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="Every live job, until none is left.")
@click.option(
    "--every", type=click.FloatRange(0.05, 86_400), metavar="S", help="Seconds between looks."
)
def command(out: Output, ids: tuple[str, ...], *, everything: bool, every: float | None) -> None:
    """Follow jobs live until they have ended; exits 1 when one didn't succeed.

    Leaving off with Ctrl-C stops the watching, not the jobs.

    Example: ftctl watch --all
    """
    from ftctl.api.job_handle import get_job

    if every is not None and math.isnan(every):
        raise UsageError("--every isn't a number", hint="--every 5")
    if bool(ids) == everything:
        raise UsageError("name jobs, or say --all", hint="ftctl jobs")
    show_live(out, None if everything else [get_job(name).id for name in ids], every)
