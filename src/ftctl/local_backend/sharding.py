"""How a model lies across processes: whole in each, or split; and what a step takes then.

Whole: each process adds up the gradients of its share of a step, then they are summed. DDP would
do that inside the last backward pass; here it is done after it, so that a process that ran out of
memory can say so before others wait for it.

Split: FSDP2 or ZeRO gathers what a layer needs while it runs, so every process has to run as many
passes as the others, and nothing can be put right in the middle of one.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from ftctl.local_backend.processes import Team
from ftctl.local_backend.run_options import RunOptions

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

Scorer = Any  # as `make_scorer` builds it, then as it was prepared
Model = Any  # a PeftModel, or a whole model
MakeOptimizer = Callable[[Sequence["nn.Parameter"]], "Optimizer"]

_MAX_NORM = 1.0
# What is sharded as one where it is chosen by size, as a share of all weights: small enough that
# little is whole at a time, large enough that gathering isn't all that is done.
_UNIT_SHARE = 1 / 256


class Whole:
    """Each process holds all weights: one process, or several as DDP has it.

    Args:
        team: The processes.
        device: `cpu`, `cuda` or `mps`.
    """

    is_split = False
    steps_alone = True  # a backward pass doesn't commit to a step

    def __init__(self, team: Team, device: str) -> None:
        from accelerate import Accelerator

        self.team = team
        self.accelerator = Accelerator(cpu=device == "cpu")
        self._weights: list[nn.Parameter] = []
        self._optimizer: Any = None

    def prepare(self, scorer: Scorer, make: MakeOptimizer) -> tuple[Scorer, "Optimizer"]:
        """The scorer as it runs, and an optimiser whose state can be kept."""
        prepared = self._prepared(scorer)
        self._weights = [w for w in prepared.parameters() if w.requires_grad]
        optimizer = make(self._weights)
        self._optimizer = self.accelerator.prepare_optimizer(optimizer)
        return prepared, optimizer

    def adding_up(self, scorer: Scorer) -> AbstractContextManager[Any]:
        """While gradients are added up in each process alone."""
        alone: AbstractContextManager[Any] = self.accelerator.no_sync(scorer)
        return alone

    def backward(self, loss: "Tensor", *, last: bool) -> None:  # noqa: ARG002 - ZeRO asks
        """Add the gradient of a loss; `last` says whether it is the step's last one."""
        self.accelerator.backward(loss)

    def update(self) -> float:
        """Take the step, unless the gradient's norm is no number; returns that norm, unclipped."""
        if self.team.count > 1:
            self._sum_gradients()
        norm = self._clip()
        if math.isfinite(norm):
            self._optimizer.step()
        self.forget()
        return norm

    def forget(self) -> None:
        """Drop the gradients of a step that isn't taken."""
        self._optimizer.zero_grad()

    def _prepared(self, scorer: Scorer) -> Scorer:
        return self.accelerator.prepare_model(scorer)

    def _sum_gradients(self) -> None:
        """Who had nothing to do in this step gives zeros."""
        import torch
        import torch.distributed as dist

        for weight in self._weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight, dtype=_gradient_dtype(weight))
            dist.all_reduce(weight.grad)

    def _clip(self) -> float:
        norm = self.accelerator.clip_grad_norm_(self._weights, _MAX_NORM)
        return float(whole(norm))


