"""Together's fine-tuning documents: what they say, in our words.

Shapes, words and limits: the official SDK, together 3.1.1. `user_error` and the counters of steps
stand in its older types only; a job's suffix only in lists and in what a create answers.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from ftctl.job import JobEvent, JobState, Snapshot
from ftctl.providers.transport.documents import Document, Item, Words, id_of, moment, unknown_word

# Every status word, and what it means.
STATUS: dict[str, JobState] = {
    "pending": JobState.QUEUED,
    "queued": JobState.QUEUED,
    "running": JobState.RUNNING,
    "compressing": JobState.RUNNING,
    "uploading": JobState.RUNNING,
    "cancel_requested": JobState.CANCELLING,
    "cancelled": JobState.CANCELLED,
    "error": JobState.FAILED,
    "user_error": JobState.FAILED,
    "completed": JobState.SUCCEEDED,
}
# What a running job does when it no longer trains.
PHASES = {
    "compressing": "trained; packing the weights",
    "uploading": "trained; storing the weights",
}

# Whose fault a failure is: the data's, or the provider's.
_KINDS = {"user_error": "data_invalid", "error": "server_error"}

Level = Literal["info", "warning", "error"]
# Every type of event; most are steps on the way.
EVENTS: dict[str, Level] = {
    **dict.fromkeys(
        (
            "job_pending",
            "job_start",
            "job_stopped",
            "model_downloading",
            "model_download_complete",
            "training_data_downloading",
            "training_data_download_complete",
            "validation_data_downloading",
            "validation_data_download_complete",
            "wandb_init",
            "training_start",
            "checkpoint_save",
            "epoch_complete",
            "training_complete",
            "model_compressing",
            "model_compression_complete",
            "model_uploading",
            "model_upload_complete",
            "job_complete",
            "tokenized_dataset_upload_complete",
        ),
        "info",
    ),
    **dict.fromkeys(
        (
            "billing_limit",
            "cancel_requested",
            "early_stopped",
            "job_restarted",
            "refund",
            "warning",
        ),
        "warning",
    ),
    "job_error": "error",
}
LEVELS: dict[str, Level] = {
    "info": "info",
    "legacy_info": "info",
    "warning": "warning",
    "legacy_iwarning": "warning",
    "error": "error",
    "legacy_ierror": "error",
}

_NANODOLLARS = 1e9  # a job's `total_price` counts them


class Event(Document):
    """A line that a job said."""

    created_at: datetime | None = None
    level: str | None = None
    message: Words | None = None
    type: Words | None = None
    step: float | None = None
    total_steps: float | None = None
    checkpoint_path: Words | None = None
    hash: str | None = None

    @property
    def severity(self) -> Level:
        """How grave it is; a type that nobody knows is plain information."""
        said = LEVELS.get((self.level or "").lower())
        known = EVENTS.get((self.type or "").lower())
        return known if known and known != "info" else said or "info"

    @property
    def text(self) -> str:
        """What it says; its type where it says nothing."""
        return self.message or (self.type or "").replace("_", " ").lower()


class Progress(Document):
    """How long a job still takes, in seconds, where that is known."""

    estimate_available: bool = False
    seconds_remaining: float | None = None


class Kind(Document):
    """How a job tunes: `Lora` or `Full`."""

    type: str = ""


class Job(Item):
    """A fine-tuning job as the vendor tells it."""

    status: Words
    model: Words = ""
    suffix: Words | None = None
    model_output_name: Words | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    events: tuple[Event, ...] | None = None
    training_file: str | None = None
    validation_file: str | None = None
    training_type: Kind | None = None
    from_checkpoint: Words | None = None
    n_epochs: float | None = None
    batch_size: float | str | None = None
    learning_rate: float | None = None
    token_count: float | None = None
    total_price: float | None = None
    steps_completed: float | None = None
    total_steps: float | None = None
    epochs_completed: float | None = None
    queue_depth: float | None = None
    progress: Progress | None = None

    @property
    def state(self) -> JobState | None:
        """Our word for its status; None for one that nobody knows."""
        return STATUS.get(self.status)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state is not None and self.state.terminal

    @property
    def is_full(self) -> bool:
        """Whether all weights were tuned, and there is no adapter."""
        return self.training_type is not None and self.training_type.type == "Full"

    @property
    def tuned(self) -> str | None:
        """Its model's name, once there is a model."""
        return self.model_output_name if self.state is JobState.SUCCEEDED else None

    def carries(self, marker: str) -> bool:
        """Whether it was made with our marker, by its suffix or its model's name."""
        if self.suffix is not None:
            return f"-{self.suffix}".endswith(f"-{marker}")
        whole = rf"(?<![A-Za-z0-9]){re.escape(marker)}(?![A-Za-z0-9])"
        return re.search(whole, self.model_output_name or "") is not None

    @property
    def trouble(self) -> str:
        """The newest warning or error that it said."""
        events = sorted(self.events or (), key=lambda event: moment(event.created_at))
        return next((e.text for e in reversed(events) if e.severity != "info"), "")


