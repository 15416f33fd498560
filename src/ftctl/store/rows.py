"""From a request to a job's first record, from one record to the next, and from record to row."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from ftctl.errors import IllegalMove, StoreError
from ftctl.job import LEGAL_MOVES, JobEvent, JobRecord, JobSpec, JobState

Change = Callable[[JobRecord], dict[str, Any]]

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # no characters that people confuse


@dataclass(frozen=True, slots=True)
class DamagedJob:
    """A job whose record can't be read, and why."""

    id: str
    error: StoreError


def read_record(where: str, job_id: str, record: str) -> JobRecord:
    """The job that a row holds.

    Args:
        where: Which database, for people.
        job_id: As the row has it.
        record: The job as JSON.

    Raises:
        StoreError: it is damaged.
    """
    try:
        return JobRecord.model_validate_json(record)
    except ValidationError as error:
        raise _damaged(f"{where}: the record of {job_id}", error) from None


def read_event(where: str, job_id: str, record: str) -> JobEvent:
    """Like `read_record`, for a line of what the job said.

    Raises:
        StoreError: it is damaged.
    """
    try:
        return JobEvent.model_validate_json(record)
    except ValidationError as error:
        raise _damaged(f"{where}: an event's record of {job_id}", error) from None


def _damaged(what: str, error: ValidationError) -> StoreError:
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"])) or "JSON"
    return StoreError(
        f"{what} is damaged ({field}: {first['msg']})",
        hint="restore the database from a backup; the run folders are untouched",
    )


def changed(now: JobRecord, change: Change) -> JobRecord:
    """The job after a change.

    Raises:
        IllegalMove: the change is to a state that can't follow the present one.
    """
    new = now.model_copy(update=change(now))
    if new.state != now.state and new.state not in LEGAL_MOVES[now.state]:
        raise IllegalMove(
            f"{now.id} is {now.state}; it can't become {new.state}", hint=f"ftctl job {now.id}"
        )
    return new


def columns(record: JobRecord) -> dict[str, Any]:
    """What is searched, in step with the record."""
    return {
        "state": record.state.value,
        "name": record.name,
        "record": record.model_dump_json(),
    }


def event_row(job_id: str, event: JobEvent) -> dict[str, Any]:
    """An event as the table keeps it."""
    return {"job_id": job_id, "source_id": event.source_id, "record": event.model_dump_json()}


def move_event(before: JobRecord, after: JobRecord, revision: int) -> JobEvent:
    """The line of a job's history that tells of a move, dated when it was seen."""
    seen = after.observed_at if after.observed_at != before.observed_at else None
    return JobEvent(
        source_id=f"state-{revision}",
        at=seen or datetime.now(UTC),
        level="error" if after.state is JobState.FAILED else "info",
        kind="state",
        message=f"{after.state}: {after.message}" if after.message else str(after.state),
    )


def text(at: datetime) -> str:
    """A time in UTC, of one width, so that text sorts as time does."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def new_record(spec: JobSpec, estimate: dict[str, Any] | None) -> JobRecord:
    """A job that nobody has begun to submit."""
    job_id = "job-" + "".join(secrets.choice(_ALPHABET) for _ in range(10))
    return JobRecord(
        id=job_id,
        name=spec.name,
        provider=spec.provider,
        base_url=spec.base_url,
        remote_id=None,
        marker=job_id,
        state=JobState.CREATED,
        provider_status=None,
        message="created here, not submitted yet",
        model=spec.model,
        method=spec.method,
        fine_tuned_model=None,
        attempt=1,
        created_at=datetime.now(UTC),
        observed_at=None,
        stale_because=None,
        estimate=estimate,
        actual=None,
        progress={},
        error=None,
        spec=spec,
    )
