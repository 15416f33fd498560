"""Ask a target every held-out question once, grade the answers, and add up.

Answers are kept as they come; asking again after a crash asks only what is missing. Totals are
always counted from the rows, never carried. Grading costs no call: another grader on the same
data reads the answers that are there.
"""

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ftctl.datasets.render import Message
from ftctl.errors import (
    AuthError,
    DataInvalid,
    FtctlError,
    NotFound,
    ProviderError,
    Retired,
    UsageError,
)
from ftctl.evaluation.answers import AnswerError, AnswerFile, AnswerRow
from ftctl.evaluation.examples import Example, ExampleFile, message_text
from ftctl.evaluation.graders import Grader, Label
from ftctl.evaluation.labels import label_figures
from ftctl.evaluation.results import CONFIDENCE, Evaluation, summarise

Conversation = Sequence[Message]
Answer = Callable[[Sequence[Conversation]], Sequence[str]]
Progress = Callable[[int, int], None]

# So many examples failing one after the other mean that the other side is down, not they.
MAX_FAILURES_IN_A_ROW = 5


@dataclass(frozen=True, slots=True)
class Target:
    """A model to ask.

    Attributes:
        name: What people call it.
        fingerprint: Whatever changes its answers: model, revision or adapter hash, sampling.
        answer: Takes conversations that end before the assistant speaks, gives one text each.
            A `ProviderError` or `DataInvalid` from it becomes a row without an answer.
    """

    name: str
    fingerprint: str
    answer: Answer


