"""Mistral's fine-tuning documents as they were: what they say, in our words.

Shapes and words: the OpenAPI file that still had the job paths in 2026-07, and `mistralai` 2.5.1,
the last SDK with them. What an event's `data` holds stands in neither, so it is read leniently.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from ftctl.job import JobEvent, JobState, Snapshot
from ftctl.providers.transport.documents import Document, Item, Words, id_of, moment, unknown_word
from ftctl.providers.transport.http_errors import printable

VALIDATED = "VALIDATED"
# Every status word, and what it means; VALIDATED is a pause where nobody is to start it but us.
STATUS: dict[str, JobState] = {
    "QUEUED": JobState.QUEUED,
    "STARTED": JobState.QUEUED,
    "VALIDATING": JobState.VALIDATING,
    VALIDATED: JobState.PAUSED,
    "RUNNING": JobState.RUNNING,
    "CANCELLATION_REQUESTED": JobState.CANCELLING,
    "SUCCESS": JobState.SUCCEEDED,
    "FAILED_VALIDATION": JobState.FAILED,
    "FAILED": JobState.FAILED,
    "CANCELLED": JobState.CANCELLED,
}
# Whose fault a failure is: the data's, or the provider's.
_KINDS = {"FAILED_VALIDATION": "data_invalid", "FAILED": "server_error"}
_REASONS = ("error", "message", "detail", "reason")  # where an event's data may give one


class Event(Document):
    """A line that a job said."""

    name: Words = ""
    data: dict[str, Any] | None = None
    created_at: float | None = None

    @property
    def reason(self) -> str:
        """What went wrong, where it says so; there is no other place for it."""
        said = (self.data or {}).get("error")
        return "" if not said else printable(str(said))

    @property
    def text(self) -> str:
        """What it says: its reason or status, else its name."""
        data = self.data or {}
        said = next((str(data[key]) for key in (*_REASONS, "status") if data.get(key)), "")
        return ": ".join(filter(None, (self.name, printable(said))))


class Metrics(Document):
    """What was measured at a checkpoint."""

    train_loss: float | None = None
    valid_loss: float | None = None
    valid_mean_token_accuracy: float | None = None


class Checkpoint(Document):
    """A step at which the job measured."""

    metrics: Metrics = Metrics()
    step_number: int | None = Field(None, ge=0, le=10**12)
    created_at: float | None = None


class Quote(Document):
    """What a job costs and takes, by the vendor's own word; a job's `metadata`, or a dry run's."""

    cost: float | None = Field(None, ge=0, allow_inf_nan=False)
    cost_currency: Words | None = None
    expected_duration_seconds: float | None = None
    train_tokens: float | None = None
    train_tokens_per_step: float | None = None
    data_tokens: float | None = None

    @property
    def cost_usd(self) -> float | None:
        """Its cost, where it is told in dollars."""
        return self.cost if self.cost_currency == "USD" else None

    @property
    def text(self) -> str:
        """What it says, on one line; "" where it says nothing."""
        parts = []
        if self.cost is not None:
            parts.append(f"{self.cost:.2f} {self.cost_currency or 'of an unnamed currency'}")
        if self.expected_duration_seconds is not None:
            parts.append(f"{self.expected_duration_seconds / 60:.0f} minutes")
        return ", ".join(parts)


class DryRun(Quote):
    """What a dry run answers; with an `id` it made a job after all."""

    id: str | None = None


class Settings(Document):
    """The hyperparameters that are shown again."""

    training_steps: float | None = None
    epochs: float | None = None
    learning_rate: float | None = None


