"""What Together is asked for: a job's body, and what it takes, asked before anything is sent.

Ranges: its documentation (reference of the command line) and the SDK's own checks, together 3.1.1;
those of one model are the vendor's answer, which costs nothing.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ftctl.catalog.load import load_catalog
from ftctl.errors import Unsupported, UsageError
from ftctl.job import JobSpec
from ftctl.providers.base import RemoteFile
from ftctl.providers.sending import number_of, require_size
from ftctl.providers.transport.documents import Document

OPTIONS = {
    "from_checkpoint": "go on from a job of yours: JOB, JOB:STEP, or an output model's name",
    "n_evals": "evaluations on the validation file, 0 to 100; one for each epoch when left out",
    "dpo_beta": "how far DPO may move from the base model",
    "rpo_alpha": "how much of the likelihood of the preferred answer DPO takes into its loss",
}
MAX_SUFFIX = 40  # characters
MAX_BYTES = 5 << 30  # of a file that goes in one piece; the SDK sends larger ones in parts
_MAX_EPOCHS, _MAX_EVALS = 20, 100

PRICED = frozenset(
    {
        "training_file",
        "validation_file",
        "model",
        "from_checkpoint",
        "n_epochs",
        "n_evals",
        "training_method",
        "training_type",
    }
)
"""The fields of a create that a question for the price takes."""


class LoraLimits(Document):
    """What adapters of a model may be."""

    default_rank: int = 8
    max_rank: int | None = None
    min_batch_size: int | None = None
    max_batch_size: int | None = None
    max_batch_size_dpo: int | None = None


class FullLimits(Document):
    """What tuning all weights of a model may be."""

    min_batch_size: int | None = None
    max_batch_size: int | None = None
    max_batch_size_dpo: int | None = None


class Limits(Document):
    """What the vendor takes for one base model."""

    lora_training: LoraLimits = LoraLimits()
    full_training: FullLimits | None = None
    supports_full_training: bool | None = None
    min_learning_rate: float | None = None
    max_learning_rate: float | None = None
    max_num_epochs: int | None = None
    max_num_evals: int | None = None
    min_max_seq_length: int | None = None
    max_seq_length_sft: int | None = None
    max_seq_length_dpo: int | None = None


def model_of(name: str) -> str:
    """The vendor's own name of a base model that the catalog knows; any other as it is given."""
    row = load_catalog().find_model(name)
    if row is None:
        return name
    there = next((t.id for t in row.tunable if t.provider == "together" and t.id), None)
    return there or row.hub_id or name


def suffix_of(name: str, marker: str) -> str:
    """What a create gives as suffix: as much of the name as fits, and our marker whole."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    room = MAX_SUFFIX - len(marker) - 1
    return f"{plain[:room].rstrip('-')}-{marker}".lstrip("-")


def request_of(spec: JobSpec, files: Mapping[str, RemoteFile], limits: Limits) -> dict[str, Any]:
    """The body of a create without its suffix; what isn't set is left to the vendor."""
    given, options = spec.hyperparameters, spec.options
    body: dict[str, Any] = {"training_file": files["training"].id}
    if "from_checkpoint" in options:
        body["from_checkpoint"] = options["from_checkpoint"]
    else:
        body["model"] = model_of(spec.model)
    epochs = None if given.epochs is None else int(given.epochs)
    if "validation" in files:
        body["validation_file"] = files["validation"].id
        # Without evaluations the vendor never looks at the file.
        body["n_evals"] = int(options.get("n_evals", epochs or 1))
    body["training_method"] = _method_of(spec)
    adapter = {given.lora_r, given.lora_alpha, given.lora_dropout} != {None}
    if adapter or "from_checkpoint" not in options:  # else it goes on as it was
        body["training_type"] = _type_of(spec, limits)
    settings = {
        "n_epochs": epochs,
        "batch_size": given.batch_size,
        "learning_rate": given.learning_rate,
        "warmup_ratio": given.warmup_fraction,
        "weight_decay": given.weight_decay,
        "max_seq_length": given.max_length,
        "random_seed": given.seed,
    }
    return body | {name: value for name, value in settings.items() if value is not None}


def _method_of(spec: JobSpec) -> dict[str, Any]:
    if spec.method == "sft":
        return {"method": "sft", "train_on_inputs": "auto"}  # it learns what the assistant says
    terms = {n: float(v) for n, v in spec.options.items() if n in ("dpo_beta", "rpo_alpha")}
    return {"method": "dpo", **terms}


