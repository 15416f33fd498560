"""What the training curve shows: whether it was learned at all, too fast, or not to the end."""

import math
from statistics import median

from ftctl.diagnosis.changes import scale_rate, train_longer
from ftctl.diagnosis.curves import Curves, measure_of, scale_of
from ftctl.diagnosis.on_validation import ends_at_best, falls
from ftctl.diagnosis.thresholds import (
    FEWEST_POINTS,
    KNOWN,
    LIKELY,
    LITTLE,
    LOWEST_OF_TEN,
    NOTHING,
    OPENAI_SETTINGS,
    OURS,
    SPIKE,
    STILL,
    SURE,
    TRIFLE,
)
from ftctl.diagnosis.types import Finding, FindingName, Measure, RunFacts


def not_a_number(curves: Curves, run: RunFacts) -> Finding | None:
    """A loss that is NaN, infinite or beyond any meaning."""
    broken = curves.training.broken or curves.validation.broken
    if not broken:
        return None
    what = "training" if curves.training.broken else "validation"
    return Finding(
        name="not_a_number",
        sentence=f"The {what} loss was no longer a number at step {broken[0]}: the steps were too "
        "large. Lower the learning rate.",
        evidence=(Measure(what=f"first step without a {what} loss", value=broken[0]),),
        change=scale_rate(run, 0.25),
        source=OURS,
    )


def diverging(curves: Curves, run: RunFacts) -> Finding | None:
    """It ends half above its lowest level, or a tenth above where it began."""
    curve = curves.training
    if len(curve) < FEWEST_POINTS:
        return None
    start, size = curve.start, max(5, len(curve) // 10)
    levels = [curve.level(i, i + size) for i in range(0, len(curve) - size, size)]
    lowest, last = min(levels, key=lambda at: at.value), curve.level(-size, None)
    rise, scale = last.value - lowest.value, scale_of(start)
    high = rise >= max(0.5 * abs(lowest.value), 0.1 * scale) or last.value - start >= 0.1 * scale
    if not high or rise <= LOWEST_OF_TEN * curve.error_of_difference(size):
        return None
    return Finding(
        name="diverging",
        sentence=f"The training loss rises: from {lowest.value:.3g} around step {lowest.step} to "
        f"{last.value:.3g} at the end. Lower the learning rate.",
        evidence=(
            measure_of("lowest training loss", lowest),
            measure_of("training loss, end", last),
        ),
        change=scale_rate(run, 0.5),
        source=OURS,
    )


def spikes(curves: Curves, run: RunFacts) -> Finding | None:
    """At least three lone steps far above their neighbours, after the first tenth of the run."""
    curve = curves.training
    if len(curve) < 2 * FEWEST_POINTS or min(curve.values) < 0:
        return None
    logs = [math.log(max(value, 1e-4)) for value in curve.values]
    around = [median(logs[max(0, i - 5) : i + 6]) for i in range(len(logs))]
    offs = [log - level for log, level in zip(logs, around, strict=True)]
    limit = max(math.log(SPIKE), 8 * 1.4826 * median(map(abs, offs)))
    floor = 0.5 * curve.start  # far below where it began, jumps are harmless
    first = len(logs) // 10
    spikes = [
        curve.points[i]
        for i, off in enumerate(offs)
        if i >= first and off > limit and curve.points[i].value > floor
    ]
    if len(spikes) < max(3, len(logs) // 100):
        return None
    highest = max(spikes, key=lambda at: at.value)
    return Finding(
        name="spikes",
        sentence=f"The training loss jumps at {len(spikes)} steps, to {highest.value:.3g} at step "
        f"{highest.step}. Lower the learning rate, or look at the examples of these steps.",
        evidence=tuple(measure_of("training loss", at) for at in spikes[:5]),
        change=scale_rate(run, 0.5),
        source=OURS,
    )


def flat_or_noisy(curves: Curves, run: RunFacts) -> Finding | None:
    """No fall that could be told from nothing, or none that could be told from chance."""
    curve = curves.training
    if len(curve) < FEWEST_POINTS or falls(curves.validation):
        return None
    size, start = curve.window, curve.start
    first, last = curve.level(0, size), curve.level(-size, None)
    fall, unsure = start - last.value, SURE * curve.error_of_difference(size)
    if last.value < KNOWN or fall >= max(unsure, NOTHING * scale_of(start)):
        return None
    evidence = (measure_of("training loss, start", first), measure_of("training loss, end", last))
    if unsure > LITTLE * scale_of(start) or fall >= NOTHING * scale_of(start):
        return Finding(
            name="too_noisy",
            sentence="The training loss scatters too much from step to step to say whether it "
            "falls. Give validation examples, or a larger batch.",
            evidence=(*evidence, Measure(what="scatter", value=curve.noise())),
            source=OURS,
        )
    return Finding(
        name="flat",
        sentence=f"Nothing was learned: the training loss stays at {last.value:.3g} from start to "
        "end. Raise the learning rate; if that changes nothing, look at the data: `ftctl data "
        "check`.",
        evidence=evidence,
        change=scale_rate(run, 2.0),
        source=OPENAI_SETTINGS,
    )


def slow_or_still_falling(curves: Curves, run: RunFacts) -> Finding | None:
    """The last quarter still brought something: more steps, or larger ones, would bring more."""
    curve = curves.training
    if not run.ended or len(curve) < FEWEST_POINTS:
        return None
    size, start = curve.window, curve.start
    before, last = curve.level(-2 * size, -size), curve.level(-size, None)
    fall, whole = before.value - last.value, start - last.value
    least = max(STILL * whole, TRIFLE * abs(before.value), LIKELY * curve.error_of_difference(size))
    if last.value < KNOWN or whole < NOTHING * scale_of(start) or fall < least:
        return None
    if len(curves.validation) >= 2 and not ends_at_best(curves.validation):
        return None  # more of the same wouldn't carry over
    slow = whole < LITTLE * scale_of(start)
    name: FindingName = "slow" if slow else "still_falling"
    return Finding(
        name=name,
        sentence=f"The training loss was still falling at the end, from {before.value:.3g} to "
        f"{last.value:.3g}"
        + (" and has hardly begun to: raise the learning rate." if slow else ": train longer."),
        evidence=(
            Measure(what="training loss, start", value=start, step=curve.points[0].step),
            measure_of("training loss, before the end", before),
            measure_of("training loss, end", last),
        ),
        change=scale_rate(run, 2.0) if slow else train_longer(run),
        source=OPENAI_SETTINGS,
    )
