"""Rows for DPO and RFT: what is none is named with its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from ftctl.datasets.check import check
from ftctl.errors import Unsupported

ASKED = {"role": "user", "content": "Which colour?"}
GREEN, RED = ({"role": "assistant", "content": colour} for colour in ("Green.", "Red."))
PAIR = {
    "input": {"messages": [ASKED], "tools": [], "parallel_tool_calls": True},
    "preferred_output": [GREEN],
    "non_preferred_output": [RED],
}
TASK = {"messages": [ASKED], "answer": "Green.", "weights": [1, 2]}


def written(folder: Path, row: dict[str, Any]) -> Path:
    file = folder / "rows.jsonl"
    rows = [json.dumps(row | {"n": n} if "messages" in row else row) for n in range(12)]
    file.write_text("\n".join(rows) + "\n", "utf-8")
    return file


@pytest.mark.parametrize(("method", "row"), [("dpo", PAIR), ("rft", TASK)])
def test_rows_as_the_guides_write_them_pass(
    tmp_path: Path, method: str, row: dict[str, Any]
) -> None:
    report = check([written(tmp_path, row)], providers=["openai"], method=method)
    assert (report.ok, report.examples) == (True, 12)
    assert {issue.rule for issue in report.issues} <= {"few-examples", "rft-validation"}
    assert report.tokens.total_tokens > 0


@pytest.mark.parametrize(
    ("method", "row", "rule", "path"),
    [
        ("dpo", {"messages": [ASKED, GREEN]}, "unknown-key", "messages"),
        ("dpo", PAIR | {"input": {"messages": []}}, "missing-messages", "input.messages"),
        ("dpo", PAIR | {"preferred_output": GREEN}, "dpo-shape", "preferred_output"),
        (
            "dpo",
            PAIR | {"non_preferred_output": [ASKED]},
            "dpo-one-assistant",
            "non_preferred_output",
        ),
        ("rft", {"messages": [ASKED, GREEN]}, "rft-last-user", "messages[1].role"),
        ("rft", {"prompt": "Which colour?"}, "missing-messages", "messages"),
    ],
)
def test_a_row_that_is_none_says_where(
    tmp_path: Path, method: str, row: dict[str, Any], rule: str, path: str
) -> None:
    report = check([written(tmp_path, row)], providers=["openai"], method=method)
    assert not report.ok
    first = next(issue for issue in report.issues if issue.severity == "error")
    assert (first.rule, first.path, first.line) == (rule, path, 1)
    assert first.hint


def test_two_answers_that_are_one_teach_nothing(tmp_path: Path) -> None:
    same = written(tmp_path, PAIR | {"non_preferred_output": [GREEN]})
    report = check([same], providers=["openai"], method="dpo")
    assert report.ok
    assert "both answers are the same" in {issue.message for issue in report.issues}


def test_too_few_and_what_is_no_json_are_told_for_every_method(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(PAIR) + "\nnonsense\n", "utf-8")
    report = check([file], providers=["openai"], method="dpo")
    assert {issue.rule for issue in report.issues} == {"json", "min-examples"}


def test_a_method_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="for sft, dpo, rft they can"):
        check([written(tmp_path, PAIR)], method="ppo")
