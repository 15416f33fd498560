"""Asking, keeping, grading again: nothing is asked twice, and nothing fails silently."""

import json
from pathlib import Path

import pytest
from parrot import Parrot, chat_file

from ftctl.errors import AuthError, DataInvalid, ProviderError, StoreError, Unavailable, UsageError
from ftctl.evaluation.graders import get_grader
from ftctl.evaluation.results import Evaluation, load_rows
from ftctl.evaluation.runner import Target, evaluate
from ftctl.evaluation.statistics import wilson

EXACT = get_grader("exact")
PAIRS = (("1", "one"), ("2", "two"), ("3", "three"), ("4", "four"))
RIGHT: dict[str, str | Exception] = dict(PAIRS)


def rows_of(evaluation: Evaluation) -> list[dict[str, object]]:
    return [json.loads(line) for line in evaluation.answers.read_bytes().splitlines()]


def test_scores_interval_and_answers_beside_them(tmp_path: Path) -> None:
    parrot, data, told = Parrot(RIGHT | {"3": "drei"}), chat_file(tmp_path, *PAIRS), []
    found = evaluate(
        parrot.target(),
        data,
        EXACT,
        out_dir=tmp_path / "out",
        batch_size=3,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert (found.score, found.n, found.errors) == (0.75, 4, 0)
    assert (found.interval, found.method) == (wilson(3, 4), "wilson")
    assert (found.data_sha256, found.grader) == (data.sha256, "exact")
    assert told == [(0, 4), (3, 4), (4, 4)]
    by_line = {row.line: row for row in load_rows(found).values()}
    assert (by_line[3].answer, by_line[3].reference, by_line[3].score) == ("drei", "three", 0)
    assert by_line[3].reason == 'said "drei", not "three"'
    assert found.seconds == pytest.approx(sum(row.seconds for row in by_line.values()))


def test_running_again_asks_nothing_and_finds_the_same(tmp_path: Path) -> None:
    parrot, data = Parrot(RIGHT), chat_file(tmp_path, *PAIRS)
    first = evaluate(parrot.target(), data, EXACT, out_dir=tmp_path)
    before = first.answers.read_bytes()
    assert evaluate(parrot.target(), data, EXACT, out_dir=tmp_path) == first
    assert len(parrot.asked) == 4
    assert first.answers.read_bytes() == before


def test_a_torn_last_line_is_asked_again_and_only_that(tmp_path: Path) -> None:
    parrot, data = Parrot(RIGHT), chat_file(tmp_path, *PAIRS)
    first = evaluate(parrot.target(), data, EXACT, out_dir=tmp_path)
    whole = first.answers.read_bytes()
    for cut in (1, 40):  # without its end the line counts as torn, even if only that is missing
        first.answers.write_bytes(whole[:-cut])
        parrot.asked.clear()
        again = evaluate(parrot.target(), data, EXACT, out_dir=tmp_path)
        assert len(parrot.asked) == 1
        assert (again.score, again.n) == (1, 4)
        assert len(rows_of(again)) == 4


def test_another_grader_grades_the_answers_that_are_there(tmp_path: Path) -> None:
    parrot, data = Parrot(RIGHT | {"2": "Two."}), chat_file(tmp_path, *PAIRS)
    strict = evaluate(parrot.target(), data, EXACT, out_dir=tmp_path)
    kind = evaluate(parrot.target(), data, get_grader("normalised"), out_dir=tmp_path)
    assert (strict.score, kind.score) == (0.75, 1)
    assert len(parrot.asked) == 4
    assert kind.seconds == pytest.approx(strict.seconds)
    dates = [{row.answered_at for row in load_rows(each).values()} for each in (strict, kind)]
    assert dates[0] == dates[1]


def test_the_same_question_in_another_file_is_not_asked_again(tmp_path: Path) -> None:
    parrot = Parrot(RIGHT)
    evaluate(parrot.target(), chat_file(tmp_path, *PAIRS), EXACT, out_dir=tmp_path)
    more = chat_file(tmp_path, *PAIRS[2:], ("5", "five"), name="more.jsonl")
    found = evaluate(parrot.target(), more, EXACT, out_dir=tmp_path)
    assert parrot.asked[4:] == ["5"]
    assert found.n == 3
    assert found.score == pytest.approx(2 / 3)


def test_another_fingerprint_is_another_model(tmp_path: Path) -> None:
    parrot, data = Parrot(RIGHT), chat_file(tmp_path, *PAIRS)
    one = evaluate(parrot.target(), data, EXACT, out_dir=tmp_path)
    two = evaluate(parrot.target(fingerprint="parrot/2"), data, EXACT, out_dir=tmp_path)
    assert len(parrot.asked) == 8
    assert one.answers != two.answers


def test_a_score_changed_by_hand_is_put_right_from_the_answer(tmp_path: Path) -> None:
    parrot, data = Parrot(RIGHT | {"1": "eins"}), chat_file(tmp_path, *PAIRS)
    first = evaluate(parrot.target(), data, EXACT, out_dir=tmp_path)
    text = first.answers.read_text(encoding="utf-8")
    first.answers.write_text(text.replace('"score": 0.0', '"score": 1.0'), encoding="utf-8")
    assert evaluate(parrot.target(), data, EXACT, out_dir=tmp_path).score == 0.75


def test_one_bad_example_is_a_row_of_its_own_and_counts_as_a_failure(tmp_path: Path) -> None:
    parrot, data = Parrot(RIGHT | {"2": DataInvalid("too long")}), chat_file(tmp_path, *PAIRS)
    found = evaluate(parrot.target(), data, EXACT, out_dir=tmp_path, batch_size=4)
    assert (found.score, found.errors, found.n) == (0.75, 1, 4)
    bad = next(row for row in load_rows(found).values() if row.line == 2)
    assert (bad.answer, bad.score) == (None, None)
    assert bad.error is not None
    assert (bad.error.kind, bad.error.message) == ("data_invalid", "too long")


def test_only_what_failed_is_asked_again(tmp_path: Path) -> None:
    parrot, data = Parrot(RIGHT | {"2": Unavailable("busy")}), chat_file(tmp_path, *PAIRS)
    evaluate(parrot.target(), data, EXACT, out_dir=tmp_path, batch_size=1)
    parrot.table["2"] = "two"
    parrot.asked.clear()
    found = evaluate(parrot.target(), data, EXACT, out_dir=tmp_path)
    assert parrot.asked == ["2"]
    assert (found.score, found.errors) == (1, 0)


def test_a_target_that_is_down_stops_the_run_and_keeps_what_was_said(tmp_path: Path) -> None:
    pairs = [(f"{i:02}", "x") for i in range(40)]
    down: dict[str, str | Exception] = {q: Unavailable("down") for q, _ in pairs[8:]}
    parrot, data = Parrot({**dict(pairs[:8]), **down}), chat_file(tmp_path, *pairs)
    with pytest.raises(Unavailable, match="down"):
        evaluate(parrot.target(), data, EXACT, out_dir=tmp_path, batch_size=8)
    assert len(parrot.asked) < 20
    parrot.table = dict(pairs)
    parrot.asked.clear()
    assert evaluate(parrot.target(), data, EXACT, out_dir=tmp_path).score == 1
    assert len(parrot.asked) == 32


def test_failures_here_and_there_stop_nothing(tmp_path: Path) -> None:
    pairs = [(f"{i:02}", "x") for i in range(20)]
    table: dict[str, str | Exception] = {
        question: Unavailable("busy") if i % 3 == 0 else "x"
        for i, (question, _) in enumerate(pairs)
    }
    data = chat_file(tmp_path, *pairs)
    found = evaluate(Parrot(table).target(), data, EXACT, out_dir=tmp_path, batch_size=1)
    assert (found.errors, found.score) == (7, 0.65)


def test_a_refused_key_stops_at_once(tmp_path: Path) -> None:
    parrot = Parrot(dict.fromkeys(RIGHT, AuthError("no")))
    with pytest.raises(AuthError):
        evaluate(parrot.target(), chat_file(tmp_path, *PAIRS), EXACT, out_dir=tmp_path)
    assert len(parrot.asked) == 1


def test_no_answer_at_all_is_no_score_of_zero(tmp_path: Path) -> None:
    parrot = Parrot(dict.fromkeys(RIGHT, Unavailable("busy")))
    for _ in range(2):
        with pytest.raises(Unavailable):
            evaluate(parrot.target(), chat_file(tmp_path, *PAIRS), EXACT, out_dir=tmp_path)


def test_answers_that_do_not_match_the_questions_are_refused(tmp_path: Path) -> None:
    mute = Target("mute", "mute/1", lambda conversations: ["x"] * (len(conversations) - 1))
    with pytest.raises(ProviderError, match="mute gave 3 answers to 4 questions"):
        evaluate(mute, chat_file(tmp_path, *PAIRS), EXACT, out_dir=tmp_path)


def test_a_reference_the_grader_cannot_use_is_found_before_anything_is_asked(
    tmp_path: Path,
) -> None:
    parrot, data = Parrot({}), chat_file(tmp_path, ("1", '{"a": 1}'), ("2", "two"))
    with pytest.raises(DataInvalid, match=r"held-out\.jsonl:2: .*`json-fields`"):
        evaluate(parrot.target(), data, get_grader("json-fields"), out_dir=tmp_path)
    assert parrot.asked == []


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    parrot, data = Parrot(RIGHT), chat_file(tmp_path, *PAIRS)
    path = evaluate(parrot.target(), data, EXACT, out_dir=tmp_path).answers
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"id": 3}\n' + b"".join(lines[2:]))
    with pytest.raises(StoreError, match=r"answers\.jsonl:2: ") as caught:
        evaluate(parrot.target(), data, EXACT, out_dir=tmp_path)
    assert "delete that line" in caught.value.hint


