"""Attention that keeps the documents of a packed row apart, by whichever way a machine has.

A packed row is one sequence: what all documents begin with, once, then the rest of each of them.
Every token attends to that prefix and to its own document, and to nothing else; so the row gives
each document what it would give alone.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from typing_extensions import override

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Model = Any  # a PreTrainedModel
Way = Literal["varlen", "flex", "documents", "masked", "padded"]

_Sees = Callable[[object, object, "Tensor", "Tensor"], "Tensor"]

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

    @property
    def positions(self) -> list[int]:
        """Of each token of the row in its own document."""
        own = (range(self.prefix, self.prefix + length) for length in self.lengths)
        return [*range(self.prefix), *chain.from_iterable(own)]


def ways_on(device: str) -> list[Way]:
    """The ways that are worth a try on a device, the quickest first as far as that is known.

    On a CPU the first two are nearly as quick as each other; they aren't timed, for a run that is
    made again has to take the same one.
    """
    if device != "cuda":
        return ["documents", "padded", "masked"]
    varlen: list[Way] = ["varlen"] if _varlen_attention() is not None else []
    return [*varlen, "flex", "padded", "masked"]


def hands_a_state_on(model: Model) -> bool:
    """Whether tokens reach others by a state beside attention, as in Mamba and the like."""
    from torch import nn

    # All of them have a short convolution over the last tokens.
    return any(isinstance(module, nn.Conv1d) for module in model.get_decoder().modules())


def use_documents(model: Model) -> None:
    """Let a model's layers attend by `attention_of`; whatever else it does stays as it was.

    Raises:
        ValueError: this architecture takes no attention from outside.
    """
    if model.config._attn_implementation == _NAME:  # noqa: SLF001 - it has no public name
        return
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    if "chunked_attention" in (getattr(model.config.get_text_config(), "layer_types", None) or ()):
        raise ValueError("its attention is in chunks")  # which its layers don't say of themselves
    if hands_a_state_on(model):
        raise ValueError("its layers hand a state from token to token")
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

    nothing = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)
    makers: dict[Way, Callable[[Layout, Any], Documents]] = {
        "varlen": _Varlen,
        "flex": _Flex,
        "documents": _OneByOne,
        "masked": _Masked,
    }
    return {"attention_mask": nothing, "documents": makers[way](layout, device)}


class Asked(NamedTuple):
    """What a layer asks for.

    Attributes:
        query: [1, h, T, d].
        key: [1, kv, T, d], as are the values.
        value: Of the keys.
        scale: Of the scores; 1 / sqrt(d) where it isn't said.
        window: How many of a document's last tokens one sees, itself among them; None is all.
    """

    query: "Tensor"
    key: "Tensor"
    value: "Tensor"
    scale: float | None
    window: int | None

    @property
    def grouped(self) -> bool:
        """Whether several heads share keys and values."""
        return bool(self.query.shape[1] != self.key.shape[1])


class Documents(ABC):
    """A row's documents, as one way of attention needs to know them.

    Attributes:
        layout: Where they are.
        asked: How often layers have asked.
    """

    def __init__(self, layout: Layout, device: "str | torch.device") -> None:
        self.layout, self.device, self.asked = layout, device, 0
        self._masks: dict[int | None, Any] = {}

    def require_all(self, layers: int) -> None:
        """Refuse a model in which documents meet elsewhere, too: a state that goes from token on.

        Raises:
            ValueError: fewer than so many layers have asked.
        """
        if self.asked < layers:
            raise ValueError(f"{layers - self.asked} of {layers} layers mix tokens their own way")

    @abstractmethod
    def attend(self, asked: Asked) -> "Tensor":
        """Each token's answer, [1, T, h, d]."""

    def mask(self, window: int | None, make: Callable[[int | None], Any]) -> Any:  # noqa: ANN401 - of the way's own kind
        """What all layers of one window share, made when the first of them asks."""
        if window not in self._masks:
            self._masks[window] = make(window)
        return self._masks[window]