class Fsdp(Whole):
    """FSDP2: each process holds a part of every weight, gradient and optimiser state.

    Args:
        team: The processes.
        device: `cpu` or `cuda`.
        options: Which kind of split, and what is gathered as one.
        half: Whether it computes in bf16; what is trained is kept in fp32 then.
    """

    is_split = True

    def __init__(self, team: Team, device: str, options: RunOptions, *, half: bool) -> None:
        from accelerate import Accelerator, DistributedType, PartialState
        from accelerate.parallelism_config import ParallelismConfig
        from accelerate.utils import FullyShardedDataParallelPlugin

        self.team = team
        self._by_size, self._half = options.wrap == "size", half
        self._reshard = options.sharding != "shard_grad_op"
        plugin = FullyShardedDataParallelPlugin(
            fsdp_version=2,
            reshard_after_forward=self._reshard,
            auto_wrap_policy="no_wrap" if self._by_size else "transformer_based_wrap",
            cpu_ram_efficient_loading=False,
        )
        state = PartialState(cpu=device == "cpu")
        # accelerate 1.15 takes the plugin up on accelerators alone; torch shards CPUs as well.
        state.distributed_type = DistributedType.MULTI_GPU
        copies = 2 if options.sharding == "hybrid_shard" else 1
        mesh = ParallelismConfig(dp_replicate_size=copies, dp_shard_size=team.count // copies)
        self.accelerator = Accelerator(fsdp_plugin=plugin, parallelism_config=mesh)
        self._plugin = plugin

    def adding_up(self, scorer: Scorer) -> AbstractContextManager[Any]:  # noqa: ARG002 - as Whole's
        """Gradients stay split while they are added up: kept whole, they would take the memory."""
        return nullcontext()

    def _prepared(self, scorer: Scorer) -> Scorer:
        import torch
        from accelerate.utils.fsdp_utils import fsdp2_prepare_model
        from torch.distributed.fsdp import MixedPrecisionPolicy

        if self._half:
            for weight in scorer.parameters():
                if weight.requires_grad:
                    weight.data = weight.data.float()
            self._plugin.mixed_precision_policy = MixedPrecisionPolicy(
                param_dtype=torch.bfloat16, reduce_dtype=torch.float32
            )
        if self._by_size:
            self._shard_by_size(scorer)
        else:
            self._plugin.transformer_cls_names_to_wrap = sorted(block_names(scorer))
        return fsdp2_prepare_model(self.accelerator, scorer)

    def prepare(self, scorer: Scorer, make: MakeOptimizer) -> tuple[Scorer, "Optimizer"]:
        """As `Whole.prepare`; the optimiser's state can be read whole and given whole."""
        prepared, optimizer = super().prepare(scorer, make)
        return prepared, _SplitState(optimizer, self._weights)  # type: ignore[return-value]

    def _sum_gradients(self) -> None:
        """FSDP has."""

    def _shard_by_size(self, scorer: Scorer) -> None:
        """As by size in accelerate, which stumbles over lists of layers: nobody calls them."""
        from torch.distributed.fsdp import fully_shard

        mesh = self.accelerator.torch_device_mesh
        dims = tuple(self.accelerator.parallelism_config.fsdp_dim_names)
        settings: dict[str, Any] = {"mesh": mesh[dims], "reshard_after_forward": self._reshard}
        if self._plugin.mixed_precision_policy is not None:
            settings["mp_policy"] = self._plugin.mixed_precision_policy
        least = int(_UNIT_SHARE * sum(weight.numel() for weight in scorer.parameters()))
        for module in units_of_size(scorer, least):
            fully_shard(module, **settings)


class Zero(Whole):
    """DeepSpeed's ZeRO: 2 splits gradients and optimiser states, 3 the weights as well.

    Args:
        team: The processes.
        device: `cpu` or `cuda`.
        stage: 2 or 3.
        half: Whether it computes in bf16.
    """

    is_split = True
    steps_alone = False

    def __init__(self, team: Team, device: str, stage: int, *, half: bool) -> None:
        import os

        if device == "cpu":
            os.environ |= {"DS_ACCELERATOR": "cpu", "ACCELERATE_TORCH_DEVICE": "cpu"}
        from accelerate import Accelerator
        from accelerate.utils import DeepSpeedPlugin, InitProcessGroupKwargs

        self.team = team
        # The loop weighs and adds up by itself, so that a micro-batch is one example to DeepSpeed.
        config = {
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": 1,
            "gradient_clipping": _MAX_NORM,
            "bf16": {"enabled": half},
            "zero_optimization": {"stage": stage, "overlap_comm": device != "cpu"},
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
        }
        backend = "gloo" if device == "cpu" else "nccl"
        self.accelerator = Accelerator(
            deepspeed_plugin=DeepSpeedPlugin(hf_ds_config=config),
            kwargs_handlers=[InitProcessGroupKwargs(backend=backend)],
        )
        self._engine: Any = None

    def prepare(self, scorer: Scorer, make: MakeOptimizer) -> tuple[Scorer, "Optimizer"]:
        """The engine, and an optimiser whose state can be read whole and given whole."""
        import torch
        from torch import nn
        from torch.optim import AdamW

        self._weights = [w for w in scorer.parameters() if w.requires_grad]
        # Smaller weights stay whole: to gather them takes longer than to compute with them.
        width = scorer.model.config.get_text_config().hidden_size
        zero = self.accelerator.state.deepspeed_plugin.deepspeed_config["zero_optimization"]
        zero["stage3_param_persistence_threshold"] = 10 * width
        # Its masters are its own, so that ours would be one copy too many.
        plain = AdamW(self._weights, **make([nn.Parameter(torch.zeros(1))]).defaults)
        self._engine, self._optimizer = self.accelerator.prepare(scorer, plain)
        state = _ZeroState(self._engine.optimizer, self._weights)
        return self._engine, state  # type: ignore[return-value]

    def adding_up(self, scorer: Scorer) -> AbstractContextManager[Any]:  # noqa: ARG002 - as Whole's
        """The engine is told with every loss."""
        return nullcontext()

    def backward(self, loss: "Tensor", *, last: bool) -> None:
        """Add the gradient of a loss."""
        self._engine.set_gradient_accumulation_boundary(is_boundary=last)
        self._engine.backward(loss)

    def update(self) -> float:
        """Take the step; the engine clips."""
        self._engine.step()
        return float(self._engine.get_global_grad_norm())

    def forget(self) -> None:
        """Drop the gradients of a step that isn't taken."""
        self._engine.optimizer.zero_grad()


Layout = Whole | Fsdp | Zero


def layout_of(team: Team, device: str, options: RunOptions, *, half: bool) -> Layout:
    """How a run's model lies across its processes.

    Args:
        team: The processes.
        device: What they compute with.
        options: What was asked.
        half: Whether the run computes in bf16.
    """
    if team.count == 1 or options.sharding == "ddp":
        return Whole(team, device)
    if options.sharding in ("zero2", "zero3"):
        return Zero(team, device, int(options.sharding[-1]), half=half)
    return Fsdp(team, device, options, half=half)


class _SplitState:
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


class _ZeroState(_SplitState):
    """The same of DeepSpeed's optimiser, which keeps one flat tensor of what a process holds."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """As one group over the weights that are trained, though the engine's hold flat ones."""
        inner: list[dict[str, Any]] = self._optimizer.optimizer.param_groups
        return inner

    def state_dict(self) -> dict[str, Any]:
        """As torch's AdamW says it of whole weights; every process has to ask."""
        from deepspeed.utils import safe_get_full_optimizer_state

        inner = self._optimizer.optimizer
        steps = [row["step"] for row in inner.state.values() if "step" in row]
        rows = {}
        if steps:
            for index, weight in enumerate(self._weights):
                moments = {
                    name: safe_get_full_optimizer_state(weight, name)
                    for name in ("exp_avg", "exp_avg_sq")
                }
                rows[index] = {"step": steps[0], **moments}
        return {"state": rows, "param_groups": self.param_groups}

    def load_state_dict(self, held: dict[str, Any]) -> None:
        """Make room for the moments, as the first step would, and fill it."""
        import torch
        from deepspeed.utils import safe_set_full_optimizer_state

        inner = self._optimizer.optimizer
        for group in inner.param_groups:
            for flat in group["params"]:
                inner.state[flat] = {
                    "step": held["state"][0]["step"].clone(),
                    "exp_avg": torch.zeros_like(flat),
                    "exp_avg_sq": torch.zeros_like(flat),
                }
        link = getattr(self._optimizer, "_link_all_hp_params", None)  # of stage 2
        if link is not None:
            link()
            self._optimizer._lazy_init_hp_params_optimizer_state()  # noqa: SLF001 - no other way
        for index, row in held["state"].items():
            for name in ("exp_avg", "exp_avg_sq"):
                safe_set_full_optimizer_state(self._weights[index], row[name], name)


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
    from deepspeed.utils import safe_set_full_fp32_param
    from deepspeed.zero import GatheredParameters

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
    from deepspeed.zero import GatheredParameters

    together: AbstractContextManager[Any] = GatheredParameters(split)
    return together


def model_of(scorer: Scorer) -> Model:
    """The model in a scorer, whatever was put around that."""
    return getattr(scorer, "module", scorer).model


def block_names(scorer: Scorer) -> set[str]:
    """The classes of the model's blocks."""
    return {type(layer).__name__ for layer in _blocks(scorer)}


def units_of_size(scorer: Scorer, least: int) -> "Iterator[nn.Module]":
    """The smallest modules of the blocks that hold so many weights which no unit below them holds.

    Embedding and head stay outside: they may be one and the same.

    Args:
        scorer: Whose.
        least: How many weights.
    """
    from torch import nn

    taken: set[nn.Parameter] = set()
    for module in reversed([*_blocks(scorer).modules()][1:]):
        if isinstance(module, nn.ModuleList | nn.ModuleDict):
            continue  # nobody calls it
        own = set(module.parameters()) - taken
        if sum(weight.numel() for weight in own) >= least:
            taken |= own
            yield module


def _blocks(scorer: Scorer) -> "nn.ModuleList":
    """The heaviest list of modules: what a language model stacks."""
    from torch import nn

    lists = (module for module in scorer.modules() if isinstance(module, nn.ModuleList))
    return max(lists, key=lambda layers: sum(weight.numel() for weight in layers.parameters()))


def _gradient_dtype(weight: "nn.Parameter") -> Any:  # noqa: ANN401 - a torch.dtype
    return getattr(weight, "grad_dtype", None) or weight.dtype
