"""Settings that only the local backend has: given with `--set`, kept as text, read into a type."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from ftctl.errors import UsageError
from ftctl.job import Method

# How closely DPO keeps to the base where nobody says: OpenAI's default is `auto`, TRL's this.
DEFAULT_BETA = 0.1

Attention = Literal["auto", "varlen", "flex", "documents", "padded", "masked"]
Sharding = Literal["ddp", "full_shard", "shard_grad_op", "hybrid_shard", "zero2", "zero3"]


class RunOptions(BaseModel):
    """What may be set besides hyperparameters; what is left out is chosen by the plan."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    beta: float | None = Field(
        None,
        gt=0,
        le=2,  # OpenAI's largest; source: its API specification, read 2026-08
        description="for dpo: how closely it keeps to the base, up to 2; 0.1 when left out",
    )
    packing: Literal["auto", "on", "off"] = Field(
        "auto", description="whether examples share a sequence: auto, on or off"
    )
    attention: Attention = Field(
        "auto", description="how examples are kept apart: varlen, flex, documents, padded or masked"
    )
    recompute: Literal["auto", "off", "all"] | PositiveInt = Field(
        "auto",
        description="which layers are computed again in the backward pass: off, all or "
        "every k-th; auto takes what fits",
    )
    adapter_format: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="number format the adapter computes in; its master copy is fp32"
    )
    rslora: bool = Field(False, description="scale the update by alpha / sqrt(r)")
    processes: int = Field(1, ge=1, le=1024, description="how many processes train together")
    sharding: Sharding = Field(
        "ddp",
        description="what the processes split: ddp (nothing), shard_grad_op, full_shard, "
        "hybrid_shard, zero2, zero3",
    )
    wrap: Literal["transformer", "size"] = Field(
        "transformer", description="what is sharded as one: each block, or so many weights"
    )
    max_left_out: float = Field(
        0.05, ge=0, le=1, description="share of the tokens that may be left out as too long; 0.05"
    )
    early_stopping: int | None = Field(
        None, ge=1, description="stop after so many validations without a better one"
    )
    keep_checkpoints: int = Field(2, ge=1, description="how many of the last ones stay; 2")
    track: str = Field(
        "", description="where metrics also go: tensorboard, wandb, mlflow, trackio; by commas"
    )


OPTIONS = {name: field.description or "" for name, field in RunOptions.model_fields.items()}


def options_of(method: Method, options: Mapping[str, str]) -> RunOptions:
    """Read the options of a job.

    Raises:
        UsageError: one isn't what it should be, or the method has none of that name.
    """
    if method != "dpo" and "beta" in options:
        raise UsageError(f"beta={options['beta']!r}: for dpo alone", hint="leave beta out")
    try:
        found = RunOptions.model_validate(dict(options))
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        given, field = options.get(name), RunOptions.model_fields.get(name)
        raise UsageError(
            f"{name}={given!r}: {error.errors()[0]['msg'].lower()}",
            hint="ftctl submit --help" if field is None else f"{name}: {field.description}",
        ) from None
    if method == "dpo" and found.beta is None:
        return found.model_copy(update={"beta": DEFAULT_BETA})
    return found
