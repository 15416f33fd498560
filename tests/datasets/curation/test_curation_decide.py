"""Who is right where people disagree: by a rule with a name."""

import json
from pathlib import Path

import pytest

from ftctl.datasets.curation.decide import Rule, decide
from ftctl.datasets.curation.importing import Wish, import_rows
from ftctl.datasets.curation.prefer import preferred
from ftctl.datasets.curation.types import Answer, FaultError, Hints, Status


def said(value: object, who: str, time: str = "", status: Status = "submitted") -> Answer:
    return Answer("q", value, annotator=who, time=time or None, status=status, sitting=who)


@pytest.mark.parametrize(
    ("rule", "answers", "value", "disputed"),
    [
        ("skip", [said("a", "1"), said("a", "2")], "a", False),
        ("skip", [said("a", "1"), said("b", "2")], None, True),
        ("skip", [said("a", "1"), said("b", "2", status="draft")], "a", False),
        ("skip", [said("a", "1"), said("b", "2", status="discarded")], "a", False),
        ("skip", [said("a", "1", status="unknown"), said("b", "2")], None, True),
        ("skip", [said("a", "1", status="draft")], None, False),
        ("majority", [said("a", "1"), said("b", "2"), said("b", "3")], "b", True),
        ("majority", [said("a", "1"), said("b", "2")], None, True),
        ("majority", [said({"x": 1, "y": 2}, "1"), said({"y": 2, "x": 1}, "2")], None, False),
        ("first", [said("b", "2", "2026-02"), said("a", "1", "2026-01")], "a", True),
        ("first", [said("b", "2"), said("a", "1", "2026-01")], "b", True),
        ("skip", [], None, False),
    ],
)
def test_the_rule_decides(rule: Rule, answers: list[Answer], value: object, disputed: bool) -> None:
    found = decide(answers, "q", rule)
    if value is None and not found.why:
        value = {"x": 1, "y": 2}  # objects are equal whatever the order of their keys
    assert (found.value, found.disputed) == (value, disputed)
    assert bool(found.why) == (value is None)


def test_what_one_person_says_at_once_belongs_together() -> None:
    several = [said("a", "1"), said("b", "1"), said("a", "2"), said("b", "2")]
    found = decide(several, "q", "skip")
    assert (found.value, found.disputed) == (["a", "b"], False)


def test_another_question_and_a_suggestion_decide_nothing() -> None:
    others = [Answer("p", "a", annotator="1"), Answer("q", "a", kind="suggestion")]
    assert decide(others, "q", "skip").unanswered


def test_a_dispute_is_never_kept_as_if_nobody_had_answered(tmp_path: Path) -> None:
    record = {
        "id": "1",
        "fields": {"prompt": "Hi", "response": "Hello"},
        "responses": {"good": [{"value": v, "user_id": v} for v in ("yes", "no")]},
    }
    (tmp_path / "e.json").write_text(json.dumps([record, {**record, "id": "2", "responses": {}}]))
    wish = Wish(keep_unlabelled=True, hints=Hints())
    done = import_rows(tmp_path / "e.json", tmp_path / "rows.jsonl", wish)
    assert [one.id for one in done.left_out] == ["1"]
    (row,) = map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())
    assert row["messages"][1]["content"] == "Hello"


def test_several_labels_of_a_row_of_ours_need_no_one_that_decides(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]}

    def record(name: str, **labels: list[str]) -> dict[str, object]:
        responses = {
            question: [{"value": value, "user_id": str(i)} for i, value in enumerate(values)]
            for question, values in labels.items()
        }
        fields = {"prompt": "Hi", "ftctl_row": json.dumps(row)}
        return {"id": name, "fields": fields, "responses": responses}

    records = [
        record("agreed", tone=["kind", "kind"], right=["yes"]),
        record("disputed", tone=["kind", "rude"], right=["yes"]),
        record("open"),
    ]
    (tmp_path / "e.json").write_text(json.dumps(records))
    done = import_rows(tmp_path / "e.json", tmp_path / "rows.jsonl")
    assert done.rows == 1
    assert {one.id: one.why for one in done.left_out} == {
        "disputed": "tone: 2 people gave 2 different answers",
        "open": "nobody has answered",
    }
    assert json.loads((tmp_path / "rows.jsonl").read_text()) == row


LISTED = [{"id": "c1", "body": "one"}, {"id": "c2", "title": "two"}]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("left", ("A", "B")),
        ({"selected": "right"}, ("B", "A")),
        ({"selected": "none"}, "none is better than another"),
        ({"ranker": {"rank": ["c2", "c1"]}}, ("two", "one")),
        ({"ranker": {"good": ["c2"], "bad": ["c1"]}}, "none is better than another"),
        ({"ranker": {"rank": ["c2"]}}, "none is better than another"),
        ({"ranker": {"rank": ["c2", "c9"]}}, "what was ranked isn't among the fields"),
        (["right", "left"], ("B", "A")),
        (["right", "other"], None),
        ("leftish", None),
        ({"choices": ["left"]}, None),
        (3, None),
    ],
)
def test_a_preference_is_one_only_where_it_is_clear(value: object, found: object) -> None:
    fields: dict[str, object] = {"left": "A", "right": "B", "listed": LISTED}
    assert preferred(fields, value, ("left", "right")) == found


def test_what_was_compared_has_to_be_known() -> None:
    with pytest.raises(FaultError, match="--pair"):
        preferred({"a": "A"}, {"selected": "left"}, ("left", "right"))
    assert preferred({"a": "A"}, "left", ("left", "right")) is None  # a label of that name