class Jobs(Document):
    """Every job of the account; this list has one page."""

    data: tuple[Job, ...]


class Events(Document):
    """All that a job said."""

    data: tuple[Event, ...]


class Metrics(Document):
    """A row for each step of training and of evaluation."""

    metrics: tuple[dict[str, float | None], ...] | None = None


class Report(Document):
    """What the vendor's own check of a file found."""

    valid: bool | None = None
    error_message: Words | None = None


class File(Item):
    """A file as the vendor holds it."""

    filename: str = ""
    processing_status: str | None = None
    validation_report: Report | None = None


class Files(Document):
    """Every file of the account; this list has one page."""

    data: tuple[File, ...]


class Checkpoint(Document):
    """Weights that were kept in the middle of a job."""

    step: int | None = None
    checkpoint_type: Words | None = None
    created_at: Words | None = None
    object_name: Words | None = None


class Checkpoints(Document):
    """All that a job kept."""

    data: tuple[Checkpoint, ...] = ()


class Price(Document):
    """The vendor's own estimate, in USD, or why there is none."""

    estimation_available: bool = True
    unavailable_reason: Words | None = None
    allowed_to_proceed: bool | None = None
    estimated_total_price: float | None = Field(None, ge=0, allow_inf_nan=False)
    estimated_train_token_count: float | None = None
    estimated_eval_token_count: float | None = None
    user_limit: float | None = None


def snapshot_of(job: Job) -> Snapshot:
    """What a job's document shows; an unknown status is an observation without a state."""
    state, error = job.state, None
    message = "; ".join(filter(None, (PHASES.get(job.status), job.trouble)))
    if state is None:
        message = unknown_word(job.status)
    if state is JobState.FAILED:
        message = job.trouble or "the provider gives no reason"
        hint = "ftctl logs shows what the job said"
        if job.status == "user_error":
            hint = "mend the data or the settings: ftctl data check FILE"
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
    told = {
        "step": job.steps_completed,
        "total_steps": job.total_steps,
        "epoch": job.epochs_completed,
        "queue_position": job.queue_depth,
        "epochs": job.n_epochs,
        "batch_size": job.batch_size if isinstance(job.batch_size, float) else None,
        "learning_rate": job.learning_rate,
        "trained_tokens": job.token_count,
    }
    if job.progress is not None and job.progress.estimate_available and not job.ended:
        told["seconds_remaining"] = job.progress.seconds_remaining
    if job.ended and job.created_at and job.updated_at:
        told["seconds"] = (moment(job.updated_at) - moment(job.created_at)).total_seconds()
    if job.total_price:
        told["cost_usd" if job.ended else "estimated_usd"] = job.total_price / _NANODOLLARS
    return {name: value for name, value in told.items() if value is not None}


def events_of(
    lines: Sequence[Event], metrics: Sequence[Mapping[str, float | None]]
) -> list[JobEvent]:
    """What a job said and measured, oldest first; the vendor gives no ids, so they are made."""
    seen: Counter[str] = Counter()
    events = [_line_of(line, seen) for line in lines]
    events += [_metrics_of(dict(row), seen) for row in metrics]
    return sorted(events, key=lambda event: event.at)


def _line_of(line: Event, seen: Counter[str]) -> JobEvent:
    data = {"type": line.type, "step": line.step, "total_steps": line.total_steps}
    data["checkpoint"] = line.checkpoint_path
    return JobEvent(
        source_id=id_of(line.hash or f"{line.created_at}{line.type}{line.message}", seen),
        at=moment(line.created_at),
        level=line.severity,
        message=line.text,
        data={name: value for name, value in data.items() if value is not None},
    )


def _metrics_of(row: dict[str, float | None], seen: Counter[str]) -> JobEvent:
    """A row of `train/…` or `eval/…` numbers; the losses stand under our names, too."""
    ours = {"step": "train/global_step", "loss": "train/loss", "valid_loss": "eval/loss"}
    data: dict[str, Any] = {key: row[name] for key, name in ours.items() if name in row}
    said = ", ".join(f"{name}={value:.4g}" for name, value in data.items() if value is not None)
    return JobEvent(
        source_id=id_of(repr(sorted(row.items(), key=str)), seen),
        at=moment((row.pop("timestamp", None) or 0.0) / 1e9),
        kind="metrics",
        message=said or "measured",
        data=row | data,
    )
