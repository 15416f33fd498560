"""What fits into this machine's memory: tokens of a micro-batch, and layers computed again."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ftctl.estimation.decoder import Decoder, read_decoder
from ftctl.estimation.machine import main_memory
from ftctl.estimation.recommend import recommend
from ftctl.estimation.setting import TOKEN_BUDGET, Cards, Format, Recompute, Setting, Ways
from ftctl.local_backend.data import Item, count_tokens, sequences_of
from ftctl.local_backend.model import Trainable

# More tokens at once make nothing quicker, not even on a large GPU with a small model.
_MOST_TOKENS = {"cpu": 8_192, "mps": 8_192, "cuda": 32_768}


class Budget(NamedTuple):
    """What a micro-batch may take.

    Attributes:
        tokens: Of a micro-batch, padding included.
        recompute: Which layers are computed again in the backward pass.
        reason: In words.
    """

    tokens: int
    recompute: Recompute
    reason: str


def find_budget(
    base: Path | str,
    trainable: Trainable,
    weights: Format,
    device: str,
    examples: Sequence[Item],
) -> Budget:
    """Ask the planner; of what it doesn't know, take what most machines hold of a small model.

    Args:
        base: Folder or hub id of the base model.
        trainable: What of it is trained.
        weights: What the base computes in.
        device: `cuda`, `mps` or `cpu`.
        examples: What is trained on; the longest of them must go through at once.
    """
    longest = max(item.length * len(item.sequences) for item in examples)
    asked = trainable.options.recompute
    decoder = read_decoder(base) if isinstance(base, Path) else f"{base}: not on this disk"
    cards = _cards(device)
    if isinstance(decoder, str) or cards is None:
        why = decoder if isinstance(decoder, str) else "this system doesn't tell its memory"
        recompute = "off" if asked == "auto" else asked
        return Budget(max(TOKEN_BUDGET, longest), recompute, f"not planned: {why}")
    settings, adapters = trainable.settings, trainable.options.adapter_format
    like = Setting(
        tuning=trainable.tuning,
        rank=settings.lora_r or 16,
        weights=weights,
        adapters=weights if adapters == "auto" else adapters,
        dropout=bool(settings.lora_dropout),
        tokens=_MOST_TOKENS[device],
        last_layers=settings.last_layers,
        trained=sum(item.trained_tokens for item in examples)
        / count_tokens(sequences_of(examples)),
    )
    return _planned(decoder, cards, like, longest, None if asked == "auto" else asked)


def _planned(
    decoder: Decoder, cards: Cards, like: Setting, longest: int, asked: Recompute | None
) -> Budget:
    ways, tuning = Ways(recompute=asked), (like.tuning,)
    found = recommend(decoder, cards, like=like, tunings=tuning, longest=longest, ways=ways)
    if found is None:
        again = "all" if asked is None else asked
        return Budget(longest, again, f"tight: by the plan it doesn't fit into {cards}")
    return Budget(found.tokens, found.recompute, f"planned for {cards}")


def _cards(device: str) -> Cards | None:
    if device != "cuda":
        return main_memory()
    import torch

    card = torch.cuda.get_device_properties(0)
    return Cards(name=card.name, memory_gib=card.total_memory / 2**30)
