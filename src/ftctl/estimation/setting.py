"""How a training is set up, as far as memory and time hang on it, and what it has to fit."""

from collections.abc import Mapping
from math import ceil
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from ftctl.job import Tuning

Format = Literal["bf16", "fp32"]
Recompute = Literal["off", "all"] | int
Sharding = Literal["ddp", "shard_grad_op", "full_shard"]

_SHARDINGS: dict[str, Sharding] = {
    "ddp": "ddp",
    "shard_grad_op": "shard_grad_op",
    "zero2": "shard_grad_op",
    "full_shard": "full_shard",
    "zero3": "full_shard",
}

TOKEN_BUDGET = 8_192  # tokens of one micro-batch, where nothing asks for less


class Cards(BaseModel):
    """What holds a training: one or more equal cards, or main memory.

    Attributes:
        memory_gib: Of each card.
        weights: The number format that pays there.
        tflops: Dense bf16 TFLOP/s of each card; None where the catalog doesn't know.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    memory_gib: float = Field(gt=0)
    count: int = Field(1, ge=1)
    kind: Literal["gpu", "memory"] = "gpu"
    weights: Format = "bf16"
    tflops: float | None = None

    @override
    def __str__(self) -> str:
        """`2 × NVIDIA L4, 24 GiB each`."""
        if self.count == 1:
            return f"{self.name}, {self.memory_gib:.1f} GiB"
        return f"{self.count} × {self.name}, {self.memory_gib:.1f} GiB each"


class Ways(NamedTuple):
    """What the user may have settled of how it is trained; None leaves it to the plan."""

    recompute: Recompute | None = None
    adapters: Format | None = None
    sharding: Sharding | None = None
    processes: int | None = None

    @classmethod
    def of(cls, options: Mapping[str, str]) -> "Ways":
        """As a local job's options say it; what can't be read there is left to the plan.

        ZeRO 2 and 3 split what `shard_grad_op` and `full_shard` do.
        """
        said, processes = options.get("recompute", ""), options.get("processes", "")
        words: dict[str, Recompute] = {"off": "off", "all": "all"}
        formats: dict[str, Format] = {"bf16": "bf16", "fp32": "fp32"}
        return cls(
            recompute=int(said) if said.isdigit() and int(said) else words.get(said),
            adapters=formats.get(options.get("adapter_format", "")),
            sharding=_SHARDINGS.get(options.get("sharding", "")),
            processes=int(processes) if processes.isdigit() and int(processes) else None,
        )


class Setting(BaseModel):
    """A way to train one model.

    Attributes:
        weights: Number format of the base; under QLoRA of what isn't packed.
        adapters: What adapters compute in. In bf16 they have masters in fp32 beside them; PEFT's
            own default is fp32.
        recompute: Which layers' activations are computed again in the backward pass instead of
            being kept: none, all, or every k-th, counted from the first.
        sharding: What processes share, one a card: `ddp` nothing, `shard_grad_op` (ZeRO 2)
            gradients and states, `full_shard` (ZeRO 3) the weights, too.
        tokens: Of one micro-batch, padding included.
        last_layers: How many layers have an adapter, from the end; all when None.
        trained: Share of the tokens that the head is computed for.
        whole_head: Whether for all of them at once, not a chunk at a time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tuning: Tuning = "lora"
    rank: int = Field(16, ge=1)
    weights: Format = "bf16"
    adapters: Format = "bf16"
    dropout: bool = False
    recompute: Recompute = "off"
    sharding: Sharding = "ddp"
    processes: int = Field(1, ge=1)
    tokens: int = Field(TOKEN_BUDGET, ge=1)
    last_layers: int | None = Field(None, ge=1)
    trained: float = Field(1.0, ge=0, le=1)
    whole_head: bool = False

    def layers_kept(self, layers: int) -> int:
        """Of how many layers anything is kept: of none before the first that is tuned."""
        return layers if self.tuning == "full" else min(self.last_layers or layers, layers)

    def layers_recomputed(self, layers: int) -> int:
        """How many of the layers that anything is kept of are computed again."""
        if self.recompute == "off":
            return 0
        every = 1 if self.recompute == "all" else self.recompute
        return ceil(self.layers_kept(layers) / every)

    def last_layer_recomputed(self, layers: int) -> bool:
        """Whether the last layer, whose gradients come first, is computed again."""
        if self.recompute in ("off", "all"):
            return self.recompute == "all"
        return (self.layers_kept(layers) - 1) % int(self.recompute) == 0

    def flags(self) -> str:
        """What `ftctl submit` is told for it, as far as it isn't what happens anyway."""
        flags = [] if self.tuning == "lora" else [f"--tuning {self.tuning}"]
        if self.recompute != "off":
            flags.append(f"--set recompute={self.recompute}")
        if self.processes > 1:
            flags.append(f"--set processes={self.processes}")
            flags += [] if self.sharding == "ddp" else [f"--set sharding={self.sharding}"]
        return " ".join(flags)

    @override
    def __str__(self) -> str:
        """`QLoRA, all layers recomputed, full_shard over 2 cards`."""
        tuning = {"lora": "LoRA", "qlora": "QLoRA", "full": "full fine-tuning"}[self.tuning]
        again = {"off": "nothing recomputed", "all": "all layers recomputed"}.get(
            str(self.recompute), f"every {ordinal(self.recompute)} layer recomputed"
        )
        shared = f", {self.sharding} over {self.processes} cards" if self.processes > 1 else ""
        return f"{tuning}, {again}{shared}"


def ordinal(number: int | str) -> str:
    """`2nd`, `4th`, `11th`."""
    last = str(number)[-1]
    teen = str(number)[-2:-1] == "1"
    return f"{number}{'th' if teen else {'1': 'st', '2': 'nd', '3': 'rd'}.get(last, 'th')}"
