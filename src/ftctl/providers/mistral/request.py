"""What Mistral's fine-tuning was asked for: a job's body and its ranges.

Fields and ranges: the OpenAPI file that still had the job paths in 2026-07.
"""

from collections.abc import Mapping
from typing import Any

from ftctl.errors import UsageError
from ftctl.job import JobSpec
from ftctl.providers.base import RemoteFile
from ftctl.providers.sending import number_of, require_size

MAX_SUFFIX = 18  # characters; our marker has 14
MAX_FILE_BYTES = 512 << 20
AUTO_START = "auto_start"
OPTIONS = {
    AUTO_START: "false: validate the data, quote, and wait for ftctl resume; true when left out",
    "invalid_sample_skip_percentage": "share of bad examples that are left out, 0 to 0.5",
    "fim_ratio": "share of code examples trained as fill-in-the-middle, 0 to 1; 0.9 when left out",
}
_RANGES = {"invalid_sample_skip_percentage": (0.0, 0.5), "fim_ratio": (0.0, 1.0)}
_LEAST_RATE, _LEAST_LENGTH = 1e-8, 100


def request_of(spec: JobSpec, files: Mapping[str, RemoteFile]) -> dict[str, Any]:
    """The body of a create without its suffix; what isn't set is left to the vendor."""
    given, options = spec.hyperparameters, spec.options
    settings = {
        "training_steps": given.max_steps,
        "epochs": None if given.max_steps else given.epochs,  # steps win
        "learning_rate": given.learning_rate,
        "weight_decay": given.weight_decay,
        "warmup_fraction": given.warmup_fraction,
        "seq_len": given.max_length,
        "fim_ratio": float(options["fim_ratio"]) if "fim_ratio" in options else None,
    }
    body: dict[str, Any] = {
        "model": spec.model,
        "training_files": [{"file_id": files["training"].id, "weight": 1.0}],
        "job_type": "completion",
        AUTO_START: options.get(AUTO_START, "true").lower() == "true",
        "hyperparameters": {name: value for name, value in settings.items() if value is not None},
    }
    if "validation" in files:
        body["validation_files"] = [files["validation"].id]
    if "invalid_sample_skip_percentage" in options:
        body["invalid_sample_skip_percentage"] = float(options["invalid_sample_skip_percentage"])
    return body


def require_settings(spec: JobSpec) -> None:
    """Refuse what is out of its range.

    Raises:
        UsageError: a setting.
        Unsupported: a file that is too large.
    """
    given = spec.hyperparameters
    if given.learning_rate is not None and given.learning_rate < _LEAST_RATE:
        raise UsageError(
            f"learning_rate={given.learning_rate:g}: at least {_LEAST_RATE:g} is taken",
            hint="--set learning_rate=0.0001",
        )
    if given.max_length is not None and given.max_length < _LEAST_LENGTH:
        raise UsageError(
            f"max_length={given.max_length}: at least {_LEAST_LENGTH} is taken",
            hint=f"--set max_length={_LEAST_LENGTH}",
        )
    if spec.options.get(AUTO_START, "true").lower() not in ("true", "false"):
        raise UsageError(
            f"{AUTO_START}={spec.options[AUTO_START]!r}: it is true or false",
            hint=f"--set {AUTO_START}=false",
        )
    for name, (low, high) in _RANGES.items():
        if name in spec.options and not low <= number_of(spec.options[name]) <= high:
            raise UsageError(
                f"{name}={spec.options[name]!r}: {low:g} to {high:g} is taken",
                hint=f"--set {name}={low:g}",
            )
    require_size(spec, MAX_FILE_BYTES)
