"""`ftctl submit`: check, quote and submit a job."""

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftctl.cli import options
from ftctl.cli.data_progress import Steps
from ftctl.cli.job import told
from ftctl.cli.options import command as make_command
from ftctl.cli.quotes import show_quote
from ftctl.cli.render import Output, duration
from ftctl.cli.spec_file import read_spec
from ftctl.cli.watching import job_document, show_live
from ftctl.errors import Interrupted, UsageError
from ftctl.job import JobState

if TYPE_CHECKING:
    from ftctl.account import MayCreate
    from ftctl.admission import Consent, ScanHits
    from ftctl.api.consent import Consents
    from ftctl.api.job_handle import Job
    from ftctl.config import Settings
    from ftctl.estimation.quote import Quote
    from ftctl.job import JobRecord, JobSpec


@make_command("submit", short_help="Check, quote and submit a fine-tuning job.")
@click.option("--provider", help="`local`, or a name of `ftctl providers`.")
@click.option("--data", metavar="FILE", type=click.Path(path_type=Path), help="Training examples.")
@click.option("--model", help="A name of `ftctl models`, a folder or a hub id.")
@click.option(
    "--from", "earlier", metavar="ID", help="Take all that isn't given from an earlier job."
)
@click.option(
    "--spec",
    "spec_file",
    metavar="FILE_OR_URL",
    help="Take it from a file: a job in TOML, YAML or JSON, or Axolotl's YAML, also by https.",
)
@click.option(
    "--ignore-unknown",
    is_flag=True,
    help="Go on without keys of an Axolotl file that have no counterpart here.",
)
@click.option(
    "--validation",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Validation examples; the checkpoint that does best on them is kept.",
)
@options.method
@options.tuning
@options.hyperparameters
@click.option("--engine", help="One of the provider's ways to run it; its own choice else.")
@click.option("--name", help="What to call the job.")
@options.max_cost
@click.option(
    "--privacy",
    type=click.Choice(["public", "contractual", "regulated", "stays_inside"]),
    help="What may happen to the rows.",
)
@options.allow_scan_hits
@click.option(
    "--notify", metavar="CMD_OR_URL", help="Told of each change of state while the job is watched."
)
@options.base_url
@options.as_of
@click.option("--new", is_flag=True, help="Another job, even though the same one is under way.")
@click.option("--dry-run", is_flag=True, help="Everything but the submission: no row is sent.")
@click.option("--wait", is_flag=True, help="Watch the job to its end.")
def command(
    out: Output,
    *,
    earlier: str | None,
    spec_file: str | None,
    ignore_unknown: bool,
    settings: tuple[str, ...],
    max_cost: float | None,
    as_of: datetime | None,
    allow_scan_hits: bool,
    new: bool,
    dry_run: bool,
    wait: bool,
    **spec: Any,  # noqa: ANN401 - click's options by name
) -> None:
    """Check, quote and submit a fine-tuning job; prints its id.

    Running the same command again goes on with the job that is under way and never makes a
    second one; `--new` asks for another. With `--from` everything that isn't given is taken from
    an earlier job, and the name gets a suffix. With `--spec` it is taken from a file, which is
    shown and never run: a job's fields, or an Axolotl configuration, whose keys are listed with
    what becomes of each.

    Example: ftctl submit --provider local --data train.jsonl --model smollm2-135m-instruct
    ftctl submit --from job-7f3k2m9xab --set epochs=2
    """
    from ftctl.api.consent import Consents
    from ftctl.api.submitting import may_create, preflight
    from ftctl.config import load_settings

    home = load_settings()
    day = as_of.date() if as_of else None
    given = {"hyperparameters": read_settings(settings), "max_cost_usd": max_cost, **spec}
    if spec_file is not None:
        if earlier is not None:
            raise UsageError("--spec and --from both name a job", hint="give one of them")
        whole = read_spec(out, home, spec_file, given, ignore_unknown=ignore_unknown)
    elif ignore_unknown:
        raise UsageError("--ignore-unknown is about an Axolotl file", hint="--spec FILE names it")
    else:
        whole = _spec_from(out, home, earlier, given) if earlier else _whole_spec(given)
    consents = Consents(home, allow=allow_scan_hits, ask=who_to_ask())
    if dry_run:
        with Steps(out) as steps:
            quoted = preflight(
                whole,
                settings=home,
                as_of=day,
                consent=consents.of(whole),
                on_step=steps.step,
                on_progress=steps.read,
            )
        may = may_create(whole, settings=home, as_of=day)
        _show_dry_run(out, whole, quoted, may, day or datetime.now(UTC).date())
        return
    report(out, submit_or_say(out, whole, home, consents, day, new=new), wait=wait)


