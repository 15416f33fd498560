"""What a diagnosis is made of: the facts of a run, and the findings drawn from its curves."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from ftctl.job import Hyperparameters

FindingName = Literal[
    "not_a_number",
    "diverging",
    "spikes",
    "overfit",
    "overconfident",
    "no_carry_over",
    "flat",
    "slow",
    "still_falling",
    "too_few_examples",
    "too_noisy",
    "not_enough_metrics",
    "healthy",
]


class Measure(BaseModel):
    """A number that a finding rests on; losses in nats per token, shares from 0 to 1.

    `step` is the optimiser step at which it was measured, the middle one for a median over many;
    None where it belongs to none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: str
    value: float
    step: int | None = None


class Change(BaseModel):
    """A setting to change; `before` is None where nobody told which value was in force."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    setting: str
    before: float | None
    after: float

    @property
    def flag(self) -> str:
        """The change as `ftctl submit` takes it."""
        return f"--set {self.setting}={self.after:g}"


class Finding(BaseModel):
    """One thing that the curves show: what, on which numbers, and what to change.

    Attributes:
        source: Whose rule it is: a vendor's page with its date, or "our choice".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: FindingName
    sentence: str
    evidence: tuple[Measure, ...] = ()
    change: tuple[Change, ...] = ()
    source: str


class RunFacts(BaseModel):
    """What is known of a run besides its curves; None is unknown.

    Attributes:
        ended: Whether it ran to its planned end: only then do the last steps say how it ends.
        examples: Training examples.
        epochs: Passes over them that the run made or was to make.
        learning_rate: The peak, absolute.
        asked: The settings it was submitted with.
        takes: Names of `Hyperparameters` that its provider honours.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ended: bool = True
    examples: int | None = None
    epochs: float | None = None
    learning_rate: float | None = None
    learning_rate_multiplier: float | None = None
    asked: Hyperparameters = Hyperparameters()
    takes: frozenset[str] = frozenset()