def test_fractional_scores_get_an_interval_of_their_mean(tmp_path: Path) -> None:
    reference = '{"a": 1, "b": 2}'
    data = chat_file(tmp_path, *((str(i), reference) for i in range(4)))
    parrot = Parrot({"0": reference, "1": '{"a": 1}', "2": '{"a": 1, "b": 3}', "3": reference})
    found = evaluate(parrot.target(), data, get_grader("json-fields"), out_dir=tmp_path)
    assert (found.score, found.method) == (0.75, "t")
    assert found.interval == pytest.approx((0.2906, 1.0), abs=1e-4)


def test_the_label_grader_brings_figures_of_the_whole(tmp_path: Path) -> None:
    data = chat_file(tmp_path, ("1", "yes"), ("2", "no"), ("3", "yes"))
    parrot = Parrot({"1": "Yes.", "2": "maybe", "3": Unavailable("busy")})
    found = evaluate(parrot.target(), data, get_grader("label"), out_dir=tmp_path)
    assert found.figures is not None
    assert found.figures.outside == 2
    assert found.figures.accuracy == pytest.approx(1 / 3)
    assert found.figures.macro_f1 == pytest.approx((2 / 3 + 0) / 2)


@pytest.mark.parametrize("answer", ["\ud800", "\0", "a\nb\u2028c", "é漢🎈", "x" * 300_000])
def test_any_answer_survives_the_file(answer: str, tmp_path: Path) -> None:
    parrot, data = Parrot({"1": answer}), chat_file(tmp_path, ("1", "one"), ("2", "two"))
    found = evaluate(parrot.target(), data, EXACT, out_dir=tmp_path)
    kept = next(row for row in load_rows(found).values() if row.line == 1)
    assert kept.answer == answer.replace("\ud800", "?")
    assert evaluate(parrot.target(), data, EXACT, out_dir=tmp_path) == found


@pytest.mark.parametrize("name", ["../../etc", "", "a/b\\c:d", "..", "x" * 500, "模型"])
def test_a_targets_name_never_leaves_the_folder(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = evaluate(
        Parrot(RIGHT).target(name=name), chat_file(tmp_path, *PAIRS), EXACT, out_dir=out
    )
    assert found.answers.resolve().parent.parent == out.resolve()


def test_a_batch_holds_at_least_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        evaluate(
            Parrot({}).target(), chat_file(tmp_path, *PAIRS), EXACT, out_dir=tmp_path, batch_size=0
        )


def test_alike_lengths_share_a_batch_longest_first(tmp_path: Path) -> None:
    questions = ["aa", "a", "aaaa", "aaa"]
    parrot = Parrot({})
    evaluate(
        parrot.target(),
        chat_file(tmp_path, *((q, "x") for q in questions)),
        EXACT,
        out_dir=tmp_path,
    )
    assert parrot.asked == ["aaaa", "aaa", "aa", "a"]
