"""What Fireworks is asked for: a job's body, and what it takes, asked before anything is sent.

Names and ranges: the SDK's types, fireworks-ai 1.2.30 (an adapter's rank from `PeftDetails`, beta
from `DpoConfig`). The preference API names two defaults for its loss, so it is always said.
"""

import re
from collections.abc import Mapping
from typing import Any

from ftctl.catalog.load import load_catalog
from ftctl.errors import UsageError
from ftctl.job import JobSpec
from ftctl.providers.base import RemoteFile
from ftctl.providers.fireworks.wire import Model
from ftctl.providers.sending import number_of

OPTIONS = {
    "warm_start_from": "go on from an adapter of yours: accounts/A/models/M",
    "warmup_steps": "steps until the learning rate is at its peak",
    "early_stop": "true: stop when the validation loss no longer falls; needs --validation",
    "dpo_loss": "DPO (the default) or ORPO",
    "dpo_beta": "how far DPO may move from the base model, above 0 and below 0.5",
}
MIN_RANK, MAX_RANK = 4, 64
_NAME = 63  # characters of a display name: fewer than 64
_ID = re.compile(r"accounts/[a-z0-9-]+/models/[A-Za-z0-9._-]+")


def model_of(name: str) -> str:
    """The vendor's own name of a base model: the catalog's row, else as given or in its library.

    Raises:
        UsageError: what is given can't be one.
    """
    row = load_catalog().find_model(name)
    known = [t.id for t in row.tunable if t.provider == "fireworks" and t.id] if row else []
    whole = known[0] if known else name
    whole = whole if whole.startswith("accounts/") else f"accounts/fireworks/models/{whole}"
    if not _ID.fullmatch(whole):
        raise UsageError(
            f"{name!r} isn't a model of Fireworks",
            hint="a name of ftctl models, of its library (llama-v3p1-8b-instruct), or "
            "accounts/A/models/M",
        )
    return whole


def request_of(spec: JobSpec, files: Mapping[str, RemoteFile], marker: str) -> dict[str, Any]:
    """The body of a create; what isn't set is left to the vendor."""
    body: dict[str, Any] = {"dataset": files["training"].id}
    body["displayName"] = f"{spec.name[: _NAME - len(marker) - 1].strip()} {marker}".strip()
    training = _training_of(spec)
    if spec.method == "dpo":
        loss: dict[str, Any] = {"method": spec.options.get("dpo_loss", "DPO").upper()}
        if "dpo_beta" in spec.options:
            loss["dpo"] = {"beta": float(spec.options["dpo_beta"])}
        return body | {"trainingConfig": training, "lossConfig": loss}
    if "validation" in files:
        body["evaluationDataset"] = files["validation"].id
        if _is_true(spec.options.get("early_stop", "false")):
            body["earlyStop"] = True
    else:
        body["evalAutoCarveout"] = False  # else it keeps rows back and trains on fewer
    return body | training


def _training_of(spec: JobSpec) -> dict[str, Any]:
    given, options = spec.hyperparameters, spec.options
    start = options.get("warm_start_from")
    body: dict[str, Any] = (
        {"baseModel": model_of(spec.model)} if start is None else {"warmStartFrom": start}
    )
    settings = {
        "epochs": None if given.epochs is None else int(given.epochs),
        "batchSizeSamples": given.batch_size,
        "learningRate": given.learning_rate,
        "optimizerWeightDecay": given.weight_decay,
        "loraRank": given.lora_r,
        "maxContextLength": given.max_length,
        "samplerCheckpointSaveIntervalSteps": given.checkpoint_steps,
        "learningRateWarmupSteps": int(options["warmup_steps"])
        if "warmup_steps" in options
        else None,
    }
    return body | {name: value for name, value in settings.items() if value is not None}


def require_settings(spec: JobSpec) -> None:
    """Refuse what no model there takes.

    Raises:
        UsageError: a setting out of its range, or one that doesn't go with another.
    """
    given, options = spec.hyperparameters, spec.options
    if given.epochs is not None and (given.epochs != int(given.epochs) or given.epochs < 1):
        raise UsageError(
            f"epochs={given.epochs:g}: Fireworks takes whole numbers from 1", hint="--set epochs=1"
        )
    if given.lora_r is not None and not MIN_RANK <= given.lora_r <= MAX_RANK:
        raise UsageError(
            f"lora_r={given.lora_r}: Fireworks takes {MIN_RANK} to {MAX_RANK}",
            hint=f"--set lora_r={min(max(given.lora_r, MIN_RANK), MAX_RANK)}",
        )
    if "warmup_steps" in options and not re.fullmatch(r"\d{1,9}", options["warmup_steps"]):
        raise UsageError(
            f"warmup_steps={options['warmup_steps']!r} is no number of steps", hint="0 or more"
        )
    if "warm_start_from" in options and not _ID.fullmatch(options["warm_start_from"]):
        raise UsageError(
            f"warm_start_from={options['warm_start_from']!r} isn't a model's whole name",
            hint="accounts/ACCOUNT/models/MODEL",
        )
    if spec.method == "dpo" and spec.validation is not None:
        raise UsageError(
            "preference jobs take no validation file at Fireworks", hint="leave out --validation"
        )
    _require_terms(spec)


def _require_terms(spec: JobSpec) -> None:
    options = spec.options
    for term in {"dpo_loss", "dpo_beta"} & options.keys():
        if spec.method != "dpo":
            raise UsageError(f"{term} is a setting of dpo", hint="--method dpo, or leave it out")
    if options.get("dpo_loss", "DPO").upper() not in ("DPO", "ORPO"):
        raise UsageError(
            f"dpo_loss={options['dpo_loss']!r}: DPO or ORPO", hint="--set dpo_loss=DPO"
        )
    if "dpo_beta" in options and not 0 < number_of(options["dpo_beta"]) < 0.5:
        raise UsageError(
            f"dpo_beta={options['dpo_beta']}: above 0 and below 0.5", hint="--set dpo_beta=0.1"
        )
    early = options.get("early_stop", "false")
    if early.lower() not in ("true", "false"):
        raise UsageError(f"early_stop={early!r}: true or false", hint="--set early_stop=true")
    if _is_true(early) and spec.validation is None:
        raise UsageError("early_stop needs a validation file", hint="--validation FILE")


def require_model(spec: JobSpec, model: Model) -> None:
    """Refuse what the vendor says that this model doesn't take.

    Raises:
        UsageError: examples longer than it trains on.
    """
    asked, longest = spec.hyperparameters.max_length, model.training_context_length
    if asked is not None and longest and asked > longest:
        raise UsageError(
            f"max_length={asked}: for {model.id} Fireworks takes up to {longest}",
            hint=f"--set max_length={longest}",
        )


def _is_true(text: str) -> bool:
    return text.lower() == "true"
