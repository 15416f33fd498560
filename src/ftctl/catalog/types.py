"""The rows of the catalog: every one says since when it is known, from where, and how surely."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ftctl.job import Method

Confidence = Literal["vendor", "third_party", "measured", "derived", "unverified"]
Who = Literal["everybody", "existing", "active", "nobody"]
ServingKind = Literal["per_token", "dedicated", "own"]


class Fact(BaseModel):
    """What every row carries: the day it was checked, where it stands, how sure it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    as_of: date
    source: str
    confidence: Confidence


class Phase(Fact):
    """From `starts` on (None: ever since) these may create jobs; the latest begun phase holds.

    `existing` asks for use of the vendor's fine-tuning before `existing_before`; `active` also for
    inference on a tuned model within the last `active_within_days` days.
    """

    who: Who
    starts: date | None = None
    existing_before: date | None = None
    active_within_days: int | None = None
    says: str


class Serving(Fact):
    """Where a tuned model answers, and what the machine behind it costs.

    `self_serve` is false where one must ask for it, `complete` where the price leaves a part out.
    """

    kind: ServingKind
    self_serve: bool = True
    complete: bool = True
    gpu: str | None = None
    usd_per_gpu_hour: float | None = Field(None, gt=0)
    note: str = ""


class Residency(Fact):
    """Where rows go; `regulated` says whether that suits data under a regulator."""

    regulated: bool
    says: str


class Provider(Fact):
    """A place that fine-tunes, local included.

    `hosts` are the vendor's own host names: any other base URL is a gateway.
    """

    name: str
    title: str
    aliases: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    phases: tuple[Phase, ...]
    methods: tuple[Method, ...]
    min_rows: int = Field(ge=1)
    weights_returned: bool
    after_closing: str = ""
    serving: Serving
    residency: Residency
    way_out: str


class Shape(Fact):
    """The sizes of a decoder that memory and speed follow from."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    ffn: int
    vocab: int


class Tunable(Fact):
    """Where a base model can be tuned, until when, and until when the result answers.

    `existing_only`: only for accounts that used the provider's fine-tuning before `as_of`.
    """

    provider: str
    existing_only: bool = False
    methods: tuple[Method, ...] = ("sft",)
    until: date | None = None
    serves_until: date | None = None


class Model(Fact):
    """A base model: open weights, or a vendor's.

    `parameters` counts weights; `context` is in tokens. `package` is the package on the index
    that ships the weights.
    """

    name: str
    title: str
    family: str
    aliases: tuple[str, ...] = ()
    parameters: int | None = None
    context: int | None = None
    licence: str
    open_weights: bool
    hub_id: str | None = None
    package: str | None = None
    available_from: date | None = None
    shutdown: date | None = None
    replacement: str | None = None
    shape: Shape | None = None
    tunable: tuple[Tunable, ...] = ()

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
    usd: float = Field(ge=0)


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
