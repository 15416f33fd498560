"""Attention that keeps the documents of a packed row apart, by whichever way a machine has.

A packed row is one sequence: what all documents begin with, once, then the rest of each of them.
Every token attends to that prefix and to its own document, and to nothing else; so the row gives
each document what it would give alone.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Model = Any  # a PreTrainedModel
Way = Literal["varlen", "flex", "documents", "masked", "padded"]

_NAME = "ftctl_documents"  # under which transformers knows it


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the documents of a packed row are.

    Attributes:
        prefix: How many first tokens belong to all of them.
        lengths: Tokens of each document behind the prefix.
    """

    prefix: int
    lengths: tuple[int, ...]

    @property
    def longest(self) -> int:
        """Tokens of the longest document, the prefix included."""
        return self.prefix + max(self.lengths)

    @property
    def spans(self) -> list[int]:
        """Tokens of everything in the row: the prefix, where there is one, then the documents."""
        return [self.prefix, *self.lengths] if self.prefix else [*self.lengths]


def ways_on(device: str) -> list[Way]:
    """The ways that are worth a try on a device, the quickest first as far as that is known.

    On a CPU the first two are nearly as quick as each other; they aren't timed, for a run that is
    made again has to take the same one.
    """
    if device != "cuda":
        return ["documents", "padded", "masked"]
    varlen: list[Way] = ["varlen"] if _varlen_attention() is not None else []
    return [*varlen, "flex", "padded", "masked"]


def use_documents(model: Model) -> None:
    """Let a model's layers attend by `attention_of`; whatever else it does stays as it was.

    Raises:
        ValueError: this architecture takes no attention from outside.
    """
    if model.config._attn_implementation == _NAME:  # noqa: SLF001 - it has no public name
        return
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    AttentionInterface.register(_NAME, _attention)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    model.set_attn_implementation(_NAME)
    if model.config._attn_implementation != _NAME:  # noqa: SLF001
        raise ValueError("its attention can't be replaced")


def attention_of(way: Way, layout: Layout, device: "str | torch.device") -> dict[str, Any]:
    """What a decoder is called with, so that the documents of a row don't see each other.

    Built once for all layers. A mask of four dimensions is passed on by transformers as it is;
    without one it would build its own from the positions, or take none and leak.
    """
    import torch

    if way == "masked":
        return {"attention_mask": _mask_of(layout, device)[None, None]}
    nothing = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)
    makers: dict[Way, Callable[[Layout, Any], _Documents]] = {
        "varlen": _Varlen,
        "flex": _Flex,
        "documents": _OneByOne,
    }
    return {"attention_mask": nothing, "documents": makers[way](layout, device)}


class _Documents(Protocol):
    """A row's documents, as one way of attention needs to know them."""

    layout: Layout

    def attend(
        self, query: "Tensor", key: "Tensor", value: "Tensor", scale: float | None
    ) -> "Tensor":
        """Of queries [1, h, T, d], keys and values [1, kv, T, d]: [1, T, h, d]."""


def _attention(
    module: Any,  # noqa: ANN401 - any attention layer
    query: "Tensor",
    key: "Tensor",
    value: "Tensor",
    attention_mask: "Tensor | None",
    *,
    documents: _Documents | None = None,
    **others: Any,  # noqa: ANN401 - whatever the architecture says of its attention
) -> "tuple[Tensor, None]":
    """What a layer calls: our attention over a packed row, else torch's own as ever."""
    if documents is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        found: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **others
        )
        return found
    unsupported = ("softcap", "s_aux", "position_bias")
    unknown = [name for name in unsupported if others.get(name) is not None]
    if others.get("dropout"):
        unknown.append("dropout")
    if (others.get("sliding_window") or documents.layout.longest) < documents.layout.longest:
        unknown.append("a sliding window shorter than the longest example")
    if unknown:
        raise ValueError(f"its attention has {', '.join(unknown)}")
    return documents.attend(query, key, value, others.get("scaling")), None


class _OneByOne:
    """Torch's plain attention, a call for each document: exact everywhere, and without padding."""

    def __init__(self, layout: Layout, device: "str | torch.device") -> None:
        import torch

        self.layout = layout
        rows, columns = max(layout.lengths), layout.longest
        # Causal from the end: the first token of a document sees the prefix and itself.
        self._mask = torch.ones(rows, columns, dtype=torch.bool, device=device).tril(layout.prefix)

    def attend(
        self, query: "Tensor", key: "Tensor", value: "Tensor", scale: float | None
    ) -> "Tensor":
        import torch
        from torch.nn.functional import scaled_dot_product_attention as attend

        prefix, gqa = self.layout.prefix, query.shape[1] != key.shape[1]
        # Split at once: its gradient is one concatenation, that of slices a sum of whole rows.
        parts = [whole.split(self.layout.spans, dim=2) for whole in (query, key, value)]
        before: list[Tensor] = [whole[0] for whole in parts[1:]]
        found = []
        for place, (q, k, v) in enumerate(zip(*parts, strict=True)):
            if prefix and place:
                k, v = (torch.cat(both, dim=2) for both in zip(before, (k, v), strict=True))
                mask = self._mask[: q.shape[2], : k.shape[2]]
                found.append(attend(q, k, v, attn_mask=mask, scale=scale, enable_gqa=gqa))
            else:
                found.append(attend(q, k, v, is_causal=True, scale=scale, enable_gqa=gqa))
        return torch.cat(found, dim=2).transpose(1, 2).contiguous()


