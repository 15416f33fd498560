"""The loop: optimiser steps from a checkpoint to the end, with checkpoints in between."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ftctl.errors import JobFailed
from ftctl.local_backend import checkpoint
from ftctl.local_backend.checkpoint import Progress
from ftctl.local_backend.data import Item, iter_step_batches, sequences_of
from ftctl.local_backend.objectives import Objective, trained_tokens
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.run_folder import RunFolder
from ftctl.local_backend.validation import Validation

if TYPE_CHECKING:
    from accelerate import Accelerator


class Interrupted(Exception):
    """A stop was asked for; a checkpoint has been written."""


@dataclass(frozen=True)
class Watch:
    """How the loop speaks to the outside.

    Attributes:
        report: Where the run stands: phase, message and any field of `WorkerStatus`.
        stopping: Whether somebody asked to stop.
    """

    report: Callable[..., None]
    stopping: Callable[[], bool]


@dataclass(frozen=True)
class Loop:
    """What the loop works with; none of it changes while it runs, but for the weights."""

    accelerator: "Accelerator"
    scorer: Any  # accelerate's wrapper around what `make_scorer` builds
    model: Any  # what `Trainable` loaded, in it
    optimizer: Any  # accelerate's wrapper around AdamW
    plan: Plan
    objective: Objective[Any]
    validation: Validation | None


def run_steps(
    loop: Loop, examples: Sequence[Item], at: Progress, run: RunFolder, watch: Watch
) -> Progress:
    """Optimiser steps from `at.step` to the end, with checkpoints in between."""
    plan = loop.plan
    batches = iter_step_batches(examples, plan.batch_size, plan.seed, at.step, plan.total_steps)
    loop.scorer.train()
    for chosen in batches:
        if plan.gives_up_at(at.step, at.best_step):
            break
        started = time.perf_counter()
        loss, grad_norm, means = _step(loop, chosen, plan.learning_rate_at(at.step))
        seconds = time.perf_counter() - started
        seen = sum(sequence.length for sequence in sequences_of(chosen))
        at = replace(
            at,
            step=at.step + 1,
            tokens=at.tokens + seen,
            trained_tokens=at.trained_tokens + trained_tokens(chosen),
            seconds=at.seconds + seconds,
        )
        speed = seen / seconds
        row = {"kind": "step", "step": at.step, "loss": loss, **means, "grad_norm": grad_norm}
        row |= {"learning_rate": plan.learning_rate_at(at.step - 1), "tokens_per_s": speed}
        run.append(run.metrics_file, row | {"trained_tokens": at.trained_tokens})
        left = plan.total_steps - at.step
        where = {"step": at.step, "total_steps": plan.total_steps, "loss": loss, **means}
        watch.report(
            "training",
            f"step {at.step} of {plan.total_steps}",
            **where,
            tokens_per_s=speed,
            eta_s=left * at.seconds / at.step,
        )
        stop = watch.stopping() and left > 0
        if stop or left == 0 or at.step % plan.checkpoint_steps == 0:
            if loop.validation is not None and not stop:
                watch.report("validating", f"validating step {at.step}", **where)
                at = loop.validation.score(loop.scorer, at, run)
            kept = plan.keep_checkpoints
            checkpoint.save(run, loop.model, loop.optimizer.optimizer, at, keep=kept)
        if stop:
            raise Interrupted
    return at


def _step(
    loop: Loop, examples: Sequence[Item], rate: float
) -> tuple[float, float, dict[str, float]]:
    """One optimiser step over micro-batches that weigh as much as they hold.

    Every micro-batch's summed loss is divided by the trained tokens, or pairs, of the whole step,
    so the gradient is that of one big batch whatever the micro-batch size.

    Returns:
        Mean loss in nats per trained token or pair, gradient norm before clipping, and the means
        of what else the objective measures.
    """
    plan = loop.plan
    for group in loop.optimizer.param_groups:
        group["lr"] = rate
    weight = loop.objective.weight(examples)
    total, means = 0.0, dict[str, float]()
    for part in loop.objective.parts(examples):
        measured = loop.objective.measure(loop.scorer, part)
        loss = measured.loss / weight
        loop.accelerator.backward(loss)
        total += loss.item()
        for name, value in measured.sums.items():
            means[name] = means.get(name, 0.0) + value / weight
    norm = float(loop.accelerator.clip_grad_norm_(loop.model.parameters(), 1.0))
    if not (math.isfinite(total) and math.isfinite(norm)):
        lines = ", ".join(str(example.line) for example in examples)
        raise JobFailed(
            f"the loss is no longer a number (loss {total}, gradient norm {norm}) "
            f"on the examples of lines {lines}",
            hint="look at these lines, or submit again with a lower rate: "
            f"--set learning_rate={plan.learning_rate / 4:g}",
        )
    loop.optimizer.step()
    loop.optimizer.zero_grad()
    return total, norm, means
