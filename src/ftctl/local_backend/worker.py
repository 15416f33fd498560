"""The worker: one process that trains one attempt of one run, and writes down how it ended."""

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO, Any, Literal, NamedTuple

from ftctl.errors import FtctlError
from ftctl.local_backend.checkpoint import Progress, newest_progress
from ftctl.local_backend.executors.process import describe_self
from ftctl.local_backend.hardware import peak_memory_gib
from ftctl.local_backend.loop import Interrupted, Watch
from ftctl.local_backend.memory import BrokenOff, OutOfMemory, is_out_of_memory, with_less
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.processes import (
    OUT_OF_MEMORY,
    Lost,
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

_HEARTBEAT_S = 2.0
Outcome = Literal["succeeded", "failed", "cancelled", "interrupted", "paused"]


class Again(NamedTuple):
    """What a worker that begins anew takes over from itself.

    Attributes:
        attempt: The attempt it works for; once there is a newer one, it has nothing to do.
        device: The descriptor of the lock on the device, which it holds still.
    """

    attempt: int
    device: int


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


def main(run_path: Path, again: Again | None = None) -> int:
    """Train the run folder's current attempt; returns the process's exit code.

    Args:
        run_path: The run folder.
        again: What this process was before it began anew, if it did.
    """
    environment = dict(os.environ)  # before several processes find their places in it
    run = RunFolder(run_path)
    config = run.config()
    if again is not None and again.attempt != config.attempt:
        return 1  # a newer one runs now
    run = RunFolder(run_path, config.attempt)
    run.write(run.process_file, describe_self(config.attempt))
    run.forget_pause()
    reporter = _Reporter(run, config)
    signal.signal(signal.SIGTERM, reporter.ask_to_stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is not for us
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    work = _Work(run, config, reporter, environment)
    return work.finish(work.attempt(again))


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


@dataclass
class _Work:
    """One attempt, by one process, which may begin anew in its own place."""

    run: RunFolder
    config: WorkerConfig
    reporter: _Reporter
    environment: Mapping[str, str]
    device: IO[str] | None = None  # the lock on it, while it is ours

    def attempt(self, again: Again | None) -> _Ending:
        """Train; whatever happens, it is said how it ended."""
        from ftctl.local_backend.engines import trainer_of

        try:
            with _device(self.config.home, self.reporter, again) as self.device:
                try:
                    with led(self._unheard):
                        train = trainer_of(self.config.engine)
                        watch = Watch(self.reporter.report, self.reporter.stopping)
                        at = train(self.config, self.run, watch)
                except BrokenOff as error:
                    self._begin_anew(error)
                    raise
        except BaseException as error:  # noqa: BLE001 - whatever happens, the exit record says so
            return _ending_of(error, self.run, self.config)
        done = f"done: {at.step} steps, loss on {at.trained_tokens:,} tokens"
        return _Ending("succeeded", done, progress=at)

    def finish(self, ending: _Ending) -> int:
        """Write down how it ended; returns the process's exit code."""
        self.reporter.end()
        record = ExitRecord(
            attempt=self.config.attempt,
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
        return 0 if _write_down(self.run, record) and ending.outcome == "succeeded" else 1

    def _unheard(self, lost: Lost) -> None:
        """The loop waits for good for a process that is lost."""
        error: Exception = BrokenOff(sys.maxsize, lost)
        try:
            self._begin_anew(BrokenOff(sys.maxsize, lost))
        except Exception as other:  # noqa: BLE001 - a stop, or a newer attempt
            error = other
        self.finish(_ending_of(error, self.run, self.config))

    def _begin_anew(self, error: BrokenOff) -> None:
        """Go on from the last checkpoint with less at once, where that helps; else return.

        This program takes its own place, so that nothing of what it held is left, and remains the
        process that others know. A stop that is asked for meanwhile reaches it in the new one.
        """
        run, lost = self.run, find_lost()
        plan = run.read(run.plan_file, Plan)
        smaller = with_less(plan, error, lost)
        if plan is None or smaller is None or self.device is None:
            return
        run.write(run.plan_file, smaller)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        if self.reporter.stopping():
            raise Interrupted
        at = newest_progress(run).step
        message = (
            f"out of memory: {lost or str(error).splitlines()[0]}; all begin again from "
            f"{f'the checkpoint of step {at}' if at else 'the start'} with "
            f"{smaller.micro_batch_size} at once instead of {plan.micro_batch_size}; a step is "
            f"still {plan.batch_size} examples"
        )
        run.append(run.events_file, {"level": "warning", "message": message})
        self.reporter.end()
        os.set_inheritable(self.device.fileno(), True)
        again = [str(self.config.attempt), str(self.device.fileno())]
        command = [sys.executable, "-m", "ftctl.local_backend.worker", str(run.path), *again]
        os.execve(sys.executable, command, self.environment)  # noqa: S606 - our own module


def _ending_of(error: BaseException, run: RunFolder, config: WorkerConfig) -> _Ending:
    """What a failure means to the person who submitted the job."""
    at = newest_progress(run)
    resume = f"ftctl resume {config.job_id}"
    if isinstance(error, Fenced | _StopWhileQueued | Interrupted):
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
    if isinstance(error, BrokenOff):
        error = error.__cause__ or error
    hint = f"this is a bug in ftctl; the traceback is in {run.log_file}"
    return _Ending("failed", f"{type(error).__name__}: {error}", hint, "bug", at)


def _from_outside(
    error: BaseException, run: RunFolder, config: WorkerConfig, at: Progress
) -> _Ending | None:
    """What memory did, or another of the processes that train together."""
    lost = None if is_out_of_memory(error) else find_lost()
    resume = f"ftctl resume {config.job_id}"
    if is_out_of_memory(error) or (lost is not None and lost.out_of_memory):
        once = isinstance(error, OutOfMemory | BrokenOff)
        return _short_of_memory(f"out of memory: {lost or error}", run, config, at, once=once)
    if lost is not None and lost.status < 0:
        hint = f"{resume} goes on from the last checkpoint"
        return _Ending("failed", str(lost), hint, "killed", at)
    return None


def _short_of_memory(
    message: str, run: RunFolder, config: WorkerConfig, at: Progress, *, once: bool
) -> _Ending:
    """What else there is where less at once doesn't help.

    Args:
        message: What happened.
        run: Whose plan says what was expected.
        config: The model and the data, for the planner.
        at: How far it is.
        once: Whether one example at a time was tried.
    """
    plan = run.read(run.plan_file, Plan)
    planned = "" if plan is None or not plan.budget_reason else f" ({plan.budget_reason})"
    words = f"{message}{', with one example at a time' if once else ''}{planned}"
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
def _device(home: Path, reporter: _Reporter, again: Again | None) -> Iterator[IO[str]]:
    """Hold this machine's device; others wait their turn. The lock ends with its process."""
    import fcntl

    locks = home / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    # Who begins anew has it still: opened again, the lock would be somebody else's.
    with os.fdopen(again.device, "a") if again else (locks / "device").open("a") as lock:
        os.set_inheritable(lock.fileno(), False)
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                reporter.report("queued", "waiting for another job on this machine to end")
                if reporter.stopping():
                    raise _StopWhileQueued from None
                time.sleep(0.5)
        yield lock


def follow(run_path: Path) -> int:
    """Train beside the worker that started this process; returns the process's exit code."""
    from ftctl.local_backend.train import train

    die_with_leader()
    run = Onlooker(run_path)
    try:
        train(run.config(), run, Watch(lambda *_, **__: None, lambda: False))
    except Interrupted:
        return 0
    except BaseException as error:  # noqa: BLE001 - whatever happens, the leader has to hear of it
        _log("".join(traceback.format_exception(error)))
        sys.stderr.flush()
        os._exit(OUT_OF_MEMORY if is_out_of_memory(error) else 1)  # waiting for no other process
    return 0


if __name__ == "__main__":
    path, *before = sys.argv[1:]
    os.nice(0 if is_follower() or before else 5)  # a person at this machine comes first
    if is_follower():
        sys.exit(follow(Path(path)))
    sys.exit(main(Path(path), Again(*map(int, before)) if before else None))
