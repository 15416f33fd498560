"""What goes to Hugging Face Jobs and what comes back, in our words.

Shapes: huggingface_hub 2.4.0. Stages: its `JobStage`.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any

from pydantic import Field, ValidationError

from ftctl import __version__
from ftctl.catalog.types import Hardware
from ftctl.errors import InvalidRequest
from ftctl.job import DEFAULT_LEARNING_RATE, JobEvent, JobSpec, JobState, Method, Snapshot
from ftctl.providers.base import RemoteFile
from ftctl.providers.huggingface.connection import LogLine
from ftctl.providers.huggingface.plan import BATCH_SIZE, MAX_LENGTH, Plan, beta_of, epochs_of
from ftctl.providers.transport.documents import Document, Words, unknown_word
from ftctl.providers.transport.http_errors import printable

# Built by TRL's own workflow for each of its releases; --set image= takes another.
IMAGE = "huggingface/trl:1.16.0"
MARKER = "ftctl"  # the label that carries our marker, and the tag of every repository of ours
ORDER = "FTCTL_ORDER"  # the variable in which a job finds what it is to do
DATA_FILE = "data.jsonl"
DATA_PREFIX = "ftctl-data-"

STATUS: dict[str, JobState] = {
    "SCHEDULING": JobState.QUEUED,
    "RUNNING": JobState.RUNNING,
    "COMPLETED": JobState.SUCCEEDED,
    "ERROR": JobState.FAILED,
    "CANCELED": JobState.CANCELLED,
    "DELETED": JobState.FAILED,
}
_LONGEST_LABEL = 60
# For DPO a tenth, by our choice: its loss is won by moving far from the base too soon.
_LEARNING_RATES: dict[Method, float] = {
    "sft": DEFAULT_LEARNING_RATE,
    "dpo": DEFAULT_LEARNING_RATE / 10,
}
_SAID_SO = {
    "ERROR": "the job failed; what it printed last says why",
    "DELETED": "the job was deleted at the hub",
}


class Status(Document):
    """Where a job stands."""

    stage: Words
    message: Words | None = None


class Durations(Document):
    """How long it has taken, in seconds."""

    running_secs: float | None = Field(None, alias="runningSecs")


class Order(Document):
    """What a job is to do, as its script reads it."""

    marker: str
    name: str
    repo: str
    base: str
    data: str
    data_sha256: str
    validation: str | None = None
    validation_sha256: str | None = None


class Job(Document):
    """A job, as far as we read it."""

    id: str
    status: Status
    labels: dict[str, str] | None = None
    environment: dict[str, Any] | None = None
    flavor: str | None = None
    durations: Durations | None = None
    inferred: JobState | None = None

    @property
    def state(self) -> JobState | None:
        """What its stage means, or what was inferred; None for a word nobody knows."""
        return self.inferred or STATUS.get(self.status.stage)

    @property
    def marker(self) -> str | None:
        """Ours, of a job that we made."""
        return (self.labels or {}).get(MARKER)

    @property
    def ended(self) -> bool:
        """Whether its stage is a last one."""
        return self.state is not None and self.state.terminal

    @property
    def order(self) -> Order | None:
        """What it was asked to do; None of a job that isn't ours."""
        try:
            return Order.model_validate_json((self.environment or {}).get(ORDER, ""))
        except (ValidationError, ValueError):
            return None


def job_of(info: Any) -> Job:  # noqa: ANN401 - huggingface_hub's JobInfo
    """A job as huggingface_hub gives it.

    Raises:
        ValueError: it isn't one.
    """
    return Job(
        id=info.id,
        status=Status(stage=str(info.status.stage), message=info.status.message),
        labels=info.labels,
        environment=info.environment,
        flavor=info.flavor,
        durations=Durations(runningSecs=info.durations and info.durations.running_secs),
    )


def require_order(job: Job, remote_id: str) -> Order:
    """What a job was asked to do.

    Raises:
        InvalidRequest: it isn't one of ours, so nothing is known of what it makes.
    """
    order = job.order
    if order is None or job.marker is None:
        raise InvalidRequest(f"{remote_id} isn't a job that ftctl made", hint="ftctl jobs")
    return order


def is_part(text: str) -> bool:
    """Whether it can be a namespace or an id: one part of a path, and nothing else."""
    return re.fullmatch(r"[\w.-]{1,96}", text, re.ASCII) is not None and text.strip(".") != ""


