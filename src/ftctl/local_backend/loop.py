"""The loop: optimiser steps from a checkpoint to the end, with checkpoints in between."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ftctl.local_backend import checkpoint, divergence
from ftctl.local_backend.checkpoint import Progress
from ftctl.local_backend.data import Item, iter_step_batches, sequences_of
from ftctl.local_backend.objectives import Objective, trained_tokens
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.run_folder import RunFolder
from ftctl.local_backend.sharding import Layout
from ftctl.local_backend.step import Stepped, take_step
from ftctl.local_backend.validation import Validation


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

    layout: Layout
    scorer: Any  # what `make_scorer` builds, as the layout prepared it
    model: Any  # what `Trainable` loaded, in it
    optimizer: Any  # AdamW, or what reads and sets its state where that is split
    plan: Plan
    objective: Objective[Any]
    validation: Validation | None


def run_steps(
    loop: Loop, examples: Sequence[Item], at: Progress, run: RunFolder, watch: Watch
) -> Progress:
    """Optimiser steps from `at.step` to the end, with checkpoints in between."""
    plan, team = loop.plan, loop.layout.team
    batches = iter_step_batches(examples, plan.batch_size, plan.seed, at.step, plan.total_steps)
    loop.scorer.train()
    # As the leader has them: who only reads the file may find what it hasn't dropped yet.
    known = [row["loss"] for row in run.rows(run.metrics_file) if row["kind"] == "step"]
    losses = team.told(known)
    for chosen in batches:
        if plan.gives_up_at(at.step, at.best_step):
            break
        started = time.perf_counter()
        stepped, plan = _step(loop, plan, chosen, at.step, run)
        seconds = time.perf_counter() - started
        seen = sum(sequence.length for sequence in sequences_of(chosen))
        at = replace(
            at,
            step=at.step + 1,
            tokens=at.tokens + seen,
            trained_tokens=at.trained_tokens + trained_tokens(chosen),
            seconds=at.seconds + seconds,
            processes=team.count,
        )
        speed = seen / seconds
        told = {"step": at.step, "loss": stepped.loss, **stepped.means}
        row = {"kind": "step", **told, "grad_norm": stepped.grad_norm}
        row |= {"learning_rate": plan.learning_rate_at(at.step - 1), "tokens_per_s": speed}
        run.append(run.metrics_file, row | {"trained_tokens": at.trained_tokens})
        losses.append(stepped.loss)
        if divergence.has_diverged(losses):
            rate = plan.learning_rate
            raise divergence.stop(losses, loop.scorer, loop.objective, chosen, rate)
        left = plan.total_steps - at.step
        where = told | {"total_steps": plan.total_steps}
        watch.report(
            "training",
            f"step {at.step} of {plan.total_steps}",
            **where,
            tokens_per_s=speed,
            eta_s=left * at.seconds / at.step,
        )
        stop = team.told(watch.stopping()) and left > 0
        if stop or left == 0 or at.step % plan.checkpoint_steps == 0:
            if loop.validation is not None and not stop:
                watch.report("validating", f"validating step {at.step}", **where)
                at = team.told(loop.validation.score(loop.layout, loop.scorer, at, run))
            checkpoint.save(run, loop.model, loop.optimizer, at, keep=plan.keep_checkpoints)
        if stop:
            raise Interrupted
    return at


def _step(
    loop: Loop, plan: Plan, examples: Sequence[Item], step: int, run: RunFolder
) -> tuple[Stepped, Plan]:
    """Take a step; where memory ran out in it, the plan that it went well with is kept.

    Raises:
        JobFailed: loss or gradient is no number.
        OutOfMemory: not even one line fits.
    """
    for group in loop.optimizer.param_groups:
        group["lr"] = plan.learning_rate_at(step)
    stepped = take_step(
        loop.layout,
        loop.scorer,
        loop.objective,
        examples,
        micro_batch=plan.micro_batch_size,
        seed=plan.seed + step,
        learning_rate=plan.learning_rate,
    )
    if stepped.micro_batch == plan.micro_batch_size:
        return stepped, plan
    smaller = plan.model_copy(update={"micro_batch_size": stepped.micro_batch})
    run.write(run.plan_file, smaller)
    message = (
        f"memory ran out in step {step + 1}: it was taken again with {stepped.micro_batch} at once "
        f"instead of {plan.micro_batch_size}; a step is still {plan.batch_size} examples"
    )
    run.append(run.events_file, {"level": "warning", "message": message})
    return stepped, smaller
