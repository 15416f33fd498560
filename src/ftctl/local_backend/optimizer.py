"""AdamW; on weights in bf16 with a copy of each in fp32, so that small updates add up.

A number in bf16 has 8 bits before it is rounded: an update of less than about 1/512 of a weight is
lost each time, however often it comes. The copy keeps it until it shows.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import AdamW

_BETAS = (0.9, 0.99)


def make_optimizer(weights: Iterable["nn.Parameter"], weight_decay: float) -> "AdamW":
    """The optimiser of these weights; its rate is set before every step.

    Weights in fp32 get torch's own AdamW. Others get one that holds a master copy of each in fp32
    and computes on that: after a step the weight is its master, rounded. Their gradients are added
    up in fp32, which DDP wouldn't exchange in its backward pass: who shares them sums them after
    it. It is an optimiser like any other to whatever wraps it; its masters stand in its state, so
    that they are kept with it. What splits weights needs fp32 ones, cast while it gathers them, and
    so the first kind.

    Args:
        weights: What is trained; already on its device.
        weight_decay: AdamW's, relative to the rate.
    """
    from torch import float32
    from torch.optim import AdamW

    chosen = list(weights)
    settings: dict[str, Any] = {"lr": 0.0, "betas": _BETAS, "weight_decay": weight_decay}
    # One kernel for all weights where torch has it; on a CPU its plain loop is as fast.
    settings["fused"] = True if all(weight.is_cuda for weight in chosen) else None
    if all(weight.dtype is float32 for weight in chosen):
        return AdamW(chosen, **settings)
    for weight in chosen:
        weight.grad_dtype = float32
    return _adamw_on(Masters(chosen), settings)


class Masters:
    """Copies in fp32 of weights that are kept in another format.

    Args:
        weights: What the model computes with.
    """

    def __init__(self, weights: Sequence["nn.Parameter"]) -> None:
        self._weights = list(weights)
        self.copies = [weight.detach().float().clone() for weight in weights]

    def take_gradients(self) -> None:
        """Give each copy its weight's gradient, in fp32; not a copy of it where it is that."""
        for weight, master in zip(self._weights, self.copies, strict=True):
            master.grad = None if weight.grad is None else weight.grad.to(master.dtype)

    def drop_gradients(self) -> None:
        """Forget the gradients of weights and copies."""
        for weight in (*self._weights, *self.copies):
            weight.grad = None

    def show(self) -> None:
        """Let the weights be what their copies are, rounded."""
        import torch

        with torch.no_grad():
            torch._foreach_copy_(self._weights, self.copies)

    def add_to(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        """An optimiser's state with the copies in it."""
        state = state_dict["state"]
        held = {i: {**state.get(i, {}), "master": copy} for i, copy in enumerate(self.copies)}
        return state_dict | {"state": held}

    def take_from(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        """Become the copies in an optimiser's state; returns what else is in it."""
        left = {}
        for index, row in state_dict["state"].items():
            self.copies[index].copy_(row["master"])
            rest = {name: value for name, value in row.items() if name != "master"}
            if rest:  # none before the first step
                left[index] = rest
        self.show()
        return state_dict | {"state": left}


def _adamw_on(masters: Masters, settings: dict[str, Any]) -> "AdamW":
    from torch.optim import AdamW

    class MasterAdamW(AdamW):  # type: ignore[misc]  # torch is imported here and untyped
        def step(self, closure: Any = None) -> None:  # noqa: ANN401 - as torch's
            masters.take_gradients()
            super().step(closure)
            masters.show()

        def zero_grad(self, set_to_none: bool = True) -> None:  # noqa: ARG002 - as torch's
            masters.drop_gradients()

        def state_dict(self) -> dict[str, Any]:
            return masters.add_to(super().state_dict())

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            super().load_state_dict(masters.take_from(state_dict))

    return MasterAdamW(masters.copies, **settings)
