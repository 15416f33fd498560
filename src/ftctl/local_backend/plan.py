"""What a run settles on before its first step, kept so that every later attempt does the same."""

import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from ftctl.estimation.setting import Format, Recompute
from ftctl.job import Hyperparameters, Tuning, default_learning_rate
from ftctl.local_backend.attention import Way
from ftctl.local_backend.budget import find_budget
from ftctl.local_backend.data import (
    Batch,
    Example,
    Item,
    Pack,
    Row,
    count_tokens,
    iter_step_batches,
    sequences_of,
    shared_prefix,
    steps_per_epoch,
)
from ftctl.local_backend.hardware import describe_device, find_device, pick_dtype
from ftctl.local_backend.kernels import Kernels, use_fused_kernels
from ftctl.local_backend.losses import make_scorer
from ftctl.local_backend.model import Trainable
from ftctl.local_backend.packing import packs, runs
from ftctl.local_backend.probe import Probe, batch_of
from ftctl.local_backend.recompute import set_recompute
from ftctl.local_backend.run_options import RunOptions

if TYPE_CHECKING:
    import torch
    from torch import nn

Model = Any  # as `Trainable` loads it

_FEWEST_STEPS = 20
_BATCHES_SEEN = 64  # of which the middle one, by tokens, stands for all of them
_TOKENS_PROBED = 1_536  # enough to keep a machine busy, few enough to be done in seconds


class Plan(BaseModel):
    """The choices of a run, with the reason for each that was measured.

    Attributes:
        loss: `plain` asks the model for all logits; else the head is for trained tokens alone.
        micro_batch_size: The most examples that go through the model at once.
        token_budget: The most tokens, padding included; by number alone in runs begun before
            there were budgets.
        attention: How the examples of a micro-batch are kept apart: in padded rows, or packed.
        recompute: Which layers are computed again in the backward pass.
        head: How much of the head is computed.
        kernels: Whose compute norms, feed-forward blocks and positions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str
    device_name: str
    dtype: str
    dtype_reason: str
    loss: str
    loss_reason: str
    prefix_tokens: int
    total_steps: int
    steps_reason: str
    batch_size: int
    micro_batch_size: int
    learning_rate: float
    beta: float | None = None  # of dpo: how closely it keeps to the base
    warmup_steps: int
    weight_decay: float
    checkpoint_steps: int
    seed: int
    seconds_per_step: float
    token_budget: int | None = None
    budget_reason: str = ""
    attention: Way = "padded"
    packing: str = "off"
    recompute: Recompute = "off"
    head: str = ""
    kernels: Kernels = "torch"
    keep_checkpoints: int = 2  # the last ones; the best one stays besides
    early_stopping: int | None = None  # validations without a better one

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, then a cosine down to 5 % of the peak; `step` counts from 0."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.total_steps))
        return self.learning_rate * warm * (0.05 + 0.95 * cosine)

    def gives_up_at(self, step: int, best_step: int) -> bool:
        """Whether so many validations in a row were no better that going on isn't worth it."""
        if self.early_stopping is None or not best_step:
            return False
        return step - best_step >= self.early_stopping * self.checkpoint_steps

    def micro_batches(
        self, items: Sequence[Row], prefix: int, most: int | None = None
    ) -> list[list[Row]]:
        """What goes through the model at once, the heaviest first.

        Args:
            items: Of one step, or of a validation.
            prefix: How many first tokens all their sequences share.
            most: The most of them at once, where memory is shorter than planned.
        """
        size = min(self.micro_batch_size, most or self.micro_batch_size)
        if self.token_budget is None:
            return [list(items[start : start + size]) for start in range(0, len(items), size)]
        if self.attention == "padded":
            sizes = [(item.length - prefix) * len(item.sequences) for item in items]
            parts = runs(sizes, self.token_budget - prefix, size)
        else:
            sizes = [sum(one.length - prefix for one in item.sequences) for item in items]
            parts = packs(sizes, self.token_budget - prefix, size)
        return [[items[place] for place in part] for part in parts]

    def batch_of(self, sequences: Sequence[Example], pad_id: int, prefix: int) -> Batch | Pack:
        """A micro-batch as the model takes it: padded rows, or one packed row."""
        return batch_of(self.attention, sequences, pad_id, prefix, self.device)

    def scorer(self, model: Model) -> "nn.Module":
        """What gives the loss of each trained token of a batch, computed as planned."""
        if self.kernels == "liger":
            use_fused_kernels(model)
        set_recompute(model, self.recompute)
        return make_scorer(model, plain=self.loss == "plain", packed=self.attention)

    def torch_dtype(self) -> "torch.dtype":
        """The number format as torch names it."""
        import torch

        return torch.bfloat16 if self.dtype == "bf16" else torch.float32


