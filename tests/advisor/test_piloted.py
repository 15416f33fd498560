"""What a pilot measured takes the place of the prior, for the model that it measured."""

from datetime import date
from typing import Any

import pytest

from ftctl.advisor.advise import advise
from ftctl.advisor.types import Advice, Facts, RouteReport

pytestmark = pytest.mark.medium

TODAY = date(2026, 11, 24)
FACTS: dict[str, Any] = {
    "baseline_score": 0.6,
    "baseline_n": 400,
    "target_score": 0.9,
    "data_rows": 2000,
    "privacy": "stays_inside",
    "runs_gpus": True,
}
SMALL: dict[str, Any] = {
    "model": "qwen2.5-1.5b-instruct",
    "rows": 2000,
    "n": 400,
    "score": 0.93,
    "untuned": 0.31,
}


def ask(*piloted: dict[str, Any], **facts: Any) -> Advice:
    return advise(Facts.parse({**FACTS, **facts, "piloted": piloted or None}), as_of=TODAY)


def route(advice: Advice, label: str) -> RouteReport:
    return next(entry for entry in advice.routes if entry.route == label)


def test_the_piloted_model_is_the_one_to_tune_and_scores_what_it_scored() -> None:
    guessed, measured = ask(), ask(SMALL)
    assert route(guessed, "self_hosted").model != SMALL["model"]
    tuned = route(measured, "self_hosted")
    assert (measured.decision, tuned.model) == ("self_hosted", SMALL["model"])
    assert tuned.quality is not None
    assert 0.90 < tuned.quality.low < 0.93 < tuned.quality.high < 0.95
    assert tuned.quality_note == "measured by a pilot on 2,000 rows"
    (note,) = {note for note in measured.assumptions if note.source == "ftctl pilot"}
    assert note.origin == "measured"


def test_untuned_it_scores_what_it_scored_untuned() -> None:
    prompted = route(ask(SMALL), "prompt")
    assert prompted.model == SMALL["model"]
    assert prompted.quality is not None
    assert 0.27 < prompted.quality.low < 0.31 < prompted.quality.high < 0.35


def test_a_pilot_in_which_tuning_brought_nothing_speaks_against_it() -> None:
    good, bad = ask(SMALL), ask({**SMALL, "score": 0.31})
    assert (good.leading, bad.leading) == ("self_hosted", "prompt")


def test_free_text_gets_a_figure_from_a_pilot_alone() -> None:
    facts = {"task_kind": "generation"}
    assert route(ask(**facts), "self_hosted").quality is None
    assert route(ask(SMALL, **facts), "self_hosted").quality is not None


def test_the_best_pilot_comes_first_and_one_of_no_route_is_told() -> None:
    large = {**SMALL, "model": "llama-3.1-8b-instruct", "score": 0.95}
    assert route(ask(SMALL, large), "self_hosted").model == "llama-3.1-8b-instruct"
    told = ask({**SMALL, "model": "gpt-4.1-mini"})
    assert "The pilot of gpt-4.1-mini is of none of the routes here." in told.reason
