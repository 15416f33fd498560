"""What an evaluation found: a score with its interval, and the paired difference of two."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ftctl.datasets.document import Value
from ftctl.errors import StoreError, UsageError
from ftctl.evaluation import statistics
from ftctl.evaluation.answers import AnswerFile, AnswerRow
from ftctl.evaluation.labels import LabelFigures
from ftctl.evaluation.statistics import Interval

CONFIDENCE = 0.95

# Below six pairs that differ even the most lopsided split (5 : 0) has an exact p of .0625.
MIN_DISCORDANT = 6


class Evaluation(Value):
    """One target's score on one file of examples.

    Attributes:
        name: The target's name.
        fingerprint: What makes the target that target: model, revision, sampling.
        grader: The grader's name.
        data: The file of examples.
        data_sha256: The hash of its bytes.
        key: SHA-256 of fingerprint, data and grader: it marks this evaluation's rows.
        n: Examples, those without an answer included.
        score: Mean score, 0–1; an example without an answer counts as a failure.
        interval: At `confidence`; Wilson where all is right or wrong, else Student's t.
        errors: Examples without an answer.
        seconds: Time the target took to answer, whenever that was.
        answers: The file that holds the rows.
        figures: Figures of the whole file, for the label grader.
    """

    name: str
    fingerprint: str
    grader: str
    data: Path
    data_sha256: str
    key: str
    n: int
    score: float
    interval: Interval
    confidence: float
    method: Literal["wilson", "t"]
    errors: int
    seconds: float
    answers: Path
    figures: LabelFigures | None = None


class Comparison(Value):
    """The candidate's score minus the reference's, on the same examples.

    Attributes:
        candidate: Its name.
        reference: Its name.
        difference: −1 to 1; above 0 the candidate is better.
        interval: At `confidence`; Tango where all is right or wrong, else paired t.
        wins: Pairs where the candidate scored more.
        losses: Pairs where the reference scored more.
        both_right: Pairs where both scored 1.
        both_wrong: Pairs where both scored 0, or had no answer.
        n: All pairs.
        mid_p: McNemar's mid-p of wins against losses; None for fractional scores.
        excludes_zero: Whether the interval does, with at least six pairs that differ.
        n_needed: About how many pairs would exclude zero if the difference stays as it is.
    """

    candidate: str
    reference: str
    difference: float
    interval: Interval
    confidence: float
    method: Literal["tango", "paired_t"]
    wins: int
    losses: int
    both_right: int
    both_wrong: int
    n: int
    mid_p: float | None
    excludes_zero: bool
    n_needed: int | None

    @property
    def discordant(self) -> int:
        """How many pairs differ: the only ones that tell the two apart."""
        return self.wins + self.losses


class Report(Value):
    """All that one `eval` found: the `ftctl.eval/1` document without its `schema` key."""

    data: Path
    data_sha256: str
    grader: str
    n: int
    targets: tuple[Evaluation, ...]
    comparisons: tuple[Comparison, ...]
    baselines: tuple[Evaluation, ...]

    def to_document(self) -> dict[str, Any]:
        """The JSON document `ftctl.eval/1`; intervals are pairs [low, high]."""
        said_above = {"data", "data_sha256", "grader", "key"}
        each = {"__all__": said_above}
        body = self.model_dump(mode="json", exclude={"targets": each, "baselines": each})
        return {"schema": "ftctl.eval/1", **body}


def report(
    targets: Sequence[Evaluation],
    baselines: Sequence[Evaluation] = (),
    comparisons: Sequence[Comparison] = (),
) -> Report:
    """Put evaluations of the same data and grader beside each other; at least one target.

    Raises:
        UsageError: they differ in data or grader.
    """
    first = targets[0]
    for other in (*targets, *baselines):
        _refuse_different(first, other)
    return Report(
        data=first.data,
        data_sha256=first.data_sha256,
        grader=first.grader,
        n=first.n,
        targets=tuple(targets),
        comparisons=tuple(comparisons),
        baselines=tuple(baselines),
    )


def summarise(scores: Sequence[float]) -> tuple[float, Interval, Literal["wilson", "t"]]:
    """Mean, interval and its method for scores in 0–1; at least one."""
    mean = sum(scores) / len(scores)
    if right_or_wrong(scores):
        successes = sum(score == 1 for score in scores)
        return mean, statistics.wilson(successes, len(scores), CONFIDENCE), "wilson"
    return mean, statistics.mean_t(scores, CONFIDENCE), "t"


def right_or_wrong(scores: Sequence[float]) -> bool:
    """Whether every score is 0 or 1."""
    return all(score in (0, 1) for score in scores)


def load_rows(evaluation: Evaluation) -> dict[str, AnswerRow]:
    """The rows behind an evaluation by example id, the newest of each.

    Raises:
        StoreError: the file of answers is gone, damaged or lacks rows.
    """
    file = AnswerFile(evaluation.answers)
    rows = {row.id: row for row in file.iter_rows() if row.evaluation == evaluation.key}
    if len(rows) != evaluation.n:
        raise StoreError(
            f"{evaluation.answers}: {len(rows)} answers of {evaluation.name} where "
            f"{evaluation.n} were given",
            hint="run the evaluation again; only what is missing is asked",
        )
    return rows


def compare(
    candidate: Evaluation, reference: Evaluation, *, confidence: float = CONFIDENCE
) -> Comparison:
    """The paired difference of two evaluations, aligned by example.

    Args:
        candidate: What is judged.
        reference: What it is judged against.
        confidence: Of the interval; more of it where several are to hold together.

    Raises:
        UsageError: they differ in data or grader.
        StoreError: the rows of one can't be read.
    """
    _refuse_different(candidate, reference)
    ours, theirs = load_rows(candidate), load_rows(reference)
    pairs = [(row.score or 0.0, theirs[id_].score or 0.0) for id_, row in ours.items()]
    n = len(pairs)
    wins = sum(a > b for a, b in pairs)
    losses = sum(a < b for a, b in pairs)
    binary = all(right_or_wrong(pair) for pair in pairs)
    if binary:
        difference = (wins - losses) / n
        interval = statistics.tango(wins, losses, n, confidence)
    else:
        difference = sum(a - b for a, b in pairs) / n
        interval = statistics.paired_t([a - b for a, b in pairs], confidence)
    excludes = interval.excludes_zero and wins + losses >= MIN_DISCORDANT
    return Comparison(
        candidate=candidate.name,
        reference=reference.name,
        difference=difference,
        interval=interval,
        confidence=confidence,
        method="tango" if binary else "paired_t",
        wins=wins,
        losses=losses,
        both_right=pairs.count((1, 1)),
        both_wrong=pairs.count((0, 0)),
        n=n,
        mid_p=statistics.mcnemar_mid_p(wins, losses) if binary else None,
        excludes_zero=excludes,
        n_needed=None if excludes else _n_needed(n, interval, difference, wins + losses),
    )


def _n_needed(n: int, interval: Interval, difference: float, discordant: int) -> int | None:
    needed = statistics.pairs_needed(n, interval, difference)
    if needed is None or discordant == 0:
        return None
    return max(needed, -(-n * MIN_DISCORDANT // discordant))


def _refuse_different(one: Evaluation, other: Evaluation) -> None:
    for what, left, right in (
        ("data", one.data_sha256, other.data_sha256),
        ("grader", one.grader, other.grader),
    ):
        if left != right:
            raise UsageError(
                f"{one.name} and {other.name} can't be compared: their {what} differs "
                f"({left[:12]} and {right[:12]})",
                hint="evaluate both on the same file with the same grader",
            )
