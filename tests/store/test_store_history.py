"""Whatever is done to jobs, by however many, in any order and cut anywhere: a legal history.

Triggers in the database write down each change of a row, whoever makes it, so what is judged is
the history as it was and not what a model says it should have been.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from typing_extensions import override

from ftctl.api.job_handle import Job
from ftctl.config.settings import Settings
from ftctl.datasets.digest import file_sha256
from ftctl.errors import (
    AuthError,
    FtctlError,
    InvalidRequest,
    NotFound,
    NotFoundHere,
    StoreError,
    Unavailable,
)
from ftctl.job import LEGAL_MOVES, JobEvent, JobRecord, JobSpec, JobState, Snapshot, TunedModel
from ftctl.providers.artifacts.download import Progress
from ftctl.providers.base import Capabilities, Provider, RemoteFile
from ftctl.store import Store
from ftctl.submission import carry_on, resolve, submit
from ftctl.testing.under_test import Crash, Time
from ftctl.watcher import look_at_page, refresh, utc_now

TRIGGERS = """
CREATE TABLE history (number INTEGER PRIMARY KEY, old TEXT, new TEXT, steps INTEGER, state TEXT);
CREATE TRIGGER moved AFTER UPDATE OF record ON jobs BEGIN
    INSERT INTO history (old, new, steps, state) VALUES
        (OLD.record, NEW.record, NEW.revision - OLD.revision, NEW.state);
