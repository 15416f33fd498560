"""Single questions: what decides them, what is said, and what stands in the document."""

import json
from datetime import date
from typing import Any

import numpy as np
import pytest

from ftctl.advisor.advise import advise
from ftctl.advisor.bases import first_day
from ftctl.advisor.decide import decide
from ftctl.advisor.draws import Draws
from ftctl.advisor.gates import sift
from ftctl.advisor.money import Money
from ftctl.advisor.quality import Quality, wilson
from ftctl.advisor.rank import Ranking, dominated_by
from ftctl.advisor.situation import add_months, settle
from ftctl.advisor.types import Advice, Facts, FailureMix
from ftctl.catalog.load import load_catalog
from ftctl.errors import UsageError
from ftctl.estimation.estimate import Estimate

pytestmark = pytest.mark.medium

TODAY = date(2026, 11, 24)
CATALOG = load_catalog()
MISSED: dict[str, Any] = {"prompt_meets_quality": False, "data_rows": 2000}


def ask(day: date = TODAY, **facts: Any) -> Advice:
    return advise(Facts.parse(facts), as_of=day)


def test_nothing_said_means_measure_first() -> None:
    advice = ask()
    assert advice.decision == "measure_first"
    assert advice.undecided
    assert "nobody has scored a good prompt" in advice.reason
    assert any(line.startswith("ftctl eval") for line in advice.next)


@pytest.mark.parametrize(
    ("facts", "decision"),
    [
        (
            {
                "prompt_meets_quality": True,
                "prompt_meets_latency": True,
                "prompt_meets_cost": True,
            },
            "none",
        ),
        ({"prompt_meets_quality": True}, "prompt"),
        ({"data_rows": 5}, "prompt"),
        ({"knowledge_changes": "daily"}, "rag"),
        ({"failure_mix": {"knowledge": 0.9, "format": 0.1}}, "rag"),
        (MISSED, "hosted"),
        (MISSED | {"runs_gpus": True}, "self_hosted"),
        (MISSED | {"privacy": "stays_inside"}, "self_hosted"),
        ({"baseline_score": 0.5, "target_score": 0.9, "data_rows": 3000}, "hosted"),
        ({"baseline_score": 0.88, "target_score": 0.9, "data_rows": 3000}, "prompt"),
        ({"prompt_meets_quality": True, "prompt_meets_cost": False}, "hosted"),
        (
            {
                "prompt_meets_quality": True,
                "prompt_meets_cost": False,
                "runs_gpus": True,
                "requests_per_month": 5e6,
            },
            "self_hosted",
        ),
    ],
)
def test_what_decides(facts: dict[str, Any], decision: str) -> None:
    advice = ask(**facts)
    assert advice.decision == decision
    assert not advice.undecided
    assert advice.confidence >= 0.6


def test_the_document_is_the_contract_and_the_same_bytes_each_time() -> None:
    first, second = (json.dumps(ask(**MISSED).to_document()) for _ in range(2))
    assert first == second
    document = json.loads(first)
    assert document["schema"] == "ftctl.advice/1"
    assert list(document) == [
        "schema",
        "decision",
        "leading",
        "adaptation",
        "hosting",
        "provider",
        "model",
        "confidence",
        "reason",
        "routes",
        "rejected",
        "flips",
        "next",
        "assumptions",
    ]
    assert {"route", "gate", "reason"} <= set(document["rejected"][0])
    for note in document["assumptions"]:
        assert set(note) == {"name", "value", "origin", "as_of", "source"}
        assert note["origin"] in ("measured", "user", "catalog", "prior")
        if note["origin"] == "catalog":
            assert note["as_of"]
            assert note["source"]


def test_the_answer_is_that_days() -> None:
    in_2024 = ask(date(2024, 6, 10), **MISSED)
    assert (in_2024.provider, in_2024.model) == ("openai", "gpt-3.5-turbo")
    today, later = ask(**MISSED), ask(date(2027, 2, 1), **MISSED)
    assert today.provider == later.provider == "together"
    openai = {line.reason for line in later.rejected if line.provider == "openai"}
    assert any("since 2027-01-06" in reason for reason in openai)
    assert not any("since 2027-01-06" in line.reason for line in today.rejected)


