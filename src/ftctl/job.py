"""One fine-tuning request and its whole life: what was asked, where it stands, what came out."""

import enum
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ftctl.fault_words import word_kept

Method = Literal["sft", "dpo", "rft"]
Tuning = Literal["lora", "qlora", "full"]
Privacy = Literal["public", "contractual", "regulated", "stays_inside"]

# The local backend's peak rate for LoRA where none is asked. OpenAI publishes no rate for its
# multiplier to multiply; by our choice a multiplier of 1 stands for this one.
DEFAULT_LEARNING_RATE = 2e-4


def default_learning_rate(method: Method, tuning: Tuning = "lora") -> float:
    """The same for a method and a tuning.

    DPO, which has to stay near its base, takes a tenth of it; so do all weights, for which the best
    rate is about a tenth of LoRA's whatever the model. Source: Schulman et al. 2025, "LoRA Without
    Regret".
    """
    rate = DEFAULT_LEARNING_RATE / 10 if method == "dpo" else DEFAULT_LEARNING_RATE
    return rate / 10 if tuning == "full" else rate


class JobState(enum.StrEnum):
    """Our own words for where a job stands; the vendor's raw word is `provider_status`."""

    CREATED = "created"
    UPLOADING = "uploading"
    SUBMITTING = "submitting"
    VALIDATING = "validating"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    LOST = "lost"
    NEEDS_ATTENTION = "needs_attention"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether only `resume` may leave this state."""
        return self in TERMINAL

    @property
    def open_intention(self) -> bool:
        """Whether the job is on disk here but not yet known to be at the provider."""
        return self in OPEN


TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
OPEN = frozenset({JobState.CREATED, JobState.UPLOADING, JobState.SUBMITTING})

# What a provider may report of a job that it holds: observation moves freely between these,
# because looks are far apart and steps in between may never be seen.
_OBSERVED = frozenset(
    {
        JobState.VALIDATING,
        JobState.QUEUED,
        JobState.RUNNING,
        JobState.PAUSED,
        JobState.CANCELLING,
        JobState.LOST,
        *TERMINAL,
    }
)

LEGAL_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.CREATED: frozenset({JobState.UPLOADING, JobState.FAILED, JobState.CANCELLED}),
    JobState.UPLOADING: frozenset({JobState.SUBMITTING, JobState.FAILED, JobState.CANCELLED}),
    JobState.SUBMITTING: frozenset({*_OBSERVED, JobState.NEEDS_ATTENTION}),
    JobState.NEEDS_ATTENTION: frozenset({*_OBSERVED, JobState.SUBMITTING}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset({JobState.QUEUED}),  # resume, as attempt n+1
    JobState.CANCELLED: frozenset({JobState.QUEUED}),  # resume, as attempt n+1
    **{state: _OBSERVED - {state} for state in _OBSERVED - TERMINAL},
}


class Hyperparameters(BaseModel):
    """Settings of optimisation and of the adapter; `None` leaves a choice to the provider."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: float | None = Field(None, gt=0, le=100, description="passes over the examples")
    max_steps: int | None = Field(None, ge=1, description="optimiser steps; wins over epochs")
    batch_size: int | None = Field(None, ge=1, le=4096, description="examples per optimiser step")
    micro_batch_size: int | None = Field(None, ge=1, description="examples per forward pass")
    learning_rate: float | None = Field(None, gt=0, lt=1, description="peak, absolute")
    learning_rate_multiplier: float | None = Field(None, gt=0, description="OpenAI's factor")
    warmup_fraction: float | None = Field(None, ge=0, le=1, description="share of the steps")
    weight_decay: float | None = Field(None, ge=0, le=1)
    lora_r: int | None = Field(None, ge=1, le=1024, description="rank of the adapter")
    lora_alpha: int | None = Field(None, ge=1, description="the update is scaled by alpha / r")
    lora_dropout: float | None = Field(None, ge=0, lt=1)
    last_layers: int | None = Field(None, ge=1, description="adapt only the last N layers")
    max_length: int | None = Field(None, ge=16, description="longest example, in tokens")
    checkpoint_steps: int | None = Field(None, ge=1, description="steps between checkpoints")
    max_minutes: float | None = Field(
        None, gt=0, le=1e6, description="wall time to plan the steps for; measured at the start"
    )
    seed: int | None = Field(None, ge=0, lt=2**31)


class JobSpec(BaseModel):
    """What was asked: everything needed to run the job again, and no secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: str
    model: str
    data: Path
    data_sha256: str
    validation: Path | None = None
    validation_sha256: str | None = None
    method: Method = "sft"
    tuning: Tuning = "lora"
    hyperparameters: Hyperparameters = Hyperparameters()
    engine: str | None = None  # which of the provider's ways to run it; its first choice when None
    options: dict[str, str] = {}  # settings that only this provider has, by its declared names
    name: str
    base_url: str | None = None
    privacy: Privacy | None = None
    max_cost_usd: float | None = Field(None, ge=0, allow_inf_nan=False)
    notify: str | None = None  # a command or URL that is told of each move
    metadata: dict[str, str] = {}  # what the asker wants kept with the job; sent nowhere

    @field_validator("*")
    @classmethod
    def _is_text(cls, value: object) -> object:
        """Bytes of a name or path that are no UTF-8 could be kept in no record."""
        for text in value.values() if isinstance(value, dict) else (value,):
            if isinstance(text, str | Path):
                try:
                    str(text).encode()
                except UnicodeEncodeError:
                    raise ValueError("not UTF-8 text") from None
        return value


class TunedModel(BaseModel):
    """Where the tuned model answers: a folder here, or a name at a base URL."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    base_model: str
    folder: Path | None = None
    base_url: str | None = None


class Snapshot(BaseModel):
    """What one look at the provider showed; `state` is None for a word nobody knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: JobState | None
    provider_status: str
    message: str = ""
    fine_tuned_model: str | None = None
    progress: dict[str, float] = {}
    error: dict[str, str] | None = None


class JobEvent(BaseModel):
    """A dated line about a job; `source_id` is the provider's own id, used to tell repeats."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source_id: str
    at: datetime
    level: Literal["info", "warning", "error"] = "info"
    kind: Literal["message", "metrics", "state"] = "message"
    message: str
    data: dict[str, Any] = {}


class JobRecord(BaseModel):
    """A job as the store keeps it; `document` is what others read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    name: str
    provider: str
    base_url: str | None
    remote_id: str | None
    marker: str
    state: JobState
    provider_status: str | None
    message: str
    model: str
    method: Method
    fine_tuned_model: str | None
    attempt: int
    created_at: datetime
    sent_at: datetime | None = None  # when a create was last sent that nobody has answered yet
    observed_at: datetime | None
    stale_because: str | None
    estimate: dict[str, Any] | None
    actual: dict[str, Any] | None
    progress: dict[str, float]
    misses: int = 0  # looks in a row at which the provider knew no such job
    error: dict[str, str] | None
    spec: JobSpec

    def document(self) -> dict[str, Any]:
        """The `ftctl.job/1` document; its error carries a word of the vocabulary, or null."""
        shown = self.model_dump(mode="json", exclude={"misses"})
        if self.error is not None:
            shown["error"] = {**self.error, "word": word_kept(self.error)}
        return {"schema": "ftctl.job/1", **shown}
