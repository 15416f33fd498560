"""What the advisor is told and what it answers: the shapes of the contract."""

from collections.abc import Mapping
from datetime import date
from textwrap import shorten
from typing import Any, Literal, Protocol, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from ftctl.catalog.load import nearest
from ftctl.errors import UsageError
from ftctl.estimation.estimate import Assumption, Estimate
from ftctl.job import Privacy
from ftctl.policy import Account

Label = Literal["none", "prompt", "rag", "hosted", "self_hosted"]
Decision = Literal["none", "prompt", "rag", "hosted", "self_hosted", "measure_first", "too_close"]
Adaptation = Literal["prompt", "rag", "tune"]
Hosting = Literal["vendor_api", "hosted_custom", "own"]
Criterion = Literal["quality", "latency", "cost", "privacy"]
TaskKind = Literal[
    "classification", "extraction", "generation", "rewriting", "code", "tool_use", "qa", "dialogue"
]
Change = Literal["never", "yearly", "monthly", "daily"]


class Features(Protocol):
    """What the advisor reads off a measured data file (see `ftctl.datasets.features`)."""

    @property
    def effective_rows(self) -> int:
        """Examples left after duplicates."""

    @property
    def mean_input_tokens(self) -> float:
        """Mean tokens of a prompt."""

    @property
    def mean_output_tokens(self) -> float:
        """Mean tokens of an answer."""

    @property
    def shared_prefix_tokens(self) -> int:
        """Tokens that every prompt begins with."""

    @property
    def p95_input_tokens(self) -> float:
        """95 % of prompts have at most so many."""

    @property
    def p95_output_tokens(self) -> float:
        """95 % of answers have at most so many."""

    @property
    def output_families(self) -> float:
        """How many shapes answers have: 2 to the entropy, 1 for a single task."""

    @property
    def label_count(self) -> int | None:
        """Different answers, where they form a closed set."""

    @property
    def majority_share(self) -> float | None:
        """Share of the most common answer, where they form a closed set."""

    @property
    def pii_hits(self) -> int:
        """Texts with e-mail addresses, cards, phones or IBANs."""

    @property
    def secret_hits(self) -> int:
        """Texts with keys, tokens or credentials."""


class FailureMix(BaseModel):
    """Shares of what goes wrong today; they need not add up to one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    knowledge: float = Field(0.0, ge=0, le=1)
    format: float = Field(0.0, ge=0, le=1)
    reasoning: float = Field(0.0, ge=0, le=1)
    tone: float = Field(0.0, ge=0, le=1)

    def share(self, *kinds: Literal["knowledge", "format", "reasoning", "tone"]) -> float:
        """The named kinds' share of all that is listed; 0 when nothing is."""
        whole = self.knowledge + self.format + self.reasoning + self.tone
        return sum(float(getattr(self, kind)) for kind in kinds) / whole if whole else 0.0


class Probed(BaseModel):
    """How long a model took to answer, as `ftctl probe` measured it.

    Attributes:
        provider: Who answered; `local` is a machine of one's own.
        model: The base model, by its name in the catalog.
        device: What a local one ran on.
        on: The day.
        input_tokens: Length of the prompts.
        output_tokens: Length of the answers.
        first_p95_s: Seconds in which 95 % of answers had begun.
        p95_s: Seconds in which 95 % of answers had ended.
        low_s: Lower end of that one's 95 % interval; None where too few calls bound it.
        high_s: Its upper end, likewise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    provider: str
    model: str
    device: str | None = None
    on: date
    input_tokens: int = Field(ge=1)
    output_tokens: int = Field(ge=1)
    first_p95_s: float = Field(ge=0)
    p95_s: float = Field(gt=0)
    low_s: float | None = Field(None, gt=0)
    high_s: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not (self.low_s or 0.0) <= self.p95_s <= (self.high_s or self.p95_s):
            raise ValueError("p95_s lies outside its own interval")
        return self


class Piloted(BaseModel):
    """What tuning brought in a pilot on the user's own rows (`ftctl pilot`).

    Attributes:
        model: The base model, by its name in the catalog.
        rows: How many rows it was tuned on.
        n: Held-out examples that it was scored on.
        score: What it scored, 0–1.
        untuned: What the base scored on the same examples before.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str
    rows: int = Field(ge=1)
    n: int = Field(ge=1)
    score: float = Field(ge=0, le=1)
    untuned: float = Field(ge=0, le=1)


_NESTED = [name for part in (FailureMix, Account, Probed, Piloted) for name in part.model_fields]

_SHAPES = {"tuple_type": "a list", "dict_type": "a mapping", "model_type": "a mapping"}