def submit_or_say(
    out: Output,
    spec: "JobSpec",
    home: "Settings",
    consents: "Consents",
    day: date | None,
    *,
    new: bool = False,
) -> "Job":
    """Submit; who leaves off meanwhile hears which job that leaves, and how to go on.

    Raises:
        Interrupted: Ctrl-C.
    """
    from ftctl.api.submitting import left_behind, submit_job

    try:
        with Steps(out) as steps:
            return submit_job(
                spec,
                consents=consents,
                new=new,
                as_of=day,
                on_step=steps.step,
                on_progress=steps.read,
                settings=home,
            )
    except KeyboardInterrupt:
        raise _interrupted(spec, left_behind(spec, settings=home)) from None


def _interrupted(spec: "JobSpec", left: "JobRecord | None") -> Interrupted:
    from ftctl.api.job_handle import how_to_go_on

    if left is None:
        return Interrupted("interrupted; no job was made", hint="run the same command again")
    said = f"is at {spec.provider} and goes on"
    if left.sent_at is not None:
        said = f"was being submitted; whether {spec.provider} took it isn't known yet"
    elif left.state.open_intention:
        said = f"isn't at {spec.provider} yet"
    hint = how_to_go_on(left) or f"ftctl watch {left.id}"
    return Interrupted(f"interrupted; {left.id} {said}", hint=hint)


def report(out: Output, job: "Job", *, wait: bool) -> None:
    """Say what became of a submission; exits 1 where a person must decide."""
    if wait:
        if not out.json:
            out.line(job.id)
        show_live(out, [job.id], None)
        return
    if out.json:
        out.document(job_document(job.record))
    else:
        out.line(job.id)
    if job.state is JobState.NEEDS_ATTENTION:
        out.note(job.record.message)
        raise click.exceptions.Exit(1)
    if not out.json:
        out.note(f"{job.record.provider}: {job.record.message}; watch it: ftctl watch {job.id}")


def who_to_ask() -> "Consent | None":
    """Asks the person at the terminal whether rows with scan hits may leave; None without one."""

    def ask(hits: "ScanHits") -> bool:
        return click.confirm(f"{hits}. Send this file all the same?", default=False, err=True)

    return ask if sys.stdin.isatty() else None


def _whole_spec(given: dict[str, Any]) -> "JobSpec":
    from ftctl.api.submitting import make_spec

    missing = [f"--{name}" for name in ("provider", "data", "model") if given[name] is None]
    if missing:
        raise UsageError(
            f"missing {', '.join(missing)}",
            hint="or --from ID takes them from an earlier job, --spec FILE from a file",
        )
    return make_spec(**{name: value for name, value in given.items() if value is not None})


def _spec_from(out: Output, home: "Settings", earlier: str, given: dict[str, Any]) -> "JobSpec":
    from ftctl.api.job_handle import get_job, jobs
    from ftctl.api.resubmitting import spec_from

    record = get_job(earlier, settings=home).record
    known = [job.record for job in jobs(settings=home)]
    spec, remarks = spec_from(record, known, **given)
    for remark in remarks:
        out.note(remark)
    return spec


def _show_dry_run(
    out: Output, spec: "JobSpec", quoted: "Quote", may: "MayCreate", day: date
) -> None:
    if out.json:
        parts = {"spec": spec, "estimate": quoted, "may_create": may}
        body = {name: part.model_dump(mode="json") for name, part in parts.items()}
        out.document({"schema": "ftctl.dry-run/1", **body})
        return
    rows = [(key, told(at)) for key, at in spec.model_dump(exclude_none=True).items() if at]
    cost, time = quoted.cost, quoted.time
    rows.append(("cost", f"{cost.low:.2f} to {cost.high:.2f} USD" if cost else "unknown"))
    if time is not None:
        rows.append(("time", f"{duration(time.low)} to {duration(time.high)}"))
    out.table(("setting", "value"), rows, title="would submit")
    show_quote(out, quoted, day)
    out.plain(str(may))


def read_settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """`KEY=VALUE` pairs as a dict; `KEY=@FILE` is the file's text.

    Raises:
        UsageError: one has no `=`, or stands twice, or its file can't be read.
    """
    settings: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {pair}: not KEY=VALUE", hint="--set epochs=3")
        if key in settings:
            raise UsageError(f"--set {key} is given twice", hint="give it once")
        settings[key.replace("-", "_")] = _text_of(value[1:]) if value.startswith("@") else value
    return settings


def _text_of(file: str) -> str:
    try:
        return Path(file).expanduser().read_text("utf-8")
    except OSError as error:
        why = error.strerror or str(error)
    except (UnicodeDecodeError, RuntimeError) as error:  # no text; a home that nobody has
        why = str(error)
    raise UsageError(f"--set …=@{file}: can't be read ({why})", hint="--set KEY=@FILE, a text file")
