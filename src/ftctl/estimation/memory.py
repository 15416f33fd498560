"""Does it fit: memory of training, term by term, and of serving, from a model's sizes alone."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from ftctl.catalog.types import Model
from ftctl.estimation.activations import saved_bytes
from ftctl.estimation.decoder import Decoder, find_decoder
from ftctl.estimation.estimate import Assumption, Estimate
from ftctl.estimation.setting import Setting

GIB = 1024**3
Verdict = Literal["fits", "tight", "no"]

_TIGHT = 0.85  # of what there is
# Context with its workspaces in GiB, and what an allocator reserves beyond what is asked of it.
# Not measured on a GPU yet.
_CONTEXT_GIB = (0.5, 0.75, 1.0)
_SLACK = (0.02, 0.04, 0.06)
# NF4 with its constants packed again: 4 bits, a byte for 64 weights, 4 bytes for 16,384.
_NF4_BYTES = 0.5 + 1 / 64 + 4 / 16_384
# Logits of a chunk in fp32, as the local backend's head chunks them.
_HEAD_BYTES = 256 * 2**20
_FORMULA = "coefficients counted from autograd's saved tensors, transformers 5.24, torch on a CPU"


class Term(BaseModel):
    """One part of the memory that training takes, in GiB, and what it is made of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    gib: float
    says: str


class Need(BaseModel):
    """Memory of each card at the peak of training.

    Attributes:
        terms: What it is made of; of loss head and backward pass only the larger is held at once.
        peak: Their sum with context and slack.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    terms: tuple[Term, ...]
    peak: Estimate


class Parts(NamedTuple):
    """Bytes on each card. `head` and `backward` aren't held at the same time."""

    weights: float
    trainable: float
    unpacked: float
    gathered: float
    activations: float
    head: float
    backward: float

    @property
    def sure(self) -> float:
        """All that is held at the peak, but for context and slack."""
        return sum(self[:5]) + max(self.head, self.backward)


def memory_parts(decoder: Decoder, setting: Setting) -> Parts:
    """The bytes that training takes on each card.

    Source: formula of 2026-11; state of a trained weight: 16 bytes in fp32 (weight, gradient, two
    of Adam), of which the working copy in bf16, where there is one, is beside.
    """
    wide, full = setting.weights == "fp32", setting.tuning == "full"
    each, tokens, layers = 4 if wide else 2, setting.tokens, decoder.layers
    linear = decoder.layer_weights * layers
    packed = linear if setting.tuning == "qlora" else 0
    weights = packed * _NF4_BYTES + (decoder.parameters - packed) * each
    largest = max(decoder.ffn, decoder.queries) * decoder.hidden

    n, gathered = setting.processes, 0.0
    if n > 1 and setting.sharding == "full_shard":
        weights /= n
        gathered = 2 * weights * n / layers  # the layer that is computed, and the next one
    elif n > 1 and setting.sharding == "shard_grad_op":
        # From the forward pass on whole, beside their shards; a full fine-tuning's are its masters.
        gathered = 0.0 if full and not wide else weights / n
    kept = setting.layers_kept(layers)
    again = setting.layers_recomputed(layers)
    layer, around = saved_bytes(decoder, setting)
    saved = layer * (kept - again) + each * decoder.hidden * again + around
    trained = tokens * setting.trained
    # Logits as statistics, their gradient and a copy, in fp32; and of each token that is trained
    # on its state and the gradient of that.
    chunk = trained if setting.whole_head else min(head_tokens(decoder.vocab), trained)
    head = 12 * decoder.vocab * chunk
    head += 0 if setting.whole_head else 2 * each * decoder.hidden * trained
    return Parts(
        weights=weights,
        trainable=_state(decoder.parameters if full else _adapters(decoder, setting), setting),
        unpacked=2 * largest if packed else 0,
        gathered=gathered,
        activations=saved * tokens,
        head=head,
        backward=_inside_a_layer(decoder, setting) * tokens,
    )


def _inside_a_layer(decoder: Decoder, setting: Setting) -> int:
    """Bytes of a token while the first layer, from the end, has its gradients computed.

    Where that layer is computed again all the others' are held beside its own; of one further
    down, those behind it are gone already. Source: counted from live storages on a CPU, 2026-11,
    small shapes; never less than what was counted for blocks at least as wide as the model.
    """
    d, f, each = decoder.hidden, decoder.ffn, 4 if setting.weights == "fp32" else 2
    if not setting.last_layer_recomputed(decoder.layers):
        return max(4 * each * f, 20 * d)  # of the block, or of the norm behind the last layer
    mixed = each == 2 and setting.adapters == "fp32" and setting.tuning != "full"
    return saved_bytes(decoder, setting).layer + 2 * each * f + (12 if mixed else 3) * d


