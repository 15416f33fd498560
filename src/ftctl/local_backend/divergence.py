"""When a loss that is still a number says that the run is lost."""

from collections.abc import Sequence
from typing import Any

from ftctl.errors import JobFailed
from ftctl.local_backend.data import Item
from ftctl.local_backend.objectives import Objective

Scorer = Any  # as `make_scorer` builds it

# By our choice: 2 nats are 7 times the perplexity of the first step, eight steps are no outlier.
_NATS, _IN_A_ROW = 2.0, 8
_NAMED = 3


def has_diverged(losses: Sequence[float]) -> bool:
    """Whether the last steps all lie far above the first one.

    Args:
        losses: Of every step so far, in nats per trained token or pair.
    """
    last = losses[1:][-_IN_A_ROW:]
    return len(last) == _IN_A_ROW and min(last) > losses[0] + _NATS


def stop(
    losses: Sequence[float],
    scorer: Scorer,
    objective: Objective[Any],
    examples: Sequence[Item],
    learning_rate: float,
) -> JobFailed:
    """What to tell of a run that has diverged: since when, and the worst lines of its last step.

    Args:
        losses: Of every step so far.
        scorer: The model; every process looks at all examples.
        objective: What its loss is.
        examples: Of the last step.
        learning_rate: The run's, of which a lower one is proposed.
    """
    import torch

    with torch.no_grad():
        each = [
            (objective.measure(scorer, [one]).loss.item() / objective.weight([one]), one.line)
            for one in examples
        ]
    worst = ", ".join(f"{line} ({loss:.1f})" for loss, line in sorted(each)[: -_NAMED - 1 : -1])
    since, least = len(losses) - _IN_A_ROW + 1, min(losses[-_IN_A_ROW:])
    return JobFailed(
        f"the loss has diverged: {losses[0]:.2f} at step 1, at least {least:.2f} in steps {since} "
        f"to {len(losses)}; worst in the last one: lines {worst}",
        hint=f"submit again with a lower rate: --set learning_rate={learning_rate / 4:g}; the "
        "checkpoints before it stay in the run folder",
    )
