"""Rows of the methods that don't learn from one answer: pairs of answers, and prompts to grade."""

from collections.abc import Callable, Iterator, Mapping

from ftctl.datasets.rules import dpo, rft
from ftctl.datasets.rules.types import Finding, JsonObject
from ftctl.errors import Unsupported

ROWS: Mapping[str, Callable[[JsonObject], Iterator[Finding]]] = {"dpo": dpo.pair, "rft": rft.prompt}


def require_method(method: str) -> None:
    """Refuse a method of which no rules are known.

    Raises:
        Unsupported: names those that are.
    """
    if method not in ("sft", *ROWS):
        raise Unsupported(
            f"data for {method} can't be checked; for sft, {', '.join(ROWS)} they can",
            hint="--method sft",
        )
