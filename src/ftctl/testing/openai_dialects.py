"""How the vendors of OpenAI's wire differ on loopback: what each takes, and how it says no.

Written from what the vendors and their clients' code say, not from our driver: a create that a
vendor wouldn't take is refused here, too. Sources as those of `ftctl.providers.openai.profiles`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ftctl.testing.loopback import Answer, Json

_Auto = Literal["auto"]
_Short = Annotated[str, StringConstraints(max_length=64)]
_Value = Annotated[str, StringConstraints(max_length=512)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Hyperparameters(_Strict):
    n_epochs: _Auto | Annotated[int, Field(ge=1, le=50)] = "auto"
    batch_size: _Auto | Annotated[int, Field(ge=1, le=256)] = "auto"
    learning_rate_multiplier: _Auto | Annotated[float, Field(gt=0)] = "auto"


class _DpoHyperparameters(_Hyperparameters):
    beta: _Auto | Annotated[float, Field(gt=0, le=2)] = "auto"


class _RftHyperparameters(_Hyperparameters):
    reasoning_effort: Literal["default", "low", "medium", "high"] = "default"
    compute_multiplier: _Auto | Annotated[float, Field(gt=0.00001, le=10)] = "auto"
    eval_interval: _Auto | Annotated[int, Field(ge=1)] = "auto"
    eval_samples: _Auto | Annotated[int, Field(ge=1)] = "auto"


class _Grader(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    type: Literal["string_check", "text_similarity", "python", "score_model", "multi"]
    name: str


class _Supervised(_Strict):
    hyperparameters: _Hyperparameters = _Hyperparameters()


class _Dpo(_Strict):
    hyperparameters: _DpoHyperparameters = _DpoHyperparameters()


class _Reinforcement(_Strict):
    grader: _Grader
    hyperparameters: _RftHyperparameters = _RftHyperparameters()


class _IsSupervised(_Strict):
    type: Literal["supervised"]
    supervised: _Supervised = _Supervised()


class _IsDpo(_Strict):
    type: Literal["dpo"]
    dpo: _Dpo = _Dpo()


class _IsReinforcement(_Strict):
    type: Literal["reinforcement"]
    reinforcement: _Reinforcement


class _OpenAICreate(_Strict):
    model: str
    training_file: str
    validation_file: str | None = None
    method: _IsSupervised | _IsDpo | _IsReinforcement = Field(
        _IsSupervised(type="supervised"), discriminator="type"
    )
    suffix: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    metadata: Annotated[dict[_Short, _Value], Field(max_length=16)] | None = None


class _AzureCreate(_OpenAICreate):
    suffix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,40}$")] | None = None
    trainingType: Literal["Standard", "GlobalStandard", "developerTier"] | None = None  # noqa: N815


class _NebiusHyperparameters(_Strict):
    n_epochs: Annotated[int, Field(ge=1, le=20)] = 3
    learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    batch_size: Annotated[int, Field(ge=1, le=32)] = 8
    warmup_ratio: Annotated[float, Field(ge=0, le=1)] = 0
    weight_decay: Annotated[float, Field(ge=0)] = 0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1
    packing: bool = True
    context_length: Annotated[int, Field(ge=8192, le=131_072)] = 8192
    lora: bool = False
    lora_r: Annotated[int, Field(ge=8, le=128)] = 8
    lora_alpha: Annotated[int, Field(ge=8)] = 8
    lora_dropout: Annotated[float, Field(ge=0, le=1)] = 0


class _NebiusCreate(_Strict):
    model: str
    training_file: str
    validation_file: str | None = None
    suffix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    seed: int | None = None
    integrations: list[Any] | None = None
    hyperparameters: _NebiusHyperparameters = _NebiusHyperparameters()


class _Function(_Strict):
    function: Annotated[
        str, StringConstraints(pattern=r"^arn:aws:lambda:[a-z0-9-]+:\d{12}:function:")
    ]


class _LambdaGrader(_Strict):
    type: Literal["lambda"]
    function: _Function = Field(alias="lambda")


class _BedrockHyperparameters(_Strict):
    n_epochs: _Auto | Annotated[int, Field(ge=1, le=50)] = "auto"
    batch_size: _Auto | Annotated[int, Field(ge=16, le=512)] = "auto"
    learning_rate_multiplier: _Auto | Annotated[float, Field(gt=0)] = "auto"
    reasoning_effort: Literal["low", "medium", "high"] | None = None
    eval_interval: Annotated[int, Field(ge=1, le=100)] | None = None


class _BedrockReinforcement(_Strict):
    grader: _LambdaGrader
    hyperparameters: _BedrockHyperparameters = _BedrockHyperparameters()


class _BedrockMethod(_Strict):
    type: Literal["reinforcement"]
    reinforcement: _BedrockReinforcement


class _BedrockCreate(_Strict):
    model: str
    training_file: str
    validation_file: str | None = None
    method: _BedrockMethod
    metadata: Annotated[dict[_Short, _Value], Field(max_length=16)] | None = None


@dataclass(frozen=True)
class Dialect:
    """One vendor's dialect.

    Attributes:
        name: Of the catalog.
        create: What a create may say.
        models: Base models that it tunes.
        refuses_with: OpenAI's error object, or FastAPI's `detail`.
        imports_files: Whether a file is `pending` at first.
        gives_weights: Whether checkpoints are files, and only they name the tuned model.
        can_pause: Whether jobs can be paused, and checkpoints shared.
        has_uploads: Whether files come in parts, too.
    """

    name: str
    create: type[BaseModel]
    models: Sequence[str]
    refuses_with: Literal["error", "detail"] = "error"
    imports_files: bool = False
    gives_weights: bool = False
    can_pause: bool = True
    has_uploads: bool = True

    def objection(self, asked: Json) -> str | None:
        """Why it wouldn't take a create; None when it would."""
        try:
            self.create.model_validate(asked)
        except ValidationError as error:
            first = error.errors()[0]
            return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        method = asked.get("method", {})
        if self.create is not _BedrockCreate and method.get("type") == "reinforcement":
            return None if asked.get("validation_file") else "validation_file: Field required"
        return None

    def refusal(self, status: int, message: str, code: str | None) -> Answer:
        """An error in the vendor's own shape."""
        if self.refuses_with == "detail":
            row = {"loc": ["body"], "msg": message, "type": code or "value_error"}
            return Answer({"detail": [row] if status == 422 else message}, status)
        kind = "invalid_request_error" if status < 500 else "server_error"
        error = {"message": message, "type": kind, "param": None, "code": code}
        return Answer({"error": error}, status)


_GPT = ("gpt-4.1-mini-2025-04-14", "gpt-4o-mini-2024-07-18")
OPENAI = Dialect("openai", _OpenAICreate, _GPT)
AZURE = Dialect("azure", _AzureCreate, (*_GPT, "gpt-oss-20b"), imports_files=True)
NEBIUS = Dialect(
    "nebius",
    _NebiusCreate,
    ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"),
    refuses_with="detail",
    gives_weights=True,
    can_pause=False,
    has_uploads=False,
)
BEDROCK = Dialect(
    "bedrock",
    _BedrockCreate,
    ("openai.gpt-oss-20b", "qwen.qwen3-32b"),
    can_pause=False,
    has_uploads=False,
)
