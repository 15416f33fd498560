"""What is said: each sentence true of the facts, each warning with the number behind it."""

from dataclasses import dataclass
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
    assert "the best prompt misses the quality" not in advice.reason


def test_what_costs_more_than_the_prompt_that_costs_too_much_is_said() -> None:
    advice = ask(prompt_meets_quality=True, prompt_meets_cost=False, requests_per_month=1e6)
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


NARROW: dict[str, Any] = {"task_kind": "classification", "output_tokens": 3, "data_rows": 4000}


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"privacy": "stays_inside", "prompt_meets_quality": False}, "data privacy"),
        ({"prompt_meets_quality": True, "prompt_meets_latency": False}, "as good and faster"),
        ({"prompt_limit": True, "runs_gpus": True}, "prompting is impractical"),
        ({"prompt_meets_quality": False}, "the task is very narrow (answers of 3 tokens)"),
    ],
)
def test_the_reason_to_tune_that_holds_is_named(facts: dict[str, Any], said: str) -> None:
    advice = ask(**NARROW, **facts)
    assert advice.leading in ("hosted", "self_hosted")
    assert said in advice.reason


def test_several_tasks_come_with_the_command_that_parts_them() -> None:
    reason = ask(data="my rows.jsonl", distinct_tasks=4, prompt_meets_quality=False).reason
    assert "tune one model for each" in reason
    assert "(ftctl data split 'my rows.jsonl' --by task)" in reason


def test_facts_that_tuning_would_not_teach_are_named_beside_it() -> None:
    missed: dict[str, Any] = {"prompt_meets_quality": False, "data_rows": 3000}
    some = ask(**missed, failure_mix={"knowledge": 0.2, "format": 0.8})
    assert some.adaptation == ("tune",)
    assert "20% of failures come from missing facts, which tuning doesn't teach" in some.reason
    fresh = ask(**missed, failure_mix={"format": 1}, knowledge_changes="daily")
    assert fresh.adaptation == ("tune",)
    assert "The facts change daily" in fresh.reason
    assert "(RAG)" in fresh.reason


def test_fewer_than_fifty_rows_are_warned_of() -> None:
    assert "49 distinct examples; tuning needs at least 50" in ask(data_rows=49).reason
    mixed = ask(data_rows=49, privacy="stays_inside", prompt_meets_quality=False).reason
    assert mixed.count("49 distinct examples") == 1
    assert "distinct examples" not in ask(data_rows=50).reason


@dataclass(frozen=True)
class File:
    """What a measured file shows."""

    effective_rows: int = 900
    mean_input_tokens: float = 300.0
    mean_output_tokens: float = 4.0
    p95_input_tokens: float = 500.0
    p95_output_tokens: float = 8.0
    shared_prefix_tokens: int = 120
    output_families: float = 1.0
    label_count: int | None = 5
    majority_share: float | None = 0.4
    pii_hits: int = 0
    secret_hits: int = 0


def of_file(file: File, **facts: Any) -> Advice:
    return advise(Facts.parse(facts), features=file, as_of=TODAY)


def test_all_that_a_file_shows_is_an_assumption_that_was_measured() -> None:
    advice = of_file(File(pii_hits=2), baseline_score=0.6, data_rows=5, input_tokens=9)
    notes = {note.name: note for note in advice.assumptions if note.origin == "measured"}
    assert {name: note.value for name, note in notes.items()} == {
        "data_rows": "900",
        "distinct_tasks": "1",
        "input_tokens": "300",
        "output_tokens": "4",
        "shared_prefix_tokens": "120",
        "output_shapes": "1.00 kinds of answers (2 to the entropy)",
        "longest_request": "500 tokens in and 8 out cover 95 %",
        "labels": "5 answers, the most common 40%",
        "personal_data": "2 texts with addresses or numbers, 0 with secrets; names aren't "
        "looked for",
    }


def test_each_measure_of_a_file_bears_on_the_advice() -> None:
    base: dict[str, Any] = {"baseline_score": 0.6, "target_score": 0.85, "runs_gpus": True}
    plain = of_file(File(), **base)
    assert plain.leading == "self_hosted"
    assert "the task is very narrow (5 different answers)" in plain.reason
    assert "40 distinct examples" in of_file(File(effective_rows=40), **base).reason
    assert "4 unrelated tasks" in of_file(File(output_families=3.9), **base).reason
    majority = of_file(File(majority_share=0.7), **base).reason
    assert "most common label scores 0.70 on this file, and the prompt 0.6" in majority
    lopsided = of_file(File(majority_share=0.95), prompt_meets_quality=False).reason
    assert "95% of the answers are one label" in lopsided
    said = of_file(File(), **base, data_rows=5000).reason
    assert "You say 5,000 examples, the file holds 900 distinct ones: these count." in said
    assert "You say" not in of_file(File(), **base, data_rows=900).reason
    private = of_file(File(pii_hits=3, secret_hits=1), **base).reason
    assert "4 texts of the file hold personal data or secrets" in private
    told = of_file(File(pii_hits=3), **base, privacy="contractual").reason
    assert "personal data" not in told
    long = of_file(File(p95_input_tokens=40_000), **base)
    assert any(line.gate == "context" and "40,008 tokens" in line.reason for line in long.rejected)
    cached = of_file(
        File(mean_input_tokens=3000, shared_prefix_tokens=2900), requests_per_month=1e6
    )
    whole = of_file(File(mean_input_tokens=3000, shared_prefix_tokens=0), requests_per_month=1e6)
    price = [next(r.usd_per_month.likely for r in a.routes if r.route == "prompt")
             for a in (cached, whole)]  # fmt: skip
    assert price[0] < price[1] / 5
