"""What the real tools exported, recorded by `tests/tool_sessions.py`, comes back as our rows."""

import json
from pathlib import Path
from typing import Any

import pytest
from tool_sessions import ANSWERS, EXPORTS, PAIRS, ROWS, SIDES

from ftctl.datasets.check import check
from ftctl.datasets.curation.importing import Imported, Wish, import_rows
from ftctl.datasets.curation.tools import recognise
from ftctl.datasets.curation.types import Hints
from ftctl.datasets.curation.view import row_id, view

IDS = [row_id(row) for row in ROWS]


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def imported(export: Path, folder: Path, wish: Wish | None = None) -> tuple[Imported, Any, Any]:
    """The report, the rows and the sidecar."""
    done = import_rows(export, folder / "rows.jsonl", wish)
    return done, rows_of(Path(done.out)), rows_of(Path(done.annotations))


def with_answer(row: int, answer: str) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(ROWS[row]))
    changed["messages"][-1]["content"] = answer
    return changed


@pytest.mark.parametrize(
    ("export", "tool"),
    [
        ("argilla/to_disk", "argilla"),
        ("argilla/to_disk/records.json", "argilla"),
        ("argilla/flat.json", "argilla"),
        ("lilac/rows", "lilac"),
        ("pigeonxt/answer.csv", "pigeonxt"),
        ("pigeonxt/quality.csv", "pigeonxt"),
        ("pigeonxt/quality.json", "pigeonxt"),
        ("pigeonxt/topics.jsonl", "pigeonxt"),
        ("label_studio/tasks.json", "label-studio"),
        ("label_studio/min.json", "label-studio"),
        ("label_studio/kinds/min.json", "label-studio"),
    ],
)
def test_every_export_is_recognised(export: str, tool: str) -> None:
    assert recognise(EXPORTS / export) == tool


@pytest.mark.parametrize("export", ["argilla/flat.json", "label_studio/tasks.json"])
def test_rows_come_back_with_the_answers_that_people_agree_on(export: str, tmp_path: Path) -> None:
    done, rows, side = imported(EXPORTS / export, tmp_path)
    assert rows == [ROWS[0], with_answer(2, "password"), with_answer(4, "NA")]
    assert done.reasons == {
        "2 people gave 2 different answers": 1,
        "it was discarded": 1,
        "nobody has answered": 1,
    }
    assert [one.id for one in done.left_out] == [IDS[1], f"{IDS[3]}-2", IDS[5]]
    said = [line for line in side if line["kind"] == "response"]
    assert {line["status"] for line in said} >= {"submitted", "discarded"}
    assert len({line["annotator"] for line in said}) == 2
    kept = {line["row"] for line in side if line["id"] == IDS[2]}
    assert kept == {row_id(with_answer(2, "password"))}
    assert {line["row"] for line in side if line["id"] == IDS[1]} == {None}


def test_the_rows_that_come_back_are_valid(tmp_path: Path) -> None:
    done, _, _ = imported(EXPORTS / "argilla/flat.json", tmp_path)
    report = check([Path(done.out)], providers=["local"])
    assert {issue.rule for issue in report.issues if issue.severity == "error"} == set()


def test_who_said_what_with_which_status(tmp_path: Path) -> None:
    _, _, side = imported(EXPORTS / "argilla/flat.json", tmp_path)
    told = [(one["value"], one["status"]) for one in side if one["id"] == IDS[2]][:2]
    assert told == [("password", "submitted"), ("pass", "draft")]
    discarded = [one for one in side if one["id"] == f"{IDS[3]}-2" and one["kind"] == "response"]
    assert [one["status"] for one in discarded] == ["discarded"]
    suggested = [one for one in side if one["kind"] == "suggestion"]
    assert {one["annotator"] for one in suggested} == {"ftctl"}


def test_the_form_without_status_is_warned_of_and_decides_differently(tmp_path: Path) -> None:
    done, rows, side = imported(EXPORTS / "argilla/to_disk", tmp_path)
    assert "8 responses don't say whether they were submitted" in done.warnings[0]
    assert {one["status"] for one in side if one["kind"] == "response"} == {"unknown"}
    assert rows == [ROWS[0], ROWS[3], with_answer(4, "NA")]  # the discarded one looks submitted
    metadata = [one["value"] for one in side if one["kind"] == "metadata"]
    assert metadata == [{"ticket": "T-1"}]


def test_the_earliest_answer_wins_where_that_is_asked_for(tmp_path: Path) -> None:
    wish = Wish(disagree="first")
    done, rows, _ = imported(EXPORTS / "label_studio/tasks.json", tmp_path, wish)
    assert rows[1] == with_answer(1, "bug")
    assert done.disputed == 1
    assert "people disagree on items: 1; --disagree first" in done.warnings[0]


