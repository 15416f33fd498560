"""How fast at best: roofline floors for serving, and time of LoRA training from FLOPs.

A floor may rule a route out, never in: queue, network and cache reads come on top.
"""

from typing import NamedTuple

from ftctl.catalog.types import Gpu, Model
from ftctl.estimation.decoder import Decoder
from ftctl.estimation.estimate import Assumption, Estimate
from ftctl.estimation.setting import Cards, Setting

# Shares of peak that a good server reaches; latency arithmetic of 2026-11 (llm-cal 0.2.0 uses .50
# of bandwidth and .40 of FLOP/s as its defaults).
BANDWIDTH_SHARE = 0.60
PREFILL_SHARE = 0.40
# Share of peak FLOP/s in batched decoding: a prior, wide on purpose.
DECODE_SHARE = (0.03, 0.08, 0.20)

# Shares of a card's dense bf16 peak in LoRA training on one card: an older run of Hugging Face's
# own loop; NVIDIA's NeMo AutoModel, Llama-3-8B on an H100, of its nominal peak; the same of the
# matmul speed that was measured there.
_CARD_SHARE = (0.21, 0.41, 0.52)

# Effective FLOP/s of two CPU cores in LoRA training: 4N per token times the 260, 360 and 897
# tokens a second that SmolLM2-135M reached (fp32 slow and fast, bf16 on the upper half).
_CPU_TOKENS_PER_S = (260.0, 360.0, 897.0)
_OTHER_BATCHES = 0.2  # how far batches of another length go from the one that was timed; a prior
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
    likely = likely_answer_s(parameters, input_tokens, output_tokens, gpu)
    floor = answer_floor_s(parameters, input_tokens, output_tokens, gpu)
    basis = (
        Assumption.from_fact(f"{gpu.name} bandwidth", f"{gpu.bandwidth_gb_s:g} GB/s", gpu),
        Assumption.prior("share of peak", "60 % of bandwidth, 40 % of FLOP/s", "not measured here"),
    )
    return Estimate(low=floor, likely=likely, high=2 * likely, unit="s", basis=basis)


def likely_answer_s(parameters: int, input_tokens: float, output_tokens: float, gpu: Gpu) -> float:
    """Seconds of one answer from a good server that does nothing else."""
    first = first_token_floor_s(parameters, input_tokens, gpu) / PREFILL_SHARE
    return first + output_tokens * token_floor_s(parameters, gpu) / BANDWIDTH_SHARE


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


class Measured(NamedTuple):
    """FLOP/s of the slowest, the middle and the fastest of three real steps.

    `trained` is the share of their tokens that was trained on.
    """

    slow: float
    middle: float
    fast: float
    trained: float


def flops_per_token(decoder: Decoder, setting: Setting, mean_length: float) -> float:
    """FLOPs of training on one token of an example of so many tokens.

    Weights that are frozen take 2 FLOPs forward and 2 backward, trained ones 2 more; the head
    only where a token is trained on. Causal attention takes 2·s·q a layer forward and 2.5 times
    that backward. What is computed again takes another forward pass of its layers.

    Source: arithmetic; with the whole head it gives the published 32.2 and 46.7 GFLOP a token of
    Llama 3.1 8B at 2,048 tokens, without and with all layers computed again.
    """
    kept = setting.layers_kept(decoder.layers)
    again = setting.layers_recomputed(decoder.layers)
    full = setting.tuning == "full"
    attention = 2 * mean_length * decoder.queries
    forward = decoder.layers * (2 * decoder.layer_weights + attention)
    backward = kept * ((4 if full else 2) * decoder.layer_weights + 2.5 * attention)
    recomputed = again * (2 * decoder.layer_weights + attention)
    head = (6 if full else 4) * decoder.head_weights * setting.trained
    adapter = 0.0 if full else 6.0 * decoder.adapter_weights(setting.rank) * kept / decoder.layers
    return forward + backward + recomputed + head + adapter


def card_pace(
    decoder: Decoder, settings: tuple[Setting, Setting, Setting], mean_length: float, cards: Cards
) -> Estimate | None:
    """Seconds a token on GPUs of a known speed; None where it isn't known.

    Args:
        decoder: What is trained.
        settings: With the fewest, the likely and the most FLOPs.
        mean_length: Tokens of an example, in the mean.
        cards: What it runs on.
    """
    if cards.tflops is None:
        return None
    low, likely, high = (flops_per_token(decoder, setting, mean_length) for setting in settings)
    peak = cards.tflops * 1e12 * cards.count
    basis = Assumption.prior(
        f"{cards.name} in training",
        f"{_CARD_SHARE[0]:.0%} to {_CARD_SHARE[2]:.0%} of {cards.tflops:g} TFLOP/s",
        "published LoRA runs on one H100 41 to 52 %, older ones 21 %; not measured here",
    )
    return Estimate(
        low=low / (peak * _CARD_SHARE[2]),
        likely=likely / (peak * _CARD_SHARE[1]),
        high=high / (peak * _CARD_SHARE[0]),
        unit="s",
        basis=(basis,),
    )


def measured_pace(
    decoder: Decoder, setting: Setting, mean_length: float, speed: Measured
) -> Estimate:
    """Seconds a token by real steps on this machine; other lengths go by other speeds."""
    flops = flops_per_token(
        decoder, setting.model_copy(update={"trained": speed.trained}), mean_length
    )
    basis = Assumption(
        name="speed here",
        value=f"{speed.slow / 1e9:,.0f} to {speed.fast / 1e9:,.0f} GFLOP/s in three steps, "
        f"{speed.trained:.0%} of their tokens trained on; {_OTHER_BATCHES:.0%} around that",
        origin="measured",
        as_of=None,
        source="this model and this file, on this machine, now",
    )
    return Estimate(
        low=flops / speed.fast * (1 - _OTHER_BATCHES),
        likely=flops / speed.middle,
        high=flops / speed.slow * (1 + _OTHER_BATCHES),
        unit="s",
        basis=(basis,),
    )


def cpu_pace(decoder: Decoder, setting: Setting, mean_length: float, *, cores: int) -> Estimate:
    """Seconds a token on so many CPU cores, by what a plain LoRA run reached."""
    plain = setting.model_copy(update={"tuning": "lora", "recompute": "off", "last_layers": None})
    more = flops_per_token(decoder, setting, mean_length) / flops_per_token(
        decoder, plain, mean_length
    )
    return _cpu_s(decoder.parameters, cores).scaled(more)


def training_flops(model: Model, tokens: float) -> float | None:
    """FLOPs of LoRA training: 4N per token (forward 2N, backward to activations 2N)."""
    return None if model.parameters is None else 4.0 * model.parameters * tokens


def cpu_training_s(model: Model, tokens: float, *, cores: int = 2) -> Estimate | None:
    """Seconds of LoRA training on so many CPU cores; None when the model's size is unknown."""
    return None if model.parameters is None else _cpu_s(model.parameters, cores).scaled(tokens)


def _cpu_s(parameters: int, cores: int) -> Estimate:
    """Seconds of LoRA training a token."""
    flops = 4.0 * parameters
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
