"""Which fact is asked for next."""

from datetime import date
from typing import Any

import pytest

from ftctl.advisor.decide import decide
from ftctl.advisor.questions import QUESTIONS, next_question
from ftctl.advisor.situation import settle
from ftctl.advisor.types import Facts
from ftctl.catalog.load import load_catalog

pytestmark = pytest.mark.medium

TODAY = date(2026, 11, 24)
CATALOG = load_catalog()


def answer(facts: Facts) -> tuple[str, str]:
    found = decide(settle(facts, None, CATALOG, TODAY))
    return found.decision, found.leading


def ask(skipped: tuple[str, ...] = (), **facts: Any) -> str | None:
    found = next_question(Facts.parse(facts), None, CATALOG, TODAY, skipped)
    return found.fact if found else None


def test_every_question_is_of_a_fact_and_its_answers_are_values_of_it() -> None:
    for question in QUESTIONS:
        for value in question.tried:
            assert getattr(Facts.parse({question.fact: value}), question.fact) == value


def test_quality_is_asked_for_first_and_never_twice() -> None:
    assert ask() == "baseline_score"
    second = ask(baseline_score=0.6)
    assert second not in (None, "baseline_score")
    assert ask(("baseline_score",)) not in (None, "baseline_score")


def test_numbers_are_not_asked_for_in_words_again() -> None:
    asked, facts = set[str](), {"baseline_score": 0.6, "target_score": 0.9}
    while (fact := ask(tuple(asked), **facts)) is not None:
        asked.add(fact)
    assert "prompt_meets_quality" not in asked


def test_nothing_is_asked_where_nothing_would_change() -> None:
    done = {"baseline_score": 0.99, "prompt_meets_cost": True, "prompt_meets_latency": True}
    facts = Facts.parse({**done, "baseline_n": 100_000, "target_score": 0.5})
    fact = ask(**facts.model_dump(exclude_none=True))
    assert fact is None
    for question in QUESTIONS:
        if getattr(facts, question.fact) is None:
            for value in question.tried:
                told = facts.model_copy(update={question.fact: value})
                assert answer(told)[1] == answer(facts)[1]


@pytest.mark.parametrize(
    "facts",
    [{}, {"baseline_score": 0.5, "target_score": 0.9}, {"privacy": "stays_inside"}],
    ids=["nothing known", "scored", "inside"],
)
def test_what_is_asked_could_change_the_answer(facts: dict[str, Any]) -> None:
    known = Facts.parse(facts)
    question = next_question(known, None, CATALOG, TODAY)
    assert question is not None
    told = {answer(known.model_copy(update={question.fact: value})) for value in question.tried}
    assert told - {answer(known)}
