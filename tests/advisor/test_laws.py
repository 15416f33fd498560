"""The metamorphic laws of advice, over generated questions."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ftctl.advisor.advise import advise
from ftctl.advisor.bases import first_day, licence_forbids
from ftctl.advisor.decide import SURE, Verdict, decide
from ftctl.advisor.gates import MIN_ROWS, sift
from ftctl.advisor.rank import Ranking
from ftctl.advisor.situation import settle
from ftctl.advisor.types import Facts, Label
from ftctl.catalog.load import Catalog, load_catalog
from ftctl.policy import availability, privacy_allows

pytestmark = pytest.mark.medium

TODAY = date(2026, 11, 24)
CATALOG = load_catalog()
FEW, MANY = 12, 200
# A flip is solved by dozens of answers, so fewer of them are looked at.
SLOW_LAW, FEWER = "a_flip_holds_at_its_value", 30
Law = Callable[[Facts], None]


@dataclass(frozen=True)
class MeasuredFile:
    """Features of a data file, as `ftctl.datasets.features` measures them."""

    rows: int = 1000
    effective_rows: int = 1000
    mean_input_tokens: float = 300.0
    mean_output_tokens: float = 20.0
    p95_input_tokens: float = 900.0
    p95_output_tokens: float = 40.0
    shared_prefix_tokens: int = 50
    output_families: float = 1.0
    label_count: int | None = 2
    majority_share: float | None = 0.6
    pii_hits: int = 0
    secret_hits: int = 0
    label_names: tuple[str, ...] = ("a", "b")


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


SHARES = st.sampled_from([0.0, 0.2, 0.5, 0.8])
QUESTIONS = st.builds(
    Facts,
    task_kind=maybe(
        st.sampled_from(["classification", "extraction", "generation", "code", "qa", "dialogue"])
    ),
    distinct_tasks=maybe(st.integers(1, 6)),
    failure_mix=maybe(
        st.fixed_dictionaries(
            {"knowledge": SHARES, "format": SHARES, "reasoning": SHARES, "tone": SHARES}
        )
    ),
    prompt_meets_quality=maybe(st.booleans()),
    prompt_meets_latency=maybe(st.booleans()),
    prompt_meets_cost=maybe(st.booleans()),
    baseline_score=maybe(st.floats(0.2, 1.0)),
    baseline_n=maybe(st.integers(20, 1000)),
    target_score=maybe(st.floats(0.5, 1.0)),
    data_rows=maybe(st.sampled_from([0, 20, 60, 300, 2000, 50_000])),
    requests_per_month=maybe(st.floats(2, 8).map(lambda power: 10**power)),
    peak_requests_per_s=maybe(st.floats(0.1, 300)),
    input_tokens=maybe(st.sampled_from([50.0, 800.0, 6000.0])),
    output_tokens=maybe(st.sampled_from([1.0, 40.0, 700.0])),
    shared_prefix_tokens=maybe(st.sampled_from([0.0, 40.0, 2000.0])),
    latency_p95_s=maybe(st.sampled_from([0.05, 0.5, 3.0])),
    privacy=maybe(st.sampled_from(["public", "contractual", "regulated", "stays_inside"])),
    prompt_limit=maybe(st.booleans()),
    priorities=maybe(st.permutations(["quality", "latency", "cost", "privacy"])),
    runs_gpus=maybe(st.booleans()),
    gpu=maybe(st.sampled_from(["l4", "a100", "h100"])),
    ml_engineers=maybe(st.integers(0, 5)),
    horizon_months=maybe(st.sampled_from([1.0, 6.0, 24.0])),
    knowledge_changes=maybe(st.sampled_from(["never", "yearly", "monthly", "daily"])),
    budget_usd_per_month=maybe(st.sampled_from([200.0, 3000.0, 100_000.0])),
)


def verdict(facts: Facts, catalog: Catalog = CATALOG, features: Any = None) -> Verdict:
    return decide(settle(facts, features, catalog, TODAY))


def changed(facts: Facts, **changes: Any) -> Facts:
    return Facts.parse({**facts.model_dump(exclude_none=True), **changes})


def own_share(facts: Facts, catalog: Catalog = CATALOG) -> float:
    """The share of draws that a route on own GPUs won, tuned there or prompted."""
    return float(sum(e.share for e in verdict(facts, catalog).ranked if e.route.hosting == "own"))


def own_too_dear(facts: Facts) -> set[Label]:
    """What on own GPUs costs more than the user would spend."""
    rejected = verdict(facts).rejected
    return {line.route for line in rejected if line.gate == "budget" and line.provider == "local"}


def owns(facts: Facts) -> bool:
    """Whether what is decided runs on own GPUs, or all that is still between two routes does."""
    found = verdict(facts)
    if found.decision == "too_close":
        return all(entry.route.hosting == "own" for entry in found.ranked[:2])
    routes = [entry.route for entry in found.ranked if entry.route.label == found.decision]
    return bool(routes) and routes[0].hosting == "own"


def rows_that_must_stay_inside_go_to_no_vendor(facts: Facts) -> None:
    found = verdict(changed(facts, privacy="stays_inside"))
    assert found.decision != "hosted"
    assert found.leading != "hosted"
    assert all(entry.route.hosting == "own" for entry in found.ranked)


def volume_moves_toward_own_gpus_as_far_as_the_budget_goes(less: Facts, more: Facts) -> None:
    """More volume never moves away from own GPUs, until they cost more than the budget."""
    too_dear = own_too_dear(more)
    assert own_too_dear(less) <= too_dear
    if too_dear:
        kept = [entry.route for entry in verdict(more).ranked if entry.route.hosting == "own"]
        assert not too_dear & {route.label for route in kept}
        return
    assert own_share(less) <= own_share(more)
    assert owns(more) or not owns(less)


def less_volume_never_moves_toward_own_gpus(facts: Facts) -> None:
    assume(facts.requests_per_month is not None)
    assert facts.requests_per_month is not None
    less = changed(facts, requests_per_month=facts.requests_per_month / 100)
    volume_moves_toward_own_gpus_as_far_as_the_budget_goes(less, facts)


def more_volume_never_moves_away_from_own_gpus(facts: Facts) -> None:
    assume(facts.requests_per_month is not None)
    assert facts.requests_per_month is not None
    more = changed(facts, requests_per_month=facts.requests_per_month * 100)
    volume_moves_toward_own_gpus_as_far_as_the_budget_goes(facts, more)


def more_budget_never_removes_a_route(facts: Facts) -> None:
    """Of a kind; its first in line may give way to one that comes before it."""
    seen: set[Label] = set()
    for budget in (0.0, 30.0, 300.0, 3000.0, 6000.0, 30_000.0, None):
        case = facts.model_copy(update={"budget_usd_per_month": budget})
        routes, _ = sift(settle(case, None, CATALOG, TODAY), explain=False)
        now = {route.label for route in routes}
        assert seen <= now
        seen = now


def more_rows_never_remove_a_route(facts: Facts) -> None:
    seen: set[tuple[Label, str, str]] = set()
    for rows in (0, 20, 60, 5000):
        case = settle(changed(facts, data_rows=rows), None, CATALOG, TODAY)
        routes, _ = sift(case, explain=False)
        now = {(route.label, route.provider.name, route.model.name) for route in routes}
        if facts.budget_usd_per_month is None:  # more rows cost more to train on
            assert seen <= now
        seen = now


def more_examples_narrow_the_score(facts: Facts) -> None:
    assume(facts.baseline_score is not None)
    widths = []
    for n in (5, 50, 500, 50_000):
        found = verdict(changed(facts, baseline_n=n))
        low, high = np.quantile(found.quality.prompt, [0.1, 0.9])
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 3 * widths[-1]


def a_flip_holds_at_its_value(facts: Facts) -> None:
    """Another route leads at it; where it was solved, the same as now a millionth before it."""
    now = verdict(facts).leading
    for flip in advise(facts, as_of=TODAY).flips:
        assert flip.leads == leading_at(facts, flip.fact, flip.value)
        assert flip.leads != now
        if flip.fact in SOLVED:
            value = float(flip.value)
            up = value > (float(flip.now) if flip.now != "unknown" else MIDDLE[flip.fact])
            before = value - 1 if flip.fact == "data_rows" else value * (1 - 1e-6)
            if not up:
                before = value + 1 if flip.fact == "data_rows" else value * (1 + 1e-6)
            assert leading_at(facts, flip.fact, f"{before:.15g}") == now


SOLVED = (
    "requests_per_month",
    "baseline_score",
    "target_score",
    "gpu_usd_per_hour",
    "data_rows",
    "input_tokens",
    "output_tokens",
    "horizon_months",
    "latency_p95_s",
    "budget_usd_per_month",
)
MIDDLE = {
    "requests_per_month": 1e5,
    "data_rows": 632.0,
    "input_tokens": 1000.0,
    "output_tokens": 200.0,
    "horizon_months": 12.0,
}


def leading_at(facts: Facts, fact: str, value: str) -> Label:
    """The route that leads with one fact at a value as a flip writes it."""
    if fact == "gpu_usd_per_hour":
        own = next(e.route for e in verdict(facts).ranked if e.route.hosting == "own")
        assert own.gpu is not None
        return verdict(facts, priced(float(value) / own.gpu.price.likely)).leading
    told = {"true": True, "false": False}.get(value, value)
    changes: dict[str, Any] = {fact: [value] if fact == "priorities" else told}
    if fact == "data_rows":
        changes = {fact: int(float(value))}
    return verdict(changed(facts, **changes)).leading


def what_leads_won_most_draws(facts: Facts) -> None:
    found = verdict(facts)
    if found.leading != "none":
        assert found.leading == found.ranked[0].route.label
        assert found.confidence == round(max(entry.share for entry in found.ranked), 4)
    if found.decision not in ("measure_first", "too_close"):
        assert found.decision == found.leading
        assert found.confidence >= SURE or found.decision == "rag"


def five_rows_are_never_tuned_on(facts: Facts) -> None:
    found = verdict(changed(facts, data_rows=5))
    assert not any(entry.route.tuned for entry in found.ranked)
    assert found.decision not in ("hosted", "self_hosted", "measure_first")


def changing_facts_call_for_retrieval(facts: Facts) -> None:
    case = changed(facts, failure_mix={"knowledge": 1.0}, knowledge_changes="daily")
    found = verdict(case)
    assume(found.decision != "none")  # measured to be good enough, or no route is left
    assert all("rag" in entry.route.adaptation for entry in found.ranked)
    assert found.decision != "measure_first"


def a_prompt_that_does_it_all_needs_nothing(facts: Facts) -> None:
    done = changed(facts, baseline_score=0.97, prompt_meets_cost=True, prompt_meets_latency=True)
    assert verdict(done).decision == "none"


def a_base_that_retires_before_the_horizon_is_gone(facts: Facts) -> None:
    customer = changed(
        facts,
        accounts={"openai": {"since": "2025-01-01", "last_used": "2026-11-20"}},
        privacy="public",
        data_rows=2000,
        budget_usd_per_month=None,
    )
    for months in (1.0, 6.0):
        situation = settle(changed(customer, horizon_months=months), None, CATALOG, TODAY)
        routes, rejected = sift(situation)
        kept = [route for route in routes if route.provider.name == "openai" and route.tuned]
        assert all(route.ends is None or route.ends >= situation.until for route in routes)
        assert bool(kept) is (months == 1.0)
        if months == 6.0:
            reasons = [r.reason for r in rejected if r.provider == "openai" and r.route == "hosted"]
            assert any("shuts down on 2027-01-14" in reason for reason in reasons)


def dearer_cards_never_help_own_gpus(facts: Facts) -> None:
    shares = [own_share(facts, priced(factor)) for factor in (1 / 3, 1.0, 3.0)]
    assert shares == sorted(shares, reverse=True)


def priced(factor: float) -> Catalog:
    gpus = []
    for gpu in CATALOG.gpus:
        price = gpu.price
        scaled = {name: getattr(price, name) * factor for name in ("low", "likely", "high")}
        gpus.append(gpu.model_copy(update={"price": price.model_copy(update=scaled)}))
    return CATALOG.model_copy(update={"gpus": tuple(gpus)})


def a_dominated_option_changes_nothing(facts: Facts) -> None:
    situation = settle(facts, None, CATALOG, TODAY)
    routes, _ = sift(situation)
    hosted = [route for route in routes if route.label == "hosted" and route.price is None]
    assume(hosted)
    serving = hosted[0].provider.serving
    dear = serving.model_copy(update={"usd_per_gpu_hour": 3 * (serving.usd_per_gpu_hour or 0)})
    provider = hosted[0].provider.model_copy(update={"name": "dear", "serving": dear})
    more = [*routes, replace(hosted[0], provider=provider)]
    before = [(e.route, e.share) for e in Ranking(situation, routes).ranked]
    after = [(e.route, e.share) for e in Ranking(situation, more).ranked]
    assert before == after


def duplicated_rows_are_the_same_rows(facts: Facts) -> None:
    once, twice = MeasuredFile(), MeasuredFile(rows=2000)
    before, after = verdict(facts, features=once), verdict(facts, features=twice)
    assert (before.decision, before.confidence) == (after.decision, after.confidence)


def order_and_names_of_labels_do_not_matter(facts: Facts) -> None:
    first, renamed = MeasuredFile(), MeasuredFile(label_names=("b", "zebra"))
    before, after = verdict(facts, features=first), verdict(facts, features=renamed)
    assert (before.decision, before.confidence) == (after.decision, after.confidence)


def without_any_measurement_measure_first(facts: Facts) -> None:
    dropped = ("baseline_score", "baseline_n", "target_score")
    flags = ("prompt_meets_quality", "prompt_meets_latency", "prompt_meets_cost")
    values = facts.model_dump(exclude_none=True)
    known = {key: value for key, value in values.items() if key not in (*dropped, *flags)}
    case = Facts.parse(known | {"failure_mix": {"format": 0.7, "tone": 0.3}})
    found = verdict(case)
    # Where gates leave only routes that tune, or none that do, they have settled it.
    assume(len({entry.route.tuned for entry in found.ranked}) == 2)
    assert found.decision == "measure_first"


def a_target_below_the_weight_read_rules_own_gpus_out(facts: Facts) -> None:
    case = changed(facts, latency_p95_s=1e-4, data_rows=2000)
    found = verdict(case)
    assert not any(entry.route.hosting == "own" for entry in found.ranked)
    own = [line for line in found.rejected if line.route == "self_hosted"]
    assert own
    for line in own:
        assert line.gate in ("latency", "memory", "budget", "context", "size", "licence")
        if line.gate == "latency":
            assert "GB/s takes" in line.reason
            assert "the target is 0.0001 s" in line.reason


def no_hard_constraint_is_ever_broken(facts: Facts) -> None:
    """Of all that is ranked, and so of what leads, on days before, between and after closings."""
    for day in DAYS:
        situation = settle(facts, None, CATALOG, day)
        found = decide(situation, explain=False)
        for route in (entry.route for entry in found.ranked):
            assert privacy_allows(route.provider.name, facts.privacy, catalog=CATALOG).allowed
            assert facts.privacy != "stays_inside" or route.hosting == "own"
            assert route.ends is None or route.ends >= situation.until
            assert route.model.context is None or situation.longest_tokens <= route.model.context
            if route.tuned:
                assert situation.rows is None or situation.rows >= MIN_ROWS
                assert first_day(route.model, route.tunable) <= day
            if route.hosting == "own":
                assert licence_forbids(route.model) is None
            if route.label == "hosted":
                assert route.tunable is not None
                open_to = availability(route.provider.name, as_of=day, catalog=CATALOG)
                assert open_to.open_to_you is True
                assert route.tunable.until is None or day < route.tunable.until
        if facts.budget_usd_per_month is not None:
            for entry in found.ranked:
                assert entry.cost.interval().low <= facts.budget_usd_per_month


DAYS = (date(2023, 10, 1), date(2024, 6, 1), date(2026, 6, 1), TODAY, date(2027, 2, 1))
LAWS: list[Law] = [
    no_hard_constraint_is_ever_broken,
    rows_that_must_stay_inside_go_to_no_vendor,
    less_volume_never_moves_toward_own_gpus,
    more_budget_never_removes_a_route,
    more_rows_never_remove_a_route,
    more_examples_narrow_the_score,
    a_flip_holds_at_its_value,
    what_leads_won_most_draws,
    more_volume_never_moves_away_from_own_gpus,
    five_rows_are_never_tuned_on,
    changing_facts_call_for_retrieval,
    a_prompt_that_does_it_all_needs_nothing,
    a_base_that_retires_before_the_horizon_is_gone,
    dearer_cards_never_help_own_gpus,
    a_dominated_option_changes_nothing,
    duplicated_rows_are_the_same_rows,
    order_and_names_of_labels_do_not_matter,
    without_any_measurement_measure_first,
    a_target_below_the_weight_read_rules_own_gpus_out,
]
RELAXED = [HealthCheck.too_slow, HealthCheck.filter_too_much]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law: Law) -> None:
    @settings(max_examples=FEW, deadline=None, suppress_health_check=RELAXED)
    @given(QUESTIONS)
    def holds(facts: Facts) -> None:
        law(facts)

    holds()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law_over_thousands(law: Law) -> None:
    examples = FEWER if law.__name__ == SLOW_LAW else MANY

    @settings(max_examples=examples, deadline=None, suppress_health_check=RELAXED)
    @given(QUESTIONS)
    def holds(facts: Facts) -> None:
        law(facts)

    holds()


@settings(max_examples=FEW, deadline=None)
@given(QUESTIONS)
def test_what_is_settled_needs_no_draws(facts: Facts) -> None:
    situation = settle(facts, None, CATALOG, TODAY)
    if situation.settled:
        assert decide(situation).leading == "none"