def test_what_was_not_announced_yet_closes_nothing() -> None:
    """GPT-4o mini's end in January 2027 was told in October 2026: before, nobody reckoned with it.

    OpenAI still took everybody's jobs in April.
    """
    april, october = ask(date(2026, 4, 1), **MISSED), ask(date(2026, 10, 20), **MISSED)
    assert (april.provider, april.model) == ("openai", "gpt-4o-mini")
    assert not any("2027-01-14" in line.reason for line in april.rejected)
    assert october.provider == "together"
    customer: dict[str, Any] = {"openai": {"since": "2025-01-01", "last_used": "2026-10-01"}}
    for day, told in ((date(2026, 10, 13), False), (date(2026, 10, 14), True)):
        rejected = ask(day, **MISSED, accounts=customer).rejected
        assert any("shuts down on 2027-01-14" in line.reason for line in rejected) is told


@pytest.mark.parametrize(
    ("day", "own", "hosted"),
    [
        (date(2021, 5, 1), None, None),
        (date(2023, 5, 1), "gpt-j-6b", None),
        (date(2024, 3, 1), "llama-2-7b-chat", "gpt-3.5-turbo"),
        (date(2024, 8, 25), "llama-3.1-8b-instruct", "gpt-4o-mini"),
    ],
)
def test_no_model_is_offered_before_its_day(day: date, own: str | None, hosted: str | None) -> None:
    advice = ask(day, baseline_score=0.5, target_score=0.9, data_rows=2000, runs_gpus=True)
    models = {route.route: route.model for route in advice.routes}
    assert models.get("self_hosted") == own
    tuned = sift(settle(Facts(data_rows=2000), None, CATALOG, day))[0]
    vendors = {route.model.name for route in tuned if route.provider.name == "openai"}
    assert (hosted in vendors) if hosted else "gpt-3.5-turbo" not in vendors
    for route in tuned:
        if route.tuned:
            assert first_day(route.model, route.tunable) <= day


def test_a_customer_of_openai_may_still_tune_for_a_month() -> None:
    account: dict[str, Any] = {"openai": {"since": "2025-01-01", "last_used": "2026-11-20"}}
    month = decide(
        settle(Facts.parse({"accounts": account, "horizon_months": 1}), None, CATALOG, TODAY)
    )
    assert any(e.route.provider.name == "openai" and e.route.tuned for e in month.ranked)
    year = ask(accounts=account, **MISSED)
    gone = [
        line for line in year.rejected if line.provider == "openai" and line.gate == "lifecycle"
    ]
    assert "shuts down on 2027-01-14, 51 days from 2026-11-24" in gone[0].reason


def test_rejections_name_gate_and_number() -> None:
    small = ask(gpu="l4", gpu_count=1, data_rows=20, privacy="regulated", task_kind="code")
    gates = {(line.route, line.gate) for line in small.rejected}
    assert ("self_hosted", "min_rows") in gates
    assert ("prompt", "privacy") in gates
    rows = next(line for line in small.rejected if line.gate == "min_rows")
    assert "20 distinct examples; tuning needs at least 50" in rows.reason


def test_a_card_too_small_is_ruled_out_with_its_memory() -> None:
    tiny = CATALOG.model_copy(
        update={"gpus": tuple(g.model_copy(update={"memory_gib": 1}) for g in CATALOG.gpus)}
    )
    facts = Facts.parse({**MISSED, "privacy": "stays_inside"})
    advice = advise(facts, catalog=tiny, as_of=TODAY)
    assert advice.decision == "none"
    assert "No route passes the gates" in advice.reason
    memory = [line for line in advice.rejected if line.gate == "memory"]
    assert any("needs about" in line.reason and "has 1" in line.reason for line in memory)


