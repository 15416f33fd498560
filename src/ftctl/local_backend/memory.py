"""Memory that ran out: how that is told, and what less at once there is to try."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from ftctl.local_backend.plan import Plan
from ftctl.local_backend.processes import Lost

# What torch's allocators say, in RuntimeErrors of no class of their own.
_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


class OutOfMemory(Exception):
    """Not even one line at a time fits."""


class BrokenOff(RuntimeError):
    """A pass ended where nothing can be put right; its cause says why.

    Args:
        tried: How many lines went through at once, at most.
        why: The cause, in words.
    """

    def __init__(self, tried: int, why: object) -> None:
        super().__init__(str(why))
        self.tried = tried


@contextmanager
def breaking_off(tried: int) -> Iterator[None]:
    """Mark whatever ends a pass in here with how many lines went through at once."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        raise BrokenOff(tried, error) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator had no more."""
    if isinstance(error, BrokenOff) and error.__cause__ is not None:
        return is_out_of_memory(error.__cause__)
    said = str(error).lower()
    return isinstance(error, MemoryError | OutOfMemory) or (
        isinstance(error, RuntimeError) and any(words in said for words in _NO_MEMORY)
    )


def give_memory_back() -> None:
    """What a failed pass left is held by nothing but cycles and the allocator's cache."""
    import torch

    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def with_less(plan: Plan | None, error: BaseException, lost: Lost | None) -> Plan | None:
    """The plan with half as much at once; None where memory didn't run out, or less won't help.

    It helps where memory ran out while lines went through the model, here or in another process.
    What ran out while the model was loaded needs the same memory with fewer lines.

    Args:
        plan: As it was tried.
        error: What this process ended with.
        lost: The other process that ended before its time, if any.
    """
    if plan is None or not isinstance(error, BrokenOff):
        return None
    if not (is_out_of_memory(error) or (lost is not None and lost.out_of_memory)):
        return None
    smaller = min(error.tried, plan.micro_batch_size) // 2
    return plan.model_copy(update={"micro_batch_size": smaller}) if smaller else None