def _type_of(spec: JobSpec, limits: Limits) -> dict[str, Any]:
    """An adapter of the model's own rank where none is named, its alpha twice that: their rule."""
    if spec.tuning == "full":
        return {"type": "Full"}
    given = spec.hyperparameters
    rank = given.lora_r or limits.lora_training.default_rank
    kind: dict[str, Any] = {"type": "Lora", "lora_r": rank}
    kind["lora_alpha"] = 2 * rank if given.lora_alpha is None else given.lora_alpha
    if given.lora_dropout is not None:
        kind["lora_dropout"] = given.lora_dropout
    return kind


def require_settings(spec: JobSpec) -> None:
    """Refuse what no model there takes.

    Raises:
        UsageError: a setting out of its range, or one that doesn't go with another.
        Unsupported: a file too large to be sent in one piece.
    """
    given, options = spec.hyperparameters, spec.options
    if given.epochs is not None:
        _require_whole("epochs", given.epochs, 1, _MAX_EPOCHS)
    adapter = {"lora_r", "lora_alpha", "lora_dropout"} & given.model_dump(exclude_none=True).keys()
    if spec.tuning == "full" and adapter:
        raise UsageError(
            f"{', '.join(sorted(adapter))} is of an adapter, and --tuning full makes none",
            hint="leave it out, or --tuning lora",
        )
    if "n_evals" in options:
        _require_whole("n_evals", _number(options, "n_evals"), 0, _MAX_EVALS)
        if spec.validation is None:
            raise UsageError("n_evals needs a validation file", hint="--validation FILE")
    for term in {"dpo_beta", "rpo_alpha"} & options.keys():
        _require_term(spec, term)
    require_size(spec, MAX_BYTES)


def _require_term(spec: JobSpec, term: str) -> None:
    if spec.method != "dpo":
        raise UsageError(f"{term} is a setting of dpo", hint="--method dpo, or leave it out")
    if _number(spec.options, term) < 0:
        raise UsageError(f"{term}={spec.options[term]}: it can't be negative", hint="0 or more")


def require_limits(spec: JobSpec, limits: Limits) -> None:
    """Refuse what the vendor says that this model doesn't take.

    Raises:
        UsageError: a setting out of its range.
        Unsupported: all weights can't be tuned.
    """
    if spec.tuning == "full" and limits.supports_full_training is False:
        raise Unsupported(f"Together tunes {spec.model} only with lora", hint="--tuning lora")
    for name, value, low, high in _ranges(spec, limits):
        if value is None:
            continue
        if (low is not None and value < low) or (high is not None and value > high):
            near = high if high is not None and value > high else low
            least, most = ("any" if end is None else f"{end:g}" for end in (low, high))
            raise UsageError(
                f"{name}={value:g}: for {spec.model} Together takes {least} to {most}",
                hint=f"--set {name}={near:g}",
            )


_Range = tuple[str, float | None, float | None, float | None]


def _ranges(spec: JobSpec, limits: Limits) -> Iterator[_Range]:
    """Name, value, lowest and highest of each setting that a model limits."""
    given, dpo = spec.hyperparameters, spec.method == "dpo"
    batch = limits.full_training or FullLimits() if spec.tuning == "full" else limits.lora_training
    most = batch.max_batch_size_dpo if dpo else batch.max_batch_size
    longest = limits.max_seq_length_dpo if dpo else limits.max_seq_length_sft
    rate = (limits.min_learning_rate, limits.max_learning_rate)
    yield "epochs", given.epochs, 1, limits.max_num_epochs
    yield "batch_size", given.batch_size, batch.min_batch_size, most
    yield "learning_rate", given.learning_rate, *rate
    yield "lora_r", given.lora_r, 1, limits.lora_training.max_rank
    yield "max_length", given.max_length, limits.min_max_seq_length, longest
    if "n_evals" in spec.options:
        yield "n_evals", float(spec.options["n_evals"]), 0, limits.max_num_evals


def _number(options: Mapping[str, str], name: str) -> float:
    value = number_of(options[name])
    if not math.isfinite(value):
        raise UsageError(f"{name}={options[name]!r} is no number", hint=f"--set {name}=1")
    return value


def _require_whole(name: str, value: float, low: int, high: int) -> None:
    if value != int(value) or not low <= value <= high:
        raise UsageError(
            f"{name}={value:g}: Together takes whole numbers from {low} to {high}",
            hint=f"--set {name}={min(max(low, 3), high)}",
        )
