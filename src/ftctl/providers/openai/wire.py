"""OpenAI's fine-tuning documents: what they say, in our words.

Read leniently, because gateways leave out what the vendor sends, and strictly where a wrong
reading would cost something: an answer without an id is no answer. Shapes and words: the official
SDK, openai 3.57; `paused` stands in OpenAI's OpenAPI description only (2026-08-21).
"""

import re
import time
from dataclasses import dataclass
from datetime import date
from typing import Any, Generic, Literal, TypeVar

from pydantic import Field

from ftctl.job import JobEvent, JobState, Snapshot
from ftctl.providers.transport.documents import Document, Item, Words, moment, unknown_word

MARKER = "ftctl_marker"
NAME = "ftctl_name"
_SUFFIX_MARKER = re.compile(r"(?:^|-)(job-[a-z0-9]+)$")
# A job that has just succeeded may get its model's name a little later.
_NAMED_WITHIN_S = 600.0

# Every status word, and what it means.
STATUS: dict[str, JobState] = {
    "validating_files": JobState.VALIDATING,
    "queued": JobState.QUEUED,
    "running": JobState.RUNNING,
    "paused": JobState.PAUSED,
    "succeeded": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
    "cancelled": JobState.CANCELLED,
}
EVENT_LEVEL: dict[str, Literal["info", "warning", "error"]] = {
    "info": "info",
    "warn": "warning",
    "error": "error",
}
EVENT_TYPE: dict[str, Literal["message", "metrics"]] = {"message": "message", "metrics": "metrics"}

# The codes with which the vendor's own checks refuse a file.
_DATA_CODES = {"invalid_n_examples", "invalid_training_file", "invalid_validation_file"}


Row = TypeVar("Row", bound=Item)


class Page(Document, Generic[Row]):
    """A page of a list; `has_more` is None where a gateway doesn't say."""

    data: tuple[Row, ...]
    has_more: bool | None = None


class Trouble(Document):
    """Why a job failed; on a healthy job an object in which all is null."""

    code: Words | None = None
    message: Words | None = None
    param: Words | None = None


class Job(Item):
    """A fine-tuning job as the vendor tells it; times are Unix seconds."""

    status: Words
    model: Words = ""
    created_at: float | None = Field(None, allow_inf_nan=False)
    finished_at: float | None = Field(None, allow_inf_nan=False)
    fine_tuned_model: Words | None = None
    error: Trouble | None = None
    training_file: str | None = None
    validation_file: str | None = None
    result_files: tuple[str, ...] | None = None
    trained_tokens: int | None = Field(None, ge=0, le=10**15)
    hyperparameters: dict[str, Any] | None = None
    metadata: dict[str, str | None] | None = None
    suffix: Words | None = None
    trained_steps: int | None = Field(None, ge=0, le=10**12)
    total_steps: int | None = Field(None, ge=0, le=10**12)
    seed: int | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        state = STATUS.get(self.status)
        return state is not None and state.terminal

    @property
    def succeeded(self) -> bool:
        """Whether the vendor says so; a model proves it."""
        return STATUS.get(self.status) is JobState.SUCCEEDED

    def marker(self, where: Literal["metadata", "suffix"] = "metadata") -> str | None:
        """Our id, where the vendor kept it; empty where it kept what is somebody else's.

        Args:
            where: What carries it at this vendor.
        """
        if where == "metadata":
            return (self.metadata or {}).get(MARKER)
        if not self.suffix:
            return None
        ours = _SUFFIX_MARKER.search(self.suffix)
        return ours[1] if ours else ""

    @property
    def files(self) -> list[str]:
        """The ids of every file that it read or made."""
        named = (self.training_file, self.validation_file, *(self.result_files or ()))
        return [file for file in named if file]


class Event(Item):
    """A line that a job said."""

    created_at: float = 0.0
    level: str = "info"
    message: Words = ""
    type: str | None = None
    data: Any = None


class File(Item):
    """A file as the vendor holds it."""

    filename: str = ""
    bytes: int | None = None
    status: str | None = None


class Model(Item):
    """A model that answers, and the day (ISO 8601) on which it stops where one is announced."""

    shutdown_date: str | None = None

    @property
    def shutdown(self) -> date | None:
        """The day on which it stops; None where none is told, or none that can be read."""
        try:
            return date.fromisoformat((self.shutdown_date or "")[:10])
        except ValueError:
            return None


