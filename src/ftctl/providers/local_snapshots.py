"""What a run folder shows of a job: one look's snapshot, and what the run said."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ftctl.errors import StoreError
from ftctl.job import JobEvent, JobState, Snapshot
from ftctl.local_backend.run_folder import ExitRecord, RunFolder, WorkerStatus

# Every word of ours that a local run may report, and what it means.
STATUS: dict[str, JobState] = {
    "starting": JobState.QUEUED,
    "queued": JobState.QUEUED,
    "loading": JobState.RUNNING,
    "training": JobState.RUNNING,
    "validating": JobState.RUNNING,
    "saving": JobState.RUNNING,
    "succeeded": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
    "cancelled": JobState.CANCELLED,
    "interrupted": JobState.FAILED,
    "paused": JobState.PAUSED,
    "died": JobState.FAILED,
    "damaged": JobState.FAILED,
}
_QUIET_AFTER_S = 60.0
_NUMBERS = frozenset(WorkerStatus.model_fields) - {"attempt", "phase", "message", "heartbeat"}


def living(run: RunFolder, status: WorkerStatus | None, attempt: int) -> Snapshot:
    """A worker that lives, by its own last words."""
    if status is None or status.attempt != attempt:
        return Snapshot(state=JobState.QUEUED, provider_status="starting", message="starting")
    if run.cancel_file.exists():
        return Snapshot(state=JobState.CANCELLING, provider_status=status.phase, message="stopping")
    silent = (datetime.now(UTC) - status.heartbeat).total_seconds()
    message = status.message
    if silent > _QUIET_AFTER_S:
        message += f" (no heartbeat for {silent:.0f} s; the machine may be overloaded)"
    numbers = status.model_dump(include=set(_NUMBERS))
    return Snapshot(
        state=STATUS[status.phase],
        provider_status=status.phase,
        message=message,
        progress={name: float(value) for name, value in numbers.items() if value is not None},
    )


def ended(record: ExitRecord, remote_id: str) -> Snapshot:
    """An attempt that has said how it ended, or that it is held."""
    error = None
    if record.outcome in ("failed", "interrupted"):
        error = {"kind": record.kind, "message": record.message, "hint": record.hint}
    return Snapshot(
        state=STATUS[record.outcome],
        provider_status=record.outcome,
        message=record.message,
        fine_tuned_model=remote_id if record.outcome == "succeeded" else None,
        progress={
            # As vendors count and quotes say it: all tokens, not those alone that have a loss.
            "trained_tokens": float(record.tokens or record.trained_tokens),
            "seconds": record.seconds,
        }
        | ({} if record.memory_gib is None else {"memory_gib": record.memory_gib}),
        error=error,
    )


def damaged(error: StoreError, remote_id: str) -> Snapshot:
    """The worker is gone and what it wrote can't be read: only its checkpoints can be trusted."""
    hint = f"ftctl resume {remote_id} goes on from the last whole checkpoint"
    return Snapshot(
        state=JobState.FAILED,
        provider_status="damaged",
        message=error.message,
        error={"kind": "damaged", "message": error.message, "hint": hint},
    )


def died(run: RunFolder, remote_id: str) -> Snapshot:
    """A worker that holds no lock and left no exit record was killed from outside."""
    message = (
        "the worker ended without a word: it was killed from outside, by kill -9 or by the "
        "system when memory ran out"
    )
    last = _last_line(run.log_file)
    if last:
        message += f"; its last line was: {last}"
    hint = f"ftctl resume {remote_id} goes on from the last checkpoint"
    return Snapshot(
        state=JobState.FAILED,
        provider_status="died",
        message=message,
        error={"kind": "killed", "message": message, "hint": hint},
    )


def _last_line(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - 2000))
            lines = stream.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:300] if lines else ""


def event(number: int, row: dict[str, Any]) -> JobEvent:
    """One line of the run's events; what a hand may have changed is taken as text."""
    try:
        at = datetime.fromisoformat(str(row.get("at")))
    except ValueError:
        at = datetime.now(UTC)
    level = row.get("level")
    return JobEvent(
        source_id=f"line-{number}",
        at=at,
        level=level if level in ("info", "warning", "error") else "info",
        message=str(row.get("message", row)),
    )
