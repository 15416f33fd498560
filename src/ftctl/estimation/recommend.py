"""Which way of training fits some cards: the plainest one first, no torch needed."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ftctl.catalog.types import Model
from ftctl.estimation.decoder import Decoder, find_decoder
from ftctl.estimation.memory import memory_parts, peak_gib
from ftctl.estimation.setting import Cards, Recompute, Setting, Sharding, Ways
from ftctl.job import Tuning

# A micro-batch of fewer tokens leaves a card idle between kernels; a longer example needs more.
LEAST_TOKENS = 2_048
_SEARCH_TOKENS = 2**24


def recommend(
    decoder: Decoder,
    cards: Cards,
    *,
    like: Setting | None = None,
    tunings: Sequence[Tuning] = ("lora", "qlora"),
    longest: int = LEAST_TOKENS,
    ways: Ways | None = None,
) -> Setting | None:
    """The first setting that fits, by its high end; None where none does.

    In order: nothing recomputed, every k-th layer (as few of them as fit), all layers; the same
    for each further tuning; then weights and states shared by the cards. Cards that needn't share
    work side by side (`ddp`).

    Args:
        decoder: What is trained.
        cards: What it has to fit.
        like: What doesn't change, such as the rank; `tokens` is the most a micro-batch takes.
        tunings: Ways of tuning that will do, the better one first. QLoRA takes a GPU.
        longest: Tokens that a micro-batch must hold at least.
        ways: What the user has settled, of which nothing else is tried.
    """
    like = like or Setting(weights=cards.weights)
    needed = min(max(longest, LEAST_TOKENS), max(longest, like.tokens))
    for setting in _settings(decoder, cards, like, tunings, ways or Ways()):
        if fits(decoder, setting.model_copy(update={"tokens": needed}), cards):
            most = min(like.tokens, largest_tokens(decoder, setting, cards))
            return setting.model_copy(update={"tokens": max(needed, most)})
    return None


def _settings(
    decoder: Decoder, cards: Cards, like: Setting, tunings: Sequence[Tuning], ways: Ways
) -> Iterator[Setting]:
    """From the plainest and fastest to what takes least memory."""
    every: tuple[Sharding, ...] = ("ddp", "shard_grad_op", "full_shard")
    shardings = (ways.sharding,) if ways.sharding else every if cards.count > 1 else every[:1]
    layers = like.layers_kept(decoder.layers)
    recomputes = [ways.recompute] if ways.recompute else list(_recomputes(layers))
    for sharding in shardings:
        for tuning in tunings:
            if tuning == "qlora" and (cards.kind != "gpu" or sharding != "ddp"):
                continue  # four bits take a GPU, and can't be split
            if tuning == "lora" and sharding == "shard_grad_op" and not ways.sharding:
                continue  # an adapter's states are little, and shards come beside the whole base
            for recompute in recomputes:
                yield like.model_copy(
                    update={
                        "tuning": tuning,
                        "recompute": recompute,
                        "sharding": sharding,
                        "processes": cards.count,
                    }
                )


def most_frugal(
    like: Setting, cards: Cards, tuning: Tuning, tokens: int, ways: Ways | None = None
) -> Setting:
    """What takes least memory: how what doesn't fit is told."""
    ways, split = ways or Ways(), cards.count > 1 and tuning != "qlora"
    return like.model_copy(
        update={
            "tuning": tuning,
            "recompute": ways.recompute or "all",
            "tokens": tokens,
            "sharding": ways.sharding or ("full_shard" if split else "ddp"),
            "processes": cards.count,
        }
    )


def _recomputes(layers: int) -> Iterator[Recompute]:
    """Off, then every k-th layer, ever more of them, then all."""
    yield "off"
    yield from range(layers // 2, 1, -1)
    yield "all"


def fits(decoder: Decoder, setting: Setting, cards: Cards) -> bool:
    """Whether even the high end of what is needed is there."""
    return peak_gib(memory_parts(decoder, setting))[2] <= cards.memory_gib


def largest_tokens(decoder: Decoder, setting: Setting, cards: Cards) -> int:
    """The most tokens of a micro-batch that fit; 0 where not one does."""
    low, high = 0, _SEARCH_TOKENS
    while low < high:
        middle = (low + high + 1) // 2
        if fits(decoder, setting.model_copy(update={"tokens": middle}), cards):
            low = middle
        else:
            high = middle - 1
    return low


def longest_sequence(
    decoder: Decoder, cards: Cards, tuning: Tuning, like: Setting | None = None
) -> int:
    """The most tokens of one sequence that can be trained on, all layers recomputed.

    Not more than the model takes, and 0 where it doesn't fit at all.
    """
    like = like or Setting(weights=cards.weights)
    frugal = like.model_copy(update={"tuning": tuning, "recompute": "all"})
    most = largest_tokens(decoder, frugal, cards)
    return min(most, decoder.context or most)


class Largest(NamedTuple):
    """The largest model of a catalog that can be tuned in some way, and how."""

    tuning: Tuning
    model: Model
    setting: Setting


def largest_models(models: Iterable[Model], cards: Cards) -> tuple[Largest, ...]:
    """For LoRA, QLoRA and full fine-tuning the largest model that fits, where one does."""
    known = [(model, find_decoder(model)) for model in models]
    sizes = sorted(
        ((model, found) for model, found in known if isinstance(found, Decoder)),
        key=lambda pair: -pair[1].parameters,
    )
    ways: tuple[Tuning, ...] = ("lora", "qlora", "full")
    found = []
    for tuning in ways:
        for model, decoder in sizes:
            setting = recommend(decoder, cards, tunings=(tuning,))
            if setting is not None:
                found.append(Largest(tuning, model, setting))
                break
    return tuple(found)
