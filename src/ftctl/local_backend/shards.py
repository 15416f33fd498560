"""Weights and optimiser states that are split between processes, read whole and given whole.

So that a checkpoint is the same file whoever wrote it, and any number of processes goes on from it.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from typing_extensions import override

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

Model = Any  # a PeftModel, or a whole model


def whole(tensor: Any) -> Any:  # noqa: ANN401 - a tensor, split or not
    """A tensor with what other processes hold of it; all of them have to ask."""
    gather = getattr(tensor, "full_tensor", None)
    return tensor if gather is None else gather()


def part_like(value: "Tensor", weight: "nn.Parameter") -> "Tensor":
    """What a process holds of a whole tensor, split as a weight is; a count of steps stays."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(weight, DTensor) or value.shape != weight.shape:
        return value
    # Every process has read the same file: none needs to send.
    return distribute_tensor(
        value.to(weight.device), weight.device_mesh, weight.placements, src_data_rank=None
    )


def put(weight: "nn.Parameter", value: "Tensor") -> None:
    """Let a weight be a value, whole or split."""
    import torch

    with torch.no_grad():
        if hasattr(weight, "_hp_mapping") or hasattr(weight, "ds_id"):
            _put_into_zero(weight, value)
        else:
            weight.copy_(part_like(value, weight))


def _put_into_zero(weight: "nn.Parameter", value: "Tensor") -> None:
    from deepspeed.runtime.zero import GatheredParameters
    from deepspeed.utils import safe_set_full_fp32_param

    with GatheredParameters([weight], modifier_rank=0, enabled=hasattr(weight, "ds_id")):
        weight.data.copy_(value)
    safe_set_full_fp32_param(weight, value.to(weight.device))


def is_split(model: Model) -> bool:
    """Whether other processes hold a part of what is trained."""
    marks = ("full_tensor", "ds_id", "_hp_mapping")
    trained = (weight for weight in model.parameters() if weight.requires_grad)
    return any(hasattr(weight, mark) for weight in trained for mark in marks)


def gathered(model: Model) -> AbstractContextManager[Any]:
    """While what ZeRO 3 has split of what is trained is whole; nothing of the kind otherwise."""
    split = [w for w in model.parameters() if w.requires_grad and hasattr(w, "ds_id")]
    if not split:
        return nullcontext()
    from deepspeed.runtime.zero import GatheredParameters

    together: AbstractContextManager[Any] = GatheredParameters(split)
    return together


class SplitState:
    """An optimiser over split weights, whose state is read and given whole."""

    def __init__(self, optimizer: "Optimizer", weights: Sequence["nn.Parameter"]) -> None:
        self._optimizer, self._weights = optimizer, weights

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The optimiser's own."""
        groups: list[dict[str, Any]] = self._optimizer.param_groups
        return groups

    def state_dict(self) -> dict[str, Any]:
        """As the optimiser's, with whole tensors; every process has to ask."""
        held = self._optimizer.state_dict()
        rows = {
            index: {name: whole(value) for name, value in row.items()}
            for index, row in held["state"].items()
        }
        return {**held, "state": rows}

    def load_state_dict(self, held: dict[str, Any]) -> None:
        """Take each process's part of it."""
        rows = {
            index: {name: part_like(value, self._weights[index]) for name, value in row.items()}
            for index, row in held["state"].items()
        }
        self._optimizer.load_state_dict({**held, "state": rows})


class ZeroState(SplitState):
    """The same of DeepSpeed's optimiser, which keeps flat tensors of what a process holds."""

    def __init__(self, optimizer: "Optimizer", weights: "Sequence[nn.Parameter]") -> None:
        import torch

        super().__init__(optimizer, weights)
        shapes = [getattr(weight, "ds_shape", weight.shape) for weight in weights]
        stand_ins = [torch.empty(shape, device="meta") for shape in shapes]
        self._groups = [{**self._inner.param_groups[0], "params": stand_ins}]

    @property
    def _inner(self) -> Any:  # noqa: ANN401 - torch's AdamW over the flat tensors
        return self._optimizer.optimizer

    @property
    @override
    def param_groups(self) -> list[dict[str, Any]]:
        """One group of weights as they are when whole; `pass_rate_on` lets its rate count."""
        return self._groups

    def pass_rate_on(self) -> None:
        """Set the rate of the flat tensors."""
        for group in self._inner.param_groups:
            group["lr"] = self._groups[0]["lr"]

    @override
    def state_dict(self) -> dict[str, Any]:
        """As `MasterAdamW` says it of whole weights; every process has to ask."""
        import torch
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        inner = self._inner
        steps = [row["step"] for row in inner.state.values() if "step" in row]
        rows = {}
        if steps:
            for index, weight in enumerate(self._weights):
                moments = {
                    name: safe_get_full_optimizer_state(weight, name)
                    for name in ("exp_avg", "exp_avg_sq")
                }
                rows[index] = {"step": steps[0].clone(), **moments}
                if weight.dtype is not torch.float32:
                    rows[index]["master"] = safe_get_full_fp32_param(weight)
        return {"state": rows, "param_groups": self.param_groups}

    @override
    def load_state_dict(self, held: dict[str, Any]) -> None:
        """Make room for the moments, as the first step would, and fill it."""
        import torch
        from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

        inner = self._inner
        lent = [flat for group in inner.param_groups for flat in group["params"]]
        # Stage 3 lends them to the inner optimiser only while it steps.
        for flat in getattr(self._optimizer, "fp32_partitioned_groups_flat", lent):
            inner.state[flat] = {
                "step": held["state"][0]["step"].clone(),
                "exp_avg": torch.zeros_like(flat),
                "exp_avg_sq": torch.zeros_like(flat),
            }
        # Stage 2 ties each weight to its part of them at the first step; it has no other way in.
        tie = getattr(self._optimizer, "_lazy_init_hp_params_optimizer_state", None)
        if tie is not None:
            tie()
        for index, row in held["state"].items():
            for name in ("exp_avg", "exp_avg_sq"):
                safe_set_full_optimizer_state(self._weights[index], row[name], name)
            if "master" in row:
                safe_set_full_fp32_param(self._weights[index], row["master"])