def test_json_min_has_lost_what_was_cancelled(tmp_path: Path) -> None:
    done, rows, side = imported(EXPORTS / "label_studio/min.json", tmp_path)
    assert done.items == 5  # of six: one task had nothing but a cancelled annotation
    assert rows == [ROWS[0], with_answer(2, "password"), with_answer(4, "NA")]
    assert {one["annotator"] for one in side} == {"1", "2"}
    assert all(one["time"].startswith("2026-11-0") for one in side)


def test_lilac_labels_are_joined_by_row_id(tmp_path: Path) -> None:
    wish = Wish(hints=Hints(annotator="me"))
    done, rows, side = imported(EXPORTS / "lilac/rows", tmp_path, wish)
    assert rows == [ROWS[0], ROWS[1], ROWS[2]]
    labels: dict[str, set[str | None]] = {}
    for one in side:
        labels.setdefault(one["id"], set()).add(one["value"])
    wanted = {IDS[0]: {"good"}, IDS[1]: {"bad"}, IDS[2]: {"good", "rude"}, f"{IDS[3]}-2": {None}}
    assert labels == wanted
    assert {one["annotator"] for one in side} == {"me"}
    assert all(one["time"] for one in side)
    assert done.reasons == {"nobody has answered": 2, "it was discarded": 1}


def test_only_rows_with_a_label_are_kept(tmp_path: Path) -> None:
    done, rows, _ = imported(EXPORTS / "lilac/rows", tmp_path, Wish(only={"label": "good"}))
    assert rows == [ROWS[0], ROWS[2]]
    assert done.reasons["label isn't good"] == 1


def test_a_label_becomes_the_answer_where_that_is_asked_for(tmp_path: Path) -> None:
    _, rows, _ = imported(EXPORTS / "lilac/rows", tmp_path, Wish(hints=Hints(answer="label")))
    assert [row["messages"][-1]["content"] for row in rows] == ["good", "bad", "good, rude"]


def test_rows_that_nobody_labelled_are_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    _, rows, _ = imported(EXPORTS / "lilac/rows", tmp_path, Wish(keep_unlabelled=True))
    assert rows == [ROWS[0], ROWS[1], ROWS[2], ROWS[4], ROWS[5]]


def test_only_rows_that_were_submitted_count_in_a_frame(tmp_path: Path) -> None:
    done, rows, side = imported(EXPORTS / "pigeonxt/answer.csv", tmp_path)
    assert rows == [ROWS[0], with_answer(2, "password"), with_answer(4, "NA")]
    assert [one["value"] for one in side] == ["billing", "password", "NA"]
    assert done.reasons == {"nobody has answered": 3}


@pytest.mark.parametrize("name", ["quality.csv", "quality.json", "quality.records.json"])
def test_a_frame_is_the_same_however_pandas_wrote_it(name: str, tmp_path: Path) -> None:
    _, rows, side = imported(EXPORTS / "pigeonxt" / name, tmp_path)
    assert rows == [ROWS[0], ROWS[1]]
    assert [(one["id"], one["value"]) for one in side] == [(IDS[0], "good"), (IDS[1], "bad")]


@pytest.mark.parametrize("name", ["topics.csv", "topics.jsonl"])
def test_several_labels_are_the_columns_that_are_true(name: str, tmp_path: Path) -> None:
    _, _, side = imported(EXPORTS / "pigeonxt" / name, tmp_path)
    assert [one["value"] for one in side] == [["urgent"], [], ["urgent", "rude"]]


def test_a_frame_in_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    frame = rows_of(EXPORTS / "pigeonxt" / "topics.jsonl")
    pq.write_table(pa.Table.from_pylist(frame), tmp_path / "topics.parquet")
    assert recognise(tmp_path / "topics.parquet") == "pigeonxt"
    _, rows, side = imported(tmp_path / "topics.parquet", tmp_path)
    assert rows == list(ROWS[:3])
    assert [one["value"] for one in side] == [["urgent"], [], ["urgent", "rude"]]


@pytest.mark.parametrize(
    "export",
    [
        "argilla/pairs/flat.json",
        "argilla/pairs/to_disk",
        "label_studio/pairs/tasks.json",
        "label_studio/pairs/min.json",
    ],
)
def test_pairs_come_back_with_the_side_that_was_chosen(export: str, tmp_path: Path) -> None:
    _, rows, side = imported(EXPORTS / export, tmp_path)
    assert [line["id"] for line in side if line["kind"] == "response"] == list(map(row_id, PAIRS))
    for row, pair, chosen in zip(rows, PAIRS, SIDES, strict=True):
        better = view(pair).texts[chosen]
        assert row["preferred_output"] == [{"role": "assistant", "content": better}]
        (worse,) = set(ANSWERS) - {better}
        assert row["non_preferred_output"][0]["content"] == worse
        assert row["input"] == pair["input"]


