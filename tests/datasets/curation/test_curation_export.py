"""Rows as tools read them: the row itself and its id are in every record, whatever is shown."""

import csv
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tool_sessions import EXPORTS, ROWS, exported_rows

from ftctl.datasets.curation.ask import Ask, read_ask
from ftctl.datasets.curation.exporting import export_rows
from ftctl.datasets.curation.importing import Wish, import_rows
from ftctl.datasets.curation.tools import ASKING
from ftctl.datasets.curation.view import answered, better_is_left, preferring, row_id, view
from ftctl.errors import DataInvalid, UsageError

PAIR: dict[str, object] = {
    "input": {"messages": [{"role": "user", "content": "Hi"}]},
    "preferred_output": [{"role": "assistant", "content": "Hello"}],
    "non_preferred_output": [{"role": "assistant", "content": "What"}],
}


def records_of(tool: str, out: Path) -> list[dict[str, object]]:
    """What stands in each record of an export."""
    if tool == "argilla":
        records = json.loads((out / "records.json").read_text())
        return [{"ftctl_id": one["id"], **one["fields"]} for one in records]
    if tool == "label-studio":
        return [task["data"] for task in json.loads(out.read_text())]
    if tool == "pigeonxt":
        with out.open(newline="") as file:
            return [dict(row) for row in csv.DictReader(file)]
    found: list[dict[str, object]] = pq.read_table(out).to_pylist()
    return found


@pytest.mark.parametrize("tool", ASKING)
def test_every_record_carries_the_row_and_an_id_of_its_own(tool: str, tmp_path: Path) -> None:
    out, ids = exported_rows(tool, tmp_path)
    records = records_of(tool, out)
    assert [record["ftctl_id"] for record in records] == ids
    assert [json.loads(str(record["ftctl_row"])) for record in records] == list(ROWS)
    assert len(set(ids)) == len(ids)


def test_what_is_written_for_argilla_has_the_keys_that_argilla_writes(tmp_path: Path) -> None:
    out, _ = exported_rows("argilla", tmp_path)
    for name in (".argilla/dataset.json", ".argilla/settings.json", "records.json"):
        ours, theirs = (
            json.loads((folder / name).read_text())
            for folder in (out, EXPORTS / "argilla" / "to_disk")
        )
        assert shape(ours) == shape(theirs)


def shape(value: object) -> object:
    """The keys of the objects that files of settings and records consist of."""
    if isinstance(value, list):
        return sorted({str(shape(one)) for one in value})
    if isinstance(value, dict):
        deep = ("questions", "fields") if "questions" in value else ()
        return {key: shape(value[key]) if key in deep else None for key in sorted(value)}
    return None


def test_label_studios_interface_names_what_the_tasks_hold(tmp_path: Path) -> None:
    out, _ = exported_rows("label-studio", tmp_path)
    root = ET.fromstring(out.with_name("tasks.config.xml").read_text())  # noqa: S314 - our own
    shown = {tag.attrib["value"] for tag in root.iter("Text")}
    assert shown == {"$prompt", "$response"}
    assert [tag.attrib["name"] for tag in root.iter("TextArea")] == ["answer"]
    tasks = json.loads(out.read_text())
    suggested = tasks[0]["predictions"][0]["result"][0]
    assert (suggested["from_name"], suggested["value"]) == ("answer", {"text": ["billing"]})
    assert "predictions" not in tasks[5]  # that row says nothing yet


def test_a_choice_with_signs_of_xml(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(ROWS[0]))
    asked = (Ask("quality", ('"<good>"', "a & b")),)
    export_rows(file, tmp_path / "t.json", "label-studio", asked)
    root = ET.fromstring((tmp_path / "t.config.xml").read_text())  # noqa: S314 - our own
    assert [tag.attrib["value"] for tag in root.iter("Choice")] == ['"<good>"', "a & b"]


@pytest.mark.parametrize("tool", ASKING)
def test_a_file_in_the_way_is_kept(tool: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROWS[0]))
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        export_rows(tmp_path / "rows.jsonl", tmp_path / "out", tool)
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"prompt": "a"}], r"rows.jsonl:1: messages: it has no list of messages"),
        ([ROWS[0], {"messages": []}], r"rows.jsonl:2: messages"),
        ([ROWS[0], PAIR], "chat rows and pairs"),
        ([], "it has no rows"),
        ([{**PAIR, "preferred_output": "x"}], "preferred_output: it has no list"),
    ],
)
def test_rows_that_cant_be_shown_are_named(rows: list[object], said: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with pytest.raises(DataInvalid, match=said):
        export_rows(tmp_path / "rows.jsonl", tmp_path / "out", "argilla")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("tool", "asked", "said"),
    [
        ("langsmith", (), "nobody is asked anything in LangSmith"),
        ("pigeonxt", ("a=x,y", "b=x,y"), "one thing at a time"),
        ("lilac", ("why",), "Lilac puts labels on rows"),
        ("argilla", ("quality=good",), "there is no choice"),
        ("argilla", ("Quality",), "small letters"),
        ("argilla", ("prompt=a,b",), "what the text itself is called"),
    ],
)
def test_what_cant_be_asked_is_refused(
    tool: str, asked: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROWS[0]))
    with pytest.raises(UsageError, match=said):
        export_rows(tmp_path / "rows.jsonl", tmp_path / "o", tool, tuple(map(read_ask, asked)))


