"""Greedy answers for many prompts at once, their common beginning computed once."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ftctl.datasets.render import Tokenizer
from ftctl.local_backend.attention import hands_a_state_on
from ftctl.local_backend.kv_cache import cache_argument, key_values
from ftctl.local_backend.model import bare

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Model = Any  # a PreTrainedModel or a PeftModel around one
OnToken = Callable[[int], None]


def generate(
    model: Model,
    prompts: Sequence[Sequence[int]],
    *,
    stop_ids: frozenset[int],
    max_new_tokens: int,
    on_token: OnToken | None = None,
) -> list[list[int]]:
    """Answer every prompt greedily.

    Prompts are padded on the right, after the prefix they share; each row's positions go on from
    its own length and its padding is masked, so that a row's answer doesn't depend on the others.
    Where a layer sees only so many places back, or hands a state on, padding would stand in
    between: there it comes first, and nothing is shared.

    Args:
        model: A causal language model in evaluation mode.
        prompts: Token ids of each prompt; none empty.
        stop_ids: Tokens that end an answer; not part of it.
        max_new_tokens: Longest answer, in tokens.
        on_token: Called with each new token of the first prompt, for live display.

    Returns:
        The token ids of each answer.
    """
    import torch

    base = bare(model)
    device = base.get_input_embeddings().weight.device
    answers: list[list[int]] = [[] for _ in prompts]
    live = torch.ones(len(prompts), dtype=torch.bool)
    with torch.inference_mode():
        decoding = _Decoding(base, prompts, device, max_new_tokens)
        for _ in range(max_new_tokens):
            tokens = decoding.next_tokens()  # [B]
            for row, token in enumerate(tokens.tolist()):
                if not live[row]:
                    continue
                if token in stop_ids:
                    live[row] = False
                    continue
                answers[row].append(token)
                if row == 0 and on_token is not None:
                    on_token(token)
            if not live.any():
                break
            decoding.feed(tokens)
    return answers


def stop_ids_of(model: Model, tokenizer: Tokenizer) -> frozenset[int]:
    """Tokens that end an answer of this model."""
    stops = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    known = stops if isinstance(stops, list) else [stops]
    return frozenset(i for i in [*known, tokenizer.eos_token_id] if i is not None)


def common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """How many first tokens all prompts share, leaving at least one of each outside."""
    first, last = min(map(list, prompts)), max(map(list, prompts))
    common = next(
        (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b),
        min(len(first), len(last)),
    )
    return max(0, min(common, min(map(len, prompts)) - 1))


def _reach(base: Model) -> int:
    """How many places back every layer sees."""
    config = base.config.get_text_config()
    named = ("sliding_window", "attention_chunk_size")
    return min(getattr(config, name, None) or sys.maxsize for name in named)


class _Decoding:
    """The state of one batch between two tokens: cache, mask, each row's length."""

    def __init__(
        self,
        base: Model,
        prompts: Sequence[Sequence[int]],
        device: "torch.device",
        more: int,
    ) -> None:
        import torch

        self.base, self.decoder = base, base.get_decoder()
        self.argument = cache_argument(self.decoder)
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)  # [B]
        width = int(lengths.max())
        padded_first = hands_a_state_on(base) or _reach(base) < width + more
        prefix = 0 if padded_first or len(prompts) == 1 else common_prefix(prompts)
        starts = width - lengths if padded_first else torch.zeros_like(lengths)  # [B]
        ids = torch.zeros(len(prompts), width, dtype=torch.long)  # [B, T]
        for row, (prompt, start) in enumerate(zip(prompts, starts.tolist(), strict=True)):
            ids[row, start : start + len(prompt)] = torch.tensor(prompt)
        ids = ids.to(device)
        positions = torch.arange(width, device=device) - starts[:, None]  # [B, T]
        self.mask = ((positions >= 0) & (positions < lengths[:, None])).long()  # [B, T]
        self.lengths = lengths
        cache = None
        if prefix:
            cache = key_values(self.decoder(input_ids=ids[:1, :prefix], use_cache=True))
            cache.batch_repeat_interleave(len(prompts))
        output = self.decoder(
            input_ids=ids[:, prefix:],
            attention_mask=self.mask,
            position_ids=positions[:, prefix:].clamp(min=0),
            use_cache=True,
            **{self.argument: cache},
        )
        self.cache = key_values(output)
        rows = torch.arange(len(prompts), device=device)
        self.hidden = output.last_hidden_state[rows, starts + lengths - 1 - prefix]  # [B, d]

    def next_tokens(self) -> "Tensor":
        """The likeliest next token of each row, [B]."""
        tokens: Tensor = self.base.get_output_embeddings()(self.hidden).argmax(-1)
        return tokens

    def feed(self, tokens: "Tensor") -> None:
        """Go on by one token a row."""
        import torch

        self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], dim=1)
        output = self.decoder(
            input_ids=tokens[:, None],
            attention_mask=self.mask,
            position_ids=self.lengths[:, None],
            use_cache=True,
            **{self.argument: self.cache},
        )
        self.cache = key_values(output)
        self.lengths = self.lengths + 1
        self.hidden = output.last_hidden_state[:, -1]  # [B, d]
