"""A job's data and settings as AutoTrain's configuration file."""

import json
import re

from ftctl.api.export_request import Exported, Exporting
from ftctl.api.exported_file import write_file
from ftctl.catalog.load import load_catalog
from ftctl.errors import Unsupported, UsageError

# Names and defaults: AutoTrain Advanced 0.8.36, its last release.
_YAML = """\
# Written by ftctl from {job}. Run it with: autotrain --config THIS_FILE
# AutoTrain isn't maintained any more: {way_out}.
# It trains on every token of a chat, the user's too, and knows neither tools nor weights.
task: llm-sft
base_model: {base}
project_name: {name}
log: none
backend: local

data:
  path: {folder}
  train_split: {train}
  valid_split: {valid}
  chat_template: tokenizer
  column_mapping:
    text_column: messages

params:
  block_size: {length}
  model_max_length: {length}
  epochs: {epochs}
  batch_size: {micro}
  gradient_accumulation: {accumulation}
  lr: {rate}
  warmup_ratio: {warmup}
  weight_decay: {decay}
  optimizer: adamw_torch
  scheduler: cosine
  seed: {seed}
  peft: true
  quantization: null
  target_modules: all-linear
  lora_r: {rank}
  lora_alpha: {alpha}
  lora_dropout: {dropout}
  padding: right

hub:
  username: ${{HF_USERNAME}}
  token: ${{HF_TOKEN}}
  push_to_hub: true
"""


def write_autotrain_yaml(asked: Exporting) -> Exported:
    """The job's data and settings as AutoTrain's configuration; no model is needed for it."""
    assert asked.out is not None  # noqa: S101 - `export` has seen to it
    spec, given = asked.spec, asked.spec.hyperparameters
    catalog = load_catalog()
    row = catalog.find_model(spec.model)
    base = row.hub_id if row is not None and row.hub_id is not None else spec.model
    if row is not None and not row.open_weights:
        raise Unsupported(
            f"AutoTrain can't tune {spec.model}: its weights aren't published", hint="ftctl models"
        )
    if spec.validation is not None and spec.validation.parent != spec.data.parent:
        raise UsageError(
            "AutoTrain reads training and validation files from one folder",
            hint=f"put {spec.validation.name} beside {spec.data.name}, and submit from there",
        )
    batch, micro = given.batch_size or 16, given.micro_batch_size or 2
    rank = given.lora_r or 16
    text = _YAML.format(
        job=asked.job.id,
        way_out=catalog.get_provider("huggingface").way_out,
        base=json.dumps(base),
        name=json.dumps(re.sub(r"[^A-Za-z0-9-]+", "-", spec.name).strip("-") or "job"),
        folder=json.dumps(str(spec.data.parent)),
        train=json.dumps(spec.data.stem),
        valid=json.dumps(spec.validation.stem if spec.validation else None),
        length=given.max_length or 1024,
        epochs=max(1, round(given.epochs or 3)),
        micro=micro,
        accumulation=max(1, batch // micro),
        rate=given.learning_rate or 2e-4,
        warmup=0.03 if given.warmup_fraction is None else given.warmup_fraction,
        decay=given.weight_decay or 0.0,
        seed=42 if given.seed is None else given.seed,
        rank=rank,
        alpha=given.lora_alpha or 2 * rank,
        dropout=given.lora_dropout or 0.0,
    )
    write_file(asked.out, text.encode())
    if given.max_steps is not None:
        asked.tell("AutoTrain counts epochs, not steps: max_steps isn't in it")
    return Exported(
        job=asked.job.id,
        to=asked.to,
        place=str(asked.out),
        files=(asked.out.name,),
        bytes=len(text.encode()),
    )
