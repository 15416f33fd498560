"""What a run of the local backend holds in memory on this machine."""

from ftctl.catalog.types import Model
from ftctl.estimation.estimate import Assumption, Estimate
from ftctl.estimation.memory import training_memory
from ftctl.job import Hyperparameters

# As the local backend plans a run: tokens of one forward pass, and examples of one step.
_MICRO_BATCH_TOKENS = 16_384
_BATCH = 16
_OTHER = 0.1  # another tokenizer than the one that counted may differ so much

_TRAINED = (0.1, 0.5, 1.0)  # of all tokens: the head is computed for these alone

Longest = tuple[float, float, float]


def longest_range(tokens: int, *, exact: bool) -> Longest:
    """Tokens of the longest example, low, likely and high, by how they were counted."""
    spread = 0.0 if exact else _OTHER
    return (1 - spread) * tokens, tokens, (1 + spread) * tokens


def memory_here(
    base: Model, rows: int, longest: Longest, settings: Hyperparameters, *, counted: bool
) -> Estimate | None:
    """Peak GiB of LoRA SFT here; None for a model whose shape isn't known.

    Low and likely in bf16, high in fp32: the run times both and takes the faster.

    Args:
        base: The base model.
        rows: Training examples.
        longest: Tokens of the longest one.
        settings: What the user set.
        counted: Whether the longest was counted in a file, not guessed from the mean.
    """
    batch = sorted(_batch_tokens(tokens, rows, settings) for tokens in longest)
    rank, last = settings.lora_r or 16, settings.last_layers
    half = [
        training_memory(
            base, tokens, rank=rank, fp32_adapters=True, last_layers=last, head_share=share
        )
        for tokens, share in zip(batch, _TRAINED, strict=True)
    ]
    # In fp32 weights and whatever is kept of each token take twice the bytes.
    single = training_memory(base, 2 * batch[2], rank=rank, weight_bytes=4.0, last_layers=last)
    if half[0] is None or half[1] is None or single is None:
        return None
    said = Assumption(
        name="tokens in one forward pass",
        value=" to ".join(dict.fromkeys(f"{tokens:,}" for tokens in (batch[0], batch[2]))),
        origin="measured" if counted else "prior",
        as_of=None,
        source="longest example" if counted else "one to four times the mean",
    )
    number = Assumption.prior("number format", "bf16 or fp32", "the run takes the faster one")
    trained = Assumption.prior("trained tokens", "10 to 100 %", "the head is for these alone")
    return Estimate(
        low=half[0].low,
        likely=half[1].likely,
        high=max(half[1].high, single.high),
        unit="GiB",
        basis=(*half[1].basis, said, number, trained),
    )


def _batch_tokens(longest: float, rows: int, settings: Hyperparameters) -> int:
    longest = max(1.0, min(longest, settings.max_length or longest))
    step = min(settings.batch_size or _BATCH, rows)
    at_once = settings.micro_batch_size or max(1, int(_MICRO_BATCH_TOKENS // longest))
    return round(longest * min(at_once, step))
