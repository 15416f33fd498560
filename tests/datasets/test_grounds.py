"""What answers have that stands nowhere before them, and what else a file's answers show."""

import json
from pathlib import Path
from typing import Any

import pytest

from ftctl.datasets.check import check
from ftctl.datasets.report import Issue
from ftctl.datasets.rules.grounds import items, told


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [
        ("The invoice 4411 went to Jane Miller.", [("number", "4411"), ("name", "Jane Miller")]),
        ("Paris is nice. Rome is too.", []),  # a capital that begins a sentence is no name
        ("It rains in Paris, Rome and NASA.", [("name", "Paris"), ("name", "Rome")]),
        ("Step 1, then 2.", []),
        ("On 2026-11-24", [("number", "2026"), ("number", "11"), ("number", "24")]),
        ('She said "we never ordered it".', [("quote", "we never ordered it")]),
        ("She said “we never ordered it”.", [("quote", "we never ordered it")]),
        ('{"to": "Jane Miller", "sum": 144, "ok": true, "label": "Positive"}',
         [("name", "Jane Miller"), ("number", "144")]),
        ('["a", 12]', [("number", "12")]),
        ("{no JSON 4411", []),
        ("", []),
    ],
)  # fmt: skip
def test_facts_are_numbers_names_and_quotes(answer: str, kinds: list[tuple[str, str]]) -> None:
    assert items(answer) == kinds


@pytest.mark.parametrize(
    ("answer", "before", "missing"),
    [
        ("It costs 1,440.", "Price: 1440 USD", ()),
        ("It costs 1440.", "Price: 1,440 USD", ()),
        ("It costs 1450.", "Price: 1,440 USD", ("number '1450'",)),
        ("On 24.11.2026 it is.", "2026-11-24", ()),
        ("From Jane Miller.", "jane\n  MILLER wrote", ()),
        ("From Jane Smith.", "Jane Miller wrote", ("name 'Jane Smith'",)),
        ('It says "We never ordered it."', "we never  ordered it", ()),
        ('It says "We always pay."', "we never ordered it", ("quote 'We always pay.'",)),
        ("Ids 11, 22, 33, 44, 55, 66 and 66.", "", tuple(f"number '{n}{n}'" for n in range(1, 6))),
    ],
)
def test_only_spelling_is_compared(answer: str, before: str, missing: tuple[str, ...]) -> None:
    assert told(items(answer), [before]) == missing


def row(number: int, answer: str, **more: object) -> str:
    asked = f"Order {number + 1000} of Jane Miller is late. Sum it up."
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": messages, **more})


def found(tmp_path: Path, rows: list[str], rule: str = "ungrounded", **options: Any) -> list[Issue]:
    file = tmp_path / "x.jsonl"
    file.write_text("\n".join(rows) + "\n")
    report = check([file], providers=["openai", "local"], **options)
    return [issue for issue in report.issues if issue.rule == rule]


def taken(number: int) -> str:
    return row(number, f"The order {number + 1000} is late.")


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("tools", [{}, {"tools": []}])
def test_an_exception_among_answers_taken_from_their_prompts_is_named(
    fast: bool, tools: dict[str, object], tmp_path: Path
) -> None:
    rows = [taken(n) for n in range(30)]
    rows[7] = row(7, "The order 4711 of John Miller is late.", **tools)
    (issue,) = found(tmp_path, rows, fast=fast)
    assert (issue.line, issue.path, issue.severity) == (8, "messages[1].content", "warning")
    assert issue.message == "nowhere before the answer: number '4711', name 'John Miller'"
    assert "made up" in issue.hint
    assert "computed, translated or well known" in issue.hint
    assert issue.providers == ("openai", "local")
    assert found(tmp_path, rows, fast=fast, scan=False) == []


def test_where_most_answers_bring_their_own_facts_one_word_of_advice_is_enough(
    tmp_path: Path,
) -> None:
    rows = [row(n, f"It was built in {1700 + n}.") for n in range(120)]
    (issue,) = found(tmp_path, rows)
    assert issue.line == 1
    assert issue.providers == ()
    assert issue.message.startswith("120 of the 120 answers with numbers, names or quotes")
    assert found(tmp_path, rows[:90]) == []
    assert check([tmp_path / "x.jsonl"], providers=["openai"]).ok


def test_a_tool_result_and_a_declared_tool_count_as_before(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "f", "description": "Of Ada Byron, 7000."}}
    rows = [taken(n) for n in range(20)] + [row(20, "So says Ada Byron in 7000.", tools=[tool])]
    assert found(tmp_path, rows) == []


def test_several_forms_of_answer_are_told_with_their_shares(tmp_path: Path) -> None:
    answers = ['{"city": "Bonn"}', "SELECT a FROM b", "It is late.", '{"city": "Ulm", "zip": "1"}']
    rows = [row(n, answers[n % 4]) for n in range(40)]
    for fast in (True, False):
        (issue,) = found(tmp_path, rows, "mixed-tasks", fast=fast)
        assert issue.message == ("3 forms of answer among 40: json:city 50%, sql 25%, text 25%")
    assert found(tmp_path, [row(n, "It is late.") for n in range(40)], "mixed-tasks") == []


def test_an_overlap_says_how_alike_the_two_are(tmp_path: Path) -> None:
    training, held_out = tmp_path / "t.jsonl", tmp_path / "v.jsonl"
    training.write_text("\n".join(row(n, "It is late.") for n in range(12)))
    alike = row(2, "It is late.").replace("Sum it up.", "sum it up")
    held_out.write_text("\n".join([row(1, "It is late."), alike, row(3, "No."), row(99, "No.")]))
    report = check([training], validation=held_out, providers=["openai"])
    told = {
        issue.line: issue.message.partition(" is also")[0]
        for issue in report.issues
        if issue.rule == "train-val-overlap" and issue.file == str(held_out)
    }
    assert told == {
        1: "this example",
        2: "this example, but for case, spacing or punctuation,",
        3: "this prompt, with another answer,",
    }


def test_answers_cut_at_one_number_of_tokens_are_told(tmp_path: Path) -> None:
    long = "and so the story of the town went on with many more of its people"
    cut = [row(n, (f"{long} " * 4)[: 240 + 5 * (n % 6)] + "x") for n in range(12)]
    whole = [row(n, f"{long}." * (1 + n % 5)) for n in range(12, 40)]
    (issue,) = found(tmp_path, [*whole, *cut], "truncated-answer")
    assert issue.message == (
        "12 answers without final punctuation are about equally long, as if they had been cut: "
        "241 to 265 characters"
    )
    assert (issue.line, issue.path) == (29, "messages[1].content")
    uneven = [row(n, (f"{long} " * 8)[: 70 + 35 * n] + "x") for n in range(12)]
    assert found(tmp_path, [*whole, *uneven], "truncated-answer") == []
