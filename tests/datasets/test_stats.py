"""Statistics of a dataset: each number on data whose answer is known."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftctl.datasets.clusters import clusters
from ftctl.datasets.shapes import task_counts, tasks
from ftctl.datasets.stats import DataStats, stats
from ftctl.errors import DataInvalid

KEY = "sk-proj-Zq8Vt3Lw9Xr5Nb7Kd2Mf6Hj1Pc4Gy0Qa8Ts3Ue5"


def written(folder: Path, *rows: list[tuple[str, str]], extra: str = "") -> Path:
    path = folder / "x.jsonl"
    lines = [
        json.dumps({"messages": [{"role": role, "content": text} for role, text in row]})
        for row in rows
    ]
    path.write_text("\n".join(lines) + "\n" + extra, "utf-8")
    return path


def pair(question: str, answer: str) -> list[tuple[str, str]]:
    return [("user", question), ("assistant", answer)]


def said(found: DataStats, words: str) -> bool:
    return any(words in sentence for sentence in found.guidance)


def test_copies_are_told_apart_from_near_ones(tmp_path: Path) -> None:
    found = stats(
        written(tmp_path, pair("a", "b"), pair("a", "b"), pair("A.", "b"), pair("c", "d"))
    )
    assert (found.rows, found.copies.exact, found.copies.normalised) == (4, 1, 1)
    assert said(found, "say again")
    assert found.variety.different_prompts == 0.5


def test_turns_and_system_prompts_are_counted(tmp_path: Path) -> None:
    rows = [pair("a", "b"), [*pair("c", "d"), *pair("e", "f")], [("system", "s"), *pair("g", "h")]]
    found = stats(written(tmp_path, *rows))
    assert found.turns == {1: 2, 2: 1}
    assert (found.system_prompts, found.without_system) == (1, 2)


def test_token_bins_hold_every_row_once(tmp_path: Path) -> None:
    sizes = [5] * 50 + [400] * 49 + [90_000]
    found = stats(written(tmp_path, *(pair("a" * n, "b") for n in sizes))).tokens
    assert sum(bin.rows for bin in found.histogram) == 100
    assert found.histogram[0].rows == 50
    assert found.histogram[-1].high == found.longest > 22_000
    assert found.longest_line == 100
    assert all(
        a.high + 1 == b.low for a, b in zip(found.histogram, found.histogram[1:], strict=False)
    )
    assert not found.exact
    assert "bytes / 4" in found.says


def test_few_rows_and_many_rows_get_their_sentence(tmp_path: Path) -> None:
    few = stats(written(tmp_path, *(pair(f"q {i}", f"a {i}") for i in range(49))))
    assert said(few, "start with 50-100 good ones")
    enough = stats(written(tmp_path, *(pair(f"q {i}", f"a {i}") for i in range(50))))
    assert not said(enough, "start with")
    assert not said(enough, "before you pay")


@pytest.mark.medium
def test_over_ten_thousand_rows_a_pilot_is_advised(tmp_path: Path) -> None:
    rows = [pair(f"q {i}", f"a {i}") for i in range(10_001)]
    found = stats(written(tmp_path, *rows))
    assert said(found, "tune on 1,000 and on 5,000")
    assert found.variety.sampled_rows == 2_000


def test_labels_are_counted_and_imbalance_is_said(tmp_path: Path) -> None:
    rows = [pair(f"q {i}", "yes" if i < 58 else "no") for i in range(60)]
    found = stats(written(tmp_path, *rows))
    assert found.labels is not None
    assert [(label.name, label.rows) for label in found.labels.most] == [("yes", 58), ("no", 2)]
    assert said(found, "one label has 97%")


def test_what_must_not_leave_is_counted_by_kind_and_never_shown(tmp_path: Path) -> None:
    rows = [pair(f"mail jane.roe{i}@example.org", f"jane.roe@example.org {KEY}") for i in range(3)]
    found = stats(written(tmp_path, *rows))
    assert found.personal_data["e-mail"] == 6
    assert sum(found.secrets.values()) == 3
    assert said(found, "mask them")
    document = found.model_dump_json()
    assert "jane.roe" not in document
    assert KEY[8:] not in document


def test_lines_that_are_no_examples_are_counted_apart(tmp_path: Path) -> None:
    found = stats(written(tmp_path, pair("a", "b"), extra="{\n\n[]\n"))
    assert (found.rows, found.unreadable_rows) == (1, 2)
    assert said(found, "2 lines aren't")
    with pytest.raises(DataInvalid, match="no line is a chat example"):
        stats(written(tmp_path, extra="{"))


def test_different_word_runs_fall_where_texts_repeat(tmp_path: Path) -> None:
    same = stats(written(tmp_path, *(pair("one two three", f"{i}") for i in range(10))))
    assert same.variety.prompt_ngrams == {1: 0.1, 2: 0.1, 3: 0.1}
    assert same.variety.answer_ngrams[1] == 1.0


def test_unlike_forms_of_answer_are_tasks(tmp_path: Path) -> None:
    rows = [pair(f"q {i}", f"a {i}") for i in range(30)]
    rows += [pair(f"s {i}", "select a, b from t") for i in range(30)]
    found = stats(written(tmp_path, *rows))
    assert {task.name: task.rows for task in found.tasks} == {"text": 30, "sql": 30}
    assert said(found, "2 unlike forms")


def test_json_with_a_field_left_out_is_one_task_and_other_keys_another() -> None:
    counts = Counter({"json:a,b,c": 50, "json:a,b": 5, "json:x,y": 40})
    assert task_counts(counts) == {"json:a,b,c": 55, "json:x,y": 40}


def test_texts_are_one_task_unless_lengths_leave_a_gap() -> None:
    assert task_counts(Counter({"text-1": 10, "text-4": 50, "text-16": 40})) == {"text": 100}
    gap = Counter({"text-1": 500, "text-4": 3, "text-16": 4, "text-64": 500})
    assert task_counts(gap) == {"text-1": 507, "text-64": 500}


SHAPES = st.sampled_from(["sql", "code", "json:a,b", "json:b", "text-1", "text-4", "text-256"])


@given(counts=st.dictionaries(SHAPES, st.integers(1, 1000)))
def test_every_form_has_a_task_and_no_row_is_lost(counts: dict[str, int]) -> None:
    assert tasks(counts).keys() == counts.keys()
    assert sum(task_counts(counts).values()) == sum(counts.values())


def test_prompts_fall_into_groups_by_their_words() -> None:
    weather = [f"Will it rain tomorrow in town {town}?" for town in ("Ulm", "Bonn", "Trier")]
    assert clusters([*weather, "Translate this sentence into French.", "", "7"]) == [3, 1, 1, 1]
    assert clusters(["Same words here."] * 40) == [40]


def test_groups_and_what_to_do_about_one_of_them_are_said(tmp_path: Path) -> None:
    alike = [f"Summarise ticket number {n} for the support team" for n in range(60)]
    found = stats(written(tmp_path, *(pair(text, "It is late.") for text in alike)))
    assert (found.variety.prompt_groups, found.variety.largest_group) == (1, 1.0)
    assert said(found, "share most of their words")
    other = [f"word{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(60)]
    found = stats(written(tmp_path, *(pair(text, text) for text in other)))
    assert found.variety.prompt_groups > 45  # words that share a place by chance
    assert not said(found, "share most of their words")


def test_answers_that_are_all_the_same_are_no_labels_to_balance(tmp_path: Path) -> None:
    found = stats(written(tmp_path, *(pair(f"Is {n} a number?", "Yes.") for n in range(20))))
    assert said(found, "all answers are the same")
    assert not said(found, "one label has")
