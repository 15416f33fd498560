"""Which open bases are looked at, in which order, and which a licence or their size rules out."""

from datetime import date
from itertools import pairwise
from typing import Any

import pytest

from ftctl.advisor.advise import advise
from ftctl.advisor.bases import (
    first_day,
    licence_conditions,
    licence_forbids,
    shortlist,
    size_class,
)
from ftctl.advisor.draws import Draws
from ftctl.advisor.gates import judge
from ftctl.advisor.money import Money
from ftctl.advisor.routes import Route
from ftctl.advisor.situation import settle
from ftctl.advisor.types import Advice, Facts
from ftctl.catalog.load import Catalog, load_catalog
from ftctl.catalog.types import Model

pytestmark = pytest.mark.medium

TODAY = date(2026, 11, 24)
CATALOG = load_catalog()
INSIDE: dict[str, Any] = {
    "prompt_meets_quality": False,
    "data_rows": 2000,
    "privacy": "stays_inside",
    "runs_gpus": True,
}


def ask(catalog: Catalog = CATALOG, day: date = TODAY, **facts: Any) -> Advice:
    return advise(Facts.parse({**INSIDE, **facts}), catalog=catalog, as_of=day)


def base(**changes: Any) -> Model:
    return CATALOG.get_model("qwen3-8b").model_copy(update=changes)


def with_models(*models: Model) -> Catalog:
    return CATALOG.model_copy(update={"models": (*CATALOG.models, *models)})


def tuned(advice: Advice) -> str:
    return next(route.model for route in advice.routes if route.route == "self_hosted")


def test_the_newest_of_each_family_and_size_is_listed() -> None:
    listed = shortlist(CATALOG.models, TODAY, None)
    kinds = [(m.family.rstrip("0123456789.-"), size_class(m)) for m in listed]
    assert len(kinds) == len(set(kinds))
    for model in CATALOG.models:
        kind = model.family.rstrip("0123456789.-"), size_class(model)
        if model.open_weights and kind in kinds:
            chosen = listed[kinds.index(kind)]
            assert licence_forbids(model) or first_day(chosen) >= first_day(model)
    assert "gpt-j-6b" not in [model.name for model in listed]  # of 2021, beside what is newer


def test_the_smallest_class_that_suits_the_task_comes_first_within_it_the_newest() -> None:
    first = {
        task: size_class(shortlist(CATALOG.models, TODAY, task)[0])
        for task in ("classification", "extraction", "tool_use", "generation", "code", None)
    }
    assert first == {
        "classification": 1, "extraction": 2, "tool_use": 2, "generation": 3, "code": 3, None: 3,
    }  # fmt: skip
    listed = shortlist(CATALOG.models, TODAY, "classification")
    sizes = [size_class(model) for model in listed if size_class(model) >= 1]
    assert sizes == sorted(sizes)
    for one, other in pairwise(listed):
        if size_class(one) == size_class(other):
            assert first_day(one) >= first_day(other)


@pytest.mark.parametrize(
    ("day", "name"),
    [
        (date(2022, 1, 1), "gpt-j-6b"),
        (date(2024, 1, 1), "llama-2-7b-chat"),
        (date(2024, 8, 25), "llama-3.1-8b-instruct"),
        (TODAY, "qwen3-8b"),
    ],
)
def test_a_base_newer_than_the_catalog_s_takes_the_lead_on_its_day(day: date, name: str) -> None:
    assert shortlist(CATALOG.models, day, None)[0].name == name
    newer = base(name="newer-8b", family="qwen4", available_from=date(2026, 6, 1))
    assert shortlist(with_models(newer).models, TODAY, None)[0].name == "newer-8b"
    assert tuned(ask(with_models(newer))) == "newer-8b"
    assert tuned(ask(with_models(newer), day=date(2026, 5, 1))) != "newer-8b"


@pytest.mark.parametrize(
    ("licence", "says"),
    [
        ("CC-BY-NC-4.0", "which forbids commercial use"),
        ("Mistral Research License", "which forbids commercial use"),
        ("Some Non-Commercial License", "which forbids commercial use"),
        ("not read", "nothing known says that commercial use is allowed"),
        ("", "nothing known says that commercial use is allowed"),
    ],
)
def test_a_licence_rules_a_base_out_with_its_name_and_day(licence: str, says: str) -> None:
    closed = base(name="closed-8b", licence=licence, available_from=date(2026, 9, 1))
    advice = ask(with_models(closed))
    assert tuned(advice) == "qwen3-8b"  # the older one of its family that may be used
    mine = [line for line in advice.rejected if line.provider == "local"]
    lines = [line for line in mine if line.model == "closed-8b"]
    assert {line.gate for line in lines} == {"licence"}
    for line in lines:
        assert says in line.reason
        assert licence in line.reason
        assert "row of 2026-11-24" in line.reason


