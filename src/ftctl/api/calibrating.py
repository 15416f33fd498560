"""`calibration`: how often what was predicted of a job held, once it was done."""

from collections.abc import Iterable, Iterator
from statistics import median
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from ftctl.api.job_handle import open_store
from ftctl.config import Settings, load_settings
from ftctl.evaluation.statistics import wilson
from ftctl.job import JobRecord, JobState

TARGET = 0.8  # of a P10–P90 range, by what the words mean
# What was quoted, and what it came to, as the store keeps them.
_PAIRS = {
    "cost": "cost_usd",
    "time": "seconds",
    "memory": "memory_gib",
    "trained_tokens": "trained_tokens",
}


class Coverage(BaseModel):
    """How one quantity's ranges held at one provider.

    Attributes:
        quantity: cost (USD), time (s), memory (GiB) or trained tokens.
        jobs: Finished ones that had both a quote and a figure; free ones have no cost to hold.
        held: How many came to lie within low and high.
        below: How many came out under the low end.
        above: Over the high end.
        share: held / jobs.
        interval: The 95 % interval of that share (Wilson).
        ratio: Median of what it was over what was likely.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    quantity: str
    provider: str
    jobs: int
    held: int
    below: int
    above: int
    share: float
    interval: tuple[float, float]
    ratio: float


class Calibration(BaseModel):
    """The `ftctl.calibration/1` document: a line for each quantity and provider."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)

    schema_: Literal["ftctl.calibration/1"] = Field("ftctl.calibration/1", alias="schema")
    target: float
    coverage: tuple[Coverage, ...]


class _Pair(NamedTuple):
    low: float
    likely: float
    high: float
    was: float


def calibration(settings: Settings | None = None) -> Calibration:
    """How past quotes held: of jobs that succeeded, what was said against what it came to.

    A range is meant to hold eight times of ten: less is too sure, much more says too little.
    """
    settings = settings or load_settings()
    with open_store(settings) as store:
        done = store.jobs(states=frozenset({JobState.SUCCEEDED}))
    return Calibration(
        schema="ftctl.calibration/1", target=TARGET, coverage=tuple(_coverage(list(done)))
    )


def _coverage(jobs: list[JobRecord]) -> Iterator[Coverage]:
    for quantity in _PAIRS:
        for provider in sorted({job.provider for job in jobs}):
            pairs = list(_pairs((j for j in jobs if j.provider == provider), quantity))
            if not pairs:
                continue
            below = sum(pair.was < pair.low for pair in pairs)
            above = sum(pair.was > pair.high for pair in pairs)
            held = len(pairs) - below - above
            interval = wilson(held, len(pairs))
            yield Coverage(
                quantity=quantity,
                provider=provider,
                jobs=len(pairs),
                held=held,
                below=below,
                above=above,
                share=held / len(pairs),
                interval=(interval.low, interval.high),
                ratio=median(pair.was / pair.likely for pair in pairs),
            )


def _pairs(jobs: Iterable[JobRecord], quantity: str) -> Iterator[_Pair]:
    for job in jobs:
        quoted, was = (job.estimate or {}).get(quantity), (job.actual or {}).get(_PAIRS[quantity])
        if quoted is not None and was is not None and quoted["high"] > 0:
            likely = quoted["likely"] or quoted["high"]
            yield _Pair(quoted["low"], likely, quoted["high"], was)
