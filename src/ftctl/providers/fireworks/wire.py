"""Fireworks' fine-tuning documents: what they say, in our words.

Shapes and words: the official SDK, fireworks-ai 1.2.30; three words of reinforcement jobs and
`FAILED_CLEANING_UP` stand in other clients only (research of peers, 2026-11).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

from ftctl.job import JobEvent, JobState, Snapshot
from ftctl.providers.transport.documents import Document, Words, moment, unknown_word

_PREFIX = "JOB_STATE_"
# Every state word, without its prefix, and what it means; UNSPECIFIED means nothing.
STATUS: dict[str, JobState | None] = {
    "UNSPECIFIED": None,
    "CREATING": JobState.VALIDATING,
    "CREATING_INPUT_DATASET": JobState.VALIDATING,
    "VALIDATING": JobState.VALIDATING,
    "PENDING": JobState.QUEUED,
    "RE_QUEUEING": JobState.QUEUED,
    "RUNNING": JobState.RUNNING,
    "EVALUATION": JobState.RUNNING,
    "ROLLOUT": JobState.RUNNING,
    "POLICY_UPDATE": JobState.RUNNING,
    "WRITING_RESULTS": JobState.RUNNING,
    "IDLE": JobState.PAUSED,
    "PAUSED": JobState.PAUSED,
    "CANCELLING": JobState.CANCELLING,
    "COMPLETED": JobState.SUCCEEDED,
    "EARLY_STOPPED": JobState.SUCCEEDED,
    "CANCELLED": JobState.CANCELLED,
    "FAILED": JobState.FAILED,
    "FAILED_CLEANING_UP": JobState.FAILED,
    "EXPIRED": JobState.FAILED,
    "DELETING": JobState.FAILED,
    "DELETING_CLEANING_UP": JobState.FAILED,
}
PHASES = {
    "EVALUATION": "evaluating",
    "ROLLOUT": "trying the model",
    "POLICY_UPDATE": "learning from what was tried",
    "WRITING_RESULTS": "trained; storing the weights",
    "EARLY_STOPPED": "stopped early: the validation loss no longer fell",
    "PAUSED": "paused: an account that is suspended, or somebody's hand",
}
_DELETED = "somebody deleted it at the provider"
_ENDS = {  # what the vendor gives no code for: kind and message
    "EXPIRED": ("deadline_exceeded", "its time at the provider ran out"),
    "DELETING": ("deleted", _DELETED),
    "DELETING_CLEANING_UP": ("deleted", _DELETED),
}
_HINTS = {
    "invalid_argument": "mend the data or the settings: ftctl data check FILE",
    "resource_exhausted": "raise the account's quota at the vendor, then ftctl resume",
}
_MOST = 1e18  # what is larger is no measurement
_KINDS = ("supervisedFineTuningJobs", "dpoJobs")
SFT, DPO = _KINDS


class Camel(Document):
    """A document whose names are in camel case."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=True
    )


class Named(Camel):
    """A document that lists hold: its resource name, `accounts/A/KIND/ID`, tells it apart."""

    name: str = Field(pattern=r"^[!-~]+$", max_length=512)

    @property
    def id(self) -> str:
        """The last part of its name."""
        return self.name.rpartition("/")[2]


Row = TypeVar("Row", bound=Named)


class Page(Camel):
    """A page of a list, whatever its rows are called."""

    model_config = ConfigDict(
        extra="allow", frozen=True, alias_generator=to_camel, populate_by_name=True
    )
    next_page_token: str | None = None

    def rows(self, kind: str) -> Any:  # noqa: ANN401 - checked by whoever reads them
        """What stands under a list's own name; nothing where the vendor leaves it out."""
        return (self.model_extra or {}).get(kind) or []


class Status(Camel):
    """How it goes, as gRPC says it; OK, or none, is well."""

    code: Words | None = None
    message: Words | None = None

    @property
    def trouble(self) -> str:
        """What is wrong; "" where nothing is."""
        return "" if self.code in (None, "OK") else self.message or self.code


class Cost(Camel):
    """Money."""

    currency_code: str | None = None
    units: float | None = None
    nanos: float | None = None

    @property
    def usd(self) -> float | None:
        """In USD; None where it is said in other money, or not at all."""
        if self.currency_code != "USD" or (self.units is None and self.nanos is None):
            return None
        return (self.units or 0.0) + (self.nanos or 0.0) / 1e9


class JobProgress(Camel):
    """How far a job is."""

    percent: float | None = None
    epoch: float | None = None
    input_tokens: float | None = None


class Training(Camel):
    """How a preference job trains; of a supervised one the same stands in the job itself."""

    base_model: Words | None = None
    output_model: Words | None = None
    warm_start_from: Words | None = None
    epochs: float | None = None
    learning_rate: float | None = None
    lora_rank: float | None = None
    batch_size_samples: float | None = None
    max_context_length: float | None = None