def test_pairs_come_round_with_the_side_that_a_person_chose(tmp_path: Path) -> None:
    other = {**PAIR, "input": {"messages": [{"role": "user", "content": "Hey"}]}}
    file = tmp_path / "pairs.jsonl"
    file.write_text(f"{json.dumps(PAIR)}\n{json.dumps(other)}\n")
    export_rows(file, tmp_path / "t.json", "label-studio")
    tasks = json.loads((tmp_path / "t.json").read_text())
    chosen = "left" if tasks[0]["data"]["left"] == "Hello" else "right"
    other_side = {"left": "right", "right": "left"}[chosen]
    for task, side in zip(tasks, (chosen, other_side), strict=True):
        result = {"from_name": "preference", "type": "pairwise", "value": {"selected": side}}
        task["annotations"] = [{"completed_by": 1, "result": [result]}]
    (tmp_path / "done.json").write_text(json.dumps(tasks))
    done = import_rows(tmp_path / "done.json", tmp_path / "rows.jsonl", Wish())
    first, second = map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())
    assert first == PAIR
    assert second["preferred_output"] == PAIR["non_preferred_output"]
    assert second["input"] == other["input"]
    assert done.question == "preference"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(asked=texts, better=texts, worse=texts)
def test_sides_give_nothing_away(asked: str, better: str, worse: str) -> None:
    pair: dict[str, object] = {
        "input": {"messages": [{"role": "user", "content": asked}]},
        "preferred_output": [{"role": "assistant", "content": better}],
        "non_preferred_output": [{"role": "assistant", "content": worse}],
    }
    shown = view(pair).texts
    turned = preferring(pair, left=not better_is_left(pair))
    assert preferring(pair, left=better_is_left(pair)) == pair
    assert turned["preferred_output"] == pair["non_preferred_output"]
    if better != worse:  # the texts stay on their sides, whichever is the better one
        assert view(turned).texts == shown


@given(before=texts, after=texts)
def test_an_answer_is_replaced_and_nothing_else(before: str, after: str) -> None:
    said = {"role": "assistant", "content": before, "weight": 1}
    row: dict[str, object] = {"messages": [{"role": "user", "content": "Hi"}, said], "tools": []}
    changed = answered(row, after)
    assert changed == {
        **row,
        "messages": [{"role": "user", "content": "Hi"}, {**said, "content": after}],
    }
    assert (row_id(changed) == row_id(row)) == (before == after)


def test_images_and_roles_are_told_in_words() -> None:
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    asked = [{"role": "system", "content": "Look."}, {"role": "user", "content": parts}]
    shown = view({"messages": [*asked, {"role": "assistant", "content": "A cat."}]}).texts
    seen = "What is it?\n[image: https://example.org/a.png]\n[image: in the row]"
    assert shown == {"prompt": f"[system]\nLook.\n\n[user]\n{seen}", "response": "A cat."}


def test_the_interface_in_the_way_is_kept(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROWS[0]))
    (tmp_path / "t.config.xml").write_text("mine")
    with pytest.raises(UsageError, match=r"t\.config\.xml exists already"):
        export_rows(tmp_path / "rows.jsonl", tmp_path / "t.json", "label-studio")
    assert (tmp_path / "t.config.xml").read_text() == "mine"
    assert not (tmp_path / "t.json").exists()


def test_a_call_stays_unless_a_person_writes_something_else() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    row: dict[str, object] = {"messages": [{"role": "user", "content": "Hi"}, said]}
    assert answered(row, view(row).texts["response"]) == row
    assert answered(row, "No.")["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "No."},
    ]


def test_a_text_with_a_bare_carriage_return_stays_in_its_cell(tmp_path: Path) -> None:
    file, out = tmp_path / "x.jsonl", tmp_path / "x.csv"
    messages = [{"role": "user", "content": "one\rtwo"}, {"role": "assistant", "content": "a\rb"}]
    file.write_text(json.dumps({"messages": messages}) + "\n")
    export_rows(file, out, "pigeonxt")
    with out.open(newline="", encoding="utf-8") as lines:
        (row,) = csv.DictReader(lines, strict=True)
    assert row["example"] == "[prompt]\none\rtwo\n\n[response]\na\rb"
    assert row["answer"] == "a\rb"