class Permission(Item):
    """That a project may use a checkpoint."""

    project_id: Words = ""


class Upload(Item):
    """A file that is sent in parts; `file` is there once it is complete."""

    file: File | None = None


class Checkpoint(Item):
    """A model kept in the middle of a job; `result_files` where its weights can be had."""

    fine_tuned_model_checkpoint: Words = ""
    step_number: int | None = Field(None, ge=0, le=10**12)
    metrics: dict[str, float | None] | None = None
    result_files: tuple[str, ...] | None = None


def page_of(row: type[Row]) -> type[Page[Row]]:
    """The document of a list of such rows."""
    return Page[row]  # type: ignore[valid-type]  # only known when it runs


def snapshot_of(job: Job) -> Snapshot:
    """What a job's document shows; an unknown status is an observation without a state."""
    state = STATUS.get(job.status)
    counted = {
        "trained_tokens": job.trained_tokens,
        "step": job.trained_steps,
        "total_steps": job.total_steps,
    }
    progress = {name: float(value) for name, value in counted.items() if value is not None}
    if job.ended and job.finished_at is not None and job.created_at is not None:
        progress["seconds"] = job.finished_at - job.created_at
    progress |= _chosen(job.hyperparameters or {})
    error = None
    # An error of a job that hasn't failed is a remark: its status decides.
    message = (job.error and job.error.message) or ""
    if state is None:
        message = unknown_word(job.status)
    if state is JobState.FAILED:
        error = _error(job.error or Trouble())
        message = error["message"]
    if _awaits_its_name(job):
        state, message = JobState.RUNNING, "it has succeeded; its model's name is still to come"
    return Snapshot(
        state=state,
        provider_status=job.status,
        message=message,
        fine_tuned_model=job.fine_tuned_model or None,
        progress=progress,
        error=error,
    )


def _awaits_its_name(job: Job) -> bool:
    return (
        job.succeeded
        and not job.fine_tuned_model
        and job.finished_at is not None
        and abs(time.time() - job.finished_at) < _NAMED_WITHIN_S
    )


def _chosen(hyperparameters: dict[str, Any]) -> dict[str, float]:
    """What the vendor settled on where it was left the choice; `auto` until it has."""
    same = ("batch_size", "learning_rate_multiplier", "learning_rate")
    names = {"n_epochs": "epochs"} | {name: name for name in same}
    return {
        ours: float(value)
        for theirs, ours in names.items()
        if isinstance(value := hyperparameters.get(theirs), int | float) and 0 < value < 1e6
    }


def _error(trouble: Trouble) -> dict[str, str]:
    message = trouble.message or "the provider gives no reason"
    if trouble.param:
        message += f" ({trouble.param})"
    hint = "ftctl logs shows what the job said"
    if trouble.code in _DATA_CODES:
        hint = "ftctl data check FILE --for openai"
    elif trouble.code == "exceeded_quota":
        hint = "raise the account's budget at the vendor, then submit again"
    return {"kind": trouble.code or "failed", "message": message, "hint": hint}


def event_of(event: Event) -> JobEvent:
    """A line as ours; a level or type nobody knows is told as plain information."""
    return JobEvent(
        source_id=event.id,
        at=moment(event.created_at),
        level=EVENT_LEVEL.get(event.level, "info"),
        kind=EVENT_TYPE.get(event.type or "message", "message"),
        message=event.message,
        data=_measured(event.data) if isinstance(event.data, dict) else {},
    )


@dataclass(frozen=True)
class Measured:
    """What was measured at a step, as files or checkpoints tell it; `at` in Unix seconds."""

    id: str
    at: float
    values: dict[str, float]


def measured_event(row: Measured, *, not_before: float) -> JobEvent:
    """A measurement as a line of the job's, after those that it said itself."""
    values = ", ".join(f"{name} {value:g}" for name, value in row.values.items() if name != "step")
    return JobEvent(
        source_id=row.id,
        at=moment(max(row.at, not_before)),
        kind="metrics",
        message=f"Step {row.values.get('step', 0):g}: {values}",
        data=_measured(dict(row.values)),
    )


def _measured(data: dict[str, Any]) -> dict[str, Any]:
    """A metrics event's data, in which the training loss stands under our name for it, too."""
    return data | ({"loss": data["train_loss"]} if "train_loss" in data else {})