def test_a_budget_is_the_most_that_is_spent() -> None:
    facts: dict[str, Any] = {
        "task_kind": "classification",
        "baseline_score": 0.62,
        "target_score": 0.9,
        "data_rows": 2000,
        "requests_per_month": 200_000,
        "runs_gpus": True,
    }
    assert ask(**facts).leading == "self_hosted"
    advice = ask(**facts, budget_usd_per_month=100)
    assert advice.decision == "prompt"
    assert all(route.usd_per_month.low <= 100 for route in advice.routes)
    closed = [line for line in advice.rejected if line.gate == "budget"]
    assert {line.route for line in closed} == {"hosted", "self_hosted"}
    for line in closed:
        assert line.usd_per_month is not None
        assert line.usd_per_month.low > 100
        assert f"costs at least {line.usd_per_month.low:,.0f} USD a month" in line.reason
        assert "the budget is 100" in line.reason


def test_where_no_route_fits_the_budget_the_cheapest_is_named() -> None:
    advice = ask(budget_usd_per_month=10, requests_per_month=1e6, **MISSED)
    assert (advice.decision, advice.leading, advice.routes) == ("none", "none", ())
    # 1,000 tokens in and 200 out on gpt-6-luna: 200 USD a million requests.
    assert "No route that passes the other gates fits the budget of 10 USD a month" in advice.reason
    assert "the cheapest is a prompt (openai gpt-6-luna), at least 200" in advice.reason


def test_several_tasks_and_regions_are_warned_of() -> None:
    reason = ask(distinct_tasks=4, regions=["eu"], **MISSED).reason
    assert "4 unrelated tasks" in reason
    assert "Regions aren't checked" in reason


def test_flips_name_the_value_at_which_another_route_leads() -> None:
    advice = ask(**MISSED)
    flips = {flip.fact: flip for flip in advice.flips}
    assert 0 < len(advice.flips) <= 3
    assert flips["runs_gpus"].leads == "self_hosted"
    assert ask(**MISSED, runs_gpus=True).leading == "self_hosted"


def test_a_solved_score_is_where_the_answer_changes() -> None:
    facts: dict[str, Any] = {"target_score": 0.9, "data_rows": 3000, "task_kind": "classification"}
    advice = ask(baseline_score=0.7, **facts)
    flip = next(flip for flip in advice.flips if flip.fact == "baseline_score")
    value = float(flip.value)
    assert ask(baseline_score=value * (1 + 1e-6), **facts).leading == flip.leads
    assert ask(baseline_score=value * (1 - 1e-6), **facts).leading == advice.leading
    assert f"scores above {value:.3g}" in flip.says


def test_the_price_of_a_card_is_solved() -> None:
    facts = Facts.parse(
        {
            **MISSED,
            "requests_per_month": 1e8,
            "runs_gpus": False,
            "knowledge_changes": "never",
            "privacy": "public",
            "priorities": ["cost", "quality", "latency", "privacy"],
        }
    )
    advice = advise(facts, as_of=TODAY)
    flip = next(flip for flip in advice.flips if flip.fact == "gpu_usd_per_hour")
    card = next(route.gpu for route in advice.routes if route.hosting == "own")
    now = CATALOG.get_gpu(card or "").price.likely
    assert float(flip.now) == now
    assert (advice.leading, flip.leads) == ("prompt", "self_hosted")

    def leading(price: float) -> str:
        cards = [
            gpu.model_copy(
                update={
                    "price": gpu.price.model_copy(
                        update={
                            name: getattr(gpu.price, name) * price / now
                            for name in ("low", "likely", "high")
                        }
                    )
                }
            )
            for gpu in CATALOG.gpus
        ]
        catalog = CATALOG.model_copy(update={"gpus": tuple(cards)})
        return advise(facts, catalog=catalog, as_of=TODAY).leading

    assert leading(float(flip.value) * (1 - 1e-6)) == "self_hosted"
    assert leading(float(flip.value) * (1 + 1e-6)) == "prompt"


