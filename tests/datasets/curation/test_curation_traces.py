"""Langfuse, LangSmith and stored completions, in the shapes that their documentation shows."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from ftctl.datasets.curation.importing import import_rows
from ftctl.datasets.curation.tools import recognise

ASKED = {"role": "user", "content": "2+2?"}
SAID = {"role": "assistant", "content": "4"}
ROW = {"messages": [ASKED, SAID]}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}


def rows_of(records: list[dict[str, object]], folder: Path, tool: str) -> list[dict[str, Any]]:
    """The rows of these records, as a list and as lines."""
    listed, lines = folder / "listed.json", folder / "lines.jsonl"
    listed.write_text(json.dumps(records, indent=1))
    lines.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    found = []
    for file in (listed, lines):
        assert recognise(file) == tool
        done = import_rows(file, folder / f"{file.stem}.rows.jsonl")
        assert (done.source, done.rows) == (tool, len(records))
        found.append([json.loads(line) for line in Path(done.out).read_text().splitlines()])
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("2+2?", "4"),
        ([ASKED], SAID),
        ({"messages": [ASKED]}, {"content": "4", "role": "assistant"}),
        ({"question": "2+2?"}, {"answer": "4"}),
        ({"anything": "2+2?"}, {"choices": [{"index": 0, "message": SAID}]}),
    ],
)
def test_langfuse(given: object, said: object, tmp_path: Path) -> None:
    record = {"id": "i", "input": given, "expectedOutput": said, "sourceTraceId": "t"}
    assert rows_of([{**record, "metadata": {"k": 1}}], tmp_path, "langfuse") == [ROW]
    side = json.loads((tmp_path / "lines.rows.annotations.jsonl").read_text())
    assert (side["kind"], side["id"]) == ("metadata", "i")
    assert side["value"] == {"metadata": {"k": 1}, "sourceTraceId": "t"}


def test_langfuse_csv_holds_json_in_its_cells(tmp_path: Path) -> None:
    with (tmp_path / "items.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "input", "expectedOutput", "metadata", "sourceTraceId"])
        writer.writerow(["1", json.dumps({"messages": [ASKED]}), "4", "", ""])
        writer.writerow(["2", "{not JSON}", "4", "", ""])
    import_rows(tmp_path / "items.csv", tmp_path / "rows.jsonl")
    first, second = map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())
    assert first == ROW
    assert second["messages"][0]["content"] == "{not JSON}"


@pytest.mark.parametrize(
    "asked",
    [
        ASKED,
        {"type": "human", "content": "2+2?"},
        {"type": "human", "data": {"content": "2+2?", "additional_kwargs": {}}},
        {
            "lc": 1,
            "type": "constructor",
            "id": ["langchain", "schema", "messages", "HumanMessage"],
            "kwargs": {"content": "2+2?", "additional_kwargs": {}},
        },
        ["human", "2+2?"],
    ],
)
def test_langsmith_in_every_dialect_of_messages(asked: object, tmp_path: Path) -> None:
    for i, outputs in enumerate(
        (
            {"output": "4"},
            {"messages": [{"type": "ai", "content": "4"}]},
            {"generations": [[{"text": "4", "message": {"type": "ai", "content": "4"}}]]},
            {"choices": [{"message": SAID}]},
            {"role": "assistant", "content": "4"},
        )
    ):
        (tmp_path / str(i)).mkdir()
        record = {"id": "e", "inputs": {"messages": [asked]}, "outputs": outputs, "split": "base"}
        assert rows_of([record], tmp_path / str(i), "langsmith") == [ROW]


def test_langsmith_calls_come_in_openais_words(tmp_path: Path) -> None:
    bare = {"name": "add", "args": {"a": 2}, "id": "c1", "type": "tool_call"}
    said = {"type": "ai", "content": "", "tool_calls": [bare]}
    record = {"inputs": {"input": "2+2?"}, "outputs": {"output": said}}
    (row,) = rows_of([record], tmp_path, "langsmith")
    assert row["messages"][1]["tool_calls"] == [CALL]


def test_stored_completions_with_their_prompt_beside_or_on_pages(tmp_path: Path) -> None:
    completion: dict[str, object] = {
        "object": "chat.completion",
        "id": "chatcmpl-1",
        "created": 1738960610,
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": SAID, "finish_reason": "stop"}],
        "metadata": {"k": "v"},
    }
    second = {**completion, "id": "chatcmpl-2"}
    page = {"object": "list", "data": [{**ASKED, "id": "chatcmpl-2-0", "name": None}]}
    third = {"completion": {**completion, "id": "chatcmpl-3"}, "messages": {"data": [ASKED]}}
    file = tmp_path / "stored.jsonl"
    lines = [{**completion, "messages": [ASKED]}, second, page, third]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    done = import_rows(file, tmp_path / "rows.jsonl")
    assert done.source == "openai-completions"
    assert [json.loads(row) for row in (tmp_path / "rows.jsonl").read_text().splitlines()] == [
        ROW
    ] * 3
    side = [json.loads(one) for one in Path(done.annotations).read_text().splitlines()]
    assert [one["id"] for one in side] == ["chatcmpl-1", "chatcmpl-2", "chatcmpl-3"]
    assert side[0]["value"] == {"model": "gpt-4o", "metadata": {"k": "v"}, "finish_reason": "stop"}
    assert side[0]["time"] == "1738960610"


def test_what_a_row_cant_carry_is_counted(tmp_path: Path) -> None:
    completion = {
        "object": "chat.completion",
        "id": "c",
        "choices": [{"message": {**SAID, "refusal": None}}],
        "messages": [{**ASKED, "name": "ann", "content": [{"type": "text", "text": "2+2?"}]}],
        "tools": [{"type": "function", "function": {"name": "add", "odd": 1}}],
    }
    (tmp_path / "s.jsonl").write_text(json.dumps(completion))
    done = import_rows(tmp_path / "s.jsonl", tmp_path / "rows.jsonl")
    row = json.loads((tmp_path / "rows.jsonl").read_text())
    assert row["tools"][0]["function"]["name"] == "add"
    assert row["messages"][0]["name"] == "ann"
    assert list(done.dropped.values()) == [1]
