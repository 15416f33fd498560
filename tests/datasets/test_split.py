"""A split is deterministic, disjoint, keeps copies together and loses nothing."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftctl.datasets.split import SplitResult, split
from ftctl.errors import DataInvalid, UsageError


def row(question: str, answer: str = "x") -> str:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": messages})


def written(folder: Path, lines: list[str], name: str = "all.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def parts(result: SplitResult) -> dict[str, list[str]]:
    return {name: file.read_text("utf-8").splitlines() for name, file in result.files.items()}


def question(line: str) -> str:
    text: str = json.loads(line)["messages"][0]["content"]
    return " ".join(text.casefold().rstrip("?! ").split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("split")


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 30), min_size=4, max_size=80),
    seed=st.integers(0, 5),
    decorations=st.lists(st.sampled_from(["q {}", "Q  {}", "q {}?", "q {} !"]), min_size=80),
)
def test_nothing_is_lost_and_no_prompt_is_on_two_sides(
    numbers: list[int], seed: int, decorations: list[str], folder: Path
) -> None:
    lines = [
        row(form.format(n), str(i))
        for i, (n, form) in enumerate(zip(numbers, decorations, strict=False))
    ]
    file = written(folder, lines)
    if len(set(numbers)) <= 2:
        with pytest.raises(DataInvalid, match="too few"):
            split(file, seed=seed, out_dir=folder, force=True)
        return
    result = split(file, seed=seed, out_dir=folder, force=True)
    found = parts(result)
    assert Counter(line for part in found.values() for line in part) == Counter(lines)
    prompts = [{question(line) for line in part} for part in found.values()]
    assert sum(map(len, prompts)) == len(set().union(*prompts)) == result.groups
    assert all(found.values())
    assert result.rows == {name: len(part) for name, part in found.items()}


def test_shares_come_out_exactly_where_prompts_differ(tmp_path: Path) -> None:
    file = written(tmp_path, [row(f"question {i}") for i in range(100)])
    assert split(file).rows == {"train": 80, "validation": 10, "test": 10}
    assert split(file, test=0, out_dir=tmp_path / "b").rows == {"train": 90, "validation": 10}


def test_the_same_seed_gives_the_same_split_whatever_the_order(tmp_path: Path) -> None:
    lines = [row(f"question {i}") for i in range(50)]
    one = parts(split(written(tmp_path, lines, "a.jsonl"), seed=3))
    other = parts(split(written(tmp_path, lines[::-1], "b.jsonl"), seed=3))
    assert {name: sorted(part) for name, part in one.items()} == {
        name: sorted(part) for name, part in other.items()
    }
    again = parts(split(tmp_path / "a.jsonl", seed=4, out_dir=tmp_path / "c"))
    assert one["test"] != again["test"]


def test_bytes_are_kept_and_line_ends_become_lf(tmp_path: Path) -> None:
    odd = (
        '{ "messages":[{"role":"user","content":"caf\\u00e9"},{"role":"assistant","content":"é"}]}'
    )
    lines = [odd, *(row(str(i)) for i in range(9))]
    file = tmp_path / "x.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, "", ""]).encode())
    data = b"".join(path.read_bytes() for path in split(file).files.values())
    assert sorted(data.decode().splitlines()) == sorted(lines)
    assert b"\r" not in data


def test_other_files_are_never_replaced_unless_told(tmp_path: Path) -> None:
    file = written(tmp_path, [row(f"question {i}") for i in range(30)])
    before = parts(split(file, seed=1))
    assert parts(split(file, seed=1)) == before
    with pytest.raises(UsageError, match="holds something else") as caught:
        split(file, seed=2)
    assert "--force" in caught.value.hint
    assert {p: f.read_text("utf-8").splitlines() for p, f in split(file, seed=1).files.items()} == (
        before
    )
    assert parts(split(file, seed=2, force=True)) != before
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("line", "said"), [("{", "not JSON"), ("[]", "object"), ('{"text": "a"}', "messages")]
)
def test_a_line_that_is_no_example_is_named(tmp_path: Path, line: str, said: str) -> None:
    file = written(tmp_path, [row("a"), row("b"), line, row("c")])
    with pytest.raises(DataInvalid, match=rf"all\.jsonl:3: .*{said}"):
        split(file)
    assert [path.name for path in tmp_path.glob("all.*")] == ["all.jsonl"]


@pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (-0.1, 0.1), (1.0, 0.0)])
def test_shares_that_make_no_sense_are_refused(
    tmp_path: Path, validation: float, test: float
) -> None:
    file = written(tmp_path, [row(str(i)) for i in range(10)])
    with pytest.raises(UsageError):
        split(file, validation=validation, test=test)
