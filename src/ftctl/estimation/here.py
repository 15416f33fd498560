"""What a run of the local backend holds in memory on this machine, and how fast it goes."""

from typing import Literal, NamedTuple

from ftctl.catalog.load import Catalog
from ftctl.config import load_settings
from ftctl.estimation.decoder import Decoder, decoder_named
from ftctl.estimation.estimate import Assumption, Estimate
from ftctl.estimation.machine import cores_here, find_cards
from ftctl.estimation.memory import GIB, Need, memory_need, memory_parts
from ftctl.estimation.recommend import most_frugal, recommend
from ftctl.estimation.setting import TOKEN_BUDGET, Cards, Setting, Ways
from ftctl.estimation.speed import Measured, card_pace, cpu_pace, measured_pace
from ftctl.job import Hyperparameters, Method, Tuning

_BATCH = 16  # examples of one step, where nothing else is set
# The most tokens that the local backend puts through at once, however much would fit.
_MOST_TOKENS = {"gpu": 32_768, "memory": TOKEN_BUDGET}
_SHARED = 0.6  # of the tokens, where all examples begin alike; a prior
_OTHER = 0.1  # another tokenizer than the one that counted may differ so much
_TRAINED = (0.1, 0.5, 1.0)  # of all tokens: the head is computed for these alone
_PAIRS = (1.0, 1.5, 2.0)  # tokens of both sequences over those of the row: the prompt counts twice

Source = Literal["longest example", "one to four times the mean", "a full micro-batch"]
# Where two number formats are timed: padding of the batch, heap that isn't given back, and GiB of
# libraries; low, likely, high.
_TIMED = ((1.0, 1.0, 0.4), (1.2, 1.15, 0.5), (1.5, 1.35, 0.7))
_TOKENS_TIMED, _SEQUENCES_TIMED = 1_536, 8  # as the local backend takes them

Longest = tuple[float, float, float]


class HomeJob(NamedTuple):
    """What is to be trained here.

    Attributes:
        longest: Tokens of the longest example, low, likely and high.
        mean: Tokens of an example in the mean.
        source: How its longest is known.
        ways: What else the user set of how it is trained.
    """

    method: Method
    tuning: Tuning
    settings: Hyperparameters
    rows: int
    longest: Longest
    mean: float
    source: Source
    ways: Ways


class AtHome(NamedTuple):
    """How a job would be run here.

    Attributes:
        decoder: The base model.
        cards: What is here, used or not.
        setting: As the likely micro-batch would be trained.
        need: The terms of its memory.
        memory: The peak on each card, over all that isn't known before the run.
        pace: Seconds for each token of the file; None where the card's speed isn't known.
    """

    decoder: Decoder
    cards: Cards
    setting: Setting
    need: Need
    memory: Estimate
    pace: Estimate | None


def longest_range(tokens: int, *, exact: bool) -> Longest:
    """Tokens of the longest example, low, likely and high, by how they were counted."""
    spread = 0.0 if exact else _OTHER
    return (1 - spread) * tokens, tokens, (1 + spread) * tokens


def run_here(
    model: str,
    catalog: Catalog,
    job: HomeJob,
    *,
    cards: Cards | None = None,
    speed: Measured | None = None,
) -> AtHome | str:
    """Memory and speed of a job on this machine, or why they aren't known.

    Args:
        model: A name of the catalog, a folder or a `.gguf` file.
        catalog: Facts to ask.
        job: What is trained.
        cards: What it runs on; what is here when left out.
        speed: Of real steps here, where it was measured.
    """
    if job.method == "rft":
        return "the formula is of sft and dpo, not of rft"
    decoder = decoder_named(model, catalog, load_settings().home)
    if isinstance(decoder, str):
        return decoder
    cards = cards or find_cards(catalog.gpus)
    if cards is None:
        return "this system doesn't say how much memory it has"
    return at_home(decoder, cards, job, cores=cores_here(), speed=speed)


def at_home(
    decoder: Decoder,
    cards: Cards,
    job: HomeJob,
    *,
    cores: int,
    speed: Measured | None = None,
) -> AtHome:
    """Memory and speed of a job here, set up as the local backend sets it up.

    Args:
        decoder: The base model.
        cards: What it runs on.
        job: What is trained.
        cores: Of the CPU.
        speed: Of real steps here, where it was measured.
    """
    used, like, least = cards_used(cards, job.ways), like_asked(job, cards), least_tokens(job)
    chosen = recommend(
        decoder, used, like=like, tunings=(job.tuning,), longest=least, ways=job.ways
    )
    setting = chosen or most_frugal(like, used, job.tuning, least, job.ways)
    batches = _batch_tokens(job, setting.tokens)
    low, likely, high = (
        setting.model_copy(update={"tokens": tokens, "trained": share})
        for tokens, share in zip(batches, _TRAINED, strict=True)
    )
    if _tries_both(used):
        high = high.model_copy(update={"weights": "fp32", "adapters": "fp32"})
    need = memory_need(decoder, likely)
    tried = _while_timed(decoder, job, likely) if _tries_both(used) else (0.0, 0.0, 0.0)
    memory = Estimate(
        low=max(tried[0], memory_need(decoder, low).peak.low),
        likely=max(tried[1], need.peak.likely),
        high=max(tried[2], need.peak.high, memory_need(decoder, high).peak.high),
        unit="GiB",
        basis=(*need.peak.basis, *_basis(job, batches, used)),
    )
    if speed is not None:
        pace: Estimate | None = measured_pace(decoder, likely, job.mean, speed)
    elif used.kind == "gpu":
        pace = card_pace(decoder, (low, likely, high), job.mean, used)
    else:
        pace = cpu_pace(decoder, likely, job.mean, cores=cores)
    there = cards.model_copy(update={"count": max(cards.count, used.count)})
    there = there if used.kind == "gpu" else cards
    return AtHome(decoder, there, likely, need, memory, pace)


