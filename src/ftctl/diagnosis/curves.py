"""Curves from whatever a provider wrote down, and the robust numbers that rules compare."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from ftctl.diagnosis.types import Measure

# Names under which providers write the same thing; the first one that is there counts. OpenAI's
# `valid_loss` is of one batch, `full_valid_loss` of the whole file.
_STEP = ("step", "step_number", "global_step")
_TRAINING = ("train_loss", "training_loss", "loss")
_VALIDATION = ("full_valid_loss", "valid_loss", "validation_loss", "eval_loss")
_ACCURACY = (
    "exact_match",
    "full_valid_mean_token_accuracy",
    "valid_mean_token_accuracy",
    "valid_accuracy",
)
_LAST_STEP = 10**12  # a larger one is a mistake
_LARGEST = (
    1e6  # nats per token: whatever is larger has left the range of numbers that mean something
)


@dataclass(frozen=True, slots=True)
class Point:
    """A value at an optimiser step."""

    step: int
    value: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Values by ascending step; `broken` are the steps at which it was no usable number."""

    points: tuple[Point, ...] = ()
    broken: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.points)

    @property
    def values(self) -> list[float]:
        """The values alone."""
        return [point.value for point in self.points]

    @property
    def window(self) -> int:
        """Points in a quarter of it, at least five where there are ten."""
        return max(5 if len(self) >= 10 else 1, len(self) // 4)

    @property
    def start(self) -> float:
        """Where it began: the first quarter, or its first three points if they lie clearly above.

        A model may learn all there is to learn in a few steps.
        """
        quarter, first = self.level(0, self.window).value, self.level(0, 3).value
        chance = 3 * 1.2533 * self.noise() / math.sqrt(3)
        return first if first - quarter > chance else quarter

    def blocks(self) -> "Curve":
        """Medians of about ten equal parts of it; itself when it has fewer than ten points."""
        size = max(1, len(self) // 10)
        first = len(self) % size  # so that the last part is whole
        return Curve(tuple(self.level(i, i + size) for i in range(first, len(self), size)))

    def level(self, start: int | None, stop: int | None) -> Point:
        """The median over a slice, which must hold a point, at the step of its middle."""
        part = self.points[start:stop]
        return Point(part[len(part) // 2].step, median(point.value for point in part))

    def noise(self) -> float:
        """Standard deviation of the values around their trend.

        From the median absolute deviation of the differences between neighbours (1.4826 of it is
        a standard deviation, differences have twice the variance), so that neither the trend nor
        a few outliers count.
        """
        values = self.values
        steps = [b - a for a, b in pairwise(values)]
        if not steps:
            return 0.0
        middle = median(steps)
        return 1.4826 * median(abs(step - middle) for step in steps) / math.sqrt(2)

    def error_of_difference(self, window: int) -> float:
        """Standard error of the difference of two medians over `window` points each.

        A median of normal values has 1.2533 times the standard error of their mean.
        """
        return 1.2533 * self.noise() * math.sqrt(2 / window)

    def at(self, step: int) -> float | None:
        """The value at the last step that isn't after `step`; None before the first one."""
        before = [point.value for point in self.points if point.step <= step]
        return before[-1] if before else None


@dataclass(frozen=True, slots=True)
class Curves:
    """What was measured while a job ran."""

    training: Curve
    validation: Curve
    accuracy: Curve


def read_curves(rows: Iterable[Mapping[str, object]]) -> Curves:
    """Curves from rows of metrics: the `data` of events, lines of a run folder, of a CSV.

    A step that stands more than once, as around a resume, counts as it was last written; what
    isn't a number of a step is passed over.
    """
    training: dict[int, float] = {}
    validation: dict[int, float] = {}
    accuracy: dict[int, float] = {}
    for row in rows:
        step = _number(row, _STEP)
        if step is None or not 0 <= step <= _LAST_STEP:  # NaN is not between them either
            continue
        held_out = row.get("kind") == "validation"  # the local backend's rows
        train_names, valid_names = ((), _TRAINING) if held_out else (_TRAINING, _VALIDATION)
        for found, names in (
            (training, train_names),
            (validation, valid_names),
            (accuracy, _ACCURACY),
        ):
            value = _number(row, names)
            if value is not None:
                found[int(step)] = value
    return Curves(_curve(training), _curve(validation), _curve(accuracy))


def scale_of(value: float) -> float:
    """What a difference is compared with: the value, or a hundredth of a nat where it is less."""
    return max(abs(value), 0.01)


def measure_of(what: str, at: Point) -> Measure:
    """A point as evidence, in four digits."""
    return Measure(what=what, value=float(f"{at.value:.4g}"), step=at.step)


def _curve(by_step: Mapping[int, float]) -> Curve:
    ordered: Sequence[tuple[int, float]] = sorted(by_step.items())
    return Curve(
        tuple(Point(step, value) for step, value in ordered if abs(value) <= _LARGEST),
        tuple(step for step, value in ordered if not abs(value) <= _LARGEST),  # NaN is neither
    )


def _number(row: Mapping[str, object], names: Iterable[str]) -> float | None:
    for name in names:
        value = row.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            continue
        try:
            return float(value)
        except (ValueError, OverflowError):
            continue
    return None
