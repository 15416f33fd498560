"""What to change, in the settings that a provider takes and from the values that were in force."""

import math

from ftctl.diagnosis.types import Change, RunFacts

_MOST_EPOCHS = 50  # OpenAI's upper bound (its API reference, 2026-11); others allow more


def scale_rate(run: RunFacts, factor: float) -> tuple[Change, ...]:
    """The learning rate times a factor: absolute where it is known, else OpenAI's multiplier.

    A multiplier that nobody told counts as 1, the provider's unscaled rate.
    """
    rate = run.learning_rate or run.asked.learning_rate
    if rate is not None and "learning_rate" in run.takes and rate * factor < 1:
        return (Change(setting="learning_rate", before=rate, after=_rounded(rate * factor)),)
    if "learning_rate_multiplier" in run.takes:
        known = run.learning_rate_multiplier or run.asked.learning_rate_multiplier
        after = _rounded((known or 1.0) * factor)
        return (Change(setting="learning_rate_multiplier", before=known, after=after),)
    return ()


def train_longer(run: RunFacts) -> tuple[Change, ...]:
    """One epoch more, or a half more of whatever else bounds the run."""
    asked = run.asked
    if asked.max_minutes is not None and "max_minutes" in run.takes:
        after = _rounded(1.5 * asked.max_minutes)
        return (Change(setting="max_minutes", before=asked.max_minutes, after=after),)
    if asked.max_steps is not None and "max_steps" in run.takes:
        steps = math.ceil(1.5 * asked.max_steps)
        return (Change(setting="max_steps", before=asked.max_steps, after=steps),)
    epochs = asked.epochs or run.epochs
    if epochs is None or "epochs" not in run.takes or epochs >= _MOST_EPOCHS:
        return ()
    return (Change(setting="epochs", before=epochs, after=math.floor(epochs) + 1),)


def train_shorter(run: RunFacts, best_step: int, last_step: int) -> tuple[Change, ...]:
    """To where the validation loss was best, but at most two epochs less; else a lower rate."""
    asked = run.asked
    if (asked.max_steps or asked.max_minutes) and "max_steps" in run.takes and best_step >= 1:
        return (Change(setting="max_steps", before=asked.max_steps, after=best_step),)
    epochs = asked.epochs or run.epochs
    if epochs is None or "epochs" not in run.takes:
        return ()
    best = math.ceil(epochs * best_step / max(last_step, 1))
    after = min(max(best, math.ceil(epochs) - 2, 1), math.ceil(epochs) - 1)
    if after < 1:
        return scale_rate(run, 0.5)
    return (Change(setting="epochs", before=epochs, after=after),)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
