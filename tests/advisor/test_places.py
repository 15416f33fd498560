"""Where a route runs: what having GPUs, a retiring base and a privacy class make of it."""

from datetime import date
from typing import Any

import pytest

from ftctl.advisor.advise import advise
from ftctl.advisor.money import base_months
from ftctl.advisor.types import Advice, Facts, RouteReport
from ftctl.catalog.load import load_catalog

pytestmark = pytest.mark.medium

TODAY = date(2026, 11, 24)
MISSED: dict[str, Any] = {"prompt_meets_quality": False, "data_rows": 2000}


def ask(day: date = TODAY, **facts: Any) -> Advice:
    return advise(Facts.parse(facts), as_of=day)


def route(advice: Advice, label: str) -> RouteReport:
    return next(entry for entry in advice.routes if entry.route == label)


@pytest.mark.parametrize("day", [date(2023, 10, 1), date(2024, 6, 1), date(2025, 6, 1), TODAY])
def test_who_runs_gpus_tunes_there_and_who_does_not_at_a_vendor(day: date) -> None:
    assert ask(day, **MISSED, runs_gpus=True).decision == "self_hosted"
    assert ask(day, **MISSED, runs_gpus=False).decision == "hosted"


@pytest.mark.parametrize("day", [date(2023, 10, 1), date(2025, 6, 1), TODAY])
@pytest.mark.parametrize("runs_gpus", [True, False])
def test_facts_that_change_call_for_retrieval_wherever_it_runs(
    day: date, *, runs_gpus: bool
) -> None:
    found = ask(day, prompt_meets_quality=False, runs_gpus=runs_gpus, knowledge_changes="monthly")
    assert found.decision == "rag"


def test_one_more_model_on_cards_that_serve_takes_a_part_of_one() -> None:
    mine, none = (
        ask(**MISSED, runs_gpus=value, requests_per_month=1000) for value in (True, False)
    )
    cost = [route(advice, "self_hosted").usd_per_month for advice in (mine, none)]
    assert cost[0].likely < cost[1].likely / 3
    shares = [note for note in mine.assumptions if note.name == "part of a card"]
    assert shares
    assert not [note for note in none.assumptions if note.name == "part of a card"]


def test_a_vendor_s_base_retires_and_is_tuned_again_an_open_one_is_kept() -> None:
    advice = ask(date(2025, 3, 1), **MISSED)
    assert (advice.provider, advice.model) == ("openai", "gpt-4o-mini")
    (note,) = [n for n in route(advice, "hosted").usd_per_month.basis if n.name == "retraining"]
    low, likely, high = base_months(load_catalog())
    assert 12 < low < likely < high < 48
    assert note.value == f"every {low:.0f} to {high:.0f} months, likely {likely:.0f}"
    today = route(ask(**MISSED), "hosted")
    assert today.model == "qwen3-8b"
    assert not [n for n in today.usd_per_month.basis if n.name == "retraining"]


def test_regulated_rows_may_be_prompted_where_a_cloud_suits_them() -> None:
    advice = ask(privacy="regulated", prompt_meets_quality=True)
    assert advice.decision == "prompt"
    first = route(advice, "prompt")
    assert load_catalog().get_provider(first.provider).residency.regulated
    assert any("isn't known here: ask before" in line for line in first.warnings)
    assert any("as at its maker" in note.value for note in first.usd_per_month.basis)
    assert any(line.gate == "privacy" and line.route == "prompt" for line in advice.rejected)
    public = route(ask(prompt_meets_quality=True), "prompt")
    assert public.warnings == ()


def test_where_rows_stay_inside_the_best_prompt_is_of_a_model_that_runs_there() -> None:
    inside = ask(privacy="stays_inside", prompt_meets_quality=True, runs_gpus=True)
    assert (inside.decision, inside.hosting) == ("prompt", "own")
    scored = ask(privacy="stays_inside", baseline_score=0.7, baseline_n=500, target_score=0.9)
    quality = route(scored, "prompt").quality
    assert quality is not None
    assert quality.likely == pytest.approx(0.7, abs=0.01)


def test_where_prompting_is_impractical_so_is_a_longer_prompt() -> None:
    advice = ask(prompt_limit=True, task_kind="qa", data_rows=2000)
    assert not [entry for entry in advice.routes if "tune" not in entry.adaptation]
    assert {line.route for line in advice.rejected if line.gate == "prompt_limit"} == {
        "prompt", "rag",
    }  # fmt: skip
    changing = ask(prompt_limit=True, knowledge_changes="daily", data_rows=2000)
    assert any(entry.route == "rag" for entry in changing.routes)


def test_the_card_is_one_that_is_in_time_even_under_load() -> None:
    fast = ask(**MISSED, runs_gpus=True, output_tokens=100, latency_p95_s=2.0)
    chosen = route(fast, "self_hosted")
    assert chosen.latency_s.high <= 2.0
    slow = ask(**MISSED, runs_gpus=True, output_tokens=100, latency_p95_s=60.0)
    assert route(slow, "self_hosted").gpu == "rtx-4090"  # the cheapest
