"""Bytes that autograd keeps of each token for the backward pass, exactly, in closed form."""

from typing import NamedTuple

from ftctl.estimation.decoder import Decoder
from ftctl.estimation.setting import Setting


class Saved(NamedTuple):
    """Bytes of each token: of one layer, and of what stands around the layers."""

    layer: int
    around: int


def saved_bytes(decoder: Decoder, setting: Setting) -> Saved:
    """What is kept of one token with nothing recomputed, with the library's own norms and sdpa.

    Source: solved from shapes of Llama, Mistral, Qwen2 and Qwen3 by counting the storages of saved
    tensors, transformers 5.23 and 5.24 and torch 2.13 on a CPU, 2026-11: integers without a rest,
    held out on an 8B layer. Dropout's masks are taken as a CPU keeps them, in the number format of
    what is dropped; a GPU keeps a byte, so that there this is an upper bound.
    """
    d, f, h, r = decoder.hidden, decoder.ffn, decoder.heads, setting.rank
    q, kv = decoder.queries, decoder.keys
    full, wide = setting.tuning == "full", setting.weights == "fp32"
    same = 4 * h + 8  # softmax statistics of attention, and of two norms, in fp32
    angles = (8 if wide else 4) * decoder.head_size  # cosine and sine of each position
    extra = _query_key_norms(decoder, setting) if decoder.normed else 0
    if full:
        layer = (24 * d + 8 * q + 8 * kv + 16 * f) if wide else (16 * d + 4 * q + 4 * kv + 8 * f)
        # The last norm, and the token's number for the embedding's gradient.
        return Saved(layer + same + extra, angles + (8 if wide else 6) * d + 12)
    if wide:
        layer = (48 * d + 16 * q + 20 * f) if setting.dropout else (16 * d + 8 * q + 16 * f)
        layer += 8 * kv + 28 * r
    elif setting.adapters == "fp32":
        layer = (48 * d + 12 * q + 14 * f) if setting.dropout else (28 * d + 8 * q + 10 * f)
        layer += 4 * kv + 28 * r
    else:
        layer = (28 * d + 8 * q + 10 * f) if setting.dropout else (12 * d + 4 * q + 8 * f)
        layer += 4 * kv + 14 * r
    # The first layer's input has no gradient, so neither a norm nor a dropout keeps it; the norm
    # after the last layer keeps as much as the first one would have.
    unkept = (12 if wide or setting.adapters == "fp32" else 6) * d if setting.dropout else 0
    return Saved(layer + same + extra, angles - unkept)


def _query_key_norms(decoder: Decoder, setting: Setting) -> int:
    """What Qwen3's norms of queries and keys add, with a statistic of each head."""
    each = 4
    if setting.tuning == "full":
        each = 8 if setting.weights == "fp32" else 6
    heads = decoder.heads + decoder.kv_heads
    return each * (decoder.queries + decoder.keys) + 4 * heads
