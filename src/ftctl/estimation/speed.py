"""How fast at best: roofline floors for serving, and time of LoRA training from FLOPs.

A floor may rule a route out, never in: queue, network and cache reads come on top.
"""

from ftctl.catalog.types import Gpu, Model
from ftctl.estimation.estimate import Assumption, Estimate

# Shares of peak that a good server reaches; latency arithmetic of 2026-11 (llm-cal 0.2.0 uses .50
# of bandwidth and .40 of FLOP/s as its defaults).
BANDWIDTH_SHARE = 0.60
PREFILL_SHARE = 0.40
# Share of peak FLOP/s in batched decoding: a prior, wide on purpose.
DECODE_SHARE = (0.03, 0.08, 0.20)

# Effective FLOP/s of two CPU cores in LoRA training: 4N per token times the 260, 360 and 897
# tokens a second that SmolLM2-135M reached (fp32 slow and fast, bf16 on the upper half).
_CPU_TOKENS_PER_S = (260.0, 360.0, 897.0)
_CPU_REFERENCE_PARAMETERS = 134_515_008


def token_floor_s(parameters: int, gpu: Gpu, weight_bytes: float = 2.0) -> float:
    """Seconds one output token takes at least: every weight is read once from memory."""
    return parameters * weight_bytes / (gpu.bandwidth_gb_s * 1e9)


def first_token_floor_s(parameters: int, input_tokens: float, gpu: Gpu) -> float:
    """Seconds until the first token at least: 2 FLOPs per weight and prompt token, at peak."""
    return 2 * parameters * input_tokens / (gpu.bf16_tflops * 1e12)


def answer_floor_s(parameters: int, input_tokens: float, output_tokens: float, gpu: Gpu) -> float:
    """Seconds one whole answer takes at least on an idle card."""
    first = first_token_floor_s(parameters, input_tokens, gpu)
    return first + output_tokens * token_floor_s(parameters, gpu)


def answer_s(parameters: int, input_tokens: float, output_tokens: float, gpu: Gpu) -> Estimate:
    """Seconds of one answer: the floor, what a good server needs, and twice that under load."""
    first = first_token_floor_s(parameters, input_tokens, gpu) / PREFILL_SHARE
    likely = first + output_tokens * token_floor_s(parameters, gpu) / BANDWIDTH_SHARE
    floor = answer_floor_s(parameters, input_tokens, output_tokens, gpu)
    basis = (
        Assumption.from_fact(f"{gpu.name} bandwidth", f"{gpu.bandwidth_gb_s:g} GB/s", gpu),
        Assumption.prior("share of peak", "60 % of bandwidth, 40 % of FLOP/s", "not measured here"),
    )
    return Estimate(low=floor, likely=likely, high=2 * likely, unit="s", basis=basis)


def capacity_per_s(
    parameters: int, input_tokens: float, output_tokens: float, gpu: Gpu
) -> Estimate:
    """Requests a second of one card with full batches: a wide prior, to be measured."""
    peak = gpu.bf16_tflops * 1e12
    prefill = 2 * parameters * input_tokens / (peak * PREFILL_SHARE)
    low, likely, high = (
        1 / (prefill + 2 * parameters * output_tokens / (peak * share)) for share in DECODE_SHARE
    )
    basis = (
        Assumption.from_fact(f"{gpu.name} speed", f"{gpu.bf16_tflops:g} TFLOP/s", gpu),
        Assumption.prior("share of peak in decoding", "3 to 20 %", "measure your own tokens/s"),
    )
    return Estimate(low=low, likely=likely, high=high, unit="requests/s", basis=basis)


def training_flops(model: Model, tokens: float) -> float | None:
    """FLOPs of LoRA training: 4N per token (forward 2N, backward to activations 2N)."""
    return None if model.parameters is None else 4.0 * model.parameters * tokens


def cpu_training_s(model: Model, tokens: float, *, cores: int = 2) -> Estimate | None:
    """Seconds of LoRA training on so many CPU cores; None when the model's size is unknown."""
    flops = training_flops(model, tokens)
    if flops is None:
        return None
    low, likely, high = (
        4.0 * _CPU_REFERENCE_PARAMETERS * rate * cores / 2 for rate in _CPU_TOKENS_PER_S
    )
    basis = Assumption(
        name="CPU speed",
        value=f"{low / 1e9:.0f} to {high / 1e9:.0f} GFLOP/s on {cores} cores",
        origin="prior",
        as_of=None,
        source="SmolLM2-135M at 260 to 897 tokens/s on two cores, measured 2026-11-24",
    )
    return Estimate(
        low=flops / high, likely=flops / likely, high=flops / low, unit="s", basis=(basis,)
    )
