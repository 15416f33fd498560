"""Does it fit: memory of LoRA training and of serving, from a model's shape alone."""

from typing import Literal

from ftctl.catalog.types import Model, Shape
from ftctl.estimation.estimate import Assumption, Estimate

GIB = 1024**3
Verdict = Literal["fits", "tight", "no"]

_FORMULA = (
    "activation formula solved from six small shapes and held out at 8B (184,672 of 184,680 bytes "
    "a token and layer), measured 2026-11 with torch on a CPU"
)


def adapter_parameters(shape: Shape, rank: int) -> int:
    """Weights of a LoRA adapter on all linear layers: r · L · Σ(in + out).

    Source: measured 2026-11; 41.9M for 8B at rank 16.
    """
    d, f = shape.hidden, shape.ffn
    q, kv = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    return rank * shape.layers * (2 * (d + q) + 2 * (d + kv) + 3 * (d + f))


def saved_bytes(shape: Shape, rank: int, *, fp32_adapters: bool) -> int:
    """Activation bytes kept per token and layer for the backward pass, dropout 0.

    Source: measured 2026-11, PEFT's default being fp32 adapters.
    """
    d, f, h = shape.hidden, shape.ffn, shape.heads
    q, kv = h * shape.head_size, shape.kv_heads * shape.head_size
    if fp32_adapters:
        return 28 * d + 8 * q + 4 * kv + 10 * f + 4 * h + 28 * rank
    return 12 * d + 4 * q + 4 * kv + 8 * f + 4 * h + 14 * rank


def training_memory(  # noqa: PLR0913 - each is one thing that the peak hangs on
    model: Model,
    batch_tokens: int,
    *,
    rank: int = 16,
    fp32_adapters: bool = False,
    checkpointing: bool = False,
    weight_bytes: float = 2.0,
    last_layers: int | None = None,
    head_share: float = 1.0,
) -> Estimate | None:
    """Peak GiB of LoRA training with a micro-batch of so many tokens; None for unknown shapes.

    Weights, adapters with their optimiser state, saved activations, the larger of the backward
    transient and the loss head, context, allocator slack.

    Args:
        model: The base model.
        batch_tokens: Tokens of one micro-batch, padding included.
        rank: Rank of the adapter.
        fp32_adapters: Whether adapters compute in fp32, as PEFT's do by default.
        checkpointing: Whether every layer is recomputed in the backward pass.
        weight_bytes: Bytes per frozen weight: 2 for bf16, 4 for fp32.
        last_layers: How many layers have an adapter, from the end; nothing is kept of those
            before them. All when left out.
        head_share: Share of the tokens that the head is computed for.
    """
    shape = model.shape
    if shape is None or model.parameters is None:
        return None
    layers = min(last_layers or shape.layers, shape.layers)
    layer = saved_bytes(shape, rank, fp32_adapters=fp32_adapters)
    kept = 2 * shape.hidden * layers + layer if checkpointing else layer * layers
    adapters = adapter_parameters(shape, rank) * layers / shape.layers
    state = adapters * (16 if fp32_adapters else 18)
    transient = max(8 * shape.ffn, 12 * shape.vocab * head_share) * batch_tokens
    sure = model.parameters * weight_bytes + state + kept * batch_tokens + transient
    basis = (
        Assumption.from_fact("shape", f"{shape.layers} layers of {shape.hidden}", shape),
        Assumption(
            name="memory formula",
            value=f"{layer:,} bytes a token and layer",
            origin="measured",
            as_of=shape.as_of,
            source=_FORMULA,
        ),
        Assumption.prior("context and slack", "0.5 to 1.0 GiB and 2 to 6 %", "not measured here"),
    )
    return Estimate(
        low=sure * 1.02 / GIB + 0.5,
        likely=sure * 1.04 / GIB + 0.75,
        high=sure * 1.06 / GIB + 1.0,
        unit="GiB",
        basis=basis,
    )


def serving_memory(
    model: Model, tokens_in_flight: int, *, weight_bytes: float = 2.0
) -> Estimate | None:
    """GiB of weights and key-value cache while serving; None for unknown shapes.

    The cache holds 2 · layers · kv heads · head size values of two bytes per token.
    """
    shape = model.shape
    if shape is None or model.parameters is None:
        return None
    cache = 4 * shape.layers * shape.kv_heads * shape.head_size * tokens_in_flight
    sure = model.parameters * weight_bytes + cache
    basis = (
        Assumption.from_fact("shape", f"{shape.layers} layers of {shape.hidden}", shape),
        Assumption.prior("context and buffers", "0.5 to 3 GiB", "compute buffers of up to 2.4 GiB"),
    )
    return Estimate(
        low=sure / GIB + 0.5,
        likely=sure * 1.02 / GIB + 1.0,
        high=sure * 1.06 / GIB + 3.0,
        unit="GiB",
        basis=basis,
    )


def verdict(need: Estimate, available_gib: float) -> Verdict:
    """`fits`, `tight` when the likely need is within 15 % of what there is, or `no`."""
    if need.likely > available_gib:
        return "no"
    return "tight" if need.likely > 0.85 * available_gib else "fits"
