"""From metrics to findings: every rule is asked, and what contradicts is left out."""

from collections.abc import Callable, Iterable, Mapping

from ftctl.diagnosis.curves import Curves, measure_of, read_curves
from ftctl.diagnosis.on_training import (
    diverging,
    flat_or_noisy,
    not_a_number,
    slow_or_still_falling,
    spikes,
)
from ftctl.diagnosis.on_validation import no_carry_over, overfit
from ftctl.diagnosis.thresholds import (
    FEW_EXAMPLES,
    FEWEST_POINTS,
    FEWEST_SCORES,
    OPENAI_COUNT,
    OURS,
)
from ftctl.diagnosis.types import Finding, FindingName, Measure, RunFacts


def diagnose(rows: Iterable[Mapping[str, object]], run: RunFacts) -> list[Finding]:
    """What a run's metrics show, the most urgent first; never empty.

    Args:
        rows: Metrics as the provider gave them: see `read_curves`.
        run: What else is known of it.
    """
    curves = read_curves(rows)
    found = [finding for rule in _RULES if (finding := rule(curves, run))]
    hidden = {name for finding in found for name in _HIDES.get(finding.name, ())}
    found = [finding for finding in found if finding.name not in hidden]
    if all(finding.name == "too_few_examples" for finding in found):
        found.insert(0, _otherwise(curves, run))
    return found


def too_few_examples(_curves: Curves, run: RunFacts) -> Finding | None:
    """Fewer examples than OpenAI says to start with."""
    if run.examples is None or run.examples >= FEW_EXAMPLES:
        return None
    return Finding(
        name="too_few_examples",
        sentence=f"{run.examples} examples are few: start with {FEW_EXAMPLES} well-made ones.",
        evidence=(Measure(what="examples", value=run.examples),),
        source=OPENAI_COUNT,
    )


_RULES: tuple[Callable[[Curves, RunFacts], Finding | None], ...] = (
    not_a_number,
    diverging,
    spikes,
    overfit,
    no_carry_over,
    flat_or_noisy,
    slow_or_still_falling,
    too_few_examples,
)
# A finding that explains or contradicts these.
_NOT_TRAINED: tuple[FindingName, ...] = ("flat", "too_noisy", "slow", "still_falling")
_HIDES: dict[FindingName, tuple[FindingName, ...]] = {
    "not_a_number": ("diverging", "spikes", "no_carry_over", *_NOT_TRAINED),
    "diverging": ("spikes", "no_carry_over", *_NOT_TRAINED),
    "spikes": ("too_noisy",),
    "overfit": ("no_carry_over", *_NOT_TRAINED),
    "overconfident": ("no_carry_over", *_NOT_TRAINED),
    "too_noisy": ("slow", "still_falling"),
    "no_carry_over": ("slow", "still_falling"),
}


def _otherwise(curves: Curves, run: RunFacts) -> Finding:
    """What is said when no rule finds anything: all is well, or there is too little to tell."""
    curve, scores = curves.training, curves.validation
    if len(curve) < FEWEST_POINTS and len(scores) < FEWEST_SCORES:
        given = f"{len(curve)} training and {len(scores)} validation losses"
        since = "" if run.ended else " so far"
        return Finding(
            name="not_enough_metrics",
            sentence=f"{given if len(curve) or len(scores) else 'No loss'}{since}: too little "
            f"to tell anything; that takes {FEWEST_POINTS}, or {FEWEST_SCORES} of validation.",
            evidence=(
                Measure(what="training losses", value=len(curve)),
                Measure(what="validation losses", value=len(scores)),
            ),
            source=OURS,
        )
    shown, what = (curve, "training") if len(curve) >= FEWEST_POINTS else (scores, "validation")
    first, last = shown.points[0], shown.level(-shown.window, None)
    return Finding(
        name="healthy",
        sentence=f"The {what} loss went from {first.value:.3g} to {last.value:.3g}, and nothing "
        "stands out. Loss alone doesn't say that answers are right: `ftctl eval` does.",
        evidence=(measure_of(f"{what} loss, start", first), measure_of(f"{what} loss, end", last)),
        source=OURS,
    )
