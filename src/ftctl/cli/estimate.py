"""`ftctl estimate`: cost, time and memory of a job, before anything is spent."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftctl.cli import options
from ftctl.cli.data_progress import file_progress
from ftctl.cli.home_plans import show_home_plan
from ftctl.cli.options import command as make_command
from ftctl.cli.quotes import show_lines, spread
from ftctl.cli.render import Output
from ftctl.cli.submit import read_settings

if TYPE_CHECKING:
    from ftctl.api.estimating import JobEstimate


@make_command("estimate", short_help="Cost, time and memory of a job, before anything is spent.")
@click.option("--provider", required=True, help="`local`, or a name of `ftctl providers`.")
@click.option("--model", required=True, help="A name of `ftctl models`, a folder or a hub id.")
@click.option("--data", metavar="FILE", type=click.Path(path_type=Path), help="Training examples.")
@click.option("--rows", type=click.IntRange(min=1), help="Examples, where there is no file yet.")
@click.option("--tokens", type=click.IntRange(min=1), help="Tokens of all examples, likewise.")
@options.method
@options.tuning
@options.hyperparameters
@click.option("--gpu", help="At home: a card of `ftctl catalog`, instead of what is here.")
@click.option("--gpu-count", type=click.IntRange(min=1), default=1, help="How many of them.")
@click.option(
    "--calibrate", is_flag=True, help="At home: train three steps now, and tell the time by them."
)
@options.base_url
@options.as_of
def command(
    out: Output,
    *,
    settings: tuple[str, ...],
    as_of: datetime | None,
    **asked: Any,  # noqa: ANN401 - click's options by name
) -> None:
    """What a job would cost, how long it would take and what memory it would hold.

    Each as low, likely and high, with what it was computed from, whose word that is and of which
    day; what nobody knows is said to be unknown. No key is needed and nothing is asked over a
    network.

    At home (`--provider local`) it is also planned: whether it fits this machine's cards, or main
    memory, with the terms of the memory; what LoRA, QLoRA and full fine-tuning could hold there;
    and which of them to choose, with the flags of `ftctl submit`. Neither file nor numbers are
    needed for that. The model may be a folder.

    With `--json` a document `ftctl.estimate/1`: `provider`, `model`, `method`, `tuning`,
    `base_url`, `as_of`, `counted` (`data`, `said` or `none`), `rows`, `tokens`; `trained_tokens`,
    `cost` (USD), `time` (s) and `memory` (GiB), each null or `low`, `likely`, `high`, `unit` and
    `basis` (`name`, `value`, `origin`, `as_of`, `source`); `lines` of what is billed (`name`:
    training, minimum fee, storage, serving, idle; `amount`, `says`); `plan`, null elsewhere than
    at home (`cards`, `verdict`: fits, tight or no, `setting`, `says`, `terms` of `name`, `gib` and
    `says`, `adam` in bytes, `reach`, `largest_models`, `recommended`, `choose`); `unknown` with the
    reason for each null; `remarks`.

    Example: ftctl estimate --provider together --model llama-3.1-8b --rows 500 --tokens 200000

    Example: ftctl estimate --provider local --model llama-3.1-8b --gpu l4
    """
    from ftctl.api.estimating import estimate

    with file_progress(out, "counting") as show:
        found = estimate(
            hyperparameters=read_settings(settings),
            as_of=as_of.date() if as_of else None,
            on_progress=show,
            **{name: value for name, value in asked.items() if value is not None},
        )
    if out.json:
        out.document(found)
        return
    _show(out, found)


def _show(out: Output, found: "JobEstimate") -> None:
    size = "any examples that fill a micro-batch"
    if found.counted != "none":
        whose = "counted in the file" if found.counted == "data" else "as you say"
        size = f"{found.rows:,} examples of {found.tokens:,} tokens, {whose}"
    what = f"{found.model} at {found.provider}, {found.method}, {found.tuning}"
    out.plain(f"{what}, on {found.as_of}: {size}")
    amounts = (
        ("cost", found.cost),
        ("time", found.time),
        ("memory", found.memory),
        ("trained tokens", found.trained_tokens),
    )
    out.table(
        ("", "low – likely – high", ""),
        [
            (name, spread(amount), found.unknown.get(name.replace(" ", "_"), ""))
            for name, amount in amounts
        ],
    )
    if found.plan is not None:
        show_home_plan(out, found.plan)
    show_lines(out, found.lines, [amount for _, amount in amounts], found.as_of)
    for remark in found.remarks:
        out.note(remark)
