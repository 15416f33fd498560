"""Parts of a file looked at by several processes, handed back in the file's order."""

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import SimpleQueue

from ftctl.datasets.fast.part import Part
from ftctl.datasets.fast.worker import Task

MIN_BYTES = 64 * 2**20  # below it, starting processes takes longer than they save
_AHEAD = 2  # tasks a process, so that none waits while results are taken

Done = tuple[Task, Part]


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def here(tasks: Iterator[Task]) -> Iterator[Done]:
    """Do the tasks in this process, one by one."""
    for task in tasks:
        yield task, task.done()


@contextmanager
def processes(count: int) -> Iterator[Callable[[Iterator[Task]], Iterator[Done]]]:
    """Some processes, and what does tasks in them; they end with the context.

    A process that can't be started, or dies, is done without: its tasks are done here.
    """
    workers = [_Worker() for _ in range(count)]
    idle: SimpleQueue[_Worker] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def done(task: Task) -> Part:
        worker = idle.get()
        try:
            return worker.do(task)
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(count)

    def run(tasks: Iterator[Task]) -> Iterator[Done]:
        ahead: deque[tuple[Task, Future[Part]]] = deque()
        for task in tasks:
            ahead.append((task, pool.submit(done, task)))
            if len(ahead) > _AHEAD * count:
                task, future = ahead.popleft()
                yield task, future.result()
        for task, future in ahead:
            yield task, future.result()

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

    def do(self, task: Task) -> Part:
        process = self._process
        if process is not None and process.stdin is not None and process.stdout is not None:
            with suppress(OSError, EOFError, pickle.UnpicklingError):
                pickle.dump(task, process.stdin)
                process.stdin.flush()
                part: Part = pickle.load(process.stdout)  # noqa: S301 - our own process wrote it
                return part
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