def _said(error: ErrorDetails) -> str:
    """What is wrong with a fact, and what was given."""
    kind, reason = error["type"], error["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        near = nearest(str(error["loc"][-1]), _NESTED)
        return "unknown" + (f"; did you mean {near}?" if near else "")
    if kind in _SHAPES:
        reason = f"should be {_SHAPES[kind]}"
    reason = reason.replace("Input should", "should", 1)
    return f"{reason} (got {shorten(repr(error['input']), 80)})"


class Facts(BaseModel):
    """What the user knows; every field may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    as_of: date | None = Field(None, description="the day to answer for; today when left out")
    task: str | None = Field(None, description="what the model does, in words")
    task_kind: TaskKind | None = Field(
        None,
        description="classification, extraction, generation, rewriting, code, tool_use, qa or "
        "dialogue",
    )
    distinct_tasks: int | None = Field(None, ge=1, description="unrelated tasks in one model")
    failure_mix: FailureMix | None = Field(
        None, description="shares of failures: knowledge, format, reasoning, tone"
    )
    prompt_meets_quality: bool | None = Field(
        None, description="the best prompt is good enough today"
    )
    prompt_meets_latency: bool | None = Field(
        None, description="the best prompt is fast enough today"
    )
    prompt_meets_cost: bool | None = Field(
        None, description="the best prompt is cheap enough today"
    )
    baseline_score: float | None = Field(
        None, ge=0, le=1, description="score of the best prompt on your own evaluation"
    )
    baseline_n: int | None = Field(None, ge=1, description="examples that score was taken on")
    target_score: float | None = Field(None, ge=0, le=1, description="score that is good enough")
    data_rows: int | None = Field(None, ge=0, description="examples you have")
    data: str | None = Field(None, description="the file of examples, measured when given")
    requests_per_month: float | None = Field(
        None, ge=0, le=1e12, description="mean requests a month"
    )
    peak_requests_per_s: float | None = Field(
        None, ge=0, le=1e7, description="requests in the worst second"
    )
    input_tokens: float | None = Field(
        None, ge=0, le=1e8, description="mean prompt tokens of a request"
    )
    output_tokens: float | None = Field(
        None, ge=0, le=1e8, description="mean answer tokens of a request"
    )
    shared_prefix_tokens: float | None = Field(
        None, ge=0, le=1e8, description="prompt tokens that all requests share"
    )
    latency_p95_s: float | None = Field(
        None, gt=0, description="seconds in which 95 % of answers must be there"
    )
    privacy: Privacy | None = Field(
        None, description="where the rows may go: public, contractual, regulated, stays_inside"
    )
    regions: tuple[str, ...] | None = Field(None, description="regions the rows may go to")
    prompt_limit: bool | None = Field(None, description="prompting is impractical")
    priorities: tuple[Criterion, ...] | None = Field(
        None, description="quality, latency, cost, privacy in the order that matters"
    )
    runs_gpus: bool | None = Field(None, description="GPUs already serve production")
    gpu: str | None = Field(None, description="the card you have")
    gpu_count: int | None = Field(None, ge=0, le=100_000, description="how many of them")
    ml_engineers: float | None = Field(None, ge=0, description="people who can run models")
    horizon_months: float | None = Field(
        None, gt=0, le=1200, description="months the answer must hold"
    )
    knowledge_changes: Change | None = Field(
        None, description="how often the facts change: never, yearly, monthly, daily"
    )
    accounts: dict[str, Account] | None = Field(
        None, description="your accounts: {provider: {since, last_used}}"
    )
    budget_usd_per_month: float | None = Field(None, ge=0, description="most you would spend")
    probed: tuple[Probed, ...] | None = Field(
        None, description="latency as `ftctl probe` measured it, instead of the default"
    )
    piloted: tuple[Piloted, ...] | None = Field(
        None, description="scores that `ftctl pilot` measured, instead of the prior"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _yes_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """A yes or no only where one is asked for: it would pass for 1 or 0."""
        asked = str(info.field_name).startswith("prompt_") or info.field_name == "runs_gpus"
        if isinstance(value, bool) and not asked:
            raise ValueError("yes or no is no answer here")
        return value

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Facts from a mapping, such as a facts file.

        Raises:
            UsageError: an unknown key (the nearest known one is named) or an impossible value.
        """
        for key in values:
            if key not in cls.model_fields:
                near = nearest(str(key), cls.model_fields)
                raise UsageError(
                    f"unknown fact {key!r}" + (f"; did you mean {near}?" if near else ""),
                    hint="ftctl advise --schema lists every fact",
                )
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise UsageError(
                f"fact {where}: {_said(first)}",
                hint="ftctl advise --schema lists every fact with its range",
            ) from None


class RouteReport(BaseModel):
    """One route that passed the gates, with what it costs and brings.

    `share` is the part of draws it won; `latency_s` the seconds of one answer; `quality` the score
    it reaches, None where no figure would be honest; `dominated_by` names a route that is no worse
    in anything and better in one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    route: Label
    adaptation: tuple[Adaptation, ...]
    hosting: Hosting
    provider: str
    model: str
    gpu: str | None
    share: float
    usd_per_month: Estimate
    latency_s: Estimate
    quality: Estimate | None
    quality_note: str
    dominated_by: str | None
    warnings: tuple[str, ...]


class Rejected(BaseModel):
    """A route that a gate closed, with the number that closed it.

    `usd_per_month` is what it would cost; None unless the budget closed it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    route: Label
    provider: str
    model: str
    gate: str
    reason: str
    usd_per_month: Estimate | None = None


class Flip(BaseModel):
    """The value of one fact at which another route would lead."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fact: str
    now: str
    value: str
    leads: Label
    says: str


class Advice(BaseModel):
    """The recommendation: the `ftctl.advice/1` document without its `schema` key.

    `leading` is the route that wins most draws, also where the decision is to measure first.
    `confidence` is the share of draws that agree.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    decision: Decision
    leading: Label
    adaptation: tuple[Adaptation, ...]
    hosting: Hosting
    provider: str | None
    model: str | None
    confidence: float
    reason: str
    routes: tuple[RouteReport, ...]
    rejected: tuple[Rejected, ...]
    flips: tuple[Flip, ...]
    next: tuple[str, ...]
    assumptions: tuple[Assumption, ...]

    @property
    def undecided(self) -> bool:
        """Whether something must be measured before anybody can say (exit code 4)."""
        return self.decision in ("measure_first", "too_close")

    def to_document(self) -> dict[str, Any]:
        """The JSON document of the contract."""
        return {"schema": "ftctl.advice/1", **self.model_dump(mode="json")}
