"""The file of answers: one line each, only ever added to, and safe to go on with after a crash."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from ftctl.datasets.document import Value
from ftctl.errors import StoreError


class AnswerError(Value):
    """Why there is no answer."""

    kind: str
    message: str


class AnswerRow(Value):
    """What one model said to one example, and what the grader made of it.

    Attributes:
        id: The example's.
        key: SHA-256 of the target's fingerprint and the prompt: the same question to the same
            model, whatever file it came from.
        evaluation: SHA-256 of the target's fingerprint, the data and the grader.
        line: Where the example stands in its file, from 1.
        answer: None where there is none; then `error` says why.
        score: 0–1; None where there is no answer.
        seconds: The answer's share of its batch's time.
        answered_at: When the model was asked, UTC; a later grading doesn't change it.
    """

    id: str
    key: str
    evaluation: str
    line: int
    answer: str | None
    reference: str
    score: float | None
    reason: str
    error: AnswerError | None
    seconds: float
    answered_at: datetime


class AnswerFile:
    """Answers on disk. A line cut short by a crash at the end is dropped and asked again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, rows: Iterable[AnswerRow]) -> None:
        """Add rows in one write, so that a crash can cut at most the last of them."""
        text = "".join(
            json.dumps(row.model_dump(mode="json"), ensure_ascii=False) + "\n" for row in rows
        )
        with self.path.open("ab") as file:
            file.write(text.encode())

    def repair(self) -> None:
        """Drop a last line without its end, so that the next row starts a line of its own."""
        if not self.path.exists():
            return
        with self.path.open("r+b") as file:
            whole = file.read()
            if not whole.endswith(b"\n"):
                file.truncate(whole.rfind(b"\n") + 1)

    def iter_rows(self) -> Iterator[AnswerRow]:
        """Every whole line, oldest first; none when there is no file.

        Raises:
            StoreError: a line that was written whole can't be read any more.
        """
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                try:
                    row = AnswerRow.model_validate_json(line)
                except ValidationError:
                    raise StoreError(
                        f"{self.path}:{number}: not a row of answers any more",
                        hint="delete that line; its question is then asked again",
                    ) from None
                yield row
