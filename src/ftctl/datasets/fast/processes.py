"""Parts of a file looked at by several processes, handed back in the file's order."""

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from queue import SimpleQueue
from typing import Protocol, TypeVar

MIN_BYTES = 64 * 2**20  # below it, starting processes takes longer than they save
_AHEAD = 2  # tasks a process, so that none waits while results are taken

Found = TypeVar("Found")
Found_co = TypeVar("Found_co", covariant=True)


class Task(Protocol[Found_co]):
    """Some of a file's lines, small enough to be handed to another process."""

    def done(self) -> Found_co:
        """What they show."""


class Do(Protocol):
    """Does tasks, and gives what each found in their order."""

    def __call__(self, tasks: Iterator[Task[Found]], /) -> Iterator[Found]:
        """Do them."""


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _here(tasks: Iterator[Task[Found]]) -> Iterator[Found]:
    return (task.done() for task in tasks)


def doing(size_bytes: int, count: int | None = None) -> AbstractContextManager[Do]:
    """What does the tasks of a file, in processes that end with the context.

    Args:
        size_bytes: The file's.
        count: How many processes; None for as many as help, 1 for this one.
    """
    if count is None:
        count = cores() if size_bytes >= MIN_BYTES else 1
    return nullcontext(_here) if count == 1 else _processes(count)


@contextmanager
def _processes(count: int) -> Iterator[Do]:
    """A process that can't be started, or dies, is done without: its tasks are done here."""
    workers = [_Worker() for _ in range(count)]
    idle: SimpleQueue[_Worker] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def done(task: Task[Found]) -> Found:
        worker = idle.get()
        try:
            return worker.do(task)
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(count)

    def run(tasks: Iterator[Task[Found]]) -> Iterator[Found]:
        ahead: deque[Future[Found]] = deque()
        for task in tasks:
            ahead.append(pool.submit(done, task))
            if len(ahead) > _AHEAD * count:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    try:
        yield run
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.kill()
        pool.shutdown()
        for worker in workers:
            worker.close()


class _Worker:
    """One process and the pipes to it."""

    def __init__(self) -> None:
        self._wanted = True
        self._process: subprocess.Popen[bytes] | None = None
        with suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ftctl.datasets.fast.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # a task that fails there fails here too, and is told
                start_new_session=True,  # Ctrl-C is for us: what is known so far is still told
            )

    def do(self, task: Task[Found]) -> Found:
        process = self._process
        if process is not None and process.stdin is not None and process.stdout is not None:
            with suppress(OSError, EOFError, pickle.UnpicklingError):
                pickle.dump(task, process.stdin)
                process.stdin.flush()
                found: Found = pickle.load(process.stdout)  # noqa: S301 - our own process wrote it
                return found
        if not self._wanted:
            raise EOFError
        self.kill()
        self.close()
        self._process, self._wanted = None, True
        return task.done()

    def kill(self) -> None:
        self._wanted = False
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        process = self._process
        for pipe in (process.stdin, process.stdout) if process is not None else ():
            if pipe is not None:
                with suppress(OSError):  # what it didn't read any more
                    pipe.close()
