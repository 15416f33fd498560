"""Which machine a job at Hugging Face gets, and after how long it is stopped there."""

import difflib
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from ftctl.catalog.load import Catalog, load_catalog
from ftctl.catalog.types import Hardware
from ftctl.datasets.fingerprints import BYTES_PER_TOKEN
from ftctl.errors import Unsupported, UsageError
from ftctl.estimation.estimate import Estimate
from ftctl.estimation.memory import GIB
from ftctl.estimation.rented import Rental, cheapest_rental, rented_memory
from ftctl.job import JobSpec, Method
from ftctl.providers.sending import number_of

PROVIDER = "huggingface"
BATCH_SIZE = 16
MAX_LENGTH = 1024  # tokens

_EPOCHS: dict[Method, float] = {"sft": 3.0, "dpo": 1.0}  # as vendors' and TRL's defaults are
_BETA = 0.1  # TRL's default
# A job is killed at its limit and all its work is lost, so the limit is an unlikely one: the
# estimate's slow end, which has the start in it, and half as much again.
_MARGIN = 1.5
_SHORTEST_S = 1_800
_START_AND_SAVE_S = 1_800  # beside `max_minutes` of training
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Plan:
    """Where a job runs.

    Attributes:
        base: The base model's hub id.
        machine: The flavor, with its price.
        timeout_s: After so many seconds it is killed, whatever it is doing: a whole number of
            minutes, and no more of them than the job's limit in USD pays for.
    """

    base: str
    machine: Hardware
    timeout_s: int

    @property
    def most_usd(self) -> float:
        """What it costs at most, at the catalog's price."""
        return self.machine.usd_per_hour * self.timeout_s / 3600


def plan_of(spec: JobSpec) -> Plan:
    """The machine and the time limit of a job.

    Raises:
        Unsupported: no machine holds the model, or it isn't one that a hub has.
        UsageError: an unknown flavor; or a model of unknown size without flavor and limit.
    """
    catalog = load_catalog()
    base = base_of(spec.model, catalog)
    asked = _asked_machine(catalog, spec.options.get("flavor"))
    minutes = spec.hyperparameters.max_minutes
    rental = _rental(catalog, spec, asked)
    machine = asked or (rental and rental.machine)
    if minutes is not None and machine is not None:
        return Plan(base, machine, _limit_s(spec, machine, minutes * 60 + _START_AND_SAVE_S))
    if machine is None or rental is None:
        raise UsageError(
            f"too little is known of the size of {spec.model} to choose a machine and a time limit "
            "for it",
            hint="--set flavor=a10g-large --set max_minutes=120",
        )
    return Plan(
        base, machine, _limit_s(spec, machine, max(_SHORTEST_S, rental.time.high * _MARGIN))
    )


def base_of(model: str, catalog: Catalog) -> str:
    """The hub id of a base model.

    Raises:
        Unsupported: a vendor's own model, a file or a folder: no hub has it.
    """
    row = catalog.find_model(model)
    if row is not None and row.hub_id is not None:
        return row.hub_id
    if row is None and _HUB_ID.fullmatch(model):
        return model
    raise Unsupported(
        f"{model} isn't on a hub, so no job there can load it",
        hint="name a hub id such as Qwen/Qwen2.5-0.5B-Instruct; ftctl models shows some",
    )


def epochs_of(method: Method) -> float:
    """Epochs where none are asked for."""
    return _EPOCHS[method]


def beta_of(spec: JobSpec) -> float:
    """How closely DPO keeps to the base.

    Raises:
        UsageError: no number above 0 and up to 2, or it isn't for DPO.
    """
    said = spec.options.get("beta")
    if said is None:
        return _BETA
    beta = number_of(said)
    if spec.method != "dpo" or not 0 < beta <= 2:
        raise UsageError(
            f"beta={said!r}: for dpo, a number above 0 and up to 2", hint=f"--set beta={_BETA}"
        )
    return beta


def _asked_machine(catalog: Catalog, flavor: str | None) -> Hardware | None:
    if flavor is None:
        return None
    ours = {row.name: row for row in catalog.hardware if row.provider == PROVIDER}
    if flavor not in ours:
        near = difflib.get_close_matches(flavor, ours, n=1)
        raise UsageError(
            f"unknown flavor {flavor!r}" + (f"; did you mean {near[0]}?" if near else ""),
            hint=f"known: {', '.join(ours)}",
        )
    if ours[flavor].count > 1:
        one = ", ".join(name for name, row in ours.items() if row.count == 1)
        raise Unsupported(
            f"{flavor} has {ours[flavor].count} cards, and a job of ours uses one",
            hint=f"--set flavor= one of {one}",
        )
    return ours[flavor]


def _rental(catalog: Catalog, spec: JobSpec, asked: Hardware | None) -> Rental | None:
    """The machine that costs least, or how long it takes on the one asked for.

    None where the model's size isn't known.
    """
    row = catalog.find_model(spec.model)
    if row is None or row.parameters is None:
        return None
    need = rented_memory(row)
    least = need.likely if need else 2 * row.parameters / GIB  # the weights alone, in bf16
    name = asked.name if asked else None
    cards = [m for m in catalog.hardware if m.provider == PROVIDER and name in (None, m.name)]
    if least > max(catalog.get_gpu(m.gpu).memory_gib for m in cards if m.count == 1):
        raise Unsupported(
            f"{spec.model} needs {least:.0f} GiB to be tuned, more than "
            + (f"{name} has" if name else "any one card here has"),
            hint="a smaller base model, or leave out --set flavor",
        )
    day = datetime.now(UTC).date()
    return cheapest_rental(catalog, PROVIDER, row, _most_tokens(spec), day, machine=name)


def _most_tokens(spec: JobSpec) -> Estimate:
    """Tokens that are trained on, at most: every byte of the file is counted, JSON and all."""
    settings = spec.hyperparameters
    if settings.max_steps is not None:
        length = settings.max_length or MAX_LENGTH
        most = float(settings.max_steps * (settings.batch_size or BATCH_SIZE) * length)
    else:
        most = (
            spec.data.stat().st_size / BYTES_PER_TOKEN * (settings.epochs or epochs_of(spec.method))
        )
    # The reference of DPO looks at each token once more, forward only.
    return Estimate.exact(most * (1.5 if spec.method == "dpo" else 1.0), "tokens")


def _limit_s(spec: JobSpec, machine: Hardware, seconds: float) -> int:
    """Whole minutes, as they are billed, and never more than the job's limit pays for."""
    minutes = math.ceil(seconds / 60)
    if spec.max_cost_usd is not None:
        minutes = min(minutes, math.floor(spec.max_cost_usd / machine.usd_per_hour * 60))
    return minutes * 60
