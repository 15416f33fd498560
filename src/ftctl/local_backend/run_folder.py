"""The folder of one run: the interface between the worker and everybody who watches it.

config.json            what to do, and the attempt that may do it; written by the provider
status.json            where the worker stands, with a heartbeat; replaced atomically
plan.json              what the worker chose: dtype, steps, micro-batch; kept for every attempt
metrics.jsonl          one line a step or validation
reference.jsonl        for dpo: what the base model thinks of the answers, one line a batch
events.jsonl           one line for people; an attempt's last one is its exit record
checkpoints/step-N/    adapter, optimizer, cursor
output/                the finished adapter
exit-N.json            how attempt N ended, in the worker's own words
worker.lock            held by the living worker and by nobody else
worker.json            its process group and host
worker.log             whatever it printed
cancel                 there when somebody asked to stop
pause                  there when somebody asked to stop for a while
"""

import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ftctl.errors import StoreError
from ftctl.job import Hyperparameters, Method, Tuning

Model = TypeVar("Model", bound=BaseModel)


class Fenced(Exception):
    """A newer attempt of this run exists, so this worker may not write any more."""


class WorkerConfig(BaseModel):
    """What one attempt is to do; holds no secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempt: int
    job_id: str
    name: str
    model: str
    data: Path
    data_sha256: str
    validation: Path | None
    validation_sha256: str | None
    method: Method
    tuning: Tuning
    hyperparameters: Hyperparameters
    options: dict[str, str] = {}  # settings that only the local provider has
    engine: str | None = None  # which program trains; ours when None
    home: Path


class WorkerStatus(BaseModel):
    """Where the worker stands."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempt: int
    phase: Literal["starting", "queued", "loading", "training", "validating", "saving"]
    message: str
    heartbeat: datetime
    step: int = 0
    total_steps: int = 0
    loss: float | None = None
    reward_margin: float | None = None
    reward_accuracy: float | None = None
    tokens_per_s: float | None = None
    eta_s: float | None = None


class ExitRecord(BaseModel):
    """How an attempt ended, in the worker's own words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempt: int
    outcome: Literal["succeeded", "failed", "cancelled", "interrupted", "paused"]
    message: str
    hint: str = ""
    kind: str = ""
    at: datetime
    steps: int = 0
    tokens: int = 0  # all that went through; loss was taken on the next
    trained_tokens: int = 0
    seconds: float = 0.0
    memory_gib: float | None = None  # the most that the attempt held, where that can be told


class WorkerProcess(BaseModel):
    """Which process group on which host runs the attempt."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempt: int
    pid: int
    process_group: int
    host: str