END;
CREATE TRIGGER kept BEFORE DELETE ON jobs BEGIN SELECT RAISE(ABORT, 'a job was lost'); END;
CREATE TRIGGER told BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'an event was lost'); END;
CREATE TRIGGER same BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'an event changed'); END;
"""
OBSERVERS = 3
Verb = Literal["upload", "create", "find", "poll", "events", "cancel", "resume"]
VERBS: tuple[Verb, ...] = ("upload", "create", "find", "poll", "events", "cancel", "resume")
Action = Literal[
    "submit", "look", "page", "cancel", "resume", "finish", "resolve", "move", "drop", "restart"
]


@dataclass(frozen=True)
class Act:
    """What somebody does, with which job, and what the vendor then shows if it is it that moves."""

    what: Action
    who: int
    job: int
    new: bool
    shown: JobState | None


Fault = tuple[str, Verb, type[BaseException]]
SHOWN = [None, JobState.RUNNING, *sorted(LEGAL_MOVES[JobState.RUNNING])]
ACT = st.builds(
    Act,
    # Twice what must happen before the rest can.
    st.sampled_from(("submit", "submit", "look", "look", "move", "move", *get_args(Action))),
    st.integers(0, OBSERVERS - 1),
    st.integers(0, 9),
    st.booleans(),
    st.sampled_from(SHOWN),
)
FAULT = st.tuples(
    st.sampled_from(("before", "after")),
    st.sampled_from((*VERBS, *["create"] * 3)),  # where most is at stake
    st.sampled_from((Crash, Unavailable, AuthError, NotFound, InvalidRequest)),
).filter(
    # Any other error than these two says that the job certainly was not made.
    lambda fault: fault[:2] != ("after", "create") or fault[2] in (Crash, Unavailable)
)


class Vendor:
    """Holds jobs, shows new ones late, fails as it is told, and lets others act meanwhile."""

    name = "vendor"
    capabilities = Capabilities(
        methods=frozenset({"sft"}),
        tunings=frozenset({"lora"}),
        hyperparameters=frozenset(),
        can_cancel=True,
        can_find=True,
        can_resume=True,
        returns_weights=False,
        data_stays_here=True,
        lists_lag=True,
    )

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.jobs: dict[str, Snapshot] = {}
        self.markers: dict[str, str] = {}
        self.shown_from: dict[str, datetime] = {}
        self.faults: dict[tuple[str, str], type[BaseException]] = {}
        self.meanwhile: dict[str, Callable[[], None]] = {}
        self.creating = False

    def _enter(self, verb: Verb) -> None:
        self.meanwhile.pop(verb, lambda: None)()
        self._maybe_fail("before", verb)

    def _maybe_fail(self, when: str, verb: Verb) -> None:
        fault = self.faults.pop((when, verb), None)
        if fault is not None:
            raise fault("as it was told")

    def truth(self, marker: str) -> str | None:
        return next((id_ for id_, mark in self.markers.items() if mark == marker), None)

    def check(self, spec: JobSpec) -> None: ...

    def upload(self, file: Path, sha256: str) -> RemoteFile:
        self._enter("upload")
        self._maybe_fail("after", "upload")
        return RemoteFile("file-1", sha256)

    def create(self, spec: JobSpec, files: Mapping[str, RemoteFile], marker: str) -> str:
        outer, self.creating = self.creating, True  # another's create may begin during ours
        try:
            self._enter("create")
        finally:
            self.creating = outer
        remote_id = f"remote-{len(self.markers)}"
        self.jobs[remote_id] = shown(JobState.QUEUED, attempt=1)
        self.markers[remote_id] = marker
        self.shown_from[remote_id] = self.clock() + timedelta(seconds=30)
        self._maybe_fail("after", "create")
        return remote_id

    def find(self, marker: str) -> str | None:
        self._enter("find")
        found = self.truth(marker)
        self._maybe_fail("after", "find")
        return found if found and self.shown_from[found] <= self.clock() else None

    def poll(self, remote_id: str) -> Snapshot:
        seen = self.jobs.get(remote_id)  # a look is old news by the time it is written down
        self._enter("poll")
        if seen is None:
            raise NotFound(f"no {remote_id}")
        return seen

    def events(self, remote_id: str, after: int) -> list[JobEvent]:
        self._enter("events")
        said = [JobEvent(source_id=f"line-{i}", at=utc_now(), message="") for i in range(3)]
        return said[after:]

    def cancel(self, remote_id: str) -> None:
        self._enter("cancel")
        if remote_id not in self.jobs:
            raise NotFound(f"no {remote_id}")
        if not over(self.jobs[remote_id]):
            self.jobs[remote_id] = shown(JobState.CANCELLED, attempt_of(self.jobs[remote_id]))
        self._maybe_fail("after", "cancel")

    def resume(self, remote_id: str, attempt: int) -> None:
        self._enter("resume")
        self.jobs[remote_id] = shown(JobState.RUNNING, attempt)
        self._maybe_fail("after", "resume")

    def fetch(self, remote_id: str, folder: Path, progress: Progress | None = None) -> TunedModel:
        raise NotImplementedError

    def tuned_model(self, remote_id: str) -> TunedModel:
        raise NotImplementedError

    def forget(self, remote_id: str) -> None:
        raise NotImplementedError


def shown(state: JobState | None, attempt: int, model: str | None = None) -> Snapshot:
    return Snapshot(
        state=state,
        provider_status="a word",
        fine_tuned_model=model,
        progress={"attempt": float(attempt)},
    )


def attempt_of(snapshot: Snapshot) -> int:
    return int(snapshot.progress["attempt"])


def over(snapshot: Snapshot) -> bool:
    return snapshot.state is not None and snapshot.state.terminal


class Handle(Job):
    """`Job` with its verbs, at our vendor."""

    def __init__(self, record: JobRecord, where: Settings, vendor: Vendor) -> None:
        super().__init__(record, where)
        self._vendor = vendor

    @override
    def _provider(self) -> Provider:
        return self._vendor


class Observers(RuleBasedStateMachine):
    """Several processes at one store and one vendor, each with what it last saw."""

    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")  # noqa: S108 - only because it needs no disk
        place = memory if memory.is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="ftctl-history-", dir=place))
        url = f"sqlite:///{self.folder / 'ftctl.db'}"
        self.data = self.folder / "train.jsonl"
        self.data.write_text("{}\n")
        self.where = Settings(self.folder, url, 1, 60, self.folder / "none.toml", {})
        self.stores = [Store(url) for _ in range(OBSERVERS)]
        self.raw = sqlite3.connect(self.folder / "ftctl.db", isolation_level=None)
        self.raw.executescript(TRIGGERS)
        self.time = Time()
        self.vendor = Vendor(self.time.patience().clock)
        self.patience = replace(self.time.patience(), sleep=self._sleep)
        self.seen: list[JobRecord] = []  # what observers hold in their hands, old or new
        self.judged = 0
        self.events = 0

    @override
    def teardown(self) -> None:
        try:
            self._settle_everything()
        finally:
            for store in self.stores:
                store.close()
            self.raw.close()
            shutil.rmtree(self.folder)

    @rule(
        act=ACT,
        others=st.dictionaries(st.sampled_from(VERBS), st.none() | ACT, max_size=2),
        fault=st.none() | FAULT,
        seconds=st.sampled_from((0, 1, 31, 100)),
    )
    def somebody_acts(
        self, act: Act, others: dict[Verb, Act | None], fault: Fault | None, seconds: int
    ) -> None:
        """Others do the same or else while the vendor is asked, which may fail or be the end."""
        self.time.passed += timedelta(seconds=seconds)
        if fault is not None:
            when, verb, error = fault
            self.vendor.faults[when, verb] = error
        same = replace(act, who=(act.who + 1) % OBSERVERS)
        for verb, asked in others.items():
            other = asked or same
            self.vendor.meanwhile[verb] = lambda other=other: self._act(other)  # type: ignore[misc]
        self._act(act)
        self.vendor.faults.clear()
        self.vendor.meanwhile.clear()

    # What must hold.

    @invariant()
    def history_is_legal(self) -> None:
        query = "SELECT * FROM history WHERE number > ? ORDER BY number"
        for number, before, after, steps, state in self.raw.execute(query, (self.judged,)):
            self.judged = number
            old = JobRecord.model_validate_json(before)
            new = JobRecord.model_validate_json(after)
            assert steps == 1
            assert new.state.value == state
            assert (new.id, new.marker, new.created_at) == (old.id, old.marker, old.created_at)
            assert new.state == old.state or new.state in LEGAL_MOVES[old.state]
            resumed = old.state.terminal and new.state is JobState.QUEUED
            assert new.attempt == old.attempt + resumed
            assert old.remote_id in (None, new.remote_id)
            if (
                new.observed_at != old.observed_at and not new.stale_because
            ):  # no look tells of an attempt that is over
                assert new.progress["attempt"] == new.attempt
            if new.state is JobState.SUCCEEDED:
                assert new.fine_tuned_model
            if old.state.terminal and not resumed:  # what has ended needs no look
                assert new.stale_because == old.stale_because

    @invariant()
    def nothing_is_lost_and_nothing_doubled(self) -> None:
        (events,) = self.raw.execute("SELECT count(*) FROM events").fetchone()
        assert events >= self.events
        self.events = events
        twice = "SELECT 1 FROM events GROUP BY job_id, source_id HAVING count(*) > 1"
        assert not self.raw.execute(twice).fetchall()
        markers = list(self.vendor.markers.values())
        assert len(markers) == len(set(markers)), "a job was made twice"
        held = {row[0] for row in self.raw.execute("SELECT id FROM jobs")}
        assert set(markers) <= held

    # How it is done.

    def _act(self, act: Act) -> None:
        with self._anything_may_fail():
            self.seen += getattr(self, f"_{act.what}")(self.stores[act.who], act)

    def _in_hand(self, act: Act) -> JobRecord:
        if not self.seen:
            raise NotFoundHere("nobody has seen a job yet")
        return self.seen[-1 - act.job % len(self.seen)]

    def _submit(self, store: Store, act: Act) -> list[JobRecord]:
        spec, new = self._spec(act.job % 2), act.new and act.job > 5
        return [submit(spec, store=store, provider=self.vendor, new=new, patience=self.patience)]

    def _finish(self, store: Store, act: Act) -> list[JobRecord]:
        job = self._in_hand(act)
        return [carry_on(store, self.vendor, job, lambda _: None, self.patience)]

    def _look(self, store: Store, act: Act) -> list[JobRecord]:
        return [refresh(store, self.vendor, self._in_hand(act))]

    def _page(self, store: Store, act: Act) -> list[JobRecord]:
        ours = {job.id: job.remote_id for job in store.jobs() if job.remote_id in self.vendor.jobs}
        page = {id_: self.vendor.jobs[remote] for id_, remote in ours.items() if remote}
        return list(look_at_page(store, self.vendor, page, {}))

    def _cancel(self, store: Store, act: Act) -> list[JobRecord]:
        return [Handle(self._in_hand(act), self.where, self.vendor).cancel().record]

    def _resume(self, store: Store, act: Act) -> list[JobRecord]:
        if store.get_job(self._in_hand(act).id).state.open_intention:
            return self._finish(store, act)  # which is what it would do, but on our clock
        return [Handle(self._in_hand(act), self.where, self.vendor).resume().record]

    def _resolve(self, store: Store, act: Act) -> list[JobRecord]:
        job = self._in_hand(act)
        return [resolve(store, job, self.vendor.truth(job.marker), self.patience)]

    def _move(self, store: Store, act: Act) -> list[JobRecord]:
        live = [remote_id for remote_id, seen in self.vendor.jobs.items() if not over(seen)]
        if live:
            remote_id = live[act.job % len(live)]
            attempt = attempt_of(self.vendor.jobs[remote_id])
            model = "model" if act.new else None
            self.vendor.jobs[remote_id] = shown(act.shown, attempt, model)
        return []

    def _drop(self, store: Store, act: Act) -> list[JobRecord]:
        known = [job.remote_id for job in store.jobs() if job.remote_id in self.vendor.jobs]
        if known and act.new:
            del self.vendor.jobs[known[act.job % len(known)] or ""]
        return []

    def _restart(self, store: Store, act: Act) -> list[JobRecord]:
        store.close()
        self.stores[act.who] = Store(self.where.database_url)
        return []

    def _sleep(self, seconds: float) -> None:
        # A create ends, or its line is cut, long before the settle window does: nobody can wait
        # the window out while another's create is under way, but may be stopped while waiting.
        if self.vendor.creating:
            raise Crash
        self.time.passed += timedelta(seconds=seconds)

    def _spec(self, which: int) -> JobSpec:
        return JobSpec(
            provider="vendor",
            model="m",
            data=self.data,
            data_sha256=file_sha256(self.data),
            name=f"job {which}",
        )

    @contextmanager
    def _anything_may_fail(self) -> Iterator[None]:
        """A command may refuse, or its process die; both leave what others see as it is."""
        try:
            yield
        except StoreError:
            raise
        except (FtctlError, Crash):
            known = self.stores[0].jobs()
            self.seen += [job for job in known if job not in self.seen]

    def _settle_everything(self) -> None:
        """Without faults, what is open comes to an end, and every remote job is known here."""
        self.vendor.faults.clear()
        self.vendor.meanwhile.clear()
        store = self.stores[0]
        for job in store.jobs():
            if job.state is JobState.NEEDS_ATTENTION:
                job = resolve(store, job, self.vendor.truth(job.marker), self.patience)
            if job.state.open_intention:
                job = carry_on(store, self.vendor, job, lambda _: None, self.patience)
                assert job.state is JobState.QUEUED
            assert job.remote_id == self.vendor.truth(job.marker)
        self.history_is_legal()
        self.nothing_is_lost_and_nothing_doubled()


@pytest.mark.parametrize("verb", ["upload", "create"])
@pytest.mark.parametrize("fault", [Crash, Unavailable])
def test_two_submit_the_same_and_one_is_cut(verb: Verb, fault: type[BaseException]) -> None:
    observers = Observers()
    first = Act("submit", 0, 0, new=False, shown=None)
    observers.vendor.faults["after", "create"] = fault
    observers.vendor.meanwhile[verb] = lambda: observers._act(replace(first, who=1))
    observers._act(first)
    assert len(observers.vendor.markers) == 1
    observers.teardown()


def run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Observers,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=set(Phase) - {Phase.explain},
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.medium
@pytest.mark.timeout(300)
def test_any_history_is_legal() -> None:
    run(examples=12, steps=15)


@pytest.mark.slow
def test_any_long_history_is_legal() -> None:
    run(examples=100, steps=40)
