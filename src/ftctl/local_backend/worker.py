"""The worker: one process that trains one attempt of one run, and writes down how it ended."""

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from ftctl.errors import FtctlError
from ftctl.local_backend.checkpoint import Progress, newest_progress
from ftctl.local_backend.executors.process import describe_self
from ftctl.local_backend.hardware import peak_memory_gib
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.processes import (
    OUT_OF_MEMORY,
    Onlooker,
    die_with_leader,
    find_lost,
    is_follower,
    led,
)
from ftctl.local_backend.run_folder import (
    ExitRecord,
    Fenced,
    RunFolder,
    WorkerConfig,
    WorkerStatus,
)
from ftctl.local_backend.step import OutOfMemory, is_out_of_memory

_HEARTBEAT_S = 2.0
Outcome = Literal["succeeded", "failed", "cancelled", "interrupted", "paused"]


class _Reporter:
    """Keeps `status.json` current: at every report, and by a heartbeat in between."""

    def __init__(self, run: RunFolder, config: WorkerConfig) -> None:
        self._run, self._attempt = run, config.attempt
        self._lock = threading.Lock()
        self._fields: dict[str, Any] = {"phase": "starting", "message": "starting"}
        self._ended = threading.Event()
        self.fenced = False
        self.asked_to_stop = False
        threading.Thread(target=self._beat, daemon=True).start()

    def report(self, phase: str, message: str, **fields: object) -> None:
        """Write where the run stands."""
        with self._lock:
            self._fields = {"phase": phase, "message": message, **fields}
        self._write()
        if self.fenced:
            raise Fenced

    def stopping(self) -> bool:
        """Whether somebody asked to stop, or a newer attempt runs."""
        asked = self._run.cancel_file.exists() or self._run.pause_file.exists()
        return self.asked_to_stop or self.fenced or asked

    def ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        """The signal handler: the loop ends after its step, with a checkpoint."""
        self.asked_to_stop = True

    def end(self) -> None:
        """No more heartbeats."""
        self._ended.set()

    def _beat(self) -> None:
        while not self._ended.wait(_HEARTBEAT_S):
            self._write()

    def _write(self) -> None:
        with self._lock:
            now = datetime.now(UTC)
            status = WorkerStatus(attempt=self._attempt, heartbeat=now, **self._fields)
            try:
                self._run.write(self._run.status_file, status)
            except Fenced:
                self.fenced = True
            except OSError as error:  # a full disk: the next heartbeat may get through
                _log(f"status.json: {error}")