KINDS = {
    "intent": ["refund", "refund, delay"],
    "reply": ["We pay it back.", "Sorry.\nIt comes soon."],
    "stars": ["4"],
    "minutes": ["3"],
    "area": ["shop > cart"],
    "talk": ["Good day."],
}


@pytest.mark.parametrize("form", ["tasks", "min"])
@pytest.mark.parametrize("question", KINDS)
def test_every_kind_of_control_gives_an_answer(question: str, form: str, tmp_path: Path) -> None:
    wish = Wish(hints=Hints(answer=question))
    _, rows, _ = imported(EXPORTS / "label_studio/kinds" / f"{form}.json", tmp_path, wish)
    assert [row["messages"][-1]["content"] for row in rows] == KINDS[question]
    assert rows[0]["messages"][0] == {"role": "user", "content": "Where is my money?"}


@pytest.mark.parametrize("form", ["tasks", "min"])
def test_a_comparison_gives_a_pair(form: str, tmp_path: Path) -> None:
    wish = Wish(hints=Hints(answer="better"), pair=("answer_a", "answer_b"))
    _, rows, _ = imported(EXPORTS / "label_studio/kinds" / f"{form}.json", tmp_path, wish)
    assert rows == [
        {
            "input": {"messages": [{"role": "user", "content": asked}]},
            "preferred_output": [{"role": "assistant", "content": f"{asked} {better}"}],
            "non_preferred_output": [{"role": "assistant", "content": f"{asked} {worse}"}],
        }
        for asked, better, worse in (
            ("Where is my money?", "B", "A"),
            ("Where is my parcel?", "A", "B"),
        )
    ]


@pytest.mark.parametrize("form", ["tasks", "min"])
def test_a_ranking_gives_its_first_over_its_last(form: str, tmp_path: Path) -> None:
    wish = Wish(hints=Hints(answer="order"))
    _, rows, _ = imported(EXPORTS / "label_studio/kinds" / f"{form}.json", tmp_path, wish)
    (row,) = rows
    assert row["preferred_output"][0]["content"] == "Where is my money? two"
    assert row["non_preferred_output"][0]["content"] == "Where is my money? one"


def test_the_same_export_gives_the_same_bytes(tmp_path: Path) -> None:
    first = import_rows(EXPORTS / "argilla/flat.json", tmp_path / "rows.jsonl")
    again = import_rows(EXPORTS / "argilla/flat.json", tmp_path / "rows.jsonl")
    assert first == again


def test_a_record_that_people_added_is_one_of_theirs(tmp_path: Path) -> None:
    records = json.loads((EXPORTS / "argilla/flat.json").read_text())[:1]
    added = {"id": "new", "prompt": "Where?", "answer.responses": ["shop"]}
    (tmp_path / "e.json").write_text(json.dumps([*records, added]))
    _, rows, side = imported(tmp_path / "e.json", tmp_path)
    assert [row["messages"][-1]["content"] for row in rows] == ["billing", "shop"]
    assert side[-1] | {"row": row_id(rows[1])} == side[-1]


def test_a_draft_in_label_studio_is_kept_and_decides_nothing(tmp_path: Path) -> None:
    tasks = json.loads((EXPORTS / "label_studio/tasks.json").read_text())[5:]
    result = {"from_name": "answer", "type": "textarea", "value": {"text": ["no"]}}
    relation = {"type": "relation", "from_id": "a", "to_id": "b"}
    tasks[0]["drafts"] = [{"user": "ann@example.com", "result": [result, relation]}]
    (tmp_path / "e.json").write_text(json.dumps(tasks))
    done, rows, side = imported(tmp_path / "e.json", tmp_path)
    assert (rows, done.reasons) == ([], {"it has only drafts": 1})
    (line,) = side
    assert (line["annotator"], line["status"], line["value"]) == ("ann@example.com", "draft", "no")


@pytest.mark.parametrize(
    ("header", "cells", "answer", "wanted"),
    [
        ("text,sentiment,changed", "Hi,good,TRUE", "sentiment", "good"),
        ("example,changed,label", "Hi,true,7", "", "7"),
        ("example,changed,mood", "Hi,True,fine", "", "fine"),
    ],
)
def test_a_frame_with_columns_of_its_own(
    header: str, cells: str, answer: str, wanted: str, tmp_path: Path
) -> None:
    (tmp_path / "frame.csv").write_text(f"{header}\n{cells}\n")
    wish = Wish(source="pigeonxt", hints=Hints(answer=answer))
    _, rows, _ = imported(tmp_path / "frame.csv", tmp_path, wish)
    assert [m["content"] for m in rows[0]["messages"]] == ["Hi", wanted]
