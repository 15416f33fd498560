"""A job in TRL's words: its settings, and the rows that we rendered, as its trainers take them."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftctl.errors import DataInvalid
from ftctl.job import Hyperparameters, Method, Tuning, default_learning_rate
from ftctl.local_backend.data import Example, steps_per_epoch
from ftctl.local_backend.engines.axolotl_config import FIXED, micro_batch_of
from ftctl.local_backend.pairs import Pair
from ftctl.local_backend.run_options import RunOptions

_EPOCHS, _BATCH, _WARMUP = 3, 16, 0.04  # our own recipe's, where the job leaves one open
NO_LOSS = -100  # a label that is left out, as torch's cross-entropy has it
# Settings of ours that TRL is told; of some of them not every value.
_CARRIED = {"beta", "packing", "rslora", "recompute", "keep_checkpoints", "max_left_out"}
_VALUES = {"packing": {"auto", "off"}, "recompute": {"auto", "off", "all"}}
_NOT_CARRIED = {"max_minutes", "learning_rate_multiplier"}


def not_carried(settings: Hyperparameters, options: Mapping[str, str]) -> list[str]:
    """Settings that were given and that TRL isn't told."""
    left = set(settings.model_dump(exclude_none=True)) & _NOT_CARRIED
    for name, value in options.items():
        if name not in _CARRIED:
            left.add(name)
        elif value not in _VALUES.get(name, {value}):
            left.add(f"{name}={value}")
    return sorted(left)


def settings_of(
    given: Hyperparameters, options: RunOptions, tuning: Tuning, count: int, *, validate: bool
) -> dict[str, Any]:
    """What TRL is told, but for where it writes and the device.

    Args:
        given: What the user set.
        options: What else.
        tuning: What of the base is trained.
        count: How many examples there are.
        validate: Whether there are data to validate on.
    """
    batch = min(given.batch_size or _BATCH, count)
    micro = micro_batch_of(given, batch)
    total = given.max_steps or math.ceil((given.epochs or _EPOCHS) * steps_per_epoch(count, batch))
    share = _WARMUP if given.warmup_fraction is None else given.warmup_fraction
    every = given.checkpoint_steps or max(10, math.ceil(total / 5))
    method: Method = "sft" if options.beta is None else "dpo"
    chosen: dict[str, Any] = {
        "max_steps": total,
        "per_device_train_batch_size": micro,
        "per_device_eval_batch_size": micro,
        "gradient_accumulation_steps": batch // micro,
        "learning_rate": given.learning_rate or default_learning_rate(method, tuning),
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": FIXED["cosine_min_lr_ratio"]},
        "warmup_steps": round(total * share),
        "weight_decay": given.weight_decay or 0.0,
        "optim": FIXED["optimizer"],
        "adam_beta1": FIXED["adam_beta1"],
        "adam_beta2": FIXED["adam_beta2"],
        "max_grad_norm": FIXED["max_grad_norm"],
        "seed": given.seed or 0,
        "max_length": None,  # what is too long has been left out
        "gradient_checkpointing": options.recompute == "all",
        "save_strategy": "steps",
        "save_steps": every,
        # With one alone the Trainer would delete the newest at a stop where another was better.
        "save_total_limit": max(2, options.keep_checkpoints),
        "eval_strategy": "steps" if validate else "no",
        "eval_steps": every if validate else None,
        "metric_for_best_model": "eval_loss" if validate else None,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
    }
    if options.beta is not None:
        chosen |= {"beta": options.beta, "disable_dropout": False}  # the base has none any more
    return chosen


def rows_of(file: Path, examples: Sequence[Example | Pair]) -> list[dict[str, list[int]]]:
    """Examples in TRL's columns of token ids.

    Raises:
        DataInvalid: a pair that TRL couldn't take the same loss of.
    """
    return [_preference(file, one) if isinstance(one, Pair) else _labelled(one) for one in examples]


def _labelled(example: Example) -> dict[str, list[int]]:
    ids, mask = example.rendered.ids, example.rendered.mask
    labels = [token if on else NO_LOSS for token, on in zip(ids, mask, strict=True)]
    return {"input_ids": ids, "labels": labels}


def _preference(file: Path, pair: Pair) -> dict[str, list[int]]:
    """Prompt and answers; TRL counts every token behind the prompt, and knows one prompt alone."""
    begins = pair.chosen.rendered.mask.index(1)
    prompt = pair.chosen.rendered.ids[:begins]
    answers = [_answer(one, begins) for one in pair.sequences]
    same = pair.rejected.rendered.ids[:begins] == prompt
    if not same or None in answers:
        raise DataInvalid(
            f"{file}:{pair.line}: TRL takes one answer behind one prompt, and in this pair the "
            "model's template has the prompt end elsewhere, or more than the answer follows it",
            hint="leave the line out, or leave --engine out",
        )
    chosen, rejected = (answer or [] for answer in answers)
    return {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}


def _answer(sequence: Example, begins: int) -> list[int] | None:
    """The answer's tokens, where they stand together from there on."""
    ids, mask = sequence.rendered.ids, sequence.rendered.mask
    ends = begins + sum(mask)
    return ids[begins:ends] if all(mask[begins:ends]) else None
