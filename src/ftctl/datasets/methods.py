"""Rows of the methods that don't learn from one answer: pairs of answers, and prompts to grade."""

from collections.abc import Callable, Iterator, Mapping

from ftctl.datasets.rules import dpo, rft
from ftctl.datasets.rules.types import Finding, JsonObject

ROWS: Mapping[str, Callable[[JsonObject], Iterator[Finding]]] = {
    "dpo": dpo.pair,
    "rft": rft.prompt,
}
