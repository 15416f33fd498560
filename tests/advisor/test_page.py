"""The report as a page: its curves, swings and dates are those of the advice."""

from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from ftctl.advisor.advise import advise
from ftctl.advisor.curves import cost_by_volume
from ftctl.advisor.decide import decide
from ftctl.advisor.lives import lives
from ftctl.advisor.page import advice_page, write_advice
from ftctl.advisor.rank import Ranking
from ftctl.advisor.situation import Situation, settle
from ftctl.advisor.swings import share_of, swings
from ftctl.advisor.types import Advice, Facts
from ftctl.catalog.load import load_catalog

pytestmark = pytest.mark.medium

TODAY = date(2026, 11, 24)
CATALOG = load_catalog()
TUNE: dict[str, Any] = {"baseline_score": 0.6, "target_score": 0.9, "data_rows": 2000}
BUSY = TUNE | {"requests_per_month": 500_000, "runs_gpus": True}
ASKED: dict[str, dict[str, Any]] = {
    "nothing said": {},
    "tune": TUNE,
    "busy": BUSY,
    "retrieval": {"knowledge_changes": "daily", "requests_per_month": 100},
    "inside": TUNE | {"privacy": "stays_inside"},
    "done": dict.fromkeys(
        ("prompt_meets_quality", "prompt_meets_latency", "prompt_meets_cost"), True
    ),
    "no route": {"budget_usd_per_month": 0, "prompt_limit": True},
    "no requests": TUNE | {"requests_per_month": 0},
    "markup": {"regions": ("<b>eu</b>",), "task": "<script>"},
}


def settled(facts: dict[str, Any]) -> Situation:
    return settle(Facts.parse(facts), None, CATALOG, TODAY)


def written(path: Path, facts: dict[str, Any]) -> tuple[Advice, str]:
    asked = Facts.parse(facts)
    advice = advise(asked, as_of=TODAY)
    with advice_page(path) as page:
        write_advice(page, advice, asked, as_of=TODAY)
    return advice, path.read_text("utf-8")


class Values(HTMLParser):
    """The numbers of a page that a script can read, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.values: list[float] = []
        self.feed(page)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "data":
            self.values.append(float(dict(attrs)["value"] or "nan"))


@pytest.mark.parametrize("name", ASKED)
def test_the_page_says_what_the_document_says(name: str, tmp_path: Path) -> None:
    advice, text = written(tmp_path / "page.html", ASKED[name])
    values = Values(text).values
    assert values[0] == advice.confidence
    costs = [
        usd
        for route in advice.routes
        for usd in (
            route.usd_per_month.low,
            route.usd_per_month.likely,
            route.usd_per_month.high,
        )
    ]
    assert values[1 : 1 + len(costs)] == costs
    assert "://" not in text.replace("default-src", "")
    assert "<script" not in text
    assert "<b>" not in text
    for title in ("Cost a month", "Break-even") if advice.routes else ():
        assert f">{title}</h2>" in text
    for flip in advice.flips:
        assert flip.says.replace("'", "&#x27;") in text
    for line in advice.rejected:
        assert f"{line.route} at {line.provider}: {line.gate}" in text


def test_the_curves_go_through_the_costs_of_the_advice() -> None:
    situation = settled(BUSY)
    verdict = decide(situation)
    found = cost_by_volume(situation, [entry.route for entry in verdict.ranked])
    middle = len(found.requests) // 2
    assert found.requests[middle] == pytest.approx(500_000)
    for entry, curve in zip(verdict.ranked, found.curves, strict=True):
        assert curve.route == entry.route.label
        assert curve.usd[middle] == pytest.approx(entry.cost.interval().likely, abs=0.01)
        assert list(curve.usd) == sorted(curve.usd)


def test_where_two_routes_break_even_they_cost_the_same() -> None:
    situation = settled(TUNE)
    routes = {entry.route.label: entry.route for entry in decide(situation).ranked}
    found = cost_by_volume(situation, list(routes.values()))
    assert found.break_evens
    for even in found.break_evens:
        at, before, after = (
            {
                route.label: Ranking(replace(situation, requests=even.requests * factor), [route])
                .ranked[0]
                .cost.interval()
                .likely
                for route in routes.values()
            }
            for factor in (1, 0.9, 1.1)
        )
        assert at[even.below] == pytest.approx(at[even.above], abs=0.02)
        assert at[even.below] == pytest.approx(even.usd, abs=0.01)
        assert before[even.below] < before[even.above]
        assert after[even.below] > after[even.above]


def test_a_swing_is_what_the_decision_would_be_there() -> None:
    situation = settled(TUNE)
    verdict = decide(situation)
    found = {swing.fact: swing for swing in swings(situation, verdict)}
    there = decide(settled(TUNE | {"runs_gpus": True}))
    end = found["runs_gpus"].high
    assert (end.value, end.leads) == ("true", there.leading)
    assert end.share == share_of(there, verdict.leading)
    assert found["runs_gpus"].low.share == share_of(verdict, verdict.leading)
    assert found["runs_gpus"].flips(verdict.leading)
    score = found["baseline_score"]
    assert (score.low.value, score.high.value) == ("0.5", "0.7")
    assert score.high.share == share_of(
        decide(settled(TUNE | {"baseline_score": 0.7})), verdict.leading
    )
    order = [swing.flips(verdict.leading) for swing in found.values()]
    assert order == sorted(order, reverse=True)


def test_a_share_is_nothing_where_another_answer_leads() -> None:
    done = decide(settled(ASKED["done"]))
    assert share_of(done, "none") == 1.0
    assert share_of(done, "hosted") == next(
        entry.share for entry in done.ranked if entry.route.label == "hosted"
    )
    assert share_of(decide(settled(TUNE)), "none") == 0.0
    assert share_of(decide(settled(TUNE | {"privacy": "stays_inside"})), "hosted") == 0.0


def test_lifetimes_are_those_of_the_catalog() -> None:
    situation = settled(TUNE)
    found = lives(situation, decide(situation))
    by_name = {life.name: life for life in found}
    assert by_name["self_hosted: Qwen3 8B"].ends is None
    ruled_out = [life for life in found if life.ruled_out]
    assert ruled_out
    for life in ruled_out:
        assert life.ends is not None
        assert life.ends > TODAY
        assert str(life.ends) in life.says
    early = settle(Facts.parse(TUNE), None, CATALOG, date(2024, 6, 1))
    assert not any(life.ruled_out for life in lives(early, decide(early)))


def test_the_same_advice_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (written(tmp_path / name, BUSY)[1] for name in ("a.html", "b.html"))
    assert first == second


def test_what_is_ruled_out_ends_where_its_own_vendor_says() -> None:
    """Azure's deployments of tuned GPT-4.1 answer nine months longer than OpenAI's."""
    found = lives(settled(TUNE), decide(settled(TUNE)))
    ends = {life.name.split(":")[0]: life.ends for life in found if life.ruled_out}
    assert ends["openai"] == date(2027, 1, 14)
    assert (ends["azure"] or TODAY) >= date(2027, 10, 14)
