"""The recipe: set up, loop, save. LoRA SFT and DPO on accelerate, to be read from the top."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftctl.datasets.digest import file_sha256
from ftctl.datasets.render import Tokenizer, load_tokenizer
from ftctl.errors import JobFailed, StoreError, UsageError
from ftctl.local_backend import checkpoint
from ftctl.local_backend.base_models import find_base
from ftctl.local_backend.checkpoint import Progress
from ftctl.local_backend.data import (
    DEFAULT_MAX_LENGTH,
    Item,
    Loaded,
    iter_step_batches,
    load_examples,
    sequences_of,
    shared_prefix,
)
from ftctl.local_backend.model import add_adapter, load_adapter_weights, load_base
from ftctl.local_backend.objectives import Imitation, Objective, Preference, trained_tokens
from ftctl.local_backend.output import write_output
from ftctl.local_backend.pairs import load_pairs
from ftctl.local_backend.plan import Plan, make_plan
from ftctl.local_backend.preference import beta_of
from ftctl.local_backend.reference import Reference
from ftctl.local_backend.run_folder import RunFolder, WorkerConfig
from ftctl.local_backend.validation import Answers, Preferences, Validation, held_out

if TYPE_CHECKING:
    from accelerate import Accelerator

Model = Any  # a PeftModel


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


def train(config: WorkerConfig, run: RunFolder, watch: Watch) -> Progress:
    """Run one attempt to its end: from the newest checkpoint to the finished adapter.

    Raises:
        Interrupted: a stop was asked for, and a checkpoint written.
        JobFailed: the loss is no longer a number.
        DataInvalid: a line is no example, or none can be trained on.
        UsageError: the model can't be loaded.
        StoreError: a data file isn't the one that was submitted.
    """
    from accelerate import Accelerator
    from torch.optim import AdamW

    _require_unchanged(config.data, config.data_sha256)
    if config.validation is not None and config.validation_sha256 is not None:
        _require_unchanged(config.validation, config.validation_sha256)
    watch.report("loading", f"loading {config.model}")
    base = find_base(config.model, config.home)
    tokenizer = load_tokenizer(base)
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    settings = config.hyperparameters
    examples = _load(config.data, tokenizer, config, run)
    beta = beta_of(config.method, config.options)
    plan = _plan(run, watch, lambda: make_plan(base, settings, examples, pad_id, beta))
    _tell(run, f"{plan.total_steps} steps ({plan.steps_reason}), {len(examples)} examples")

    _seed_everything(plan.seed)
    accelerator = Accelerator(cpu=plan.device == "cpu")
    model = add_adapter(load_base(base, plan.torch_dtype(), plan.device), settings)
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = AdamW(trainable, lr=0.0, betas=(0.9, 0.99), weight_decay=plan.weight_decay)
    model, optimizer = accelerator.prepare(model, optimizer)
    setting = _Setting(config, run, watch, model, plan, pad_id, tokenizer)
    objective = setting.objective(examples, config.data_sha256, plan.prefix_tokens)
    validation = setting.validation()

    at = checkpoint.restore(run, model, optimizer.optimizer)
    checkpoint.drop_rows_after(run, at.step)
    if at.step:
        _tell(run, f"goes on from step {at.step} of {plan.total_steps}")
    at = _loop(
        _Loop(accelerator, model, optimizer, plan, objective, validation), examples, at, run, watch
    )

    watch.report("saving", "writing the adapter", step=at.step, total_steps=plan.total_steps)
    if at.best_step and at.best_step != at.step:
        best = checkpoint.folder_of(run, at.best_step) / "adapter_model.safetensors"
        load_adapter_weights(model, best)
        _tell(run, f"keeps step {at.best_step}, the best on the validation data")
    write_output(run, config, plan, at, model, tokenizer, base)
    return at


@dataclass(frozen=True)
class _Loop:
    """What the loop works with; none of it changes while it runs, but for the weights."""

    accelerator: "Accelerator"
    model: Model
    optimizer: Any  # accelerate's wrapper around AdamW
    plan: Plan
    objective: Objective[Any]
    validation: Validation | None


def _loop(
    loop: _Loop, examples: Sequence[Item], at: Progress, run: RunFolder, watch: Watch
) -> Progress:
    """Optimiser steps from `at.step` to the end, with checkpoints in between."""
    plan = loop.plan
    batches = iter_step_batches(examples, plan.batch_size, plan.seed, at.step, plan.total_steps)
    loop.model.train()
    for chosen in batches:
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
                at = loop.validation.score(loop.model, at, run)
            checkpoint.save(run, loop.model, loop.optimizer.optimizer, at)
        if stop:
            raise Interrupted
    return at


def _step(
    loop: _Loop, examples: Sequence[Item], rate: float
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
    for start in range(0, len(examples), plan.micro_batch_size):
        part = examples[start : start + plan.micro_batch_size]
        measured = loop.objective.measure(loop.model, part)
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


def _require_unchanged(file: Path, sha256: str) -> None:
    try:
        found = file_sha256(file)
    except UsageError as error:
        raise StoreError(
            f"the job's data can't be read any more: {error.message}",
            hint="submit the job again with --new",
        ) from None
    if found != sha256:
        raise StoreError(
            f"{file}: the data was changed after the job was submitted (its sha256 is {found}, "
            f"not {sha256})",
            hint="submit the job again with --new",
        )


@dataclass(frozen=True)
class _Setting:
    """What an objective is made of: the same for the training and the validation data."""

    config: WorkerConfig
    run: RunFolder
    watch: Watch
    model: Model
    plan: Plan
    pad_id: int
    tokenizer: Tokenizer

    def objective(self, examples: Sequence[Any], sha256: str, prefix: int) -> Objective[Any]:
        """The loss on these lines; for DPO with the base's view of them, computed once a run."""
        if self.config.method == "sft":
            return Imitation(self.plan, self.pad_id, prefix)
        reference = Reference(examples, sha256, self.run)
        for known in reference.complete(self.model, self.plan, self.pad_id, prefix):
            said = f"the base's view of {known} of {len(examples)} pairs is known"
            self.watch.report("loading", said)
            if self.watch.stopping():
                raise Interrupted
        return Preference(self.plan, self.pad_id, prefix, reference)

    def validation(self) -> Validation | None:
        """What scores checkpoints, where there are validation data."""
        config = self.config
        if config.validation is None or config.validation_sha256 is None:
            return None
        loaded = _load(config.validation, self.tokenizer, config, self.run)
        examples: list[Any] = held_out(loaded)
        shared = self.plan.loss == "shared prefix"
        prefix = shared_prefix(sequences_of(examples)) if shared else 0
        objective = self.objective(examples, config.validation_sha256, prefix)
        size = self.plan.micro_batch_size
        if config.method == "sft":
            return Validation(Answers(examples, objective, size, self.tokenizer), len(examples))
        return Validation(Preferences(examples, objective, size), len(examples))


