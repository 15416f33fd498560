"""What is said: each sentence true of the facts, each warning with the number behind it."""

from datetime import date
from typing import Any

import pytest

from ftctl.advisor.advise import advise
from ftctl.advisor.types import Advice, Facts

pytestmark = pytest.mark.medium

TODAY = date(2026, 11, 24)
MET: dict[str, Any] = {"prompt_meets_latency": True, "prompt_meets_cost": True}


def ask(**facts: Any) -> Advice:
    return advise(Facts.parse(facts), as_of=TODAY)


def test_a_route_that_may_be_late_says_so_with_its_seconds() -> None:
    advice = ask(
        baseline_score=0.5,
        target_score=0.9,
        data_rows=3000,
        runs_gpus=True,
        gpu="a100",
        output_tokens=200,
        latency_p95_s=2.0,
    )
    for route in advice.routes:
        late = [line for line in route.warnings if "the 2 s you ask for" in line]
        assert bool(late) is (route.latency_s.high > 2)
        for line in late:
            word = "likely misses" if route.latency_s.likely > 2 else "may miss"
            assert f"It {word} the 2 s you ask for" in line
            assert f"likely {route.latency_s.likely:.3g}." in line
    first = advice.routes[0]
    assert first.route == advice.leading
    assert first.warnings
    assert all(line in advice.reason for line in first.warnings)


def test_of_the_prompt_in_use_the_users_word_on_latency_counts() -> None:
    slow: dict[str, Any] = {"output_tokens": 2000, "latency_p95_s": 1.0, "data_rows": 3000}

    def said(*, met: bool) -> tuple[str, ...]:
        routes = ask(**slow, prompt_meets_latency=met).routes
        return next(route.warnings for route in routes if route.route == "prompt")

    assert said(met=True) == ()
    assert said(met=False) == ("You say that the best prompt is too slow.",)


def test_the_length_that_nobody_named_is_called_assumed() -> None:
    routes = ask(latency_p95_s=0.5, runs_gpus=True, data_rows=3000).routes
    assert any("an answer of an assumed 200 tokens" in line for r in routes for line in r.warnings)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"prompt_meets_quality": True}, "You say that the best prompt meets quality"),
        ({"baseline_score": 0.9, "target_score": 0.85}, "scores 0.9, the target is 0.85, and"),
        ({"baseline_score": 0.97, "target_score": 0.99}, "where tuning is predicted to add noth"),
        ({"baseline_score": 0.8, "prompt_meets_quality": True}, "which you say is enough"),
    ],
)
def test_doing_nothing_says_what_is_met(facts: dict[str, Any], said: str) -> None:
    advice = ask(**MET, **facts)
    assert advice.decision == "none"
    assert said in advice.reason


def test_a_missed_quality_without_a_route_is_not_called_met() -> None:
    """Cost and latency are met, quality isn't, and every route is closed."""
    advice = ask(**MET, prompt_meets_quality=False, budget_usd_per_month=0, data_rows=20)
    assert (advice.decision, advice.routes) == ("none", ())
    assert "already meets" not in advice.reason
    assert "do nothing" not in advice.reason
    assert "fits the budget of 0 USD" in advice.reason
    assert advice.next[0].startswith("ftctl advise --facts FILE --budget-usd-per-month ")


def test_a_prompt_that_meets_the_target_isnt_said_to_miss_it() -> None:
    advice = ask(
        prompt_meets_quality=False, baseline_score=0.92, target_score=0.9, prompt_meets_cost=False
    )
    assert "misses the quality" not in advice.reason


def test_what_costs_more_than_the_prompt_that_costs_too_much_is_said() -> None:
    advice = ask(prompt_meets_quality=True, prompt_meets_cost=False, requests_per_month=10_000)
    assert advice.decision == "hosted"
    assert "you say that the best prompt costs too much" in advice.reason
    assert "check what you pay now" in advice.reason


def test_what_is_already_told_isnt_asked_for() -> None:
    close: dict[str, Any] = {"prompt_limit": True, "data_rows": 3000, "requests_per_month": 1.2e7}
    untold, told = ask(**close), ask(**close, runs_gpus=False)
    assert untold.decision == told.decision == "too_close"
    assert untold.reason.endswith("test: say whether GPUs already serve production.")
    assert untold.next == ("ftctl advise --data FILE --runs-gpus true",)
    assert "ask for the vendor's price" in told.reason
    assert told.next == ("ftctl providers together",)


def test_few_examples_are_warned_of_and_asked_for() -> None:
    advice = ask(**MET, baseline_score=0.9, target_score=0.9, baseline_n=5)
    assert advice.decision == "too_close"
    assert "whether the best prompt truly reaches 0.9" in advice.reason
    assert "The score stands on 5 examples; take 100." in advice.reason
    assert any("--baseline-n N" in line for line in advice.next)


def test_retrieval_names_the_share_that_is_missing_knowledge() -> None:
    advice = ask(failure_mix={"knowledge": 0.9, "format": 0.1}, knowledge_changes="daily")
    assert "90% of failures come from missing facts and the facts change daily" in advice.reason


def test_a_price_that_leaves_a_part_out_is_warned_of() -> None:
    advice = ask(privacy="regulated", prompt_meets_quality=False, data_rows=1000)
    assert advice.provider == "azure"
    assert "The cost leaves out tokens, whose price at Azure AI Foundry isn't known." in (
        advice.reason
    )


def test_tuning_adds_nothing_where_all_that_fails_is_knowledge() -> None:
    advice = ask(failure_mix={"knowledge": 1}, privacy="stays_inside", data_rows=5000)
    assert (advice.decision, advice.adaptation, advice.hosting) == ("rag", ("rag",), "own")


def test_the_next_commands_name_the_files_that_a_split_makes() -> None:
    """No file is read: the facts name it, whatever measured it."""
    facts = Facts(data="my rows/all.jsonl", prompt_meets_quality=False, runs_gpus=True)
    assert advise(facts, as_of=TODAY).next == (
        "ftctl data check 'my rows/all.jsonl' --for local",
        "ftctl data split 'my rows/all.jsonl'",
        "ftctl submit --provider local --model qwen3-8b --data 'my rows/all.train.jsonl'",
    )
    assert "--data FILE.test.jsonl" in " ".join(ask(baseline_score=0.6, target_score=0.6).next)


@pytest.mark.parametrize(("baseline", "short"), [(0.0, True), (0.78, False)])
def test_a_route_that_is_expected_to_miss_the_target_says_so(
    baseline: float, *, short: bool
) -> None:
    advice = ask(
        baseline_score=baseline,
        baseline_n=200,
        target_score=0.8,
        data_rows=950,
        privacy="stays_inside",
        task_kind="classification",
    )
    assert ("of the 0.8 you ask for" in advice.reason) is short
