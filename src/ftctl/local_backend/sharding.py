"""How a model lies across processes: whole in each, or split; and what a step takes then.

Whole: each process adds up the gradients of its share of a step, then they are summed. DDP would
do that inside the last backward pass; here it is done after it, so that a process that ran out of
memory can say so before others wait for it.

Split: FSDP2 or ZeRO gathers what a layer needs while it runs, so every process has to run as many
passes as the others, and nothing can be put right in the middle of one.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from ftctl.local_backend.processes import Team
from ftctl.local_backend.run_options import RunOptions
from ftctl.local_backend.shards import SplitState, ZeroState, whole

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

Scorer = Any  # as `make_scorer` builds it, then as it was prepared
Model = Any  # a PeftModel, or a whole model
MakeOptimizer = Callable[[Sequence["nn.Parameter"]], "Optimizer"]

_MAX_NORM = 1.0
# What is gathered as one where it is chosen by size, as a share of a block: small enough that less
# is whole at a time than a block, large enough that gathering isn't all that is done.
_UNIT_SHARE = 1 / 8


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

    @override
    def adding_up(self, scorer: Scorer) -> AbstractContextManager[Any]:
        """Gradients stay split while they are added up: kept whole, they would take the memory."""
        return nullcontext()

    @override
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
        prepared = fsdp2_prepare_model(self.accelerator, scorer)
        # At its first pass FSDP looks at what is trained, in which format. DPO's has the adapter
        # switched off, so that one goes before it which does nothing.
        prepared(lambda _model: None)
        prepared.reshard()
        return prepared

    @override
    def prepare(self, scorer: Scorer, make: MakeOptimizer) -> tuple[Scorer, "Optimizer"]:
        """As `Whole.prepare`; the optimiser's state can be read whole and given whole."""
        prepared, optimizer = super().prepare(scorer, make)
        return prepared, SplitState(optimizer, self._weights)

    @override
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
        for module in units_of_size(scorer, _UNIT_SHARE):
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
            import deepspeed.ops

            # It would compile a way through shared memory first, for a minute: gloo does it here.
            deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
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

    @override
    def prepare(self, scorer: Scorer, make: MakeOptimizer) -> tuple[Scorer, "Optimizer"]:
        """The engine, and an optimiser whose state can be read whole and given whole."""
        import torch
        from torch import nn
        from torch.optim import AdamW
        from transformers.integrations import unset_hf_deepspeed_config

        self._weights = [w for w in scorer.parameters() if w.requires_grad]
        # Smaller weights stay whole: to gather them takes longer than to compute with them.
        width = scorer.model.config.get_text_config().hidden_size
        zero = self.accelerator.state.deepspeed_plugin.deepspeed_config["zero_optimization"]
        zero["stage3_param_persistence_threshold"] = 10 * width
        # Its masters are its own, so that ours would be one copy too many.
        asked = make([nn.Parameter(torch.zeros(1))]).defaults
        kept = {name: asked[name] for name in ("lr", "betas", "eps", "weight_decay")}
        plain = AdamW(self._weights, **kept)
        self._engine, self._optimizer = self.accelerator.prepare(scorer, plain)
        unset_hf_deepspeed_config()  # or the next model that is loaded here would be split, too
        self._state = ZeroState(self._engine.optimizer, self._weights)
        return self._engine, self._state

    @override
    def adding_up(self, scorer: Scorer) -> AbstractContextManager[Any]:
        """The engine is told with every loss."""
        return nullcontext()

    @override
    def backward(self, loss: "Tensor", *, last: bool) -> None:
        """Add the gradient of a loss."""
        self._engine.set_gradient_accumulation_boundary(is_boundary=last)
        self._engine.backward(loss)

    @override
    def update(self) -> float:
        """Take the step; the engine clips."""
        self._state.pass_rate_on()
        self._engine.step()
        return float(self._engine.get_global_grad_norm())

    @override
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


def model_of(scorer: Scorer) -> Model:
    """The model in a scorer, whatever was put around that."""
    inner: Scorer = getattr(scorer, "module", scorer)
    return inner.model


def block_names(scorer: Scorer) -> set[str]:
    """The classes of the model's blocks."""
    return {type(layer).__name__ for layer in _blocks(scorer)}


def units_of_size(scorer: Scorer, share: float) -> "Iterator[nn.Module]":
    """The smallest modules of the blocks that hold so many weights which no unit below them holds.

    Embedding and head stay outside: they may be one and the same.

    Args:
        scorer: Whose.
        share: How many weights, as a share of a block's.
    """
    from torch import nn

    blocks = _blocks(scorer)
    least = share * _size(blocks.parameters()) / len(blocks)
    taken: set[nn.Parameter] = set()
    for module in reversed([*blocks.modules()][1:]):
        if isinstance(module, nn.ModuleList | nn.ModuleDict):
            continue  # nobody calls it
        own = set(module.parameters()) - taken
        if _size(own) >= least:
            taken |= own
            yield module


def _blocks(scorer: Scorer) -> "nn.ModuleList":
    """The heaviest list of modules: what a language model stacks."""
    from torch import nn

    lists = (module for module in scorer.modules() if isinstance(module, nn.ModuleList))
    return max(lists, key=lambda layers: _size(layers.parameters()))


def _size(weights: "Iterable[nn.Parameter]") -> int:
    return sum(weight.numel() for weight in weights)


def _gradient_dtype(weight: "nn.Parameter") -> Any:  # noqa: ANN401 - a torch.dtype
    return getattr(weight, "grad_dtype", None) or weight.dtype
