"""`ftctl migrate`: the same job at another provider, in one command."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ftctl.cli import options
from ftctl.cli.data_convert import show_losses
from ftctl.cli.data_progress import Steps
from ftctl.cli.options import command as make_command
from ftctl.cli.quotes import show_quote
from ftctl.cli.render import Output
from ftctl.cli.submit import read_settings, report, submit_or_say, who_to_ask
from ftctl.cli.watching import job_document
from ftctl.errors import UsageError
from ftctl.job import JobState

if TYPE_CHECKING:
    from ftctl.api.migrating import Migration


@make_command("migrate", short_help="Run a job's data and settings at another provider.")
@click.argument("job_id", metavar="ID")
@click.option("--to", required=True, metavar="PROVIDER", help="Where to run it.")
@click.option("--model", help="The base model there, where the old one isn't tuned.")
@options.hyperparameters
@click.option("--name", help="What to call the job; as the old one when not given.")
@options.base_url
@options.max_cost
@options.allow_scan_hits
@options.as_of
@click.option("--dry-run", is_flag=True, help="Show the difference and submit nothing.")
@click.option("--yes", is_flag=True, help="Submit without asking.")
def command(
    out: Output,
    job_id: str,
    *,
    settings: tuple[str, ...],
    allow_scan_hits: bool,
    as_of: datetime | None,
    dry_run: bool,
    yes: bool,
    **asked: Any,  # noqa: ANN401 - click's options by name
) -> None:
    """Run a job's data, method and settings at another provider.

    Shows what maps, what changes and what is dropped, in settings and data, the new price and how
    long the new model will answer; submits after consent. Data that the provider can't read as
    they are, are converted first. Running it again makes no second job.

    Example: ftctl migrate job-7f3k2m9xab --to local --model qwen2.5-0.5b-instruct --dry-run
    """
    from ftctl.api.consent import Consents
    from ftctl.api.migrating import plan_migration
    from ftctl.config import load_settings

    home, day = load_settings(), as_of.date() if as_of else None
    consents = Consents(home, allow=allow_scan_hits, ask=who_to_ask())
    with Steps(out) as steps:
        plan = plan_migration(
            job_id,
            hyperparameters=read_settings(settings),
            as_of=day,
            consents=consents,
            on_step=steps.step,
            on_progress=steps.read,
            settings=home,
            **asked,
        )
    if not out.json:
        _show(out, plan)
        show_quote(out, plan.quote, day or datetime.now(UTC).date())
    job = None
    if not dry_run:
        _require_consent(yes=yes)
        job = submit_or_say(out, plan.spec, home, consents, day)
    if out.json:
        body = plan.model_dump(mode="json")
        rows = [d.model_dump() | {"kind": d.kind} for d in plan.differences]
        made = job_document(job.record) if job else None
        out.document({"schema": "ftctl.migration/1", **body, "differences": rows, "job": made})
        if job is not None and job.state is JobState.NEEDS_ATTENTION:
            raise click.exceptions.Exit(1)
    elif job is not None:
        report(out, job, wait=False)


def _require_consent(*, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nothing was submitted: nobody is here to ask", hint="--yes submits it")
    if not click.confirm("submit it?", err=True):
        raise click.exceptions.Exit(1)


def _show(out: Output, plan: "Migration") -> None:
    rows = [(d.setting, d.before or "", d.after or "(dropped)", d.why) for d in plan.differences]
    out.table(("setting", "before", "after", "why"), rows, title=f"{plan.source} moves")
    for conversion in plan.conversions:
        show_losses(out, conversion)
    cost = plan.quote.cost
    price = f"{cost.low:.2f} to {cost.high:.2f} USD" if cost else "unknown"
    out.plain(f"price: {price}\nlifetime: {plan.lifetime}\n{plan.may_create}")