def evaluate(
    target: Target,
    data: ExampleFile,
    grader: Grader,
    *,
    out_dir: Path,
    batch_size: int = 16,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Score a target on held-out examples.

    Args:
        target: The model to ask.
        data: The examples, from `load_examples`.
        grader: From `get_grader`.
        out_dir: Answers are kept in a folder of the target's own in it, as `answers.jsonl`;
            what is there already is not asked again.
        batch_size: How many conversations the target is given at once.
        on_progress: Told (answered, all) at the start and after each batch.

    Raises:
        DataInvalid: a reference can't be graded against.
        UsageError: batch_size is below 1.
        ProviderError: the target fails for good, or example after example; answers are kept.
        StoreError: the file of answers is damaged.
    """
    if batch_size < 1:
        raise UsageError(f"a batch of {batch_size} examples", hint="ask for at least 1")
    _refuse_references(data, grader)
    folder = out_dir / _folder_name(target)
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(target, data, grader, AnswerFile(folder / "answers.jsonl"))
    run.file.repair()
    pending = run.reuse()
    total = len(data.examples)
    if on_progress:
        on_progress(total - len(pending), total)
    # Alike lengths in a batch waste no padding, and the longest first find a lack of memory early.
    pending.sort(key=lambda example: -sum(len(message_text(m)) for m in example.prompt))
    for start in range(0, len(pending), batch_size):
        run.ask(pending[start : start + batch_size])
        if on_progress:
            on_progress(total - len(pending) + min(start + batch_size, len(pending)), total)
    return run.evaluation()


class _Run:
    """One pass over the examples; what it knows is what the file holds."""

    def __init__(self, target: Target, data: ExampleFile, grader: Grader, file: AnswerFile) -> None:
        self.target = target
        self.data = data
        self.grader = grader
        self.file = file
        self.key = _sha256(target.fingerprint, data.sha256, grader.name)
        self.failures = 0
        self.error: FtctlError | None = None

    def reuse(self) -> list[Example]:
        """Grade the answers that are there, as graders may change; return the examples to ask."""
        answered: dict[str, AnswerRow] = {}
        current: dict[str, AnswerRow] = {}
        for row in self.file.iter_rows():
            if row.answer is not None:
                answered[row.key] = row
                if row.evaluation == self.key:
                    current[row.id] = row
        pending, regraded = [], []
        for example in self.data.examples:
            known = current.get(example.id) or answered.get(self._question(example))
            if known is None:
                pending.append(example)
            elif (fresh := self._graded(example, known)) != known:
                regraded.append(fresh)
        self.file.append(regraded)
        return pending

    def ask(self, batch: Sequence[Example]) -> None:
        """Put a batch to the target and keep what comes back, errors too."""
        started = time.perf_counter()
        try:
            answers = self.target.answer([example.prompt for example in batch])
        except (ProviderError, DataInvalid) as error:
            self._failed(batch, error, time.perf_counter() - started)
            return
        if len(answers) != len(batch):
            raise ProviderError(
                f"{self.target.name} gave {len(answers)} answers to {len(batch)} questions"
            )
        self.failures = 0
        each = (time.perf_counter() - started) / len(batch)
        self.file.append(
            self._row(example, _clean(answer), each)
            for example, answer in zip(batch, answers, strict=True)
        )

    def _failed(self, batch: Sequence[Example], error: FtctlError, seconds: float) -> None:
        if isinstance(error, AuthError | NotFound | Retired):
            raise error
        if len(batch) > 1:
            # One bad example must not take the others of its batch with it.
            for example in batch:
                self.ask([example])
            return
        self.failures += 1
        self.error = error
        told = AnswerError(kind=error.kind, message=error.message)
        self.file.append([self._row(batch[0], None, seconds, told)])
        if self.failures >= MAX_FAILURES_IN_A_ROW:
            raise error

    def evaluation(self) -> Evaluation:
        """Count everything from the rows."""
        newest = {row.id: row for row in self.file.iter_rows() if row.evaluation == self.key}
        rows = [newest[example.id] for example in self.data.examples]
        if self.error and all(row.answer is None for row in rows):
            raise self.error
        score, interval, method = summarise([row.score or 0.0 for row in rows])
        figures = None
        if isinstance(self.grader, Label):
            pairs = [(row.reference, row.answer or "") for row in rows]
            figures = label_figures(pairs, self.grader.canonical)
        return Evaluation(
            name=self.target.name,
            fingerprint=self.target.fingerprint,
            grader=self.grader.name,
            data=self.data.path,
            data_sha256=self.data.sha256,
            key=self.key,
            n=len(rows),
            score=score,
            interval=interval,
            confidence=CONFIDENCE,
            method=method,
            errors=sum(row.answer is None for row in rows),
            seconds=sum(row.seconds for row in rows),
            answers=self.file.path,
            figures=figures,
        )

    def _question(self, example: Example) -> str:
        return _sha256(self.target.fingerprint, example.prompt_sha256)

    def _row(
        self, example: Example, answer: str | None, seconds: float, error: AnswerError | None = None
    ) -> AnswerRow:
        grade = None if answer is None else self.grader.grade(answer, example)
        return AnswerRow(
            id=example.id,
            key=self._question(example),
            evaluation=self.key,
            line=example.line,
            answer=answer,
            reference=example.reference,
            score=grade.score if grade else None,
            reason=grade.reason if grade else "no answer",
            error=error,
            seconds=seconds,
            answered_at=datetime.now(UTC),
        )

    def _graded(self, example: Example, row: AnswerRow) -> AnswerRow:
        fresh = self._row(example, row.answer, row.seconds)
        return fresh.model_copy(update={"answered_at": row.answered_at})


def _refuse_references(data: ExampleFile, grader: Grader) -> None:
    for example in data.examples:
        why = grader.refuses(example.reference)
        if why:
            raise DataInvalid(
                f"{data.path}:{example.line}: {why}, so `{grader.name}` can't grade against it",
                hint="choose another --grader, or mend the line",
            )


def _folder_name(target: Target) -> str:
    """A name for people, and enough of the fingerprint that two targets never share a folder."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", target.name).strip("-.")[:60]
    return f"{readable or 'target'}-{_sha256(target.fingerprint)[:8]}"


def _clean(answer: str) -> str:
    """Text that can be written as UTF-8: half a surrogate pair becomes `?`."""
    return answer.encode("utf-8", "replace").decode()


def _sha256(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
