"""A job's data and settings as a configuration file of mistral-finetune, for pinned installs.

Source: mistralai/mistral-finetune at its last commit, 2026-06; it is archived.
"""

import math
import re
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own

from ftctl.api.axolotl_yaml import open_base
from ftctl.api.export_request import Exported, Exporting
from ftctl.api.exported_file import write_file, write_rows, wrote
from ftctl.catalog.load import load_catalog
from ftctl.datasets.check import check
from ftctl.errors import Unsupported, UsageError
from ftctl.estimation.quote import epochs_asked
from ftctl.job import JobSpec, default_learning_rate
from ftctl.local_backend.data import DEFAULT_MAX_LENGTH

_HEAD = """\
# Written by ftctl from {job}. In a checkout of mistral-finetune, with its own old versions of
# torch and mistral-common: torchrun --nproc-per-node 1 -m train THIS_FILE
# model_id_or_path has to be a folder with params.json, consolidated.safetensors and
# tokenizer.model.v3 or tekken.json; run_dir must not exist yet.
"""
_EPOCHS, _BATCH, _RANK, _WARMUP = 3, 16, 16, 0.04
# Its optimiser's schedule and betas, its clipping and its targets are fixed in it.
_NOT_CARRIED = {"last_layers", "max_minutes", "learning_rate_multiplier", "micro_batch_size"}


def write_mistral_finetune_yaml(asked: Exporting) -> Exported:
    """The job's settings in mistral-finetune's words, and its rows as it reads them.

    Raises:
        Unsupported: not a job by sft with lora or full on one of Mistral's models.
        DataInvalid: a row can't be said in Mistral's format.
        UsageError: a path holds a mark that its data setting can't.
    """
    assert asked.out is not None  # noqa: S101 - `export` has seen to it
    spec = asked.spec
    _require_its_kind(spec)
    rows = _rows(asked, spec.data, "train")
    held_out = None if spec.validation is None else _rows(asked, spec.validation, "validation")
    config = _config(asked, rows, held_out)
    text = _HEAD.format(job=asked.job.id)
    left = sorted(_NOT_CARRIED & set(spec.hyperparameters.model_dump(exclude_none=True)))
    left += sorted(spec.options)
    if left:
        text += f"# Not in it, for it has no such setting: {', '.join(left)}.\n"
        asked.tell(f"mistral-finetune has no setting for {', '.join(left)}: not in it")
    text += yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    write_file(asked.out, text.encode())
    return wrote(asked, (rows, held_out))


def _require_its_kind(spec: JobSpec) -> None:
    row = load_catalog().find_model(spec.model)
    if row is not None and row.family != "mistral":
        raise Unsupported(
            f"mistral-finetune can't tune {spec.model}: it knows Mistral's models alone",
            hint="--to axolotl-yaml takes any",
        )
    if spec.method != "sft" or spec.tuning == "qlora":
        raise Unsupported(
            f"mistral-finetune can't do {spec.method} with {spec.tuning}: only sft, lora or full",
            hint="--to axolotl-yaml can",
        )


def _config(asked: Exporting, rows: Path, held_out: Path | None) -> dict[str, Any]:
    spec, given = asked.spec, asked.spec.hyperparameters
    rank, batch = given.lora_r or _RANK, given.batch_size or _BATCH
    counted = check([rows], providers=["mistral"], method="sft")
    length = given.max_length or DEFAULT_MAX_LENGTH
    # It fills each sequence with examples, so that a step has packs where ours has examples:
    # as many as hold a step's examples, and as many steps as that takes.
    mean = counted.tokens.total_tokens / max(1, counted.examples)
    packs = max(1, round(batch * mean / length))
    epochs = epochs_asked(given, counted.examples) or _EPOCHS
    steps = math.ceil(counted.tokens.total_tokens * epochs / (packs * length))
    lora: dict[str, Any] = {"enable": False}
    if spec.tuning == "lora":
        lora = {
            "rank": rank,
            "dropout": given.lora_dropout or 0.0,
            "scaling": (given.lora_alpha or 2 * rank) / rank,
        }
    every = given.checkpoint_steps or max(10, math.ceil(steps / 5))
    return {
        "data": {
            "instruct_data": str(rows),
            "data": "",
            "eval_instruct_data": "" if held_out is None else str(held_out),
        },
        "model_id_or_path": open_base(asked, "mistral-finetune"),
        "lora": lora,
        "seq_len": length,
        "batch_size": 1,
        "num_microbatches": packs,
        "max_steps": given.max_steps or max(1, steps),
        "optim": {
            "lr": given.learning_rate or default_learning_rate("sft", spec.tuning),
            "weight_decay": given.weight_decay or 0.0,
            "pct_start": _WARMUP if given.warmup_fraction is None else given.warmup_fraction,
        },
        "seed": given.seed or 0,
        "log_freq": 1,
        "eval_freq": every,
        "no_eval": held_out is None,
        "ckpt_freq": every,
        "save_adapters": spec.tuning == "lora",
        "run_dir": "run-" + (re.sub(r"[^A-Za-z0-9-]+", "-", spec.name).strip("-") or "job"),
    }


def _rows(asked: Exporting, file: Path, role: str) -> Path:
    """The rows in Mistral's format, under a path that its data setting can say."""
    rows = write_rows(asked, file, role, "mistral").absolute()
    if set(":,") & set(str(rows)):  # its marks between sources and their weights
        raise UsageError(
            f"{rows}: a path with ':' or ',' can't stand in mistral-finetune's data setting",
            hint="keep data and export in another folder",
        )
    return rows
