"""Which ways of tuning there are here, and what doesn't go with one: told before a job is made."""

from collections.abc import Mapping
from importlib.util import find_spec

from ftctl.errors import ExtraMissing, UsageError
from ftctl.job import Hyperparameters, Tuning

TUNINGS: frozenset[Tuning] = frozenset({"lora", "qlora", "full"})

_OF_AN_ADAPTER = (
    "lora_r",
    "lora_alpha",
    "lora_dropout",
    "last_layers",
    "rslora",
    "adapter_format",
)


def require_tuning(tuning: Tuning, settings: Hyperparameters, options: Mapping[str, str]) -> None:
    """Refuse a tuning that can't be done here, or settings that aren't its own.

    Raises:
        ExtraMissing: QLoRA without what keeps weights in four bits.
        UsageError: a setting of an adapter where there is none.
    """
    if tuning == "qlora" and find_spec("bitsandbytes") is None:
        raise ExtraMissing("qlora", "keeping a model's weights in four bits")
    given = {*settings.model_dump(exclude_none=True), *options}
    stray = [name for name in _OF_AN_ADAPTER if name in given]
    if tuning == "full" and stray:
        raise UsageError(
            f"{', '.join(stray)}: of an adapter, and --tuning full makes none: it trains "
            "all weights",
            hint="leave it out, or --tuning lora",
        )
