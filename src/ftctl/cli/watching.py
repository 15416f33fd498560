"""Live display of jobs, shared by `submit --wait` and `watch`."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from ftctl.cli.render import Output, duration, sparkline
from ftctl.errors import Interrupted
from ftctl.job import JobRecord, JobState


def job_document(record: JobRecord) -> dict[str, Any]:
    """The `ftctl.job/1` document."""
    return record.document()


def show_live(out: Output, ids: Sequence[str] | None, every_s: float | None) -> None:
    """Follow jobs to their end: progress on stderr, how each ended on stdout.

    Exits 1 when one didn't succeed.

    Args:
        out: How to speak.
        ids: Whole job ids; every live one when None.
        every_s: Seconds between two looks.

    Raises:
        Interrupted: Ctrl-C, or nobody reads on; the jobs go on.
    """
    from ftctl.api.job_handle import watch

    ended: dict[str, JobRecord] = {}
    left = Interrupted(
        "no longer watching; the jobs go on",
        hint="ftctl watch " + (" ".join(ids) if ids else "--all"),
    )
    try:
        for record in _shown(out, watch(ids, every_s=every_s)):
            ended[record.id] = record
            if out.unheard:
                raise left
    except KeyboardInterrupt:
        raise left from None
    if not ended:
        out.note("no job is under way")
    if any(record.state is not JobState.SUCCEEDED for record in ended.values()):
        raise click.exceptions.Exit(1)


def _shown(out: Output, records: Iterator[JobRecord]) -> Iterator[JobRecord]:
    if out.json:
        for record in records:
            out.document(job_document(record))
            yield record
    elif sys.stderr.isatty() and not out.quiet:
        yield from _bars(out, records)
    else:
        yield from _lines(out, records)


def _bars(out: Output, records: Iterator[JobRecord]) -> Iterator[JobRecord]:
    """A bar a job, with its loss curve so far."""
    losses: dict[str, list[float]] = {}
    with out.progress() as progress:
        tasks: dict[str, Any] = {}
        for record in records:
            if record.id not in tasks:
                tasks[record.id] = progress.add_task(record.name, total=None, note="")
            curve = losses.setdefault(record.id, [])
            if "loss" in record.progress and not record.state.terminal:
                curve.append(record.progress["loss"])
            progress.update(
                tasks[record.id],
                completed=int(record.progress.get("step", 0)),
                total=int(record.progress.get("total_steps", 0)) or None,
                note=f"{_said(record)} {sparkline(curve, 24)}",
            )
            if _is_over(record):
                out.plain(_end_line(record))
            yield record


def _lines(out: Output, records: Iterator[JobRecord]) -> Iterator[JobRecord]:
    """A line at each change that says something new."""
    last: dict[str, str] = {}
    for record in records:
        over = _is_over(record)
        text = _end_line(record) if over else f"{record.name}: {_said(record)}"
        if last.get(record.id) != text:
            last[record.id] = text
            (out.plain if over else out.note)(text)
        yield record


def _is_over(record: JobRecord) -> bool:
    """Whether watching ends here: it has ended, or a person must do something first."""
    state = record.state
    return state.terminal or state.open_intention or state is JobState.NEEDS_ATTENTION


def _said(record: JobRecord) -> str:
    """Where a job stands, in a few words."""
    parts = [str(record.state) if not record.message else record.message]
    if "loss" in record.progress:
        parts.append(f"loss {record.progress['loss']:.3f}")
    if "reward_accuracy" in record.progress:  # of dpo
        parts.append(f"{record.progress['reward_accuracy']:.0%} of the pairs right")
    if record.progress.get("tokens_per_s"):
        parts.append(f"{record.progress['tokens_per_s']:.0f} tokens/s")
    if record.progress.get("eta_s"):
        parts.append(f"{duration(record.progress['eta_s'])} left")
    if record.stale_because:
        parts.append(f"(not seen lately: {record.stale_because})")
    return ", ".join(parts)


def _end_line(record: JobRecord) -> str:
    from ftctl.api.job_handle import how_to_go_on

    line = f"{record.name} ({record.id}) {record.state}"
    if record.message:
        line += f": {record.message}"
    hint = how_to_go_on(record) or (record.error or {}).get("hint")
    return f"{line}\n  → {hint}" if hint else line
