"""Each flip: true at the value it names, not before, and in words that fit it."""

from datetime import date
from typing import Any

import pytest

from ftctl.advisor.advise import advise
from ftctl.advisor.types import Advice, Facts, Flip

pytestmark = pytest.mark.medium

TODAY = date(2026, 11, 24)


def ask(**facts: Any) -> Advice:
    return advise(Facts.parse(facts), as_of=TODAY)


def flip(advice: Advice, fact: str) -> Flip:
    return next(flip for flip in advice.flips if flip.fact == fact)


def test_rows_flip_at_a_whole_number_from_either_side() -> None:
    facts: dict[str, Any] = {
        "prompt_meets_quality": False,
        "privacy": "stays_inside",
        "runs_gpus": True,
    }
    up = flip(ask(**facts, data_rows=30), "data_rows")
    assert (up.value, up.says) == ("50", "with 50 examples or more, self_hosted would lead")
    assert ask(**facts, data_rows=49).leading == "prompt"
    assert ask(**facts, data_rows=50).leading == "self_hosted"
    facts |= {"priorities": ["privacy", "quality", "cost", "latency"]}
    down = flip(ask(**facts, data_rows=3000), "data_rows")
    assert (down.value, down.says) == ("49", "with 49 examples or fewer, prompt would lead")


def test_a_value_as_written_is_beyond_the_turn() -> None:
    """At a target of just the score nothing need be done: a little above it something must."""
    facts: dict[str, Any] = {
        "task_kind": "rewriting",
        "input_tokens": 691,
        "requests_per_month": 1461135,
        "data_rows": 10732,
        "runs_gpus": False,
        "privacy": "contractual",
        "baseline_score": 0.71,
        "baseline_n": 500,
        "prompt_meets_cost": True,
        "prompt_meets_latency": True,
        "budget_usd_per_month": 20000,
    }
    found = flip(ask(**facts, target_score=0.68), "target_score")
    assert ask(**facts, target_score=0.71).leading == "none"
    assert ask(**facts, target_score=float(found.value)).leading == found.leads == "prompt"
    assert float(found.value) < 0.71 * (1 + 1e-6)


def test_nothing_to_do_and_no_route_left_are_told_apart() -> None:
    closed = ask(data_rows=20, prompt_meets_quality=True)
    assert flip(closed, "prompt_limit").says == "if prompt_limit were true, no route is left"
    met: dict[str, Any] = {"prompt_meets_latency": True, "prompt_meets_cost": True}
    missed = ask(**met, baseline_score=0.79, target_score=0.8, data_rows=3000)
    said = [one.says for one in missed.flips if one.leads == "none"]
    assert said
    assert all(line.endswith("nothing need be done") for line in said)
