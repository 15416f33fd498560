"""What OpenAI takes, asked before anything is sent: names, ranges, models."""

import re

from ftctl.catalog.load import load_catalog
from ftctl.errors import Unsupported, UsageError
from ftctl.job import JobSpec

_MAX_SUFFIX = 64  # characters; OpenAI's API reference
_MAX_EPOCHS, _MAX_BATCH = 50, 256  # OpenAI's OpenAPI description, 2026-08-21


def require_bounds(spec: JobSpec) -> None:
    """Refuse a name or setting outside the vendor's ranges.

    Raises:
        UsageError: with the range.
    """
    given = spec.hyperparameters
    if not 1 <= len(spec.name) <= _MAX_SUFFIX:
        raise UsageError(
            f"the name {spec.name!r} has {len(spec.name)} characters; OpenAI takes 1 to "
            f"{_MAX_SUFFIX} (it becomes part of the model's name)",
            hint="--name SHORTER",
        )
    epochs = given.epochs
    if epochs is not None and (epochs != int(epochs) or not 1 <= epochs <= _MAX_EPOCHS):
        raise UsageError(
            f"epochs={epochs:g}: OpenAI takes whole numbers from 1 to {_MAX_EPOCHS}",
            hint="--set epochs=3",
        )
    if given.batch_size is not None and given.batch_size > _MAX_BATCH:
        raise UsageError(
            f"batch_size={given.batch_size}: OpenAI takes 1 to {_MAX_BATCH}",
            hint=f"--set batch_size={_MAX_BATCH}",
        )


def _base_of(model: str) -> str:
    """The base model's name; `ft:BASE:org:suffix:id` names a tuned one to go on from."""
    return model.split(":")[1] if model.startswith("ft:") and model.count(":") >= 2 else model


def require_tunable(model: str) -> None:
    """Refuse a model that the catalog doesn't know as tunable at OpenAI.

    A closing date after the day on which the catalog was checked is the availability gate's affair.

    Raises:
        UsageError: an unknown model, with the nearest one.
        Unsupported: not tunable there, or not any more.
    """
    row = load_catalog().get_model(_base_of(model))
    tunable = next((t for t in row.tunable if t.provider == "openai"), None)
    if tunable is None or "sft" not in tunable.methods:
        open_ones = [m.name for m in load_catalog().models if _open_at_openai(m.name)]
        raise Unsupported(
            f"OpenAI doesn't tune {row.name} with sft (source: {row.source})",
            hint=f"it tunes {', '.join(open_ones)}; --provider local tunes open models here",
        )
    if not _open_at_openai(row.name):
        raise Unsupported(
            f"OpenAI stopped tuning {row.name} on {tunable.until} (source: {tunable.source})",
            hint="ftctl models shows what can be tuned where",
        )


def _open_at_openai(name: str) -> bool:
    row = load_catalog().get_model(name)
    return any(
        t.provider == "openai" and "sft" in t.methods and (t.until is None or t.until > t.as_of)
        for t in row.tunable
    )


def pinned(model: str) -> str:
    """The dated name that OpenAI asks for, where the catalog knows one; else the name as given."""
    row = load_catalog().find_model(model)
    dated = [] if row is None else [a for a in row.aliases if re.search(r"-\d{4}-\d\d-\d\d$", a)]
    return dated[0] if row is not None and model == row.name and dated else model