class Job(Item):
    """A fine-tuning job as the vendor tells it; events and checkpoints only to a look at it."""

    status: Words
    model: Words = ""
    suffix: Words | None = None
    auto_start: bool | None = None
    fine_tuned_model: Words | None = None
    created_at: float | None = None
    modified_at: float | None = None
    training_files: tuple[str, ...] = ()
    validation_files: tuple[str, ...] | None = None
    hyperparameters: Settings | None = None
    trained_tokens: float | None = None
    metadata: Quote | None = None
    events: tuple[Event, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()

    @property
    def state(self) -> JobState | None:
        """Our word for its status; None for one that nobody knows."""
        if self.status == VALIDATED and self.auto_start is not False:
            return JobState.QUEUED  # it goes on by itself
        return STATUS.get(self.status)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state is not None and self.state.terminal

    @property
    def tuned(self) -> str | None:
        """Its model's name, once there is a model."""
        return self.fine_tuned_model if self.state is JobState.SUCCEEDED else None

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it reads."""
        return (*self.training_files, *(self.validation_files or ()))

    @property
    def trouble(self) -> str:
        """The newest thing that went wrong, in its own words."""
        events = sorted(self.events, key=lambda event: moment(event.created_at))
        return next((event.reason for event in reversed(events) if event.reason), "")


class Jobs(Document):
    """A page of the account's jobs; `total` counts those of every page."""

    total: int | None = None
    data: tuple[Job, ...] = ()


class File(Item):
    """A file as the vendor holds it."""

    filename: str = ""


class Files(Document):
    """A page of the account's files; `total` counts those of every page."""

    total: int | None = None
    data: tuple[File, ...] = ()


def snapshot_of(job: Job) -> Snapshot:
    """What a job's document shows; an unknown status is an observation without a state."""
    state, error, message = job.state, None, job.trouble
    quoted = job.metadata.text if job.metadata else ""
    if state is None:
        message = unknown_word(job.status)
    elif state is JobState.PAUSED:
        message = "; ".join(
            filter(
                None,
                (
                    "validated, waits for its start (ftctl resume) or its end (ftctl cancel)",
                    quoted and f"the provider quotes {quoted}",
                    message,
                ),
            )
        )
    elif state is JobState.FAILED:
        message = message or "the provider gives no reason"
        hint = "ftctl logs shows what the job said"
        if job.status == "FAILED_VALIDATION":
            hint = "mend the data or the settings: ftctl data check FILE --for mistral"
        error = {"kind": _KINDS[job.status], "message": message, "hint": hint}
    return Snapshot(
        state=state,
        provider_status=job.status,
        message=message,
        fine_tuned_model=job.tuned,
        progress=_progress_of(job),
        error=error,
    )


def _progress_of(job: Job) -> dict[str, float]:
    settings = job.hyperparameters or Settings()
    told: dict[str, float | None] = {
        "total_steps": settings.training_steps,
        "epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "trained_tokens": job.trained_tokens,
    }
    if job.metadata is not None:
        told["estimated_usd"] = job.metadata.cost_usd
        told["estimated_seconds"] = job.metadata.expected_duration_seconds
    if job.checkpoints:
        last = max(job.checkpoints, key=lambda row: row.step_number or 0)
        told |= _numbers_of(last)
    if job.ended and job.created_at and job.modified_at:
        told["seconds"] = job.modified_at - job.created_at
    return {name: value for name, value in told.items() if value is not None}


def _numbers_of(row: Checkpoint) -> dict[str, float | None]:
    """A checkpoint's numbers under our names."""
    measured = row.metrics
    return {
        "step": row.step_number,
        "loss": measured.train_loss,
        "valid_loss": measured.valid_loss,
        "valid_mean_token_accuracy": measured.valid_mean_token_accuracy,
    }


def events_of(job: Job) -> list[JobEvent]:
    """What a job said and measured, oldest first; the vendor gives no ids, so they are made."""
    seen: Counter[str] = Counter()
    events = [_line_of(line, seen) for line in job.events]
    events += [_measured(row, seen) for row in job.checkpoints]
    return sorted(events, key=lambda event: event.at)


def _line_of(line: Event, seen: Counter[str]) -> JobEvent:
    return JobEvent(
        source_id=id_of(f"{line.created_at}{line.name}{line.data}", seen),
        at=moment(line.created_at),
        level="error" if line.reason else "info",
        message=line.text or "event",
        data=dict(_plain(line.data or {})),
    )


def _plain(data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What of an event's data is shown: plain values, a stranger's words made printable."""
    for name, value in data.items():
        if isinstance(value, str):
            yield printable(name), printable(value)
        elif isinstance(value, bool | int | float):
            yield printable(name), value


def _measured(row: Checkpoint, seen: Counter[str]) -> JobEvent:
    data = {name: value for name, value in _numbers_of(row).items() if value is not None}
    said = ", ".join(f"{name}={value:.4g}" for name, value in data.items())
    return JobEvent(
        source_id=id_of(f"{row.created_at}{sorted(data.items())}", seen),
        at=moment(row.created_at),
        kind="metrics",
        message=said or "checkpoint",
        data=data,
    )