def make_plan(
    base: Path | str,
    settings: Hyperparameters,
    examples: Sequence[Item],
    pad_id: int,
    options: RunOptions,
    tuning: Tuning = "lora",
) -> Plan:
    """Choose device, format, loss, micro-batch and number of steps, timing real batches.

    Args:
        base: Folder or hub id of the base model.
        settings: What the user set; None leaves a choice to us.
        examples: The training examples, or pairs of them.
        pad_id: The padding token.
        options: What else the user set.
        tuning: What of the base is trained.
    """
    device = find_device()
    batch_size = min(settings.batch_size or 16, len(examples))
    trainable = Trainable(tuning, settings, options)
    probed, share = _sample(examples, batch_size, settings)
    probe = Probe(base, trainable, probed, pad_id, device)
    dtype, dtype_reason = pick_dtype(device, probe.run)
    words: Format = "bf16" if "bfloat16" in str(dtype) else "fp32"
    budget = find_budget(base, trainable, words, device, examples)
    recompute = probe.recomputes(dtype, budget.recompute)
    found = probe.choose(dtype, shared_prefix(sequences_of(examples)), recompute)
    seconds_per_step = probe.seconds(dtype, found) / share
    total, steps_reason = _total_steps(settings, len(examples), batch_size, seconds_per_step)
    return Plan(
        device=device,
        device_name=describe_device(device),
        dtype=words,
        dtype_reason=dtype_reason,
        loss="plain" if found.plain else "shared prefix" if found.prefix else "trained tokens",
        loss_reason=found.reason,
        prefix_tokens=found.prefix,
        total_steps=total,
        steps_reason=steps_reason,
        batch_size=batch_size,
        micro_batch_size=min(settings.micro_batch_size or batch_size, batch_size),
        token_budget=budget.tokens,
        budget_reason=budget.reason,
        attention=found.way,
        packing="off" if found.way == "padded" else "best fit decreasing",
        recompute=recompute,
        head="all logits" if found.plain else "trained tokens alone, in chunks",
        kernels=found.kernels,
        learning_rate=settings.learning_rate
        or default_learning_rate("sft" if options.beta is None else "dpo", tuning),
        beta=options.beta,
        warmup_steps=_warmup_steps(settings, total),
        weight_decay=settings.weight_decay or 0.0,
        checkpoint_steps=settings.checkpoint_steps or max(10, math.ceil(total / 5)),
        seed=settings.seed or 0,
        seconds_per_step=seconds_per_step,
        keep_checkpoints=options.keep_checkpoints,
        early_stopping=options.early_stopping,
    )


def _sample(
    examples: Sequence[Item], batch_size: int, settings: Hyperparameters
) -> tuple[list[Example], float]:
    """Sequences to try things on, and of how much of a step they are, by tokens.

    They are of a step that as many have fewer tokens as have more; enough to keep a machine busy,
    and at least two where there are.
    """
    known = steps_per_epoch(len(examples), batch_size)
    steps = iter_step_batches(examples, batch_size, settings.seed or 0, 0, known)
    seen = sorted(map(sequences_of, islice(steps, _BATCHES_SEEN)), key=count_tokens)
    step = seen[len(seen) // 2]
    found: list[Example] = []
    for sequence in step[: settings.micro_batch_size]:
        if len(found) > 1 and count_tokens([*found, sequence]) > _TOKENS_PROBED:
            break
        found.append(sequence)
    return found, count_tokens(found) / count_tokens(step)


def _warmup_steps(settings: Hyperparameters, total: int) -> int:
    share = 0.04 if settings.warmup_fraction is None else settings.warmup_fraction
    return max(1, round(total * share))


def _total_steps(
    settings: Hyperparameters, count: int, batch_size: int, seconds_per_step: float
) -> tuple[int, str]:
    per_epoch = steps_per_epoch(count, batch_size)
    epochs = settings.epochs or 3
    total, reason = math.ceil(epochs * per_epoch), f"{epochs:g} epochs of {per_epoch} steps"
    if settings.max_steps is not None:
        total, reason = settings.max_steps, f"max_steps={settings.max_steps}"
    if settings.max_minutes is not None:
        fits = max(_FEWEST_STEPS, int(settings.max_minutes * 60 / seconds_per_step))
        if fits < total:
            total = fits
            reason = f"{settings.max_minutes:g} minutes at {seconds_per_step:.2f} s a step"
    return total, reason
