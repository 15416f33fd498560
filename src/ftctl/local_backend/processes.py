"""Several processes that train one model on one machine: one leads, the others follow.

The leader is the worker that the executor started. It alone writes into the run folder. It starts
the others in its own process group, so that whatever ends the group ends them all; and none of
them outlives it, because each holds the end of a pipe that breaks when the leader dies.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import override

from ftctl.errors import Unsupported, UsageError
from ftctl.job import Tuning
from ftctl.local_backend.run_folder import RunFolder
from ftctl.local_backend.run_options import RunOptions

if TYPE_CHECKING:
    from pydantic import BaseModel

_Value = TypeVar("_Value")

# The exit status by which a process tells the leader that memory ran out. Any number does that
# Python and shells leave alone; this is EX_UNAVAILABLE of sysexits.h.
OUT_OF_MEMORY = 69
_ENDS_WITHIN_S = 30.0
_NOTICED_WITHIN_S = 10.0
_BURIED_WITHIN_S = 5.0


class Onlooker(RunFolder):
    """The run folder as the processes that follow see it: to be read, never written."""

    writes = False

    @override
    def write(self, file: Path, value: "BaseModel | dict[str, Any]") -> None:
        """Nothing: the leader writes."""

    @override
    def append(self, file: Path, row: dict[str, Any]) -> None:
        """Nothing: the leader writes."""

    @override
    def check_fence(self) -> None:
        """Nothing: the leader is stopped, and with it all."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A process that ended before its time.

    Attributes:
        index: Which; the leader is 0.
        count: Of how many.
        status: As `Popen.returncode` says it: a signal's number is negative.
    """

    index: int
    count: int
    status: int

    @property
    def out_of_memory(self) -> bool:
        """Whether it said so."""
        return self.status == OUT_OF_MEMORY

    @override
    def __str__(self) -> str:
        who = f"process {self.index} of {self.count}"
        if self.out_of_memory:
            return f"{who} ran out of memory"
        if self.status < 0:
            name = signal.Signals(-self.status).name
            return (
                f"{who} was killed from outside ({name}), by kill -9 or by the system when memory "
                "ran out"
            )
        return f"{who} ended with status {self.status}"


@dataclass
class _Others:
    """The processes that this one leads."""

    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    missed: Lost | None = None  # before they were ended
    unheard: Callable[[Lost], object] = str  # what to do where the loop doesn't hear of it
    ending: threading.Lock = field(default_factory=threading.Lock)  # one thread sees to the end

    def lost(self) -> Lost | None:
        """The first that has ended with anything but success, by itself."""
        if self.missed is not None or self.over.is_set():
            return self.missed
        for index, process in enumerate(self.processes, start=1):
            if process.poll() not in (None, 0):
                return Lost(index, len(self.processes) + 1, process.returncode)
        return None

    def end(self, grace_s: float) -> None:
        """Wait for them, then end them."""
        self.over.set()
        give_up = time.monotonic() + grace_s
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, give_up - time.monotonic()))
            process.kill()
            process.wait()


_others = _Others()


@dataclass(frozen=True)
class Team:
    """The processes of a run, as one of them sees them.

    Attributes:
        index: Which one this is.
        count: How many there are.
    """

    index: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes."""
        return self.index == 0

    def gathered(self, value: _Value) -> list[_Value]:
        """What each process says, in their order; all of them have to ask."""
        if self.count == 1:
            return [value]
        import torch.distributed as dist

        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, value, group=_talk())
        return found

    def told(self, value: _Value) -> _Value:
        """What the leader says; all of them have to ask."""
        if self.count == 1:
            return value
        import torch.distributed as dist

        said = [value]
        dist.broadcast_object_list(said, src=0, group=_talk())
        return said[0]


def require_processes(options: RunOptions, tuning: Tuning, *, resumed: bool = False) -> None:
    """Refuse what can't run here before a job is made, or goes on.

    Args:
        options: What was asked.
        tuning: What of the base is trained.
        resumed: Whether there are checkpoints already, which another number of processes has.

    Raises:
        UsageError: the settings don't go together.
        Unsupported: there are fewer GPUs, or DeepSpeed isn't installed.
    """
    from importlib.util import find_spec

    count, sharding = options.processes, options.sharding
    if sharding != "ddp" and count == 1:
        raise UsageError(
            f"sharding={sharding} splits a model between processes, and there is one",
            hint="--set processes=2 or more, or leave sharding out",
        )
    if sharding != "ddp" and tuning == "qlora":
        raise UsageError(
            f"sharding={sharding} splits weights, and those in four bits can't be split",
            hint="leave sharding out: each process then holds the whole base in four bits",
        )
    if sharding == "hybrid_shard" and (count < 4 or count % 2):
        raise UsageError(
            f"sharding=hybrid_shard needs an even number of processes, 4 or more, not {count}: "
            "two copies of the model, each split between half of them",
            hint="--set processes=4, or --set sharding=full_shard",
        )
    if sharding.startswith("zero") and find_spec("deepspeed") is None:
        raise Unsupported(
            f"sharding={sharding} needs DeepSpeed, which isn't installed",
            hint="pip install deepspeed; or --set sharding="
            f"{'shard_grad_op' if sharding == 'zero2' else 'full_shard'}, which splits the same "
            "with torch alone",
        )
    if count > 1:
        import torch

        here = torch.cuda.device_count()
        if torch.cuda.is_available() and here < count:
            hint = f"--set processes={here}"
            if resumed:
                hint = (
                    f"let the job have {count} GPUs again (CUDA_VISIBLE_DEVICES); or submit it "
                    f"again with --new {hint}"
                )
            raise Unsupported(
                f"processes={count}: each needs a GPU, and there are {here}", hint=hint
            )