def _while_timed(decoder: Decoder, job: HomeJob, setting: Setting) -> tuple[float, float, float]:
    """GiB held while a batch is timed in fp32, all its logits with it; low, likely and high.

    What a process gave back to its own heap still counts as held, in the high end up to a third.
    Source: 3.9 GiB measured of SmolLM2-135M with 950 tokens, 2026-11-29.
    """
    mean, longest = _rows(job, (job.mean,) * 3), _rows(job, job.longest)
    count = _SEQUENCES_TIMED // 2 if job.method == "dpo" else _SEQUENCES_TIMED
    count = min(count, job.settings.micro_batch_size or count, job.rows)
    found = []
    for place, (padding, heap, libraries) in enumerate(_TIMED):
        tokens = min(count * mean[place], _TOKENS_TIMED)
        tokens = max(tokens, min(2, count) * longest[place] if place == 2 else 1)
        wide = setting.model_copy(
            update={
                "weights": "fp32",
                "adapters": "fp32",
                "recompute": "off",
                "tokens": round(tokens * padding),
                "trained": _TRAINED[place],
                "whole_head": True,
            }
        )
        parts = memory_parts(decoder, wide)
        logits = 8 * decoder.vocab * wide.tokens
        gradients = parts.trainable / 3
        held = parts.weights + gradients + parts.activations
        held += max(logits + parts.head, parts.backward)
        found.append(held / GIB * heap + libraries)
    low, likely, high = found
    return low, likely, high


def cards_used(cards: Cards, ways: Ways) -> Cards:
    """One card for each process that was asked for; main memory is what all of them share."""
    processes = ways.processes or 1
    each = cards.memory_gib / (processes if cards.kind == "memory" else 1)
    return cards.model_copy(update={"count": processes, "memory_gib": each})


def like_asked(job: HomeJob, cards: Cards) -> Setting:
    """What of the setting hangs on no memory."""
    settings = job.settings
    return Setting(
        tuning=job.tuning,
        rank=settings.lora_r or 16,
        weights=cards.weights,
        adapters=job.ways.adapters or cards.weights,
        dropout=bool(settings.lora_dropout),
        tokens=_MOST_TOKENS[cards.kind],
        last_layers=settings.last_layers,
        trained=_TRAINED[1],
    )


def _tries_both(cards: Cards) -> bool:
    """Whether the run times bf16 and fp32 and takes the faster one."""
    return cards.kind == "memory" and cards.weights == "bf16"


def least_tokens(job: HomeJob) -> int:
    """Tokens that a micro-batch has to hold at least: of the longest example or pair."""
    return _rows(job, job.longest)[1]


def _rows(job: HomeJob, tokens: Longest) -> tuple[int, int, int]:
    """Of rows of so many tokens, those that go through the model: of a pair both sequences."""
    most = job.settings.max_length
    pairs = _PAIRS if job.method == "dpo" else (1.0, 1.0, 1.0)
    low, likely, high = sorted(
        max(1, round(share * min(each, most or each)))
        for each, share in zip(tokens, pairs, strict=True)
    )
    return low, likely, high


def _batch_tokens(job: HomeJob, budget: int) -> tuple[int, int, int]:
    """Tokens of the largest micro-batch: as many examples as a step has, or as the budget holds.

    At least examples of the mean length, of which what all begin with is computed once; at most
    all as long as the longest.
    """
    step = min(job.settings.batch_size or _BATCH, job.rows)
    count = min(job.settings.micro_batch_size or step, step)
    longest, mean = _rows(job, job.longest), _rows(job, (job.mean,) * 3)
    shared = 1.0 if count == 1 else _SHARED
    totals = shared * count * mean[0], count * (mean[1] + longest[1]) / 2, count * longest[2]
    low, likely, high = sorted(
        max(one, min(round(total), budget)) for one, total in zip(longest, totals, strict=True)
    )
    return low, likely, high


def _basis(job: HomeJob, batches: tuple[int, int, int], cards: Cards) -> tuple[Assumption, ...]:
    said = Assumption(
        name="tokens in one forward pass",
        value=" to ".join(dict.fromkeys(f"{tokens:,}" for tokens in (min(batches), max(batches)))),
        origin="measured" if job.source == "longest example" else "prior",
        as_of=None,
        source=job.source,
    )
    number = Assumption.prior("number format", "bf16 or fp32", "the run takes the faster one")
    trained = Assumption.prior("trained tokens", "10 to 100 %", "the head is for these alone")
    return (said, number, trained) if _tries_both(cards) else (said, trained)