def _log(text: str) -> None:
    """To the worker's log; a disk that is full for the run is full for its log, too."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text.rstrip() + "\n")


def main(run_path: Path) -> int:
    """Train the run folder's current attempt; returns the process's exit code."""
    run = RunFolder(run_path)
    config = run.config()
    run = RunFolder(run_path, config.attempt)
    run.write(run.process_file, describe_self(config.attempt))
    run.forget_pause()
    reporter = _Reporter(run, config)
    signal.signal(signal.SIGTERM, reporter.ask_to_stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is not for us
    ending = _attempt(run, config, reporter)
    reporter.end()
    record = ExitRecord(
        attempt=config.attempt,
        outcome=ending.outcome,
        message=ending.message,
        hint=ending.hint,
        kind=ending.kind,
        at=datetime.now(UTC),
        steps=ending.progress.step,
        tokens=ending.progress.tokens,
        trained_tokens=ending.progress.trained_tokens,
        seconds=ending.progress.seconds,
        memory_gib=peak_memory_gib(),
    )
    return 0 if _write_down(run, record) and ending.outcome == "succeeded" else 1


def _write_down(run: RunFolder, record: ExitRecord) -> bool:
    """The attempt's last words; False when the disk doesn't take them."""
    try:
        with contextlib.suppress(Fenced):  # then a newer attempt has the last word
            run.write(run.exit_file(record.attempt), record)
    except OSError as error:
        _log(f"{record.message} (and this could not be kept: {error})")
        return run.exit_file(record.attempt).exists()
    return True


@dataclass(frozen=True)
class _Ending:
    """How the attempt ended."""

    outcome: Outcome
    message: str
    hint: str = ""
    kind: str = ""
    progress: Progress = field(default_factory=Progress)


def _attempt(run: RunFolder, config: WorkerConfig, reporter: _Reporter) -> _Ending:
    from ftctl.local_backend.engines import trainer_of
    from ftctl.local_backend.loop import Watch

    try:
        with _device(config.home, reporter), led():
            train = trainer_of(config.engine)
            at = train(config, run, Watch(reporter.report, reporter.stopping))
    except BaseException as error:  # noqa: BLE001 - whatever happens, the exit record says so
        return _ending_of(error, run, config)
    done = f"done: {at.step} steps, {at.trained_tokens} trained tokens"
    return _Ending("succeeded", done, progress=at)


def _ending_of(error: BaseException, run: RunFolder, config: WorkerConfig) -> _Ending:
    """What a failure means to the person who submitted the job."""
    at = newest_progress(run)
    resume = f"ftctl resume {config.job_id}"
    if isinstance(error, Fenced | _StopWhileQueued) or type(error).__name__ == "Interrupted":
        where = f", at the checkpoint of step {at.step}" if at.step else ", before any checkpoint"
        asked: tuple[tuple[Outcome, Path], ...] = (
            ("cancelled", run.cancel_file),
            ("paused", run.pause_file),
        )
        for outcome, file in asked:
            if file.exists():
                return _Ending(outcome, f"{outcome}{where}", progress=at)
        message = f"stopped from outside{where}"
        return _Ending("interrupted", message, resume, "interrupted", at)
    if isinstance(error, FtctlError):
        return _Ending("failed", error.message, error.hint, error.kind, at)
    if (outside := _from_outside(error, run, config, at)) is not None:
        return outside
    _log("".join(traceback.format_exception(error)))
    if _is_of_the_disk(error):
        message = f"the run folder could not be written or read: {error}"
        return _Ending("failed", message, f"free space, then {resume}", "store_error", at)
    hint = f"this is a bug in ftctl; the traceback is in {run.log_file}"
    return _Ending("failed", f"{type(error).__name__}: {error}", hint, "bug", at)


def _from_outside(
    error: BaseException, run: RunFolder, config: WorkerConfig, at: Progress
) -> _Ending | None:
    """What memory did, or another of the processes that train together."""
    lost = None if is_out_of_memory(error) else find_lost()
    resume = f"ftctl resume {config.job_id}"
    if is_out_of_memory(error) or (lost is not None and lost.out_of_memory):
        message = f"out of memory: {lost or error}"
        return _short_of_memory(message, run, config, at, once=isinstance(error, OutOfMemory))
    if lost is not None and lost.status < 0:
        hint = f"{resume} goes on from the last checkpoint"
        return _Ending("failed", str(lost), hint, "killed", at)
    return None


def _short_of_memory(
    message: str, run: RunFolder, config: WorkerConfig, at: Progress, *, once: bool
) -> _Ending:
    """With less at once a resumed run may fit; where one example is too much, what else there is.

    Args:
        message: What happened.
        run: Whose plan says how many go at once.
        config: The model and the data, for the planner.
        at: How far it is.
        once: Whether one example at a time was tried.
    """
    plan = run.read(run.plan_file, Plan)
    if plan is not None and plan.micro_batch_size > 1 and not once:
        smaller = plan.micro_batch_size // 2
        run.write(run.plan_file, plan.model_copy(update={"micro_batch_size": smaller}))
        hint = (
            f"ftctl resume {config.job_id} goes on from the last checkpoint with {smaller} "
            f"examples at once instead of {plan.micro_batch_size}, and as many to a step"
        )
        return _Ending("failed", message, hint, "out_of_memory", at)
    planned = "" if plan is None or not plan.budget_reason else f" ({plan.budget_reason})"
    words = f"{message}, with one example at a time{planned}"
    estimate = f"ftctl estimate --provider local --model {config.model} --data {config.data}"
    hint = (
        f"{estimate} says what takes how much; a smaller max_length, --set recompute=all, "
        "--tuning qlora or a smaller model take less"
    )
    return _Ending("failed", words, hint, "out_of_memory", at)


def _is_of_the_disk(error: BaseException) -> bool:
    """Whether the system refused a file; safetensors passes that on as text of its own class."""
    return (isinstance(error, OSError) and error.errno is not None) or (
        type(error).__name__ == "SafetensorError" and "os error" in str(error).lower()
    )


class _StopWhileQueued(Exception):
    """A stop was asked for before it was our turn."""


@contextlib.contextmanager
def _device(home: Path, reporter: _Reporter) -> Iterator[None]:
    """Hold this machine's device; others wait their turn. The lock ends with its process."""
    import fcntl

    locks = home / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / "device").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                reporter.report("queued", "waiting for another job on this machine to end")
                if reporter.stopping():
                    raise _StopWhileQueued from None
                time.sleep(0.5)
        yield


def follow(run_path: Path) -> int:
    """Train beside the worker that started this process; returns the process's exit code."""
    from ftctl.local_backend.loop import Interrupted, Watch
    from ftctl.local_backend.train import train

    die_with_leader()
    run = Onlooker(run_path)
    try:
        train(run.config(), run, Watch(lambda *_, **__: None, lambda: False))
    except Interrupted:
        return 0
    except BaseException as error:  # noqa: BLE001 - whatever happens, the leader has to hear of it
        _log("".join(traceback.format_exception(error)))
        return OUT_OF_MEMORY if is_out_of_memory(error) else 1
    return 0


if __name__ == "__main__":
    os.nice(0 if is_follower() else 5)  # a person at this machine comes first
    sys.exit((follow if is_follower() else main)(Path(sys.argv[1])))
