"""What Fireworks takes and says, field by field: from the types of its SDK, fireworks-ai 1.2.30."""

import json
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from ftctl.testing.loopback import Json

MIN_ROWS, MAX_ROWS = 3, 3_000_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class _Uploaded(_Strict):
    user_uploaded: dict[str, str] | None = None
    display_name: str | None = None
    example_count: str | None = None
    format: Literal["FORMAT_UNSPECIFIED", "CHAT", "COMPLETION", "RL"] | None = None


class DatasetCreate(_Strict):
    """A dataset to be made."""

    dataset_id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    dataset: _Uploaded


class UploadEndpoint(_Strict):
    """A question for links."""

    filename_to_size: dict[str, str]


class Nothing(_Strict):
    """An empty body, as verbs want it."""


class _Training(_Strict):
    base_model: str | None = None
    warm_start_from: str | None = None
    output_model: str | None = None
    epochs: int = Field(1, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    learning_rate_warmup_steps: int | None = Field(None, ge=0)
    lora_rank: int | None = Field(None, ge=4, le=64)
    batch_size: int | None = None
    batch_size_samples: int | None = Field(None, ge=1)
    gradient_accumulation_steps: int | None = None
    max_context_length: int | None = Field(None, ge=1)
    optimizer_weight_decay: float | None = Field(None, ge=0)
    sampler_checkpoint_save_interval_steps: int | None = Field(None, ge=0)
    jinja_template: str | None = None
    region: str | None = None

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if (self.base_model is None) == (self.warm_start_from is None):
            raise ValueError("either baseModel or warmStartFrom")
        return self


class SftCreate(_Training):
    """A supervised job."""

    dataset: str
    display_name: str | None = Field(None, max_length=63)
    evaluation_dataset: str | None = None
    eval_auto_carveout: bool | None = None
    early_stop: bool | None = None
    is_turbo: bool | None = None
    nodes: int | None = None


class _Dpo(_Strict):
    beta: float | None = Field(None, gt=0, lt=0.5)


class _Loss(_Strict):
    method: Literal["METHOD_UNSPECIFIED", "GRPO", "DAPO", "DPO", "ORPO", "GSPO_TOKEN"]
    dpo: _Dpo | None = None
    kl_beta: float | None = None


class DpoCreate(_Strict):
    """A preference job."""

    dataset: str
    display_name: str | None = Field(None, max_length=63)
    training_config: _Training
    loss_config: _Loss | None = None


def job_document(name: str, asked: SftCreate | DpoCreate, state: str, at: str) -> Json:
    """A new job as the vendor shows it."""
    body: Json = asked.model_dump(mode="json", by_alias=True, exclude_none=True)
    account, job_id = "/".join(name.split("/")[:2]), name.rpartition("/")[2]
    place = body.get("trainingConfig", body)
    place.setdefault("outputModel", f"{account}/models/{job_id}")
    return {
        **body,
        "name": name,
        "state": f"JOB_STATE_{state}",
        "status": {"code": "OK", "message": ""},
        "createTime": at,
        "updateTime": at,
        "createdBy": "me@loopback",
        "estimatedCost": {"currencyCode": "USD", "units": "1", "nanos": 250_000_000},
        "jobProgress": {"percent": 0, "epoch": 0},
    }


def trouble_with(content: bytes) -> Json | None:
    """What is wrong with a dataset's content, as a status; None where nothing is."""
    lines = content.splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            sound = isinstance(json.loads(line), dict)
        except ValueError:
            sound = False
        if not sound:
            return {"code": "INVALID_ARGUMENT", "message": f"line {number} is no JSON object"}
    if not MIN_ROWS <= len(lines) <= MAX_ROWS:
        said = f"a dataset has {MIN_ROWS} to {MAX_ROWS} examples, this one has {len(lines)}"
        return {"code": "INVALID_ARGUMENT", "message": said}
    return None
