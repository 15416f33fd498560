"""How long a model takes to answer: calls one after another, quantiles with their intervals.

Prompts are made up, so no row leaves; each begins differently, so no cache of prompts helps.
"""

import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple, Protocol

from pydantic import Field

from ftctl.datasets.document import Document, Value
from ftctl.errors import FtctlError

# About a token each in every tokenizer of today.
_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_CONFIDENCE = 0.95


class Answers(Protocol):
    """What is timed: a model that answers one conversation."""

    def chat(
        self,
        messages: Sequence[dict[str, str]],
        *,
        max_new_tokens: int = 512,
        on_text: Callable[[str], None] | None = None,
    ) -> str:
        """Answer, piece by piece."""


class Quantile(Value):
    """One quantile in seconds, with its 95 % interval; None where too few calls bound that side."""

    likely: float = Field(ge=0)
    low: float | None = Field(ge=0)
    high: float | None = Field(ge=0)


class Seconds(Value):
    """Half of the calls took at most `p50`, 95 % at most `p95`."""

    p50: Quantile
    p95: Quantile


class Probe(Document):
    """The `ftctl.probe/1` document.

    Attributes:
        target: What was named.
        provider: Who answered; `local` is the machine that asked.
        model: The base model; of a tuned one what it was tuned from.
        device: What a local model ran on; None at a provider.
        at: When the last call had ended.
        calls: How many were timed, after one that warmed up and doesn't count.
        failed: How many of them gave no answer; they are in no quantile.
        input_tokens: About how many tokens each prompt had.
        output_tokens: The longest answer that was asked for.
        first: Seconds to the first piece of an answer.
        whole: Seconds to its end.
    """

    schema_: Literal["ftctl.probe/1"] = Field("ftctl.probe/1", alias="schema")
    target: str
    provider: str
    model: str
    device: str | None
    at: datetime
    calls: int
    failed: int
    input_tokens: int
    output_tokens: int
    first: Seconds
    whole: Seconds


class Who(NamedTuple):
    """Whose answers are timed, as `Probe` keeps it."""

    target: str
    provider: str
    model: str
    device: str | None


def probe(
    model: Answers,
    who: Who,
    *,
    calls: int = 30,
    input_tokens: int = 1_000,
    output_tokens: int = 200,
    on_call: Callable[[int], None] | None = None,
) -> Probe:
    """Ask so many times, one call after the other, and time each.

    Args:
        model: Who answers.
        who: What the document says of it.
        calls: How many are timed; one more goes before them.
        input_tokens: About how long each prompt is.
        output_tokens: The longest answer.
        on_call: Told how many calls have ended.

    Raises:
        FtctlError: the first call failed, or most of the others.
    """
    firsts, wholes, failure = [], [], None
    _time(model, 0, input_tokens, output_tokens)
    for number in range(1, calls + 1):
        try:
            first, whole = _time(model, number, input_tokens, output_tokens)
        except FtctlError as error:
            failure = error
        else:
            firsts.append(first)
            wholes.append(whole)
        if on_call is not None:
            on_call(number)
    if failure is not None and 2 * len(wholes) < calls:
        raise failure
    return Probe(
        schema="ftctl.probe/1",
        target=who.target,
        provider=who.provider,
        model=who.model,
        device=who.device,
        at=datetime.now(UTC),
        calls=calls,
        failed=calls - len(wholes),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        first=_seconds(firsts),
        whole=_seconds(wholes),
    )


def prompt(number: int, tokens: int) -> str:
    """A prompt of about so many tokens that begins like no other and asks for a long answer."""
    counted = " ".join(_WORDS[i % len(_WORDS)] for i in range(max(1, tokens - 12)))
    return f"{number * 7919 % 99991}: go on counting, in words, without end: {counted}"


def quantile(sorted_values: Sequence[float], share: float) -> Quantile:
    """A quantile and its interval from order statistics, whatever the distribution.

    The number of values below the true quantile is binomial(n, share), so the k-th smallest is
    below it with the chance of at least k of them; each side is left 2.5 %.

    Args:
        sorted_values: Measured values, rising; at least one.
        share: 0.5 is the median.

    Source: David & Nagaraja, Order Statistics, 3rd ed., section 7.1.
    """
    n, tail = len(sorted_values), (1 - _CONFIDENCE) / 2
    below, low, high = 0.0, None, None
    for k in range(n):  # `below` is the chance that at most k values lie under the quantile
        # By logarithms: the number of ways is too large for a double from n = 1,030 on.
        ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        below += math.exp(ways + k * math.log(share) + (n - k) * math.log1p(-share))
        if below <= tail:
            low = sorted_values[k]
        if high is None and below >= 1 - tail:
            high = sorted_values[k]
    middle = sorted_values[min(n - 1, math.ceil(share * n) - 1)]
    return Quantile(likely=middle, low=low, high=high)


def _seconds(values: Sequence[float]) -> Seconds:
    rising = sorted(values)
    return Seconds(p50=quantile(rising, 0.5), p95=quantile(rising, 0.95))


def _time(
    model: Answers, number: int, input_tokens: int, output_tokens: int
) -> tuple[float, float]:
    """Seconds to the first piece that can be read, and to the end."""
    began = time.perf_counter()
    first: list[float] = []

    def heard(piece: str) -> None:
        if piece and not first:
            first.append(time.perf_counter() - began)

    messages = [{"role": "user", "content": prompt(number, input_tokens)}]
    model.chat(messages, max_new_tokens=output_tokens, on_text=heard)
    whole = time.perf_counter() - began
    return first[0] if first else whole, whole
