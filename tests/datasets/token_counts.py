"""One example's tokens, as whoever counts a file gets them."""

import json
from typing import NamedTuple

from ftctl.datasets.rules.types import JsonObject
from ftctl.datasets.tokens.types import TokenCounter


class ExampleTokens(NamedTuple):
    total: int
    trained: int
    exact: bool


def count_example(counter: TokenCounter, row: JsonObject) -> ExampleTokens:
    found = counter.count_lines([json.dumps(row).encode()])
    return ExampleTokens(found.total[0], found.trained[0], not found.inexact)
