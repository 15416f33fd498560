"""A fine-tuning job as it is asked for on the wire; kept whole with the job it became.

Source of names and ranges: OpenAI's API specification, read 2026-08.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from ftctl.job import Hyperparameters, JobRecord, Method, default_learning_rate
from ftctl.server.errors import ApiError

CHECKPOINT_MARK = ":ckpt-step-"  # between a tuned model's name and the checkpoint's step
KEPT_AS = "openai-request"  # the key in a job's metadata

_Key = Annotated[str, StringConstraints(min_length=1, max_length=64)]
_Value = Annotated[str, StringConstraints(max_length=512)]
_Pairs = Annotated[dict[_Key, _Value], Field(max_length=16)]
_Epochs = Annotated[int, Field(ge=1, le=50)]
_BatchSize = Annotated[int, Field(ge=1, le=256)]
_Factor = Annotated[float, Field(gt=0, le=1000)]  # above, the rate would be 0.2 and more
_Beta = Annotated[float, Field(gt=0, le=2)]


def _auto_is_none(value: object) -> object:
    return None if value == "auto" else value


class Wire(BaseModel):
    """A body as clients send it: no guessing of types, nothing unknown taken silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class WireHyperparameters(Wire):
    """What OpenAI lets one set; None is `auto`."""

    n_epochs: Annotated[_Epochs | None, BeforeValidator(_auto_is_none)] = None
    batch_size: Annotated[_BatchSize | None, BeforeValidator(_auto_is_none)] = None
    learning_rate_multiplier: Annotated[_Factor | None, BeforeValidator(_auto_is_none)] = None

    def shown(self) -> dict[str, int | float | Literal["auto"]]:
        """As the wire shows them."""
        values = self.model_dump()
        return {name: "auto" if value is None else value for name, value in values.items()}


class WireDpoHyperparameters(WireHyperparameters):
    """The same for preferences, with how closely the model keeps to its base."""

    beta: Annotated[_Beta | None, BeforeValidator(_auto_is_none)] = None


class Supervised(Wire):
    """The settings of supervised fine-tuning."""

    hyperparameters: WireHyperparameters | None = None


class Dpo(Wire):
    """The settings of direct preference optimisation."""

    hyperparameters: WireDpoHyperparameters | None = None


class AskedMethod(Wire):
    """How to tune; `reinforcement` is refused with a reason."""

    type: Literal["supervised", "dpo", "reinforcement"]
    supervised: Supervised | None = None
    dpo: Dpo | None = None
    reinforcement: dict[str, Any] | None = None


class CreateJob(Wire):
    """The body of `POST /v1/fine_tuning/jobs`."""

    model: str
    training_file: str
    validation_file: str | None = None
    method: AskedMethod | None = None
    hyperparameters: WireHyperparameters | None = None
    suffix: str | None = Field(None, min_length=1, max_length=64)
    seed: int | None = Field(None, ge=0, lt=2**31)
    metadata: _Pairs | None = None
    integrations: list[Any] | None = None

    def require_supported(self) -> None:
        """Refuse what no job here can do.

        Raises:
            ApiError: 400, with the reason.
        """
        if self.method is not None and self.method.type == "reinforcement":
            raise ApiError(
                400,
                "This server fine-tunes by the methods 'supervised' and 'dpo'; 'reinforcement' "
                "isn't built in.",
                code="unsupported_method",
                param="method.type",
            )
        if self.integrations:
            raise ApiError(
                400,
                "This server sends metrics nowhere; leave `integrations` out.",
                code="unsupported_parameter",
                param="integrations",
            )

    def wire_hyperparameters(self) -> WireHyperparameters:
        """What was set: in `method`, else in the older place."""
        if self.our_method == "dpo":
            older = self.hyperparameters.model_dump() if self.hyperparameters is not None else {}
            return self._dpo or WireDpoHyperparameters(**older)
        supervised = self.method.supervised if self.method is not None else None
        asked = supervised.hyperparameters if supervised is not None else None
        return asked or self.hyperparameters or WireHyperparameters()

    @property
    def our_method(self) -> Method:
        """The method by our name."""
        return "dpo" if self.method is not None and self.method.type == "dpo" else "sft"

    @property
    def _dpo(self) -> WireDpoHyperparameters | None:
        dpo = self.method.dpo if self.method is not None else None
        return None if dpo is None else dpo.hyperparameters

    def options(self) -> dict[str, str]:
        """Settings that only the local backend has, by its names."""
        beta = self._dpo.beta if self.our_method == "dpo" and self._dpo is not None else None
        return {} if beta is None else {"beta": f"{beta:g}"}

    def to_hyperparameters(self) -> Hyperparameters:
        """The same for the local backend: a multiplier becomes an absolute learning rate."""
        asked = self.wire_hyperparameters()
        factor = asked.learning_rate_multiplier
        return Hyperparameters(
            epochs=asked.n_epochs,
            batch_size=asked.batch_size,
            learning_rate=None
            if factor is None
            else default_learning_rate(self.our_method) * factor,
            seed=self.seed,
        )


def asked_for(record: JobRecord) -> CreateJob | None:
    """The request that a job came from; None when it came from elsewhere."""
    kept = record.spec.metadata.get(KEPT_AS)
    return None if kept is None else CreateJob.model_validate_json(kept)


def wire_id(record: JobRecord) -> str:
    """A job's id on the wire: `ftjob-…` for our `job-…`."""
    return f"ft{record.id}"


def tuned_name(record: JobRecord, request: CreateJob) -> str:
    """The tuned model's name: `ft:<base>:ftctl:<suffix>:<id>`."""
    suffix = re.sub(r"[^a-z0-9._-]+", "-", (request.suffix or "").lower())
    return f"ft:{request.model}:ftctl:{suffix}:{record.id.removeprefix('job-')}"


def matches(request: CreateJob, wanted: Mapping[str, str]) -> bool:
    """Whether a job's metadata holds all of these pairs."""
    have = request.metadata or {}
    return all(have.get(key) == value for key, value in wanted.items())
