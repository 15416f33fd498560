"""What Mistral's fine-tuning took and said, field by field: its OpenAPI file before 2026-07-15."""

import uuid
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ftctl.testing.loopback import Json


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _TrainingFile(_Strict):
    file_id: str
    weight: float = Field(1.0, gt=0)


class _Hyperparameters(_Strict):
    training_steps: int | None = Field(None, ge=1)
    epochs: float | None = Field(None, gt=0)
    learning_rate: float = Field(1e-4, ge=1e-8, le=1)
    weight_decay: float | None = Field(0.1, ge=0, le=1)
    warmup_fraction: float | None = Field(0.05, ge=0, le=1)
    seq_len: int | None = Field(None, ge=100)
    fim_ratio: float | None = Field(0.9, ge=0, le=1)


class _Wandb(_Strict):
    type: Literal["wandb"]
    project: str
    api_key: str = Field(min_length=40, max_length=40)
    name: str | None = None
    run_name: str | None = None


class Create(_Strict):
    """A create."""

    model: str
    training_files: list[_TrainingFile] = Field(default_factory=list)
    validation_files: list[str] | None = None
    suffix: str | None = Field(None, max_length=18)
    auto_start: bool = True
    invalid_sample_skip_percentage: float = Field(0.0, ge=0, le=0.5)
    job_type: Literal["completion", "classifier"] = "completion"
    hyperparameters: _Hyperparameters
    integrations: list[_Wandb] | None = None
    repositories: list[Json] | None = None
    classifier_targets: list[Json] | None = None


class Rename(_Strict):
    """A change of a model's name or description."""

    name: str | None = None
    description: str | None = None


def pydantic_detail(errors: list[Any]) -> list[Json]:
    """Why a body is refused, as a server made with FastAPI says it."""
    return [
        {"type": e["type"], "loc": ["body", *e["loc"]], "msg": e["msg"], "ctx": {}} for e in errors
    ]


def job_document(asked: Create, status: str, at: int) -> Json:
    """A new job as the vendor shows it."""
    return {
        "id": str(uuid.uuid4()),
        "object": "job",
        "auto_start": asked.auto_start,
        "model": asked.model,
        "status": status,
        "created_at": at,
        "modified_at": at,
        "training_files": [file.file_id for file in asked.training_files],
        "validation_files": asked.validation_files or [],
        "hyperparameters": asked.hyperparameters.model_dump(),
        "fine_tuned_model": None,
        "suffix": asked.suffix,
        "integrations": [],
        "repositories": [],
        "trained_tokens": None,
        "metadata": None,
        "job_type": asked.job_type,
    }


def metadata(cost: float, currency: str) -> Json:
    """What a validated job costs and takes."""
    return {
        "expected_duration_seconds": 600,
        "cost": cost,
        "cost_currency": currency,
        "train_tokens_per_step": 131072,
        "train_tokens": 131072,
        "data_tokens": 1234,
        "estimated_start_time": None,
    }


def dry_run(cost: float, currency: str) -> Json:
    """What a dry run says."""
    steps = {"epochs": 1.0, "training_steps": 1, "details": "loopback", "deprecated": True}
    return {**metadata(cost, currency), **steps, "object": "job.metadata"}


def checkpoint(step: int, at: int) -> Json:
    """What was measured at a step."""
    losses = {"train_loss": 2.0 / step, "valid_loss": 2.5 / step, "valid_mean_token_accuracy": 0.5}
    return {"metrics": losses, "step_number": step, "created_at": at}


def file_document(file_id: str, name: str, content: bytes, at: int) -> Json:
    """A file as the vendor shows it."""
    return {
        "id": file_id,
        "object": "file",
        "bytes": len(content),
        "created_at": at,
        "filename": name,
        "purpose": "fine-tune",
        "sample_type": "instruct",
        "source": "upload",
        "num_lines": content.count(b"\n"),
        "mimetype": "application/jsonl",
        "signature": None,
    }


def model_card(model_id: str, base: str, job_id: str, at: int) -> Json:
    """A tuned model in the list of models."""
    return {
        "id": model_id,
        "object": "model",
        "created": at,
        "owned_by": "loopback",
        "capabilities": {"completion_chat": True, "fine_tuning": False},
        "name": None,
        "description": None,
        "max_context_length": 32768,
        "aliases": [],
        "deprecation": None,
        "deprecation_replacement_model": None,
        "default_model_temperature": 0.7,
        "type": "fine-tuned",
        "job": job_id,
        "root": base,
        "archived": False,
    }


def base_card(model_id: str) -> Json:
    """A base model in the list of models."""
    return {"id": model_id, "object": "model", "capabilities": {}, "type": "base"}


def tuned_model(card: Json) -> Json:
    """A tuned model as a rename answers it: another shape than in the list."""
    kept = ("id", "object", "created", "owned_by", "root", "name", "description", "archived", "job")
    can = {"completion_chat": True, "completion_fim": False, "classification": False}
    can |= {"function_calling": False, "fine_tuning": False}
    ours = {"workspace_id": str(uuid.uuid4()), "root_version": "1", "model_type": "completion"}
    return {name: card[name] for name in kept} | ours | {"capabilities": can}
