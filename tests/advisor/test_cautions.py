"""What is said beside the reason: contradictions, closed accounts, terms, cheaper prompts."""

from datetime import date
from typing import Any

import pytest

from ftctl.advisor.advise import advise
from ftctl.advisor.situation import add_months
from ftctl.advisor.types import Advice, Facts, RouteReport

pytestmark = pytest.mark.medium

TODAY = date(2026, 11, 24)
CUSTOMER: dict[str, Any] = {"openai": {"since": "2025-01-01", "last_used": "2026-11-20"}}
MISSED: dict[str, Any] = {"prompt_meets_quality": False, "data_rows": 2500}


def ask(day: date = TODAY, **facts: Any) -> Advice:
    return advise(Facts.parse(facts), as_of=day)


def route(advice: Advice, label: str) -> RouteReport:
    return next(route for route in advice.routes if route.route == label)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"prompt_meets_quality": False, "baseline_score": 0.92}, "misses the quality, but"),
        ({"prompt_meets_quality": True, "baseline_score": 0.7}, "meets the quality, but"),
    ],
)
def test_words_that_the_numbers_contradict_are_named(facts: dict[str, Any], said: str) -> None:
    reason = ask(**facts, target_score=0.9).reason
    assert said in reason
    assert f"it scores {facts['baseline_score']:g} of 0.9: the numbers count" in reason
    agreeing = facts | {"prompt_meets_quality": not facts["prompt_meets_quality"]}
    assert "the numbers count" not in ask(**agreeing, target_score=0.9).reason


def test_a_prefix_longer_than_the_prompt_is_named_and_without_a_length_comes_before_it() -> None:
    said = "A shared prefix of 5,000 tokens doesn't fit into prompts of 100"
    assert said in ask(input_tokens=100, shared_prefix_tokens=5000).reason
    alone = ask(shared_prefix_tokens=2000)
    assert "doesn't fit" not in alone.reason
    notes = {note.name: note.value for note in alone.assumptions}
    assert notes["input_tokens"] == "3000"


def test_an_account_that_no_longer_helps_is_named_with_the_date_and_the_replacement() -> None:
    advice = ask(**MISSED, accounts=CUSTOMER)
    assert "Your account at OpenAI won't do: GPT-4.1 shuts down on 2027-01-14" in advice.reason
    assert "its vendor's replacement is GPT-6 luna" in advice.reason
    assert advice.next[-1] == f"ftctl migrate JOB --to together --model {advice.model}"
    assert "Your account" not in ask(**MISSED).reason
    month = ask(**MISSED, accounts=CUSTOMER, horizon_months=1)
    assert "Your account" not in month.reason
    assert "It answers only until 2027-01-14" in " ".join(route(month, "hosted").warnings)
    assert "Your account" not in ask(accounts=CUSTOMER, knowledge_changes="daily").reason


def test_a_replacement_isnt_known_before_it_was_named() -> None:
    customer = {"openai": {"since": "2025-01-01", "last_used": "2026-10-01"}}
    for day, told in ((date(2026, 10, 13), False), (date(2026, 10, 14), True)):
        rejected = ask(day, **MISSED, accounts=customer).rejected
        assert any("replacement is GPT-6 luna" in line.reason for line in rejected) is told


def test_terms_on_answers_are_named_where_a_small_model_is_to_be_as_good() -> None:
    slow: dict[str, Any] = {"prompt_meets_latency": False, "data_rows": 5000}
    advice = ask(**slow, prompt_meets_quality=True)
    assert "If GPT-6 luna wrote the examples" in advice.reason
    assert "not for models that compete with OpenAI's" in advice.reason
    assert "wrote the examples" not in ask(**slow, prompt_meets_quality=False).reason


def test_tuning_for_money_is_advised_only_where_it_can_save_any() -> None:
    """10,000 requests cost 420 USD a month on the dearest model there was; tuning costs more."""
    dear: dict[str, Any] = {"prompt_meets_quality": True, "prompt_meets_cost": False}
    few, many = (ask(**dear, requests_per_month=volume) for volume in (10_000, 1e6))
    assert (few.decision, many.decision) == ("prompt", "hosted")
    assert route(few, "hosted").usd_per_month.low > 420
    assert "you say that it costs too much, but tuning costs more" in few.reason
    assert ask(**dear).decision == "hosted"  # nobody told the volume: the word counts
    close = ask(**dear, requests_per_month=1e7, runs_gpus=False)
    assert close.decision == "too_close"
    assert "check what you pay now" in close.reason


def test_the_cheaper_prompt_is_a_prompt_not_retrieval() -> None:
    advice = ask(
        task_kind="qa",
        output_tokens=200,
        input_tokens=273,
        requests_per_month=15_940_097,
        data_rows=515,
        runs_gpus=False,
        knowledge_changes="never",
        prompt_meets_quality=False,
        prompt_meets_cost=False,
    )
    usd = route(advice, "prompt").usd_per_month.likely
    assert usd < route(advice, "rag").usd_per_month.likely
    assert f"would cost about {usd:,.0f} USD a month" in advice.reason


def test_a_low_score_without_a_target_is_the_reason() -> None:
    advice = ask(task_kind="classification", baseline_score=0.45, data_rows=5000)
    assert advice.reason.startswith("Tune at Together AI: the best prompt scores only 0.45.")


def test_what_a_vendor_closes_to_all_isnt_given_as_the_reason() -> None:
    """Nor twice: of several gates the one that the question itself comes up against."""
    poor = ask(**MISSED, budget_usd_per_month=50, requests_per_month=20_000)
    assert "tuning is ruled out (costs at least" in poor.reason
    assert "the budget is 50)" in poor.reason
    long = ask(**MISSED, input_tokens=200_000, output_tokens=1000, requests_per_month=2000)
    assert "201,000 tokens a request; Claude 3 Haiku takes 200,000" in long.reason


def test_a_prompt_that_is_expected_to_miss_is_to_be_worked_on() -> None:
    advice = ask(
        task_kind="classification",
        baseline_score=0.9,
        baseline_n=2000,
        target_score=0.95,
        data_rows=1000,
        requests_per_month=1e5,
    )
    assert advice.decision == "prompt"
    assert "of the 0.95 you ask for: work on the prompt and score it again." in advice.reason


def test_gpus_that_dont_serve_yet_arent_said_to_be_there() -> None:
    reason = ask(**MISSED, privacy="stays_inside", runs_gpus=False).reason
    assert "Tune on GPUs of your own, the first in production:" in reason


def test_all_labour_is_an_assumption_of_its_route() -> None:
    advice = ask(**MISSED)
    notes = {note.name: note.value for note in advice.assumptions}
    assert notes["people for hosted"].startswith("0.02 to 0.1 engineers, and 0.25 to 2 months")
    assert notes["people for self_hosted"].startswith("0.2 to 1 engineers, and 1 to 6 months")
    assert "people" not in notes
    assert notes["qwen3-8b at together"] == "can be tuned there"


def test_of_a_vendors_open_bases_the_newest_of_the_class_that_suits_is_advised() -> None:
    assert (ask(**MISSED).provider, ask(**MISSED).model) == ("together", "qwen3-8b")
    # Its context is too short for these; the older one's isn't.
    longer = ask(**MISSED, input_tokens=40_000, output_tokens=50)
    assert route(longer, "hosted").model == "llama-3.1-8b-instruct"


def test_the_horizon_ends_with_the_calendar() -> None:
    assert add_months(date(9999, 12, 31), 12) == date.max
    assert ask(date.max).decision == "measure_first"