def join(run: RunFolder, count: int, device: str) -> Team:
    """Meet the other processes of the run; who leads starts them first.

    Args:
        run: Whose.
        count: How many processes train together.
        device: What they compute with: NCCL speaks between GPUs, gloo between CPUs.
    """
    if count == 1:
        return Team()
    import torch
    import torch.distributed as dist

    index = int(os.environ.get("RANK", "0"))
    # On one machine nothing needs to leave it, whatever its own name resolves to.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    port = int(os.environ["MASTER_PORT"]) if index else 0
    # Port 0 is any that is free, so that nobody can take it between a look and its use.
    store = dist.TCPStore("127.0.0.1", port, count, is_master=index == 0, wait_for_workers=False)
    if index == 0:
        threads = max(1, (os.cpu_count() or 1) // count)
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
        os.environ |= _place(0, count, store.port)
        _start_others(run, count, store.port)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if device == "cuda":
        torch.cuda.set_device(index)
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=index, world_size=count)
    return Team(index, count)


def _place(index: int, count: int, port: int) -> dict[str, str]:
    """Where a process stands, as torch, accelerate and DeepSpeed read it."""
    return {
        "RANK": str(index),
        "LOCAL_RANK": str(index),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def _start_others(run: RunFolder, count: int, port: int) -> None:
    command = [sys.executable, "-m", "ftctl.local_backend.worker", str(run.path)]
    # Who is told to stop is the group; the others begin, and stay, deaf to it: the leader decides.
    handler = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        for index in range(1, count):
            process = subprocess.Popen(  # noqa: S603 - our own interpreter on our own module
                command,
                # Never written to: it breaks when this process dies, however it dies.
                stdin=subprocess.PIPE,
                env=os.environ | _place(index, count, port),
            )
            _others.processes.append(process)
    finally:
        signal.signal(signal.SIGTERM, handler)
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    """End this process when another is lost and the loop doesn't hear of it.

    gloo tells at once whoever waits for the lost one; NCCL may wait for good.
    """
    while not _others.over.wait(0.5):
        lost = _others.lost()
        if lost is None or _others.over.wait(_NOTICED_WITHIN_S):
            continue
        with _others.ending:
            if _others.over.is_set():
                return
            _others.missed = lost
            _others.end(0.0)
            try:
                _others.unheard(lost)
            finally:
                os._exit(1)


@contextlib.contextmanager
def led(unheard: Callable[[Lost], object]) -> Iterator[None]:
    """Whatever happens in here, no process that this one started lives on after it.

    Args:
        unheard: Called, in another thread, before this process ends because it waits for good for
            one that is lost.
    """
    _others.unheard, done = unheard, False
    try:
        yield
        done = True
    except RuntimeError:  # what torch says when another doesn't answer
        _others.missed = _wait_for_lost()
        raise
    finally:
        with _others.ending:
            _others.end(_ENDS_WITHIN_S if done else 0.0)


def find_lost() -> Lost | None:
    """Which of the others had ended too early, by which this one may have failed."""
    return _others.lost()


def _wait_for_lost() -> Lost | None:
    """The same, given a moment in which it is buried."""
    give_up = time.monotonic() + (_BURIED_WITHIN_S if _others.processes else 0.0)
    while (lost := _others.lost()) is None and time.monotonic() < give_up:
        time.sleep(0.1)
    return lost


def is_follower() -> bool:
    """Whether this process was started by one that leads."""
    return int(os.environ.get("RANK", "0")) > 0


def die_with_leader() -> None:
    """Die with the leader, of whatever it dies."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    threading.Thread(target=_wait_for_its_end, daemon=True).start()


def _wait_for_its_end() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


_talking: list[Any] = []


def _talk() -> Any:  # noqa: ANN401 - a ProcessGroup
    """The group for words: always over gloo, so that they need no GPU. All make it together."""
    import torch.distributed as dist

    if not _talking:
        _talking.append(dist.new_group(backend="gloo"))
    return _talking[0]
