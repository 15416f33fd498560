"""A split by task: each row in one file, rows of one form together, nothing lost."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftctl.datasets.split import split_by_task
from ftctl.errors import DataInvalid, UsageError

ANSWERS = {
    "json:city,country": '{"city": "Oslo", "country": "Norway"}',
    "json:age,name": '{"name": "Ida", "age": 9}',
    "sql": "select name from people",
    "text": "a short answer",
}


def row(number: int, answer: str | None) -> str:
    called = {"tool_calls": [{"id": "1", "type": "function", "function": {"name": "f"}}]}
    said = {"content": answer} if answer is not None else called
    messages = [{"role": "user", "content": f"q {number}"}, {"role": "assistant", **said}]
    return json.dumps({"messages": messages})


def written(folder: Path, answers: list[str | None]) -> Path:
    path = folder / "all.jsonl"
    path.write_text("".join(f"{row(i, answer)}\n" for i, answer in enumerate(answers)), "utf-8")
    return path


def test_each_task_gets_a_file_named_after_it(tmp_path: Path) -> None:
    file = written(tmp_path, [*ANSWERS.values()] * 5 + [None] * 7)
    found = split_by_task(file)
    assert found.rows == {"tool-call": 7, **dict.fromkeys(ANSWERS, 5)}
    assert {path.name for path in found.files.values()} == {
        "all.task-json-city-country.jsonl",
        "all.task-json-age-name.jsonl",
        "all.task-sql.jsonl",
        "all.task-text.jsonl",
        "all.task-tool-call.jsonl",
    }
    for line in found.files["sql"].read_text("utf-8").splitlines():
        assert json.loads(line)["messages"][1]["content"] == ANSWERS["sql"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tasks")


@settings(max_examples=40, deadline=None)
@given(
    answers=st.lists(st.sampled_from([*ANSWERS.values(), None, "[1]", "long " * 90]), min_size=1)
)
def test_every_row_is_in_one_file_in_its_order(answers: list[str | None], folder: Path) -> None:
    file = written(folder, answers)
    if len({answer and answer[:3] for answer in answers}) == 1:
        with pytest.raises(DataInvalid, match="one form"):
            split_by_task(file)
        return
    found = split_by_task(file, out_dir=folder, force=True)
    parts = [path.read_text("utf-8").splitlines() for path in found.files.values()]
    lines = file.read_text("utf-8").splitlines()
    assert Counter(line for part in parts for line in part) == Counter(lines)
    assert all(part == sorted(part, key=lines.index) for part in parts)
    assert list(found.rows.values()) == [len(part) for part in parts]
    assert len(parts) == len(set(found.files.values())) > 1


def test_forms_with_hardly_a_row_go_together(tmp_path: Path) -> None:
    answers = [ANSWERS["text"]] * 60 + [ANSWERS["sql"]] * 60 + ["[1]", '{"x": 1}', '{"y": 1}']
    assert split_by_task(written(tmp_path, [*answers])).rows == {"text": 60, "sql": 60, "other": 3}


def test_names_that_look_alike_stay_apart(tmp_path: Path) -> None:
    answers: list[str | None] = ['{"a b": 1}', '{"a-b": 1}', '{"é": 1}', '{"../x": 1}'] * 4
    found = split_by_task(written(tmp_path, answers))
    assert len({path.name for path in found.files.values()}) == 4
    assert {path.parent for path in found.files.values()} == {tmp_path}


def test_one_task_is_nothing_to_split(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match="the 5 answers have one form"):
        split_by_task(written(tmp_path, ["yes"] * 5))


def test_other_files_are_never_replaced_unless_told(tmp_path: Path) -> None:
    file = written(tmp_path, [*ANSWERS.values()] * 3)
    split_by_task(file)
    file = written(tmp_path, [*ANSWERS.values()] * 4)
    with pytest.raises(UsageError, match="holds something else"):
        split_by_task(file)
    assert split_by_task(file, force=True).rows["sql"] == 4
