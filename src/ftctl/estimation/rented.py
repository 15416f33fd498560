"""A job on a machine rented by the hour: which one, how long, how much."""

from datetime import date
from typing import NamedTuple

from ftctl.catalog.load import Catalog
from ftctl.catalog.types import Hardware, Model
from ftctl.estimation.estimate import Assumption, Estimate
from ftctl.estimation.memory import training_memory, verdict
from ftctl.estimation.money import widened
from ftctl.estimation.speed import training_flops

# Shares of a card's dense peak in published LoRA runs on one card: Qwen2.5-0.5B on A100 (preprint),
# Llama-2-7B on A100 (LLaMA-Factory wiki, 2024-04), Llama-3-8B on H100 (NVIDIA NeMo AutoModel).
_TRAINING_SHARE = (0.08, 0.21, 0.41)
# Seconds from start to first step, billed: the image and the weights must come first. A prior.
_START_S = (60.0, 300.0, 900.0)
_MICRO_BATCH_TOKENS = 2_048


class Rental(NamedTuple):
    """A machine for one job, the seconds it is rented, and the bill in USD."""

    machine: Hardware
    time: Estimate
    cost: Estimate


def cheapest_rental(
    catalog: Catalog,
    provider: str,
    model: Model,
    trained_tokens: Estimate,
    day: date,
    *,
    machine: str | None = None,
) -> Rental | None:
    """The one-card machine that holds the model and costs least; None where none is known.

    Args:
        catalog: Facts to ask.
        provider: Who rents machines.
        model: The base model.
        trained_tokens: Tokens of the file times epochs.
        day: The day on which an old price is known to be old.
        machine: The name of the only one that is asked about; every one when None.
    """
    need = rented_memory(model)
    if need is None:
        return None
    rentals = [
        rental
        for offer in catalog.hardware
        if offer.provider == provider and offer.count == 1 and machine in (None, offer.name)
        if verdict(need, catalog.get_gpu(offer.gpu).memory_gib) != "no"
        if (rental := _rent(catalog, offer, model, trained_tokens, day)) is not None
    ]
    return min(rentals, key=lambda rental: rental.cost.likely, default=None)


def rented_memory(model: Model) -> Estimate | None:
    """Peak GiB of a job on a rented card, every layer recomputed; None for unknown shapes."""
    return training_memory(model, _MICRO_BATCH_TOKENS, checkpointing=True)


def _rent(
    catalog: Catalog, machine: Hardware, model: Model, tokens: Estimate, day: date
) -> Rental | None:
    gpu = catalog.get_gpu(machine.gpu)
    per_token = training_flops(model, 1.0)
    if per_token is None:
        return None
    slow, usual, fast = (share * gpu.bf16_tflops * 1e12 / per_token for share in _TRAINING_SHARE)
    said = f"{_TRAINING_SHARE[0]:.0%} to {_TRAINING_SHARE[2]:.0%} of {gpu.bf16_tflops:g} TFLOP/s"
    speed = (
        Assumption.from_fact(f"{gpu.name} speed", f"{gpu.bf16_tflops:g} TFLOP/s", gpu),
        Assumption.prior("share of peak in training", said, "published LoRA runs on one card"),
        Assumption.prior("start", "1 to 15 minutes", "image and weights come first, billed"),
    )
    time = Estimate(
        low=tokens.low / fast + _START_S[0],
        likely=tokens.likely / usual + _START_S[1],
        high=tokens.high / slow + _START_S[2],
        unit="s",
        basis=(*tokens.basis, *speed),
    )
    rent = Assumption.from_fact(
        f"{machine.provider} {machine.name}", f"{machine.usd_per_hour:g} USD/h", machine
    )
    bill = time.scaled(machine.usd_per_hour / 3600, "USD")
    cost = widened(bill.model_copy(update={"basis": (*time.basis, rent)}), machine, day)
    return Rental(machine, time, cost)