def head_tokens(vocab: int) -> int:
    """For how many tokens the local backend computes the head at a time."""
    return max(128, _HEAD_BYTES // (4 * vocab) // 128 * 128)


def _adapters(decoder: Decoder, setting: Setting) -> float:
    return (
        decoder.adapter_weights(setting.rank) * setting.layers_kept(decoder.layers) / decoder.layers
    )


def _state(trainable: float, setting: Setting) -> float:
    """Bytes of what is trained, its gradients and the optimiser's, on each card.

    All of a full fine-tuning's weights in fp32 are counted as weights already, as are those in
    bf16 that their masters are beside.
    """
    n, full = setting.processes, setting.tuning == "full"
    wide = setting.weights == "fp32" or (setting.adapters == "fp32" and not full)
    copy = 0 if full or wide else 2
    state = 12 if full and wide else 16
    if n == 1 or setting.sharding == "ddp":
        return trainable * (copy + state)
    whole = 4 if wide and not full and setting.sharding == "shard_grad_op" else 0
    return trainable * (copy + whole + (state - whole) / n)


def peak_gib(parts: Parts) -> tuple[float, float, float]:
    """Low, likely and high of the peak on each card, with context and slack."""
    sure = parts.sure / GIB
    low, likely, high = (
        sure * (1 + slack) + context for slack, context in zip(_SLACK, _CONTEXT_GIB, strict=True)
    )
    return low, likely, high


def memory_need(decoder: Decoder, setting: Setting) -> Need:
    """The same with context and slack, and each term in words."""
    parts = memory_parts(decoder, setting)
    basis = (
        decoder.shape,
        Assumption(
            name="memory formula",
            value=f"{saved_bytes(decoder, setting).layer:,} bytes a token and layer",
            origin="measured",
            as_of=None,
            source=_FORMULA,
        ),
        Assumption.prior("context and slack", "0.5 to 1.0 GiB and 2 to 6 %", "not measured here"),
    )
    low, likely, high = peak_gib(parts)
    peak = Estimate(low=low, likely=likely, high=high, unit="GiB", basis=basis)
    return Need(terms=tuple(_terms(decoder, setting, parts)), peak=peak)


def _terms(decoder: Decoder, setting: Setting, parts: Parts) -> Iterator[Term]:
    kept, again = setting.layers_kept(decoder.layers), setting.layers_recomputed(decoder.layers)
    packed = "4 bits in the blocks, " if setting.tuning == "qlora" else ""
    split = setting.processes > 1 and setting.sharding == "full_shard"
    shared = f", over {setting.processes} cards" if split else ""
    says = f"{decoder.parameters:,}, {packed}{setting.weights}{shared}"
    yield _term("weights", parts.weights, says)
    if setting.tuning == "full":
        name, says, masters = "states", "", setting.weights == "bf16"
    else:
        name, masters = "adapters", setting.weights == setting.adapters == "bf16"
        says = f"{_adapters(decoder, setting):,.0f} of rank {setting.rank} with "
    says += "gradients, fp32 masters and Adam" if masters else "gradients and Adam"
    yield _term(name, parts.trainable, says)
    layer = saved_bytes(decoder, setting).layer
    says = f"{setting.tokens:,} tokens"
    says += f" × {kept - again} layers × {layer:,} bytes" if again < kept else ""
    says += f", the input of {again} layers that are computed again" if again else ""
    yield _term("saved activations", parts.activations, says)
    chunk = "" if setting.whole_head else f", {head_tokens(decoder.vocab):,} at a time"
    less = "; not at once with the larger"
    head = f"{setting.tokens * setting.trained:,.0f} trained tokens × {decoder.vocab:,}{chunk}"
    ahead = parts.head >= parts.backward
    yield _term("loss head", parts.head, head + ("" if ahead else less))
    anew = setting.last_layer_recomputed(decoder.layers)
    says = "gradients inside a layer" + (", and its activations anew" if anew else "")
    yield _term("backward pass", parts.backward, says + (less if ahead else ""))
    if parts.unpacked:
        yield _term("one layer unpacked", parts.unpacked, "its largest weight in bf16")
    if parts.gathered:
        says = "the layer in use and the next" if split else "they stay beside the whole"
        yield _term("brought together" if split else "shards", parts.gathered, says)
    yield Term(name="context", gib=_CONTEXT_GIB[1], says="libraries and workspaces: 0.5 to 1.0 GiB")
    yield _term("slack", parts.sure * _SLACK[1], "what the allocator rounds up: 2 to 6 %")


def _term(name: str, bytes_: float, says: str) -> Term:
    return Term(name=name, gib=bytes_ / GIB, says=says)


def training_memory(
    model: Model, batch_tokens: int, *, checkpointing: bool = False
) -> Estimate | None:
    """Peak GiB of LoRA training elsewhere, all logits at once; None for unknown shapes."""
    decoder = find_decoder(model)
    if isinstance(decoder, str):
        return None
    recompute: Literal["off", "all"] = "all" if checkpointing else "off"
    setting = Setting(tokens=batch_tokens, recompute=recompute, whole_head=True)
    return memory_need(decoder, setting).peak


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
    return "tight" if need.likely > _TIGHT * available_gib else "fits"
