"""What a run settles on before its first step, kept so that every later attempt does the same."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from ftctl.job import Hyperparameters, Tuning, default_learning_rate
from ftctl.local_backend.data import (
    Batch,
    Item,
    collate,
    sequences_of,
    shared_prefix,
    steps_per_epoch,
)
from ftctl.local_backend.hardware import describe_device, find_device, pick_dtype
from ftctl.local_backend.losses import token_losses
from ftctl.local_backend.model import Trainable
from ftctl.local_backend.run_options import RunOptions

if TYPE_CHECKING:
    import torch

Model = Any  # as `Trainable` loads it

# Tokens in one forward pass that any machine is taken to hold for a small model.
_MICRO_BATCH_TOKENS = 16_384
_FEWEST_STEPS = 20


class Plan(BaseModel):
    """The choices of a run, with the reason for each that was measured."""

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
    longest = max(example.length for example in examples) * len(examples[0].sequences)
    micro = settings.micro_batch_size or max(1, min(batch_size, _MICRO_BATCH_TOKENS // longest))
    micro = min(micro, batch_size)
    # A middle-sized batch stands for all of them when it is timed.
    middle = sorted(examples, key=lambda example: example.length)[len(examples) // 2 :][:micro]
    prefix = shared_prefix(sequences_of(examples))
    # Of pairs, too: where their loss is equal either way, so are their log-probabilities.
    batch = collate(sequences_of(middle), pad_id, prefix, device)
    probe = _Probe(base, Trainable(tuning, settings, options), batch, device)
    dtype, dtype_reason = pick_dtype(device, probe.run)
    agrees, loss_reason = probe.losses_agree(dtype)
    seconds = probe.time(dtype, plain=not agrees)
    seconds_per_step = seconds * batch_size / micro
    total, steps_reason = _total_steps(settings, len(examples), batch_size, seconds_per_step)
    warmup = settings.warmup_fraction if settings.warmup_fraction is not None else 0.04
    return Plan(
        device=device,
        device_name=describe_device(device),
        dtype="bf16" if "bfloat16" in str(dtype) else "fp32",
        dtype_reason=dtype_reason,
        loss="shared prefix" if agrees else "plain",
        loss_reason=loss_reason,
        prefix_tokens=batch.prefix if agrees else 0,
        total_steps=total,
        steps_reason=steps_reason,
        batch_size=batch_size,
        micro_batch_size=micro,
        learning_rate=settings.learning_rate
        or default_learning_rate("sft" if options.beta is None else "dpo", tuning),
        beta=options.beta,
        warmup_steps=max(1, round(total * warmup)),
        weight_decay=settings.weight_decay or 0.0,
        checkpoint_steps=settings.checkpoint_steps or max(10, math.ceil(total / 5)),
        seed=settings.seed or 0,
        seconds_per_step=seconds_per_step,
        keep_checkpoints=options.keep_checkpoints,
        early_stopping=options.early_stopping,
    )


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


class _Probe:
    """Runs one real batch with models of either format, loading each at most once."""

    def __init__(self, base: Path | str, trainable: Trainable, batch: Batch, device: str) -> None:
        self._base, self._trainable, self._batch, self._device = base, trainable, batch, device
        self._models: dict[torch.dtype, Model] = {}

    def run(self, dtype: "torch.dtype") -> None:
        """Forward and backward."""
        token_losses(self._model(dtype), self._batch, plain=True).sum().backward()

    def time(self, dtype: "torch.dtype", *, plain: bool) -> float:
        """Seconds that forward and backward take, warm."""
        model = self._model(dtype)
        token_losses(model, self._batch, plain=plain).sum().backward()
        start = time.perf_counter()
        token_losses(model, self._batch, plain=plain).sum().backward()
        self._synchronize()
        return time.perf_counter() - start

    def losses_agree(self, dtype: "torch.dtype") -> tuple[bool, str]:
        """Whether the fast loss is the plain one on this model, checked on the real batch."""
        import torch

        if self._trainable.settings.lora_dropout:
            return False, "plain: dropout would differ between the shared prefix and its copies"
        model = self._model(dtype)
        with torch.no_grad():
            plain = token_losses(model, self._batch, plain=True).sum().item()
            try:
                fast = token_losses(model, self._batch, plain=False).sum().item()
            except (AttributeError, TypeError, ValueError, RuntimeError) as error:
                return False, f"plain: this architecture can't share a prefix ({error})"
        tolerance = 1e-4 if dtype == torch.float32 else 2e-2
        words = f"{fast:.4f} shared, {plain:.4f} plain, on one real batch"
        if abs(fast - plain) <= tolerance * max(1.0, abs(plain)):
            return True, f"shared prefix of {self._batch.prefix} tokens: {words}"
        return False, f"plain: the shared prefix changes the loss here ({words})"

    def _model(self, dtype: "torch.dtype") -> Model:
        if dtype not in self._models:
            model = self._trainable.load(self._base, dtype, self._device)
            self._models[dtype] = model.train()
        return self._models[dtype]

    def _synchronize(self) -> None:
        import torch

        if self._device == "cuda":
            torch.cuda.synchronize()
