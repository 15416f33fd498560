"""Dataset features: each number on data whose answer is known."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ftctl.datasets import features
from ftctl.datasets.fast import processes
from ftctl.datasets.features import SAMPLE, measure
from ftctl.datasets.read import Line, read_range
from ftctl.datasets.rules.json_text import Parsed, parse_line
from ftctl.errors import DataInvalid

SYSTEM = {"role": "system", "content": "s" * 400}


def written(folder: Path, *rows: list[dict[str, object]]) -> Path:
    path = folder / "x.jsonl"
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows), "utf-8")
    return path


def pair(question: str, answer: str) -> list[dict[str, object]]:
    return [
        {**SYSTEM},
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
    ]


def test_sizes_and_shared_prefix(tmp_path: Path) -> None:
    rows = [pair("a" * 100, "b" * 40), pair("c" * 100, "d" * 80), pair("C" * 100, "d" * 80)]
    found = measure(written(tmp_path, *rows))
    assert (found.rows, found.effective_rows) == (3, 2)
    assert found.mean_input_tokens == 125
    assert found.mean_output_tokens == pytest.approx((10 + 20 + 20) / 3)
    assert found.p95_output_tokens == 20
    assert 100 <= found.shared_prefix_tokens <= 105
    assert found.distinct_system_prompts == 1
    assert found.turns_mean == 1


def test_a_closed_set_of_labels(tmp_path: Path) -> None:
    rows = [pair(f"q{i}", "yes" if i % 4 else "no") for i in range(40)]
    found = measure(written(tmp_path, *rows))
    assert (found.label_count, found.majority_share) == (2, 0.75)
    free = measure(written(tmp_path, *[pair(f"q{i}", f"answer {i}") for i in range(40)]))
    assert (free.label_count, free.majority_share) == (None, None)


def test_output_families_count_shapes_in_effect(tmp_path: Path) -> None:
    same = [pair(f"q{i}", json.dumps({"a": i})) for i in range(20)]
    assert measure(written(tmp_path, *same)).output_families == 1
    sql = [pair(f"s{i}", "select x from t limit " + "1" * (i + 1)) for i in range(20)]
    assert measure(written(tmp_path, *same, *sql)).output_families == pytest.approx(2)
    rare = measure(written(tmp_path, *same, *sql[:1])).output_families
    assert 1 < rare < 1.5


def test_private_things_are_counted_and_bad_lines_left_out(tmp_path: Path) -> None:
    file = written(tmp_path, pair("I am bob@example.org", "AKIAIOSFODNN7EXAMPLE"))
    with file.open("a") as out:
        out.write("\nnot json\n")
    found = measure(file)
    assert (found.rows, found.unreadable_rows) == (1, 1)
    assert (found.pii_hits, found.secret_hits) == (1, 1)


def test_a_file_without_examples_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text("{}\n")
    with pytest.raises(DataInvalid, match="no line is a chat example"):
        measure(file)


@pytest.mark.medium
def test_all_rows_are_read_once_and_only_some_taken_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work, not time: what is more than checking is bounded, however long the file."""
    rows = [pair(f"question {i}", f"answer number {i}") for i in range(2 * SAMPLE)]
    file = written(tmp_path, *rows, *rows)
    taken_apart = list[bytes]()
    read = list[tuple[int, int]]()

    def parse(line: bytes) -> Parsed:
        taken_apart.append(line)
        return parse_line(line)

    def ranged(path: Path, start: int, end: int) -> Iterator[bytes | Line]:
        read.append((start, end))
        return read_range(path, start, end)

    monkeypatch.setattr(features, "parse_line", parse)
    monkeypatch.setattr(features, "read_range", ranged)
    found = measure(file)
    assert (found.rows, found.effective_rows) == (4 * SAMPLE, 2 * SAMPLE)
    assert len(taken_apart) == SAMPLE
    assert (read[0][0], read[-1][1]) == (0, file.stat().st_size)
    assert all(one[1] == other[0] for one, other in itertools.pairwise(read))


@pytest.mark.medium
def test_order_and_copies_change_no_measure(tmp_path: Path) -> None:
    rows = [pair(f"q{i}" * (i % 7 + 1), f"a{i}" * (i % 5 + 1)) for i in range(2 * SAMPLE + 300)]
    once = measure(written(tmp_path, *rows))
    turned = measure(written(tmp_path, *rows[::-1]))
    twice = measure(written(tmp_path, *rows, *rows))
    assert turned == once
    assert twice.model_copy(update={"rows": once.rows}) == once


@pytest.mark.medium
def test_several_processes_measure_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [pair(f"q{i}" * 40, f"a{i}" * 30) for i in range(SAMPLE + 500)]
    file = written(tmp_path, *rows)
    here = measure(file)
    monkeypatch.setattr(processes, "MIN_BYTES", 0)
    monkeypatch.setattr(processes, "cores", lambda: 2)
    assert measure(file) == here
