"""What the validation curve shows: whether what is learned carries over to other examples."""

from statistics import median

from ftctl.diagnosis.changes import train_shorter
from ftctl.diagnosis.curves import Curve, Curves, Point, measure_of, scale_of
from ftctl.diagnosis.thresholds import (
    FEWEST_POINTS,
    FEWEST_SCORES,
    GAP,
    KNOWN,
    NOTHING,
    OPENAI_SETTINGS,
    OURS,
    SURE,
    WORSE,
)
from ftctl.diagnosis.types import Finding, Measure, RunFacts


def overfit(curves: Curves, run: RunFacts) -> Finding | None:
    """The validation loss ends clearly above its best, while the training loss does not rise."""
    scores = curves.validation.blocks()
    if len(scores) < FEWEST_SCORES:
        return None
    best, last = min(scores.points, key=lambda at: at.value), scores.points[-1]
    rise = last.value - best.value
    if not _clearly_above(curves.validation, rise, best) or _rises_after(
        curves.training, best.step
    ):
        return None
    evidence = [measure_of("validation loss, best", best), measure_of("validation loss, end", last)]
    if len(curves.training):
        end = curves.training.level(-curves.training.window, None)
        evidence.append(measure_of("training loss, end", end))
    accurate = _no_less_accurate(curves.accuracy, best.step)
    if accurate is not None:
        return Finding(
            name="overconfident",
            sentence="The validation loss rises, but the answers are no worse for it: it is surer "
            "of its mistakes. Nothing to change; `ftctl eval` decides.",
            evidence=(*evidence, *accurate),
            source=OURS,
        )
    return Finding(
        name="overfit",
        sentence=f"The validation loss was best at step {best.step} ({best.value:.3g}) and rose to "
        f"{last.value:.3g} while training went on: it learns the examples by heart. Train one or "
        "two epochs less, or use the checkpoint of that step.",
        evidence=tuple(evidence),
        change=train_shorter(run, best.step, last.step),
        source=OPENAI_SETTINGS,
    )


def no_carry_over(curves: Curves, _run: RunFacts) -> Finding | None:
    """Training falls by a third and validation, well above it, by nothing."""
    scores, training = curves.validation.blocks(), curves.training
    if len(scores) < FEWEST_SCORES or len(training) < FEWEST_POINTS:
        return None
    start, last = training.start, training.level(-training.window, None)
    best = min(scores.points, key=lambda at: at.value)
    learned = start - last.value >= scale_of(start) / 3
    gap = scores.points[-1].value >= GAP * max(last.value, KNOWN)
    if not learned or not gap or best.value < (1 - NOTHING) * scores.points[0].value:
        return None
    return Finding(
        name="no_carry_over",
        sentence="What it learns doesn't carry over: the training loss falls to "
        f"{last.value:.3g}, the validation loss stays at {best.value:.3g}. Too few examples, or "
        "the validation examples are of another kind.",
        evidence=(
            measure_of("training loss, end", last),
            measure_of("validation loss, first", scores.points[0]),
            measure_of("validation loss, best", best),
        ),
        source=OURS,
    )


def _clearly_above(scores: Curve, rise: float, best: Point) -> bool:
    """Whether the last validation loss lies above the best one by more than chance.

    A provider that scores one batch a step gives many noisy scores; one that scores the whole
    file gives few, and then two in a row are asked for, or twice the rise.
    """
    scale = scale_of(best.value)
    if rise < WORSE * scale:
        return False
    if len(scores) >= FEWEST_POINTS:
        return rise > SURE * scores.error_of_difference(max(1, len(scores) // 10))
    last = scores.points[-2:]
    in_a_row = all(
        at.step > best.step and at.value - best.value >= WORSE / 2 * scale for at in last
    )
    return in_a_row or rise >= 2 * WORSE * scale


def _rises_after(training: Curve, step: int) -> bool:
    """Whether the training loss, too, is higher after a step than just before it."""
    before = [point.value for point in training.points if point.step <= step][-training.window :]
    after = [point.value for point in training.points if point.step > step]
    return bool(before and after) and median(after) > 1.1 * median(before) + 0.01


def _no_less_accurate(accuracy: Curve, step: int) -> tuple[Measure, Measure] | None:
    """The accuracy then and at the end, if it is measured and no lower at the end."""
    then = [point for point in accuracy.points if point.step <= step]
    if not then or accuracy.points[-1].step <= step:
        return None
    best, last = then[-1], accuracy.points[-1]
    if last.value < best.value or last.value <= 0:
        return None
    return measure_of("accuracy then", best), measure_of("accuracy, end", last)


def falls(validation: Curve) -> bool:
    """Whether the validation loss shows that something was learned."""
    scores = validation.blocks()
    if len(scores) < FEWEST_SCORES:
        return False
    fall = scores.points[0].value - scores.points[-1].value
    return fall >= max(
        NOTHING * scale_of(scores.points[0].value),
        SURE * validation.error_of_difference(len(validation) // 10)
        if len(validation) >= FEWEST_POINTS
        else 0.0,
    )


def ends_at_best(validation: Curve) -> bool:
    """Whether the validation loss is at the end about as good as it ever was."""
    scores = validation.blocks()
    best = min(scores.values)
    return scores.values[-1] - best <= WORSE / 2 * scale_of(best)
