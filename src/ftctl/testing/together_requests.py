"""What Together takes and says, field by field: from the types of its SDK, together 3.1.1."""

import json
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ftctl.testing.loopback import Json

# What a job says when it comes to a status.
EVENTS: dict[str, tuple[str, ...]] = {
    "queued": ("job_start",),
    "running": ("training_data_downloading", "training_start", "epoch_complete"),
    "compressing": ("training_complete", "model_compressing"),
    "uploading": ("model_compression_complete", "model_uploading"),
    "completed": ("model_upload_complete", "job_complete"),
    "cancel_requested": ("cancel_requested",),
    "cancelled": ("job_stopped",),
    "error": ("job_error",),
    "user_error": ("job_error",),
}
_RANK = 16
LIMITS: Json = {
    "model_name": "a model",
    "default_gradient_accumulation_steps": 1,
    "lora_training": {
        "default_rank": _RANK,
        "max_rank": 64,
        "min_batch_size": 8,
        "max_batch_size": 16,
        "max_batch_size_dpo": 8,
        "target_modules": ["q", "v"],
    },
    "full_training": {"min_batch_size": 8, "max_batch_size": 16, "max_batch_size_dpo": 8},
    "min_learning_rate": 1e-7,
    "max_learning_rate": 0.1,
    "max_num_checkpoints": 20,
    "max_num_epochs": 20,
    "max_num_evals": 100,
    "min_max_seq_length": 256,
    "max_seq_length_sft": 32768,
    "max_seq_length_dpo": 16384,
    "merge_output_lora": True,
    "supports_full_training": True,
    "supports_reasoning": False,
    "supports_tools": True,
    "supports_vision": False,
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Sft(_Strict):
    method: Literal["sft"]
    train_on_inputs: bool | Literal["auto"]


class _Dpo(_Strict):
    method: Literal["dpo"]
    dpo_beta: float | None = None
    dpo_normalize_logratios_by_length: bool = False
    dpo_reference_free: bool = False
    rpo_alpha: float | None = None
    simpo_gamma: float | None = None


class _Full(_Strict):
    type: Literal["Full"]


class _Lora(_Strict):
    type: Literal["Lora"]
    lora_r: int = Field(ge=1, le=64)
    lora_alpha: int = Field(ge=1)
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    lora_trainable_modules: str = "all-linear"


class Price(_Strict):
    """A question for a price."""

    training_file: str
    validation_file: str | None = None
    model: str | None = None
    from_checkpoint: str | None = None
    n_epochs: int = Field(1, ge=1, le=20)
    n_evals: int = Field(0, ge=0, le=100)
    training_method: Annotated[_Sft | _Dpo, Field(discriminator="method")] | None = None
    training_type: Annotated[_Full | _Lora, Field(discriminator="type")] | None = None


class Create(Price):
    """A create."""

    suffix: str | None = Field(None, max_length=40)
    learning_rate: float = Field(1e-5, ge=1e-7, le=0.1)
    batch_size: Annotated[int, Field(ge=8, le=16)] | Literal["max"] = "max"
    warmup_ratio: float = Field(0.0, ge=0, le=1)
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, ge=0)
    max_seq_length: int | None = Field(None, ge=256, le=32768)
    n_checkpoints: int = Field(1, ge=1)
    packing: bool = True
    random_seed: int | None = None

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if (self.model is None) == (self.from_checkpoint is None):
            raise ValueError("either a model or a checkpoint")
        if self.n_evals and not self.validation_file:
            raise ValueError("evaluations need a validation file")
        return self


def job_document(job_id: str, asked: Create, status: str, at: str) -> Json:
    """A new job as the vendor shows it."""
    base = asked.model or "meta-llama/Meta-Llama-3.1-8B-Instruct-Reference"
    short = base.rpartition("/")[2]
    chosen = asked.model_dump(mode="json", exclude_none=True)
    lora = {"type": "Lora", "lora_r": _RANK, "lora_alpha": 2 * _RANK}
    return {
        "training_type": lora,
        **chosen,
        "id": job_id,
        "status": status,
        "model": base,
        "model_output_name": f"me/{short}-{asked.suffix or 'ft'}-{job_id[-4:]}",
        "user_id": "user-loopback",
        "created_at": at,
        "updated_at": at,
        "events": [],
        "token_count": None,
        "total_price": None,
        "queue_depth": 0,
        "progress": {"estimate_available": False, "seconds_remaining": 0},
    }


def event(kind: str, message: str, at: str) -> Json:
    """A line that a job said."""
    level = {"warning": "warning", "job_error": "error"}.get(kind, "info")
    shape = {"object": "fine-tune-event", "created_at": at, "level": level}
    return {**shape, "type": kind, "message": message}


def checkpoint(step: int) -> Json:
    """Weights that were kept."""
    at = "2026-11-24T12:00:09Z"
    return {"checkpoint_type": "final", "created_at": at, "path": "s3://x/y", "step": step}


def file_document(file_id: str, name: str, checksum: str) -> Json:
    """A file that is reserved; its checksum is the vendor's own affair."""
    return {
        "id": file_id,
        "object": "file",
        "bytes": 0,
        "created_at": 1_795_500_000,
        "filename": name,
        "FileType": "jsonl",
        "purpose": "fine-tune",
        "processing_status": "PENDING",
        "checksum": checksum,
    }


def checked(content: bytes) -> Json:
    """What the check of a file's content ends with: every line a JSON object, one at least."""
    lines = content.splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            sound = isinstance(json.loads(line), dict)
        except ValueError:
            sound = False
        if not sound:
            return _refused(f"line {number} is no JSON object")
    return {"processing_status": "COMPLETED"} if lines else _refused("the file is empty")


def _refused(why: str) -> Json:
    report = {"valid": False, "error_type": "INVALID_FORMAT", "error_message": why}
    return {"processing_status": "INVALID_FORMAT", "validation_report": report}


def price(usd: float) -> Json:
    """An estimate."""
    return {
        "estimation_available": True,
        "allowed_to_proceed": True,
        "estimated_total_price": usd,
        "estimated_train_token_count": 2.6e6,
        "estimated_eval_token_count": 0.0,
        "user_limit": 100.0,
    }