class RunFolder:
    """Paths of one run, and reading and writing them so that a crash leaves whole files.

    Args:
        path: The folder.
        attempt: The attempt that writes; None for those who only look.
    """

    writes = True  # not in the processes that only help to train

    def __init__(self, path: Path, attempt: int | None = None) -> None:
        self.path = path
        self.attempt = attempt
        self.config_file = path / "config.json"
        self.status_file = path / "status.json"
        self.plan_file = path / "plan.json"
        self.metrics_file = path / "metrics.jsonl"
        self.reference_file = path / "reference.jsonl"
        self.events_file = path / "events.jsonl"
        self.checkpoints = path / "checkpoints"
        self.output = path / "output"
        self.lock_file = path / "worker.lock"
        self.process_file = path / "worker.json"
        self.log_file = path / "worker.log"
        self.cancel_file = path / "cancel"
        self.pause_file = path / "pause"

    def exit_file(self, attempt: int) -> Path:
        """The exit record of an attempt."""
        return self.path / f"exit-{attempt}.json"

    def config(self) -> WorkerConfig:
        """The run's orders.

        Raises:
            StoreError: the file is missing or damaged.
        """
        config = self.read(self.config_file, WorkerConfig)
        if config is None:
            raise StoreError(
                f"{self.config_file}: the run's orders are missing",
                hint="the run folder was damaged; submit the job again with --new",
            )
        return config

    def exit_record(self, attempt: int) -> ExitRecord | None:
        """How an attempt ended; None while it hasn't said."""
        return self.read(self.exit_file(attempt), ExitRecord)

    def status(self) -> WorkerStatus | None:
        """Where the worker stands; None before its first word."""
        return self.read(self.status_file, WorkerStatus)

    def read(self, file: Path, model: type[Model]) -> Model | None:
        """Read one JSON document; None when there is none.

        Raises:
            StoreError: the file isn't what we wrote.
        """
        try:
            return model.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the whole file"
            raise StoreError(
                f"{file}: damaged ({where}: {first['msg']})",
                hint=f"somebody edited the run folder of {self.path.name}; submit again with --new",
            ) from None

    def write(self, file: Path, value: BaseModel | dict[str, Any]) -> None:
        """Write one JSON document whole or not at all, unless a newer attempt exists."""
        self.check_fence()
        text = (
            value.model_dump_json(indent=1)
            if isinstance(value, BaseModel)
            else json.dumps(value, indent=1)
        )
        part = file.with_name(f"{file.name}.part-{os.getpid()}-{threading.get_ident()}")
        with part.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)

    def append(self, file: Path, row: dict[str, Any]) -> None:
        """Add one line, unless a newer attempt exists."""
        self.check_fence()
        line = json.dumps({"at": datetime.now(UTC).isoformat()} | row, ensure_ascii=False)
        with file.open("a+b") as stream:
            stream.seek(0, os.SEEK_END)
            if stream.tell():
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":  # a predecessor was killed in mid-line
                    stream.write(b"\n")
            stream.write(line.encode() + b"\n")

    def rows(self, file: Path) -> Iterator[dict[str, Any]]:
        """The whole lines of a JSONL file; torn ones are passed over."""
        if not file.exists():
            return
        with file.open("rb") as stream:
            for line in stream:
                try:
                    row = json.loads(line)
                except ValueError:
                    continue
                if isinstance(row, dict):
                    yield row

    def events(self) -> list[dict[str, Any]]:
        """What the run said, to the last word of its current attempt.

        That word stands in the exit record alone until `settle`, so that nobody sees an attempt
        that has ended without it, or hears of an end that didn't come.
        """
        last = self._last_word()  # asked first: once it is there, no line comes any more
        rows = list(self.rows(self.events_file))
        if last is None or any(row.get("ended") == last["ended"] for row in rows):
            return rows
        return [*rows, last]

    def forget_pause(self) -> None:
        """Take the attempt's pause back: its worker lives again."""
        if self.attempt is None:
            return
        record = self.exit_record(self.attempt)
        if record is not None and record.outcome == "paused":
            self.exit_file(self.attempt).unlink()

    def settle(self) -> None:
        """Write an ended attempt's last word where it was heard, before the next one speaks."""
        last = self._last_word()
        written = {row.get("ended") for row in self.rows(self.events_file)}
        if last is not None and last["ended"] not in written:
            self.append(self.events_file, last)

    def _last_word(self) -> dict[str, Any] | None:
        try:
            record = self.exit_record(self.config().attempt)
        except StoreError:  # damaged: whoever looks at the run's state is told
            return None
        if record is None:
            return None
        at, paused = record.at.isoformat(), record.outcome == "paused"
        level = "info" if paused or record.outcome == "succeeded" else "error"
        # An attempt may be paused often; it ends once.
        ended = f"{record.attempt} paused at {at}" if paused else record.attempt
        return {"level": level, "message": record.message, "at": at, "ended": ended}

    def check_fence(self) -> None:
        """Refuse to write once a newer attempt exists.

        Raises:
            Fenced: this worker was believed dead and has a successor.
        """
        if self.attempt is not None and self.config_file.exists():
            try:
                current = self.config().attempt
            except StoreError:
                return  # damaged by hand: nobody can start a newer attempt from it either
            if current > self.attempt:
                raise Fenced(f"attempt {current} runs now; attempt {self.attempt} stops")