def test_the_lift_is_the_published_fit() -> None:
    facts = Facts.parse({"baseline_score": 0.5, "baseline_n": 10_000, "data_rows": 100_000})
    quality = Quality(Draws(settle(facts, None, CATALOG, TODAY)))
    tuned = next(
        e.route for e in decide(settle(facts, None, CATALOG, TODAY)).ranked if e.route.tuned
    )
    lift = float(np.mean(quality.of(tuned) - quality.prompt))
    knowledge = 0.05  # mean of the prior for tasks that don't look like questions
    assert lift == pytest.approx(0.5 * (0.556 - 0.616 * 0.5) * (1 - knowledge), abs=0.006)


def test_no_quality_figure_where_none_would_be_honest() -> None:
    free = ask(task_kind="generation", baseline_score=0.6, target_score=0.8, data_rows=500)
    tuned = next(route for route in free.routes if "tune" in route.adaptation)
    assert tuned.quality is None
    assert "pilot needed" in tuned.quality_note
    unmeasured = ask(**MISSED)
    assert all(route.quality is None for route in unmeasured.routes)


def test_money_is_ten_fifty_ninety_and_grows_with_volume() -> None:
    def prompt_cost(volume: float) -> float:
        routes = ask(prompt_meets_quality=True, requests_per_month=volume).routes
        return next(r.usd_per_month.likely for r in routes if r.route == "prompt")

    # 1,000 tokens in and 200 out on gpt-6-luna: 200 USD a million requests.
    assert prompt_cost(1e6) == pytest.approx(200)
    assert prompt_cost(1e7) == pytest.approx(2000)
    hosted = next(r for r in ask(**MISSED).routes if r.route == "hosted").usd_per_month
    assert 730 * 6.49 < hosted.low < hosted.likely < hosted.high


def test_capacity_never_costs_more_than_the_api_would() -> None:
    facts = Facts.parse({"requests_per_month": 1e9, "data_rows": 1000, "runs_gpus": True})
    situation = settle(facts, None, CATALOG, TODAY)
    money = Money(Draws(situation))
    own = next(e.route for e in decide(situation).ranked if e.route.label == "self_hosted")
    api = 1e9 * (1000 * 0.10 + 200 * 0.50) / 1e6
    assert float(np.max(money.of(own).usd)) < api + 50_000


def test_own_gpus_win_on_money_at_a_volume_that_is_named() -> None:
    advice = ask(**MISSED, requests_per_month=1e6)
    assert advice.leading == "hosted"
    flip = next(flip for flip in advice.flips if flip.fact == "requests_per_month")
    assert flip.leads == "self_hosted"
    assert flip.says.startswith("above about")
    value = float(flip.value)
    assert ask(**MISSED, requests_per_month=value * (1 + 1e-6)).leading == "self_hosted"
    assert ask(**MISSED, requests_per_month=value * (1 - 1e-6)).leading == "hosted"


def test_capacity_is_measured_by_the_apis_of_the_day() -> None:
    """In June 2025 the cheapest API asked half as much again as the one of October 2026."""
    facts = Facts.parse(
        {"requests_per_month": 1e8, "input_tokens": 3000, "output_tokens": 20, "runs_gpus": True}
    )
    costs = {}
    for day in (date(2025, 6, 1), TODAY):
        situation = settle(facts, None, CATALOG, day)
        own = next(e for e in decide(situation).ranked if e.route.label == "self_hosted")
        costs[day] = own.cost.interval().likely
    assert costs[date(2025, 6, 1)] > 1.1 * costs[TODAY]


def test_dominated_routes_are_named() -> None:
    situation = settle(Facts.parse({"prompt_meets_quality": True}), None, CATALOG, TODAY)
    ranked = Ranking(situation, [e.route for e in decide(situation).ranked]).ranked
    prompt = next(e for e in ranked if e.route.label == "prompt")
    own = next(e for e in ranked if e.route.label == "self_hosted")
    assert dominated_by(own, ranked) in ("prompt", "hosted")
    assert dominated_by(prompt, ranked) is None


