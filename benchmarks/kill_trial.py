"""One kill: a forked child does something, and is killed with SIGKILL at a step of our choice.

A step is where what others can see changes: a commit of the store, a file that is opened, written
in part, renamed or removed, a process that is started, a request that a vendor has received,
worked on or answered. The first run of an act is left alone and only tells its steps.
"""

import json
import os
import re
import signal
import socket
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from ftctl.testing.loopback import Loopback, Moment, Request

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_NEW = os.O_TRUNC | os.O_EXCL
_FILES = {
    "os.rename": "renaming",
    "os.remove": "removing",
    "os.rmdir": "removing folder",
    "os.mkdir": "making folder",
}
_OTHERS = {"subprocess.Popen": "starting a process", "os.killpg": "signalling a process group"}
_RANDOM = re.compile(r"[^/.]*job-\w{10,}|(?=[^/.]*\d)[^/.]{6,}")  # our id, another, a hash
_LONGEST_S = 60.0


class ChildError(Exception):
    """The child came to grief by itself; its own words."""


@dataclass(frozen=True)
class Kill:
    """Where the child dies: the `nth` time that it comes to a step, counted from 1.

    Attributes:
        held: Whether it is stopped before it is answered. Else an answer's kill falls somewhere
            after the child has read it, or not at all where its end is near.
    """

    step: str
    nth: int
    held: bool = False

    def falls(self, step: str, count: int) -> bool:
        """Whether it is now."""
        return (self.step, self.nth) == (step, count)


@dataclass
class Fall:
    """What became of the child.

    Attributes:
        steps: The steps that it came to, in their order.
        killed: Whether it was killed; else it came to its end.
    """

    steps: list[str]
    killed: bool


def plain(path: str) -> str:
    """A path or route without the parts that differ from run to run."""
    return _RANDOM.sub("*", re.sub(r"\.part[^/]*", ".part", path))


