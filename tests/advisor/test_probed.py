"""Measured latency takes the place of the default, on the route where it was measured."""

from datetime import date
from typing import Any

import pytest

from ftctl.advisor.advise import advise
from ftctl.advisor.types import Advice, Facts
from ftctl.errors import UsageError

pytestmark = pytest.mark.medium

TODAY = date(2026, 11, 24)
PROBED: dict[str, Any] = {
    "provider": "openai",
    "model": "gpt-6-luna",
    "on": TODAY,
    "input_tokens": 1000,
    "output_tokens": 200,
    "first_p95_s": 0.2,
    "p95_s": 1.0,
    "low_s": 0.9,
    "high_s": 1.3,
}
FACTS: dict[str, Any] = {
    "prompt_meets_quality": True,
    "data_rows": 2000,
    "output_tokens": 200,
    "latency_p95_s": 1.5,
}


def ask(*probed: dict[str, Any], **facts: Any) -> Advice:
    return advise(Facts.parse({**FACTS, **facts, "probed": probed or None}), as_of=TODAY)


def seconds(advice: Advice, route: str) -> tuple[float, float]:
    found = next(entry.latency_s for entry in advice.routes if entry.route == route)
    return found.low, found.high


def test_a_measured_prompt_is_as_fast_as_it_was() -> None:
    guessed, measured = ask(), ask(PROBED)
    assert seconds(guessed, "prompt")[1] > 3
    low, high = seconds(measured, "prompt")
    assert 0.9 <= low < high <= 1.3
    assert seconds(guessed, "hosted") == seconds(measured, "hosted")
    (note,) = [note for note in measured.assumptions if note.source == "ftctl probe"]
    assert (note.origin, note.as_of, note.value) == ("measured", TODAY, "1 s (p95, 200 tokens)")


def test_what_was_measured_decides() -> None:
    slow = {**PROBED, "p95_s": 9.0, "low_s": 8.0, "high_s": 12.0}
    first = {"priorities": ["latency", "cost"]}
    assert ask(PROBED, **first).leading == "prompt"
    assert ask(slow, **first).leading != "prompt"


def test_a_longer_answer_takes_longer_than_the_measured_one() -> None:
    long = ask(PROBED, input_tokens=20_000, output_tokens=2000, latency_p95_s=30.0)
    low, high = seconds(long, "prompt")
    assert 0.2 + 10 * 0.7 <= low < high <= 0.2 + 10 * 1.1


def test_the_newest_measurement_counts() -> None:
    old = {**PROBED, "on": date(2026, 1, 1), "p95_s": 9.0, "low_s": 8.0, "high_s": 12.0}
    assert seconds(ask(PROBED, old), "prompt") == seconds(ask(PROBED), "prompt")


def test_a_measurement_of_another_place_changes_nothing_and_is_told() -> None:
    local = {**PROBED, "provider": "local", "model": "llama-3.1-8b-instruct", "device": "cpu (x)"}
    told = ask(local)
    assert [route.latency_s for route in told.routes] == [r.latency_s for r in ask().routes]
    assert "llama-3.1-8b-instruct at local is of none of the routes here" in told.reason


def test_one_s_own_card_is_the_one_that_was_measured() -> None:
    mine = {"privacy": "stays_inside", "runs_gpus": True, "gpu": "h100"}
    model = next(r.model for r in ask(**mine).routes if r.hosting == "own")
    local = {**PROBED, "provider": "local", "model": model, "device": "NVIDIA H100 80GB HBM3"}
    low, high = seconds(ask(local, **mine), ask(**mine).routes[0].route)
    assert 0.9 <= low < high <= 1.3


def test_a_value_outside_its_interval_is_refused() -> None:
    with pytest.raises(UsageError, match="outside its own interval"):
        ask({**PROBED, "p95_s": 2.0})
