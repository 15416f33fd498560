"""The paired difference: aligned by example, refused where it would compare apples with pears."""

from pathlib import Path

import pytest
from parrot import Parrot, chat_file

from ftctl.errors import StoreError, Unavailable, UsageError
from ftctl.evaluation.examples import ExampleFile
from ftctl.evaluation.graders import get_grader
from ftctl.evaluation.results import Evaluation, compare, report
from ftctl.evaluation.runner import evaluate
from ftctl.evaluation.statistics import paired_t, tango

N = 20


@pytest.fixture
def data(tmp_path: Path) -> ExampleFile:
    return chat_file(tmp_path, *((f"{i:02}", "x") for i in range(N)))


def scored(
    data: ExampleFile, folder: Path, name: str, right: range, grader: str = "exact"
) -> Evaluation:
    parrot = Parrot({f"{i:02}": "x" for i in right})
    target = parrot.target(name, f"{name}/{right}")
    return evaluate(target, data, get_grader(grader), out_dir=folder, batch_size=7)


def test_counts_difference_and_interval(data: ExampleFile, tmp_path: Path) -> None:
    tuned = scored(data, tmp_path, "tuned", range(4, 18))
    base = scored(data, tmp_path, "base", range(6))
    found = compare(tuned, base)
    assert (found.wins, found.losses, found.both_right, found.both_wrong) == (12, 4, 2, 2)
    assert found.difference == pytest.approx(0.4)
    assert found.interval == tango(12, 4, N)
    assert (found.excludes_zero, found.discordant, found.n) == (True, 16, N)
    assert found.n_needed is None


def test_turned_round_the_difference_changes_its_sign(data: ExampleFile, tmp_path: Path) -> None:
    one = scored(data, tmp_path, "one", range(12))
    two = scored(data, tmp_path, "two", range(9, 15))
    there, back = compare(one, two), compare(two, one)
    assert there.difference == -back.difference
    assert there.interval == pytest.approx((-back.interval.high, -back.interval.low))
    assert there.mid_p == back.mid_p


def test_four_wins_and_no_loss_are_too_few_pairs_to_tell(tmp_path: Path) -> None:
    data = chat_file(tmp_path, *((f"{i:02}", "x") for i in range(100)))
    better = scored(data, tmp_path, "better", range(100))
    worse = scored(data, tmp_path, "worse", range(96))
    found = compare(better, worse)
    assert found.interval.low > 0
    assert not found.excludes_zero
    assert found.n_needed == 150  # until six pairs differ, at four in a hundred


def test_a_model_compared_with_itself_differs_nowhere(data: ExampleFile, tmp_path: Path) -> None:
    model = scored(data, tmp_path, "model", range(10))
    found = compare(model, model)
    assert (found.difference, found.mid_p, found.excludes_zero) == (0, 1, False)
    assert found.n_needed is None


def test_missing_answers_count_as_failures(data: ExampleFile, tmp_path: Path) -> None:
    table: dict[str, str | Exception] = {f"{i:02}": "x" for i in range(N)}
    table["03"] = Unavailable("busy")
    partly = evaluate(Parrot(table).target(), data, get_grader("exact"), out_dir=tmp_path)
    found = compare(scored(data, tmp_path, "whole", range(N)), partly)
    assert (found.wins, found.losses, found.both_right) == (1, 0, N - 1)


def test_fractional_scores_are_compared_by_paired_t(tmp_path: Path) -> None:
    reference = '{"a": 1, "b": 2}'
    data = chat_file(tmp_path, *((str(i), reference) for i in range(8)))
    grader = get_grader("json-fields")
    whole = Parrot({str(i): reference for i in range(8)})
    half = Parrot({str(i): '{"a": 1}' if i else reference for i in range(8)})
    one = evaluate(whole.target("one", "1"), data, grader, out_dir=tmp_path)
    two = evaluate(half.target("two", "2"), data, grader, out_dir=tmp_path)
    found = compare(one, two)
    assert (found.method, found.mid_p) == ("paired_t", None)
    assert (found.wins, found.losses, found.both_right) == (7, 0, 1)
    assert found.difference == pytest.approx(7 / 16)
    assert found.interval == pytest.approx(paired_t([0.5] * 7 + [0.0]))


def test_other_data_or_another_grader_is_refused(data: ExampleFile, tmp_path: Path) -> None:
    model = scored(data, tmp_path, "model", range(10))
    other_grader = scored(data, tmp_path, "model", range(10), grader="normalised")
    other_data = scored(
        chat_file(tmp_path, ("1", "x"), name="other.jsonl"), tmp_path, "model", range(10)
    )
    with pytest.raises(UsageError, match="their grader differs"):
        compare(model, other_grader)
    with pytest.raises(UsageError, match="their data differs"):
        compare(model, other_data)
    with pytest.raises(UsageError, match="their data differs"):
        report([model], [other_data])


def test_rows_that_went_missing_are_no_smaller_comparison(
    data: ExampleFile, tmp_path: Path
) -> None:
    one = scored(data, tmp_path, "one", range(12))
    two = scored(data, tmp_path, "two", range(9))
    lines = two.answers.read_bytes().splitlines(keepends=True)
    two.answers.write_bytes(b"".join(lines[1:]))
    with pytest.raises(StoreError, match="19 answers of two where 20 were given"):
        compare(one, two)
    two.answers.unlink()
    with pytest.raises(StoreError, match="0 answers"):
        compare(one, two)


def test_the_document_has_the_keys_of_the_contract(data: ExampleFile, tmp_path: Path) -> None:
    one = scored(data, tmp_path, "one", range(12))
    two = scored(data, tmp_path, "two", range(9))
    document = report([one], [two], [compare(one, two)]).to_document()
    assert list(document) == [
        "schema", "data", "data_sha256", "grader", "n", "targets", "comparisons", "baselines",
    ]  # fmt: skip
    assert document["schema"] == "ftctl.eval/1"
    (target,) = document["targets"]
    assert {"name", "score", "interval", "n", "errors", "seconds", "answers"} <= target.keys()
    assert target["interval"] == list(one.interval)
    (comparison,) = document["comparisons"]
    assert {
        "candidate", "reference", "difference", "interval", "confidence", "wins", "losses", "n",
        "excludes_zero",
    } <= comparison.keys()  # fmt: skip
