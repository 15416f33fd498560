"""A job in Axolotl's words: the settings of a configuration file that trains the same.

Source: Axolotl 0.19.0, its schema and its trainer's builders.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own

from ftctl.job import Hyperparameters, Method, Tuning, default_learning_rate
from ftctl.local_backend.data import DEFAULT_MAX_LENGTH
from ftctl.local_backend.run_options import DEFAULT_BETA

# Our own recipe's choices where the job leaves one open, so that both train alike.
_EPOCHS, _BATCH, _MICRO, _RANK, _WARMUP = 3, 16, 2, 16, 0.04
# What isn't a setting here: AdamW as we run it, a cosine down to this share, the norm clipped.
FIXED: dict[str, Any] = {
    "lr_scheduler": "cosine",
    "cosine_min_lr_ratio": 0.05,
    "optimizer": "adamw_torch",
    "adam_beta1": 0.9,
    "adam_beta2": 0.99,
    "max_grad_norm": 1.0,
}
# Settings of ours that a configuration can carry; every other one that is given is told.
_CARRIED = {"beta", "packing", "rslora", "recompute", "keep_checkpoints"}
_NOT_CARRIED = {"max_minutes", "learning_rate_multiplier"}


@dataclass(frozen=True)
class Wanted:
    """What is to be trained.

    Attributes:
        base: Folder or hub id of the base model.
        data: Training rows as Axolotl reads them: messages with `train`, for DPO also
            `chosen` and `rejected`.
        validation: Such rows to watch, or None.
        output: Where Axolotl is to write; None leaves it to its reader.
    """

    base: str
    method: Method
    tuning: Tuning
    settings: Hyperparameters
    options: Mapping[str, str]
    data: Path
    validation: Path | None = None
    output: Path | None = None


def config_of(wanted: Wanted) -> dict[str, Any]:
    """The configuration, by Axolotl's keys in the order in which a person reads them."""
    given, options = wanted.settings, wanted.options
    keep = options.get("keep_checkpoints")
    rate = given.learning_rate or default_learning_rate(wanted.method, wanted.tuning)
    batch = given.batch_size or _BATCH
    micro = micro_batch_of(given, batch)
    config: dict[str, Any] = {"base_model": wanted.base, **_adapter(wanted)}
    if wanted.method == "dpo":
        config |= {"rl": "dpo", "rl_beta": float(options.get("beta", DEFAULT_BETA))}
    config["datasets"] = [_dataset(wanted.data, wanted.method)]
    if wanted.validation is not None:
        config["test_datasets"] = [_dataset(wanted.validation, wanted.method)]
        every = given.checkpoint_steps  # looked at where it is saved, so that the best is kept
        config |= {"eval_steps": every} if every else {"eval_strategy": "epoch"}
        config["load_best_model_at_end"] = True
    config |= {
        "chat_template": "tokenizer_default",
        "sequence_len": given.max_length or DEFAULT_MAX_LENGTH,
        "sample_packing": {"on": True, "off": False}.get(options.get("packing", "auto")),
        "micro_batch_size": micro,
        "gradient_accumulation_steps": batch // micro,
        "num_epochs": given.epochs or _EPOCHS,
        "max_steps": given.max_steps,
        "learning_rate": rate,
        "warmup_ratio": _WARMUP if given.warmup_fraction is None else given.warmup_fraction,
        "weight_decay": given.weight_decay or 0.0,
        **FIXED,
        "seed": given.seed or 0,
        "bf16": "auto",
        "gradient_checkpointing": options.get("recompute") == "all" or None,
        "save_steps": given.checkpoint_steps,
        "save_total_limit": keep and int(keep),
        "output_dir": None if wanted.output is None else str(wanted.output),
    }
    return {key: value for key, value in config.items() if value is not None}


def micro_batch_of(given: Hyperparameters, batch: int) -> int:
    """Examples at once, by which a step's can be divided: a product of two makes it up."""
    micro = min(given.micro_batch_size or _MICRO, batch)
    while batch % micro:
        micro -= 1
    return micro


def not_carried(wanted: Wanted) -> list[str]:
    """Settings that were given and that no key of Axolotl's says."""
    given = set(wanted.settings.model_dump(exclude_none=True)) & _NOT_CARRIED
    if wanted.settings.last_layers is not None and layers_of(wanted.base) is None:
        given.add("last_layers")
    return sorted(given | set(wanted.options) - _CARRIED)


def written(config: Mapping[str, Any]) -> str:
    """The configuration as YAML."""
    text: str = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    return text


def _adapter(wanted: Wanted) -> dict[str, Any]:
    if wanted.tuning == "full":
        return {}
    given = wanted.settings
    rank = given.lora_r or _RANK
    adapter: dict[str, Any] = {
        "adapter": wanted.tuning,
        "load_in_4bit": True if wanted.tuning == "qlora" else None,
        "lora_r": rank,
        "lora_alpha": given.lora_alpha or 2 * rank,
        "lora_dropout": given.lora_dropout or 0.0,
        "lora_target_linear": True,
        "peft_use_rslora": wanted.options.get("rslora", "").lower() in ("true", "1") or None,
    }
    layers = layers_of(wanted.base)
    if given.last_layers is not None and layers is not None:
        adapter["peft_layers_to_transform"] = list(range(layers - given.last_layers, layers))
    return {key: value for key, value in adapter.items() if value is not None}


def _dataset(file: Path, method: Method) -> dict[str, Any]:
    if method == "dpo":
        return {
            "path": str(file),
            "ds_type": "json",
            "split": "train",
            "type": "chat_template.default",
            "field_messages": "messages",
            "field_chosen": "chosen",
            "field_rejected": "rejected",
        }
    return {
        "path": str(file),
        "ds_type": "json",
        "split": "train",
        "type": "chat_template",
        "field_messages": "messages",
        "message_field_training": "train",
        "message_field_training_detail": "train_detail",
    }


def layers_of(base: str) -> int | None:
    """How many blocks a model in a folder has; None for one that isn't here."""
    try:
        found = json.loads((Path(base) / "config.json").read_bytes()).get("num_hidden_layers")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, int) else None