def _load(file: Path, tokenizer: Tokenizer, config: WorkerConfig, run: RunFolder) -> Sequence[Item]:
    """The lines of a file; what was left out of it is told once a run, not every attempt."""
    longest = config.hyperparameters.max_length or DEFAULT_MAX_LENGTH
    load: Callable[[Path, Tokenizer, int], Loaded[Any]] = (
        load_pairs if config.method == "dpo" else load_examples
    )
    loaded = load(file, tokenizer, longest)
    told = {row.get("message") for row in run.rows(run.events_file)}
    for remark in loaded.remarks:
        message = f"{file}: {remark}"
        if message not in told:
            run.append(run.events_file, {"level": "warning", "message": message})
    return loaded.examples


def _plan(run: RunFolder, watch: Watch, make: Callable[[], Plan]) -> Plan:
    """The plan of the first attempt, kept for every later one."""
    try:
        plan = run.read(run.plan_file, Plan)
    except StoreError as error:  # a new one differs at most in what was timed
        _tell(run, f"{error.message}; planned anew")
        plan = None
    if plan is None:
        watch.report("loading", "timing one batch to choose format and number of steps")
        plan = make()
        run.write(run.plan_file, plan)
        beta = "" if plan.beta is None else f"; dpo with beta {plan.beta:g}"
        _tell(run, f"{plan.device_name}; {plan.dtype_reason}; {plan.loss_reason}{beta}")
    return plan


def _seed_everything(seed: int) -> None:
    import torch

    torch.manual_seed(seed)


def _tell(run: RunFolder, message: str) -> None:
    run.append(run.events_file, {"level": "info", "message": message})