@pytest.mark.parametrize("licence", ["Apache-2.0", "MIT", "BSD-3-Clause", "CC-BY-4.0"])
def test_a_free_licence_rules_nothing_out(licence: str) -> None:
    assert licence_forbids(base(licence=licence)) is None
    assert licence_conditions(base(licence=licence)) is None


def test_a_licence_with_conditions_is_an_assumption_with_its_number() -> None:
    advice = ask(day=date(2024, 8, 25))
    assert tuned(advice) == "llama-3.1-8b-instruct"
    (note,) = {note for note in advice.assumptions if note.name.startswith("licence of")}
    assert "above 700 million users a month" in note.value
    assert note.origin == "catalog"


def test_a_row_of_one_s_own_is_its_owner_s_word() -> None:
    assert licence_forbids(base(licence="ours", confidence="user")) is None
    assert licence_forbids(base(licence="CC-BY-NC-4.0", confidence="user")) is not None


def test_where_no_weights_come_back_the_vendor_s_terms_hold() -> None:
    """Ministral's licence isn't read, but in 2025 Mistral tuned and served it by its own terms."""
    facts = Facts.parse({"prompt_meets_quality": False, "data_rows": 2000})
    advice = advise(facts, as_of=date(2025, 3, 1))
    assert not [line for line in advice.rejected if line.provider == "mistral"
                and line.gate == "licence"]  # fmt: skip


def test_more_than_the_7b_class_needs_a_reason() -> None:
    """A context that no smaller base has, or a pilot of it."""
    big = CATALOG.get_model("qwen3-32b")

    def judged(**facts: Any) -> tuple[str, str] | None:
        situation = settle(Facts.parse({**INSIDE, **facts}), None, CATALOG, TODAY)
        local, card = CATALOG.get_provider("local"), CATALOG.get_gpu("b200")
        route = Route("self_hosted", ("tune",), "own", local, big, card)
        return judge(situation, route, Money(Draws(situation)))

    closed = judged()
    assert closed is not None
    assert closed[0] == "size"
    assert "32.8 billion weights need a reason" in closed[1]
    piloted = {"model": big.name, "rows": 2000, "n": 400, "untuned": 0.4, "score": 0.9}
    assert judged(piloted=[piloted]) is None
    assert tuned(ask()) != big.name
    assert tuned(ask(piloted=[piloted], baseline_score=0.5, target_score=0.9)) == big.name


def test_of_a_family_only_large_in_context_the_large_one_is_taken() -> None:
    models = tuple(
        model.model_copy(update={"context": 8192 if size_class(model) <= 3 else 131_072})
        for model in CATALOG.models
    )
    catalog = CATALOG.model_copy(update={"models": models})
    assert tuned(ask(catalog, input_tokens=9000)) == "qwen3-32b"
    assert size_class(catalog.get_model(tuned(ask(catalog, input_tokens=900)))) == 3


def test_a_context_rules_out_with_both_numbers() -> None:
    advice = ask(input_tokens=40_000, output_tokens=500)
    (line,) = [one for one in advice.rejected
               if one.model == "qwen3-8b" and one.route == "self_hosted"]  # fmt: skip
    assert line.gate == "context"
    assert "40,500 tokens a request; Qwen3 8B takes 32,768" in line.reason
    assert tuned(advice) == "llama-3.1-8b-instruct"


def test_what_no_card_holds_gives_way_to_a_smaller_base() -> None:
    cards = tuple(gpu.model_copy(update={"memory_gib": 12}) for gpu in CATALOG.gpus)
    advice = ask(CATALOG.model_copy(update={"gpus": cards}))
    assert tuned(advice) == "qwen3-4b"
    (line,) = [one for one in advice.rejected
               if one.model == "qwen3-8b" and one.route == "self_hosted"]  # fmt: skip
    assert line.gate == "memory"
    assert "GiB" in line.reason
    assert "has 12" in line.reason