def test_what_wins_draws_isnt_called_beaten() -> None:
    """A prompt at the same cost wins where tuning adds too little to be worth the work."""
    for facts in ({"privacy": "stays_inside"}, {"privacy": "stays_inside", "baseline_score": 0.7}):
        for route in ask(task_kind="classification", target_score=0.8, **facts).routes:
            assert route.dominated_by is None or route.share == 0


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"basline_score": 0.5}, "did you mean baseline_score"),
        ({"baseline_score": 1.5}, "fact baseline_score"),
        ({"failure_mix": {"knowlege": 1}}, "fact failure_mix.knowlege"),
        ({"privacy": "secret"}, "fact privacy"),
        ({"priorities": ["quality", "beauty"]}, "fact priorities.1"),
    ],
)
def test_an_impossible_fact_is_named(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Facts.parse(facts)


@pytest.mark.parametrize("extreme", [0, 1e-9, 1, 1e12])
def test_extreme_facts_still_give_strict_json(extreme: float) -> None:
    facts: dict[str, Any] = {
        "requests_per_month": extreme,
        "peak_requests_per_s": min(extreme, 1e7),
        "input_tokens": min(extreme, 1e8),
        "output_tokens": min(extreme, 1e8),
        "shared_prefix_tokens": 1e8,
        "latency_p95_s": extreme or 1e-9,
        "horizon_months": min(extreme, 1200) or 0.01,
        "baseline_score": min(extreme, 1),
        "budget_usd_per_month": extreme,
        "priorities": [],
        "failure_mix": {},
        "data_rows": int(min(extreme, 1e9)),
    }
    json.dumps(ask(**facts).to_document(), allow_nan=False)


def test_infinity_is_no_fact() -> None:
    with pytest.raises(UsageError, match="requests_per_month"):
        Facts.parse({"requests_per_month": float("inf")})


def test_confidence_in_doing_nothing_grows_with_what_was_measured() -> None:
    met: dict[str, Any] = {
        "baseline_score": 0.9,
        "target_score": 0.9,
        "prompt_meets_latency": True,
        "prompt_meets_cost": True,
    }
    few, many = ask(**met, baseline_n=20), ask(**met, baseline_n=5000)
    assert few.decision == many.decision == "none"
    assert few.confidence < many.confidence


@pytest.mark.parametrize("score", [0.0, 0.6, 0.97, 1.0])
def test_a_score_on_few_examples_is_less_certain(score: float) -> None:
    def interval(n: int) -> Estimate:
        routes = ask(baseline_score=score, baseline_n=n, requests_per_month=1000).routes
        found = next(route.quality for route in routes if route.route == "prompt")
        assert found is not None
        return found

    few, many = interval(20), interval(2000)
    assert 0 <= few.low <= many.low <= score <= many.high <= few.high <= 1
    assert few.high - few.low > 3 * (many.high - many.low)


def test_draws_of_a_score_are_wilsons_interval() -> None:
    # 62 of 100: Wilson's 95 % interval is 0.522 to 0.709.
    ends = wilson(0.62, 100, np.array([-1.96, 0.0, 1.96]))
    assert ends == pytest.approx([0.522, 0.62, 0.709], abs=5e-4)


def test_a_score_without_a_number_of_examples_names_the_one_assumed() -> None:
    notes = {note.name: note for note in ask(baseline_score=0.6).assumptions}
    assert (notes["baseline_n"].value, notes["baseline_n"].origin) == ("100", "prior")
    notes = {note.name: note for note in ask(baseline_score=0.6, baseline_n=40).assumptions}
    assert (notes["baseline_n"].value, notes["baseline_n"].origin) == ("40", "user")


def test_five_examples_are_too_few_to_do_nothing() -> None:
    met: dict[str, Any] = {
        "baseline_score": 0.9,
        "target_score": 0.9,
        "prompt_meets_latency": True,
        "prompt_meets_cost": True,
    }
    advice = ask(**met, baseline_n=5)
    assert (advice.decision, advice.leading, advice.adaptation) == ("too_close", "none", ())
    assert ask(**met, baseline_n=500).decision == "none"


def test_the_route_that_leads_won_most_draws() -> None:
    # Half of the failures are missing knowledge; without its head start tuning would win more.
    advice = ask(
        failure_mix={"knowledge": 0.5, "format": 0.5},
        baseline_score=0.3,
        target_score=0.8,
        data_rows=2000,
        runs_gpus=True,
    )
    assert advice.leading == "rag"
    assert advice.leading == advice.routes[0].route
    assert advice.confidence == advice.routes[0].share


def test_a_prompt_known_to_be_too_slow_loses_to_a_small_tuned_model() -> None:
    slow = ask(prompt_meets_quality=True, prompt_meets_latency=False, data_rows=2000)
    assert slow.decision == "hosted"
    assert "the best prompt is too slow" in slow.reason


def test_few_rows_bring_less_than_many() -> None:
    facts: dict[str, Any] = {"baseline_score": 0.5, "target_score": 0.9}
    few, many = ask(**facts, data_rows=100), ask(**facts, data_rows=10_000)
    lifts = []
    for advice in (few, many):
        tuned = next(r for r in advice.routes if "tune" in r.adaptation)
        assert tuned.quality is not None
        lifts.append(tuned.quality.likely - 0.5)
    # rows / (rows + 100): a half against nearly all.
    assert lifts[0] / lifts[1] == pytest.approx(0.5 / 0.99, abs=0.08)


def test_too_close_names_the_cheapest_test() -> None:
    advice = ask(baseline_score=0.7, target_score=0.85, data_rows=3000, task_kind="classification")
    assert advice.decision == "too_close"
    assert "the cheapest test: tune a small model" in advice.reason


def test_an_unknown_card_or_account_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean h100"):
        ask(gpu="h10")
    with pytest.raises(UsageError, match="did you mean openai"):
        ask(accounts={"opnai": {}}, **MISSED)


def test_shares_of_a_mix_are_of_what_is_listed() -> None:
    assert FailureMix(knowledge=0.2, format=0.2).share("knowledge") == 0.5
    assert FailureMix().share("knowledge") == 0


@pytest.mark.parametrize(
    ("months", "day"),
    [(1, date(2026, 12, 24)), (12, date(2027, 11, 24)), (1.5, date(2027, 1, 8))],
)
def test_months_are_added_to_a_day(months: float, day: date) -> None:
    assert add_months(TODAY, months) == day
    assert add_months(date(2027, 1, 31), 1) == date(2027, 2, 28)


def test_priorities_can_change_the_answer() -> None:
    facts: dict[str, Any] = {
        "baseline_score": 0.7,
        "target_score": 0.85,
        "data_rows": 3000,
        "runs_gpus": False,
    }
    quality = ask(**facts, priorities=["quality"])
    cost = ask(**facts, priorities=["cost"])
    tuned = [
        sum(r.share for r in advice.routes if "tune" in r.adaptation) for advice in (quality, cost)
    ]
    assert tuned[0] > tuned[1]


def test_where_prompting_is_ruled_out_no_measurement_is_asked_for() -> None:
    facts = Facts.parse({"prompt_limit": True, "data_rows": 1000, "privacy": "stays_inside"})
    advice = advise(facts, as_of=date(2026, 11, 24))
    assert advice.decision == "self_hosted"


def test_an_old_price_widens_what_a_route_may_cost_and_says_so() -> None:
    facts = {"requests_per_month": 1_000_000, "input_tokens": 1_000, "output_tokens": 200}
    width, old = {}, {}
    for day in (TODAY, date(2027, 12, 1)):
        advice = ask(day, horizon_months=1, **facts)
        for route in advice.routes:
            if route.hosting == "vendor_api" and route.adaptation == ("prompt",):
                cost = route.usd_per_month
                width[day, route.model] = cost.high / cost.low
                old[day, route.model] = [note for note in cost.basis if note.name == "old price"]
    both = {model for _, model in width if {(d, model) for d in (TODAY, day)} <= set(width)}
    assert both
    for model in both:
        assert width[day, model] > width[TODAY, model]
        assert old[day, model]
        assert not old[TODAY, model]
