"""The key-value cache of a decoder, under its names of before and since transformers 5.24."""

import inspect
from typing import Any

Model = Any  # a decoder, or what it gave


def key_values(output: Model) -> Model:
    """The cache that a decoder's output holds."""
    return output.cache if hasattr(output, "cache") else output.past_key_values


def cache_argument(decoder: Model) -> str:
    """What a decoder calls the cache that it goes on with."""
    known = inspect.signature(decoder.forward).parameters
    return "cache" if "cache" in known else "past_key_values"