class _Varlen:
    """Torch's flash attention over sequences of different lengths; CUDA alone."""

    def __init__(self, layout: Layout, device: "str | torch.device") -> None:
        import torch

        self.layout = layout
        prefix = layout.prefix
        seen = [prefix, *(prefix + length for length in layout.lengths)][not prefix :]
        # On the CPU, as asking the device for their ends would wait for it in every layer.
        self._bounds = [
            torch.tensor([0, *accumulate(lengths)], dtype=torch.int32).to(device)
            for lengths in (layout.spans, seen)
        ]
        self._longest = max(layout.spans), max(seen)
        self._keys = torch.tensor(_key_places(layout)).to(device) if prefix else None

    def attend(
        self, query: "Tensor", key: "Tensor", value: "Tensor", scale: float | None
    ) -> "Tensor":
        attend = _varlen_attention()
        assert attend is not None  # noqa: S101 - `ways_on` leaves this way out without it
        q, k, v = (whole[0].transpose(0, 1) for whole in (query, key, value))  # [T, h, d]
        if self._keys is not None:
            k, v = k[self._keys], v[self._keys]
        known = inspect.signature(attend).parameters
        how: dict[str, Any] = {}
        if "window_size" in known:
            how["window_size"] = (-1, 0)
        else:
            how["is_causal"] = True  # torch 2.10
        if q.shape[1] != k.shape[1]:
            if "enable_gqa" in known:
                how["enable_gqa"] = True
            else:
                k, v = (part.repeat_interleave(q.shape[1] // part.shape[1], 1) for part in (k, v))
        if "scale" in known:
            how["scale"] = scale
        elif scale is not None:
            q = q * (scale * q.shape[-1] ** 0.5)  # its own scale is 1 / sqrt(d)
        found: Tensor = attend(q, k, v, *self._bounds, *self._longest, **how)
        return found[None]


class _Flex:
    """Torch's compiled attention with a mask in blocks; uncompiled, and slow, off CUDA."""

    def __init__(self, layout: Layout, device: "str | torch.device") -> None:
        import torch
        from torch.nn.attention.flex_attention import create_block_mask

        self.layout = layout
        numbers = range(not layout.prefix, len(layout.lengths) + 1)  # 0 is the prefix
        document = torch.tensor(
            list(chain.from_iterable([n] * s for n, s in zip(numbers, layout.spans, strict=True)))
        ).to(device)

        def sees(_batch: "Tensor", _head: "Tensor", query: "Tensor", key: "Tensor") -> "Tensor":
            own = document[query] == document[key]
            return (query >= key) & (own | (document[key] == 0))

        size = len(document)
        self._mask = create_block_mask(sees, None, None, size, size, device=document.device)

    def attend(
        self, query: "Tensor", key: "Tensor", value: "Tensor", scale: float | None
    ) -> "Tensor":
        gqa = query.shape[1] != key.shape[1]
        attend = _flex_attention(query.device.type)
        found: Tensor = attend(
            query, key, value, block_mask=self._mask, scale=scale, enable_gqa=gqa
        )
        return found.transpose(1, 2).contiguous()


def _mask_of(layout: Layout, device: "str | torch.device") -> "Tensor":
    """True where a token of a packed row sees another: [T, T]."""
    import torch

    whole = sum(layout.spans)
    mask = torch.zeros(whole, whole, dtype=torch.bool)
    mask[:, : layout.prefix] = True
    start = layout.prefix
    for length in layout.lengths:
        mask[start : start + length, start : start + length] = True
        start += length
    return mask.tril().to(device)


def _key_places(layout: Layout) -> list[int]:
    """Places in the row of the keys of the prefix, then of each document with the prefix before."""
    prefix = range(layout.prefix)
    starts = accumulate(layout.lengths, initial=layout.prefix)
    documents = (range(s, s + length) for s, length in zip(starts, layout.lengths, strict=False))
    return [*prefix, *chain.from_iterable((*prefix, *document) for document in documents)]


@cache
def _varlen_attention() -> Callable[..., Any] | None:
    """Torch's attention over sequences of different lengths, of 2.10 and later."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    found: Callable[..., Any] = varlen_attn
    return found


@cache
def _flex_attention(device: str) -> Callable[..., Any]:
    import torch
    from torch.nn.attention.flex_attention import flex_attention

    found: Callable[..., Any] = (
        torch.compile(flex_attention) if device == "cuda" else flex_attention
    )
    return found