class _Child:
    """Counts the steps of this process, and kills it at one.

    Args:
        kill: Where; None lets it live.
        root: Files outside are nobody's business.
    """

    def __init__(self, kill: Kill | None, root: Path) -> None:
        self._kill, self._root = kill, os.fspath(root)
        self._seen: Counter[str] = Counter()
        self._fresh: str | None = None  # a new file that may be half-written at this moment
        self.steps: list[tuple[float, str]] = []

    def watch(self) -> None:
        """From here on, every step of this process is seen."""
        from sqlalchemy import Engine, Pool, event

        where: list[str] = []

        def commit(connection: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own
            if not connection.get_execution_options().get("reading"):
                where.append(_committer())
                self.reach(f"before the commit of {where[0]}")

        def given_back(*_: object) -> None:
            if where:
                self.reach(f"after the commit of {where.pop()}")

        event.listen(Engine, "commit", commit)
        event.listen(Pool, "checkin", given_back)
        sys.addaudithook(self._audit)

    def reach(self, step: str) -> None:
        """Here is a step."""
        torn, self._fresh = self._fresh, None
        if torn is not None and Path(torn).is_file() and Path(torn).stat().st_size:
            self._count(f"half of {self._name(torn)} written", torn)
        self._count(step)

    def _count(self, step: str, torn: str | None = None) -> None:
        self._seen[step] += 1
        self.steps.append((time.monotonic(), step))
        if self._kill is not None and self._kill.falls(step, self._seen[step]):
            if torn is not None:
                os.truncate(torn, Path(torn).stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    def _audit(self, what: str, arguments: tuple[Any, ...]) -> None:
        if what in _OTHERS:
            self.reach(_OTHERS[what])
        elif what == "open":
            path, _, flags = arguments
            if isinstance(path, str | Path) and flags & _WRITES and self._ours(path):
                self.reach(f"opening {self._name(path)}")
                self._fresh = os.fspath(path) if flags & _NEW else None
        elif what in _FILES:
            path = arguments[0]
            beside = arguments[-1] != -1  # named from its open folder, as rmtree does
            there = what == "os.mkdir" and os.path.isdir(path)  # noqa: PTH112 - hot, and a str
            if not there and isinstance(path, str | Path) and (beside or self._ours(path)):
                self.reach(f"{_FILES[what]} {self._name(path)}")

    def _ours(self, path: str | Path) -> bool:
        return os.fspath(path).startswith(self._root)

    def _name(self, path: str | Path) -> str:
        return plain(os.fspath(path).removeprefix(self._root).lstrip("/"))


def _committer() -> str:
    """The function of ours, outside the store, whose change is committed."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the only way to ask who calls
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("ftctl.") and not module.startswith("ftctl.store"):
            return f"{module.rpartition('.')[2]}.{frame.f_code.co_name}"
        frame = frame.f_back
    return "a new store"


@dataclass
class _Vendor:
    """What a vendor on loopback sees of the child; kills it at a moment of a request."""

    kill: Kill | None
    pid: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    steps: list[tuple[float, str]] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, moment: Moment, request: Request) -> None:
        """One moment of one request."""
        step = f"{plain(request.route)} {moment}"
        with self.lock:
            if self.pid <= 0:  # an earlier child's request; and 0 would name us all
                return
            if moment == "received":
                self.asked.append(request)
            elif not any(request is asked for asked in self.asked):
                return  # what led up to this child had its answer, and its thread is late
            self.seen[step] += 1
            self.steps.append((time.monotonic(), step))
            if self.kill is None:
                return
            if self.kill.falls(step, self.seen[step]):
                os.kill(self.pid, signal.SIGKILL)  # a child that has ended isn't reaped yet
            elif self.kill.held and moment == "worked":
                answered = f"{plain(request.route)} answered"
                if self.kill.falls(answered, self.seen[answered] + 1):
                    os.kill(self.pid, signal.SIGSTOP)


def run_and_kill(
    act: Callable[[], object], kill: Kill | None, root: Path, vendor: Loopback | None
) -> Fall:
    """Let a forked child act, and kill it.

    Args:
        act: What the child does.
        kill: Where it dies; None lets it live.
        root: The folder whose files are watched.
        vendor: The vendor on loopback that it asks, if it asks one; when this returns, the vendor
            has done all that the child asked for.

    Raises:
        ChildError: the child failed, or hung.
    """
    told, gate = os.pipe(), os.pipe()
    watching = _Vendor(kill)
    if vendor is not None:
        vendor.on_moment = watching.tell
    before = set(threading.enumerate())
    pid = os.fork()
    if pid == 0:
        os.read(gate[0], 1)
        _be_the_child(act, _Child(kill, root), told[1])
    watching.pid = pid
    os.close(told[1])
    os.write(gate[1], b"!")
    with os.fdopen(told[0], "rb") as stream:
        said = stream.read()  # to its end, which is the child's
    with watching.lock:  # before it is reaped: its number may be another's then
        watching.kill = None
    _, status = os.waitpid(pid, 0)
    for end in gate:
        os.close(end)
    if vendor is not None:
        _wait_for(vendor, before)
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) != signal.SIGKILL:
            raise ChildError(f"the child died of signal {os.WTERMSIG(status)}")
        return Fall([], killed=True)
    if os.waitstatus_to_exitcode(status):
        raise ChildError(said.decode())
    steps = [*map(tuple, json.loads(said)), *watching.steps]
    return Fall([step for _, step in sorted(steps)], killed=False)


def _be_the_child(act: Callable[[], object], child: _Child, told: int) -> None:
    signal.alarm(int(_LONGEST_S))  # nobody waits for ever
    try:
        child.watch()
        child.reach("at the start")
        act()
        child.reach("at the end")
        os.write(told, json.dumps(child.steps).encode())
        os._exit(0)
    except BaseException:  # noqa: BLE001 - it is told, and nothing of the parent's runs here
        os.write(told, traceback.format_exc().encode()[-8000:])
        os._exit(1)


def _wait_for(vendor: Loopback, before: set[threading.Thread]) -> None:
    """Until the vendor has done what a dead client asked for, on connections taken or not yet."""
    _join(before)
    vendor.on_moment = None
    # Connections are taken in their order: once ours is answered, all of the child's were taken.
    host, _, port = vendor.base_url.split("/")[2].partition(":")
    with socket.create_connection((host, int(port)), timeout=_LONGEST_S) as ours:
        ours.sendall(b"GET /nothing HTTP/1.0\r\n\r\n")
        while ours.recv(4096):
            pass
    _join(before)


def _join(before: set[threading.Thread]) -> None:
    give_up = time.monotonic() + _LONGEST_S
    # Looked at, not joined: a thread is listed a moment before it may be joined.
    while set(threading.enumerate()) - before:
        if time.monotonic() > give_up:
            raise ChildError("the vendor still works for a client that is dead")
        time.sleep(0.001)