def _attention(
    module: Any,  # noqa: ANN401 - any attention layer
    query: "Tensor",
    key: "Tensor",
    value: "Tensor",
    attention_mask: "Tensor | None",
    *,
    documents: Documents | None = None,
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
    if unknown:
        raise ValueError(f"its attention has {', '.join(unknown)}")
    window: int | None = others.get("sliding_window")
    if window is not None and window >= documents.layout.longest:
        window = None
    documents.asked += 1
    asked = Asked(query, key, value, others.get("scaling"), window)
    return documents.attend(asked), None


class _OneByOne(Documents):
    """Torch's plain attention, a call for each document: exact everywhere, and without padding."""

    def __init__(self, layout: Layout, device: "str | torch.device") -> None:
        import torch

        super().__init__(layout, device)
        whole = torch.ones(layout.longest, layout.longest, dtype=torch.bool, device=device)
        self._causal = whole.tril()  # of one document by its positions

    @override
    def attend(self, asked: Asked) -> "Tensor":
        import torch
        from torch.nn.functional import scaled_dot_product_attention as attend

        prefix, scale, gqa = self.layout.prefix, asked.scale, asked.grouped
        mask = self.mask(asked.window, self._mask_of)
        # Split at once: its gradient is one concatenation, that of slices a sum of whole rows.
        parts = [whole.split(self.layout.spans, dim=2) for whole in asked[:3]]
        before: list[Tensor] = [whole[0] for whole in parts[1:]]
        found = []
        for place, (q, k, v) in enumerate(zip(*parts, strict=True)):
            start = prefix if place else 0
            if start:
                k, v = (torch.cat(both, dim=2) for both in zip(before, (k, v), strict=True))
            if start or asked.window is not None:
                sees = mask[start : start + q.shape[2], : k.shape[2]]
                found.append(attend(q, k, v, attn_mask=sees, scale=scale, enable_gqa=gqa))
            else:
                found.append(attend(q, k, v, is_causal=True, scale=scale, enable_gqa=gqa))
        return torch.cat(found, dim=2).transpose(1, 2).contiguous()

    def _mask_of(self, window: int | None) -> "Tensor":
        return self._causal if window is None else self._causal.triu(1 - window)


class _Varlen(Documents):
    """Torch's flash attention over sequences of different lengths; CUDA alone."""

    def __init__(self, layout: Layout, device: "str | torch.device") -> None:
        import torch

        super().__init__(layout, device)
        prefix = layout.prefix
        seen = [prefix, *(prefix + length for length in layout.lengths)][not prefix :]
        # On the CPU, as asking the device for their ends would wait for it in every layer.
        self._bounds = [
            torch.tensor([0, *accumulate(lengths)], dtype=torch.int32).to(device)
            for lengths in (layout.spans, seen)
        ]
        self._longest = max(layout.spans), max(seen)
        self._keys = torch.tensor(_key_places(layout)).to(device) if prefix else None

    @override
    def attend(self, asked: Asked) -> "Tensor":
        attend = _varlen_attention()
        assert attend is not None  # noqa: S101 - `ways_on` leaves this way out without it
        q, k, v = (whole[0].transpose(0, 1) for whole in asked[:3])  # [T, h, d]
        scale, window = asked.scale, asked.window
        if self._keys is not None:
            k, v = k[self._keys], v[self._keys]
        known = inspect.signature(attend).parameters
        how: dict[str, Any] = {}
        if "window_size" in known:
            how["window_size"] = (-1 if window is None else window - 1, 0)
        elif window is not None:
            raise ValueError("its attention has a window, which torch 2.10 doesn't have")
        else:
            how["is_causal"] = True  # torch 2.10
        if asked.grouped:
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


class _Flex(Documents):
    """Torch's compiled attention with a mask in blocks; uncompiled, and slow, off CUDA."""

    @override
    def attend(self, asked: Asked) -> "Tensor":
        query, key, value, scale, window = asked
        mask = self.mask(window, self._blocks)
        attend = _flex_attention(query.device.type)
        found: Tensor = attend(
            query, key, value, block_mask=mask, scale=scale, enable_gqa=asked.grouped
        )
        return found.transpose(1, 2).contiguous()

    def _blocks(self, window: int | None) -> object:
        from torch.nn.attention.flex_attention import create_block_mask

        sees, size = _sees(self.layout, window, self.device), sum(self.layout.spans)
        return create_block_mask(sees, None, None, size, size, device=self.device)


class _Masked(Documents):
    """Torch's plain attention over the whole row, with a mask: slow, and for any device."""

    @override
    def attend(self, asked: Asked) -> "Tensor":
        from torch.nn.functional import scaled_dot_product_attention as attend

        query, key, value, scale, window = asked
        mask = self.mask(window, self._whole)
        found = attend(query, key, value, attn_mask=mask, scale=scale, enable_gqa=asked.grouped)
        return found.transpose(1, 2).contiguous()

    def _whole(self, window: int | None) -> "Tensor":
        import torch

        places = torch.arange(sum(self.layout.spans), device=self.device)
        return _sees(self.layout, window, self.device)(None, None, places[:, None], places)


def _sees(layout: Layout, window: int | None, device: "str | torch.device") -> _Sees:
    """Whether a token of a packed row sees another: of batch, head and both their places."""
    import torch

    numbers = range(not layout.prefix, len(layout.lengths) + 1)  # 0 is the prefix
    each = ([n] * span for n, span in zip(numbers, layout.spans, strict=True))
    document = torch.tensor([*chain.from_iterable(each)]).to(device)
    at = torch.tensor(layout.positions).to(device)

    def sees(_batch: object, _head: object, query: "Tensor", key: "Tensor") -> "Tensor":
        own = document[query] == document[key]
        seen = (query >= key) & (own | (document[key] == 0))
        return seen if window is None else seen & (at[query] - at[key] < window)

    return sees


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
