"""The rows of the catalog: every one says since when it is known, from where, and how surely."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ftctl.job import Method, Tuning

# `user` marks a row of the user's own catalog file, and no shipped one.
Confidence = Literal["vendor", "third_party", "measured", "derived", "unverified", "user"]
Who = Literal["everybody", "existing", "active", "nobody"]
ServingKind = Literal["per_token", "dedicated", "own"]
Trainable = Literal["yes", "not_competing", "no", "unknown"]
FeeKind = Literal["minimum", "storage", "training_hour"]


class Fact(BaseModel):
    """What every row carries: the day it was checked, where it stands, how sure it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    as_of: date
    source: str
    confidence: Confidence


class Phase(Fact):
    """From `starts` on (None: ever since) these may create jobs; the latest begun phase holds.

    `starts_confidence` is for that day, where it is less sure than what was checked since.
    `existing` asks for use of the vendor's fine-tuning before `existing_before`; `active` also for
    inference on a tuned model within the last `active_within_days` days.
    """

    who: Who
    starts: date | None = None
    starts_confidence: Confidence | None = None
    existing_before: date | None = None
    active_within_days: int | None = None
    says: str


class Serving(Fact):
    """Where a tuned model answers, and what the machine behind it costs.

    `self_serve` is false where one must ask for it, `complete` where the price leaves a part out.
    After `idle_hours` without a request the machine is taken away and costs nothing; None: never.
    """

    kind: ServingKind
    self_serve: bool = True
    complete: bool = True
    gpu: str | None = None
    usd_per_gpu_hour: float | None = Field(None, gt=0)
    idle_hours: float | None = Field(None, gt=0)
    note: str = ""


class Residency(Fact):
    """Where rows go; `regulated` says whether that suits data under a regulator."""

    regulated: bool
    says: str


class OutputTerms(Fact):
    """May a model's answers train another model? By its licence, or by its host's terms.

    `not_competing`: only a model that doesn't compete with theirs. No legal advice.
    """

    trainable: Trainable
    says: str


class Provider(Fact):
    """A place that fine-tunes, local included.

    `hosts` are the vendor's own host names: any other base URL is a gateway. `max_file_mb` is
    the largest training file, in MB; `default_epochs` what it trains when no epochs are named;
    `bills_evaluations` whether tokens of the validation file are billed like those of training.
    """

    name: str
    title: str
    aliases: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    phases: tuple[Phase, ...]
    methods: tuple[Method, ...]
    min_rows: int = Field(ge=1)
    max_rows: int | None = Field(None, ge=1)
    max_file_mb: float | None = Field(None, gt=0)
    default_epochs: int | None = Field(None, ge=1)
    bills_evaluations: bool = False
    weights_returned: bool
    after_closing: str = ""
    serving: Serving
    residency: Residency
    outputs_trainable: OutputTerms | None = None
    way_out: str


class Sizes(BaseModel):
    """The sizes of a decoder that memory and speed follow from."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    ffn: int
    vocab: int


class Shape(Sizes, Fact):
    """Sizes, and whose word they are."""


class Tunable(Fact):
    """Where a base model can be tuned, from when until when, and how long the result answers.

    `existing_only`: only for accounts that used the provider's fine-tuning before `as_of`.
    An example longer than `max_example_tokens` is cut, or refused. `id` is the provider's own name
    of the base, where it isn't the catalog's.
    `starts_confidence` is for the day it began, where that is less sure than the rest.
    """

    provider: str
    existing_only: bool = False
    methods: tuple[Method, ...] = ("sft",)
    starts: date | None = None
    starts_confidence: Confidence | None = None
    until: date | None = None
    serves_until: date | None = None
    max_example_tokens: int | None = Field(None, ge=1)
    id: str | None = None

    def open_on(self, day: date) -> bool:
        """Whether jobs may start on this base that day."""
        return (self.starts or date.min) <= day < (self.until or date.max)


class Model(Fact):
    """A base model: open weights, or a vendor's.

    `parameters` counts weights, all experts of a mixture; `context` is in tokens. `package` is the
    package on the index that ships the weights; `generation` the family's, `3.1` of Llama 3.1.
    `shutdown_announced` is the day before which nobody outside knew the shutdown.
    """

    name: str
    title: str
    family: str
    generation: str = ""
    aliases: tuple[str, ...] = ()
    parameters: int | None = None
    context: int | None = None
    licence: str
    open_weights: bool
    hub_id: str | None = None
    package: str | None = None
    available_from: date | None = None
    shutdown: date | None = None
    shutdown_announced: date | None = None
    replacement: str | None = None
    shape: Shape | None = None
    tunable: tuple[Tunable, ...] = ()
    outputs_trainable: OutputTerms | None = None

    def known_shutdown(self, day: date) -> date | None:
        """The day from which it no longer answers, as far as that was announced on a day."""
        if self.shutdown_announced is not None and day < self.shutdown_announced:
            return None
        return self.shutdown

    def alive(self, day: date) -> bool:
        """Whether the model answers on that day."""
        begun = self.available_from is None or self.available_from <= day
        return begun and (self.shutdown is None or day < self.shutdown)


class InferencePrice(Fact):
    """USD per million tokens of a model at a provider; `tuned` when it is a tuned model's."""

    provider: str
    model: str
    tuned: bool = False
    input_usd: float = Field(ge=0)
    cached_usd: float = Field(ge=0)
    output_usd: float = Field(ge=0)


class TrainingPrice(Fact):
    """USD per million trained tokens, for one model or for models up to `max_parameters`."""

    provider: str
    model: str | None = None
    max_parameters: int | None = None
    method: Method = "sft"
    tuning: Tuning = "lora"
    usd: float = Field(ge=0)


class Fee(Fact):
    """What is billed besides tokens, in USD; `low_usd` where sources disagree.

    `minimum`: a job costs at least this; `storage`: a tuned model a month; `training_hour`: an
    hour of training, where that is what the vendor bills.
    """

    provider: str
    kind: FeeKind
    method: Method | None = None
    usd: float = Field(ge=0)
    low_usd: float | None = Field(None, ge=0)


class Hardware(Fact):
    """A machine that a provider rents by the minute to run a training job on."""

    provider: str
    name: str
    gpu: str
    count: int = Field(1, ge=1)
    usd_per_hour: float = Field(gt=0)


class HourlyPrice(Fact):
    """What an hour of one card costs in USD: cheap, middle and dear offers of the year."""

    low: float = Field(gt=0)
    likely: float = Field(gt=0)
    high: float = Field(gt=0)


class Gpu(Fact):
    """An accelerator: memory in GiB, bandwidth in GB/s, dense bf16 in TFLOP/s."""

    name: str
    title: str
    aliases: tuple[str, ...] = ()
    memory_gib: float = Field(gt=0)
    bandwidth_gb_s: float = Field(gt=0)
    bf16_tflops: float = Field(gt=0)
    price: HourlyPrice