def slug(text: str) -> str:
    """A name as labels and repositories may have it."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_LONGEST_LABEL].strip("-") or "job"


def run_arguments(
    spec: JobSpec, plan: Plan, files_: Mapping[str, RemoteFile], marker: str, namespace: str
) -> dict[str, Any]:
    """The arguments of `run_job`, but for the secret."""
    given = spec.hyperparameters
    order = {
        "marker": marker,
        "name": spec.name,
        "repo": f"{namespace}/{slug(spec.name)[:40].strip('-')}-{slug(marker)}",
        "method": spec.method,
        "base": plan.base,
        "data": files_["training"].id,
        "data_sha256": files_["training"].sha256,
        "epochs": given.epochs or epochs_of(spec.method),
        "batch_size": given.batch_size or BATCH_SIZE,
        "max_length": given.max_length or MAX_LENGTH,
        "learning_rate": given.learning_rate or _LEARNING_RATES[spec.method],
        "warmup_fraction": 0.03 if given.warmup_fraction is None else given.warmup_fraction,
        "weight_decay": given.weight_decay or 0.0,
        "lora_r": given.lora_r or 16,
        "lora_alpha": given.lora_alpha or 2 * (given.lora_r or 16),
        "lora_dropout": given.lora_dropout or 0.0,
        "seed": 42 if given.seed is None else given.seed,
        "ftctl": __version__,
    }
    order |= {
        name: value
        for name, value in (
            ("micro_batch_size", given.micro_batch_size),
            ("max_steps", given.max_steps),
            ("max_minutes", given.max_minutes),
        )
        if value is not None
    }
    if spec.method == "dpo":
        order["beta"] = beta_of(spec)
    if "validation" in files_:
        order["validation"] = files_["validation"].id
        order["validation_sha256"] = files_["validation"].sha256
    return {
        "image": spec.options.get("image", IMAGE),
        "command": ["python", "-c", script()],
        "env": {ORDER: json.dumps(order), "HF_HUB_DISABLE_TELEMETRY": "1"},
        "flavor": plan.machine.name,
        "timeout": plan.timeout_s,
        "labels": {MARKER: marker, "name": slug(spec.name)},
        "namespace": namespace,
    }


def script() -> str:
    """What a job runs: one file, that needs nothing of ours."""
    return (files("ftctl.providers.huggingface") / "train.py").read_text("utf-8")


def snapshot_of(job: Job, model: str | None, machine: Hardware | None) -> Snapshot:
    """What a look shows.

    Args:
        job: As the hub shows it.
        model: The repository and commit of what it made; the only proof of success.
        machine: What it runs on, where the price of that is known.
    """
    stage, said = job.status.stage, job.status.message or ""
    state = job.state
    progress: dict[str, float] = {}
    ran = job.durations.running_secs if job.durations else None
    if ran is not None:
        progress["seconds"] = float(ran)
        if job.ended and machine is not None:  # billed by the minute
            progress["cost_usd"] = -(-ran // 60) * machine.usd_per_hour / 60
    error = None
    if state is None:
        said = unknown_word(stage)
    elif state is JobState.FAILED:
        said = said or _SAID_SO.get(stage, f"it ended as {stage}")
        hint = "ftctl logs shows what the job printed"
        error = {"kind": "failed", "message": said, "hint": hint}
        if "timeout" in said.lower():
            error["hint"] = "submit it again with --set max_minutes= for more time"
    return Snapshot(
        state=state,
        provider_status=stage,
        message=said,
        fine_tuned_model=model if state is JobState.SUCCEEDED else None,
        progress=progress,
        error=error,
    )


def events_of(lines: Sequence[LogLine]) -> Iterator[JobEvent]:
    """What a job printed; the lines in which TRL tells its numbers as metrics."""
    at: datetime | None = None
    number = 0
    for line in lines:
        text = printable(line.text)
        if not text or text.startswith("===== Job started"):
            continue
        number += 1
        at = max(at, line.at) if at else line.at  # a clock there may be set back
        row = _row(line.text)
        numbers = _numbers(row)
        if "message" in row:  # our script's own
            text = printable(str(row["message"]))
        for name in ("loss", "valid_loss"):
            if name in numbers:
                text = f"{name.replace('_', ' ')} {numbers[name]:.4g}"
        yield JobEvent(
            source_id=f"line-{number}",
            at=at,
            level="error" if text.startswith(("Traceback", "ERROR")) else "info",
            kind="metrics" if numbers else "message",
            message=text[:1_000],
            data=numbers,
        )


def _row(text: str) -> dict[Any, Any]:
    """The row of a line such as `{'loss': 1.25, 'epoch': 0.5}`, in JSON or as Python prints it."""
    text = text.strip()
    if not (text.startswith("{") and text.endswith("}") and len(text) < 2_000):
        return {}
    try:
        row = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _numbers(row: Mapping[Any, Any]) -> dict[str, float]:
    """The numbers of a row that tells a loss; else none."""
    found: dict[str, float] = {}
    for name, value in row.items():
        try:
            found[str(name)] = float(value)
        except (TypeError, ValueError, OverflowError):
            continue
    if "eval_loss" in found:
        found["valid_loss"] = found["eval_loss"]
    return found if {"loss", "valid_loss"} & set(found) else {}