class Job(Named, Training):
    """A fine-tuning job as the vendor tells it."""

    state: Words = ""
    status: Status | None = None
    display_name: Words | None = None
    create_time: datetime | None = None
    completed_time: datetime | None = None
    dataset: str | None = None
    evaluation_dataset: str | None = None
    estimated_cost: Cost | None = None
    job_progress: JobProgress | None = None
    metrics_file_signed_url: str | None = None
    training_config: Training | None = None

    @property
    def word(self) -> str:
        """Its state without the prefix."""
        return self.state.removeprefix(_PREFIX)

    @property
    def known(self) -> JobState | None:
        """Our word for its state; None for one that nobody knows."""
        return STATUS.get(self.word)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.known is not None and self.known.terminal

    @property
    def is_dpo(self) -> bool:
        """Whether it learns from preferences."""
        return f"/{DPO}/" in self.name

    @property
    def training(self) -> Training:
        """How it trains."""
        return self.training_config or self

    @property
    def base(self) -> str:
        """The base model's name, or that of the adapter that it went on from."""
        return self.training.base_model or self.training.warm_start_from or ""

    @property
    def tuned(self) -> str | None:
        """Its model's whole name, once there is a model."""
        model = self.training.output_model
        if self.known is not JobState.SUCCEEDED or not model:
            return None
        account = "/".join(self.name.split("/")[:2])
        return model if model.startswith("accounts/") else f"{account}/models/{model}"

    def carries(self, marker: str) -> bool:
        """Whether it is the one that was made with our marker."""
        return self.id == marker or f" {self.display_name}".endswith(f" {marker}")


class Dataset(Named):
    """A dataset as the vendor holds it."""

    state: str | None = None
    status: Status | None = None


class Model(Named):
    """A model as the vendor knows it."""

    tunable: bool | None = None
    training_context_length: int | None = None


class Links(Camel):
    """Signed links, by file name."""

    filename_to_signed_urls: dict[str, str] = Field(default_factory=dict)


class Link(Camel):
    """A signed link."""

    signed_url: str | None = None


def snapshot_of(job: Job) -> Snapshot:
    """What a job's document shows; an unknown state is an observation without one."""
    state, error = job.known, None
    trouble = job.status.trouble if job.status else ""
    message = "; ".join(filter(None, (PHASES.get(job.word), trouble)))
    if state is None:
        message = unknown_word(job.state)
    if state is JobState.FAILED:
        code = (job.status and job.status.code) or "failed"
        kind, said = _ENDS.get(job.word, (code.lower(), "the provider gives no reason"))
        message = trouble or said
        hint = _HINTS.get(kind, "ftctl resume goes on from its last checkpoint")
        error = {"kind": kind, "message": message, "hint": hint}
    return Snapshot(
        state=state,
        provider_status=job.state,
        message=message,
        fine_tuned_model=job.tuned,
        progress=_progress_of(job),
        error=error,
    )


def _progress_of(job: Job) -> dict[str, float]:
    progress, training = job.job_progress or JobProgress(), job.training
    told = {
        "percent": progress.percent,
        "epoch": progress.epoch,
        "epochs": training.epochs,
        "batch_size": training.batch_size_samples,
        "learning_rate": training.learning_rate,
        "trained_tokens": progress.input_tokens,
        "estimated_usd": job.estimated_cost.usd if job.estimated_cost else None,
    }
    if job.ended and job.create_time and job.completed_time:
        told["seconds"] = (moment(job.completed_time) - moment(job.create_time)).total_seconds()
    return {name: value for name, value in told.items() if value is not None}


def events_of(job: Job, metrics: Iterable[Mapping[str, Any]]) -> list[JobEvent]:
    """A job's life, oldest first: the vendor keeps no log, but when it began, measured and ended.

    Nothing that was told moves later: new rows come after the old, the end comes last.
    """
    begun, ended = moment(job.create_time), moment(job.completed_time)
    events = [JobEvent(source_id="created", at=begun, message=f"created {job.id}")]
    for number, row in enumerate(metrics):
        events.append(_measured(number, dict(row), events[-1].at))
    if job.ended:
        said = snapshot_of(job).message
        text = f"{job.word.lower().replace('_', ' ')}" + (f": {said}" if said else "")
        events.append(
            JobEvent(
                source_id="ended",
                at=max(ended, events[-1].at),
                level="error" if job.known is JobState.FAILED else "info",
                message=text,
            )
        )
    return events


def _measured(number: int, row: dict[str, Any], earliest: datetime) -> JobEvent:
    """A row of numbers under the vendor's names, which stand nowhere; ours beside them."""
    ours: dict[str, Any] = {}
    for key, names in (
        ("step", ("step", "global_step", "train/global_step")),
        ("loss", ("loss", "train_loss", "train/loss")),
        ("valid_loss", ("eval_loss", "validation_loss", "eval/loss")),
    ):
        told = (row[name] for name in names if isinstance(row.get(name), int | float))
        found = next((number for number in told if abs(number) < _MOST), None)
        ours |= {} if found is None else {key: found}
    said = ", ".join(f"{name}={value:.4g}" for name, value in ours.items())
    return JobEvent(
        source_id=f"metrics-{number}",
        at=earliest,
        kind="metrics",
        message=said or "measured",
        data=row | ours,
    )


def metrics_in(content: bytes) -> Sequence[Mapping[str, Any]]:
    """The rows of a metrics file: JSON lines, or one list; what else it holds is passed over."""
    rows: list[Any] = []
    try:
        whole = from_json(content)
        rows = whole if isinstance(whole, list) else [whole]
    except ValueError:
        for line in content.splitlines():
            try:
                rows.append(from_json(line))
            except ValueError:
                continue
    return [row for row in rows if isinstance(row, dict)]
