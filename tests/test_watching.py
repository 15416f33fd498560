"""Many jobs are watched in few questions; an account in trouble is left alone for a while."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typing_extensions import override

from ftctl.config import load_settings
from ftctl.errors import (
    AuthError,
    CredentialsMissing,
    FtctlError,
    NotFound,
    RateLimited,
    Unavailable,
)
from ftctl.job import JobEvent, JobRecord, JobSpec, JobState, Snapshot
from ftctl.providers.base import Provider
from ftctl.providers.fake import FakeProvider
from ftctl.store import Store
from ftctl.watcher import adopt
from ftctl.watching import FEW, Pace, watch_jobs

pytestmark = pytest.mark.medium

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
RUNNING = Snapshot(state=JobState.RUNNING, provider_status="running")
DONE = Snapshot(state=JobState.SUCCEEDED, provider_status="succeeded", fine_tuned_model="model-1")
Look = Callable[[str], Snapshot]


class Vendor(FakeProvider):
    """Answers each look by a function, and keeps what it was asked."""

    def __init__(self, folder: Path, look: Look) -> None:
        super().__init__(folder)
        self._look = look
        self.asked: list[str] = []

    @override
    def poll(self, remote_id: str) -> Snapshot:
        self.asked.append(f"poll {remote_id}")
        return self._look(remote_id)

    @override
    def events(self, remote_id: str, after: int) -> Sequence[JobEvent]:
        self.asked.append(f"events {remote_id}")
        return []

    @override
    def list_jobs(self) -> Iterator[Mapping[str, Snapshot]]:
        raise AssertionError("few jobs aren't listed")


class Listing(Vendor):
    """Holds numbered jobs, newest first, ten a page."""

    def __init__(self, folder: Path, look: Look, holds: int) -> None:
        super().__init__(folder, look)
        self._ids = [f"remote-{n}" for n in reversed(range(holds))]

    @override
    def list_jobs(self) -> Iterator[Mapping[str, Snapshot]]:
        for start in range(0, len(self._ids), 10):
            self.asked.append(f"page {start // 10}")
            yield {remote: self._look(remote) for remote in self._ids[start : start + 10]}


class Watched:
    """Jobs in a store and a clock that only sleeping moves."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = 0.0
        self.slept: list[float] = []

    def add(self, count: int, provider: str = "fake") -> list[str]:
        spec = JobSpec(
            provider=provider, model="m", data=Path("x.jsonl"), data_sha256="0" * 64, name="n"
        )
        ids = []
        for number in range(count):
            job = self.store.add_job(spec, "i", new=True)
            for state in (JobState.UPLOADING, JobState.SUBMITTING):
                self.store.update(job.id, lambda _, state=state: {"state": state})  # type: ignore[misc]
            ids.append(adopt(self.store, job.id, f"remote-{number}").id)
        return ids

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def watch(
        self, provider: Provider | Callable[[JobRecord], Provider], ids: Sequence[str]
    ) -> Iterator[JobRecord]:
        pace = Pace(
            every_s=2.0,
            sleep=self.sleep,
            clock=lambda: NOW + timedelta(seconds=self.now),
            ticks=lambda: self.now,
        )
        of = provider if callable(provider) else lambda _: provider
        return watch_jobs(self.store, of, [self.store.get_job(job) for job in ids], pace)


@pytest.fixture
def watched() -> Iterator[Watched]:
    with Store(load_settings().database_url) as store:
        yield Watched(store)


def in_turn(*looks: Snapshot | FtctlError) -> Look:
    left = list(looks)

    def look(_: str) -> Snapshot:
        seen = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(seen, FtctlError):
            raise seen
        return seen

    return look


def test_watching_tells_changes_and_ends(watched: Watched, tmp_path: Path) -> None:
    (job,) = watched.add(1)
    vendor = Vendor(tmp_path, in_turn(RUNNING, RUNNING, Unavailable("down"), RUNNING, DONE))
    told = [(record.state, record.stale_because) for record in watched.watch(vendor, [job])]
    assert told == [
        ("running", None),
        ("running", "down"),
        ("running", None),
        ("succeeded", None),
    ]
    assert watched.slept == pytest.approx([2.0, 2.0, 4.0, 2.0], rel=0.101)
    history = [event.message for _, event in watched.store.events(job) if event.kind == "state"]
    assert history == ["queued: submitted", "running", "succeeded"]


def test_an_account_in_trouble_is_asked_twice_and_ever_more_rarely(
    watched: Watched, tmp_path: Path
) -> None:
    ids = watched.add(4)
    down = [Unavailable("down")] * 24
    vendor = Vendor(tmp_path, in_turn(*down, DONE))
    told = list(watched.watch(vendor, ids))
    assert [record.stale_because for record in told] == ["down"] * 4 + [None] * 4
    assert len(vendor.asked) == 12 * 2 + 4 * 2  # of four jobs two are asked for while it is down
    doubled = [2.0 * 2**n for n in range(1, 8)] + [300.0] * 5
    assert watched.slept == pytest.approx(doubled, rel=0.101)


def test_a_refused_key_is_tried_for_one_job_only(watched: Watched, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path, in_turn(AuthError("401"), DONE))
    assert len(list(watched.watch(vendor, watched.add(4)))) == 8
    assert len(vendor.asked) == 1 + 4 * 2


def test_one_job_that_fails_to_show_holds_up_no_other(watched: Watched, tmp_path: Path) -> None:
    bad, *others = watched.add(3)

    def look(remote_id: str) -> Snapshot:
        if remote_id == "remote-0" and watched.now < 50:
            raise Unavailable("500")
        return DONE

    ends = {
        record.id: watched.now
        for record in watched.watch(Vendor(tmp_path, look), [bad, *others])
        if record.state.terminal
    }
    assert [ends[job] for job in others] == [0.0, 0.0]
    assert ends[bad] >= 50


def test_events_that_cannot_be_had_hide_no_end(watched: Watched, tmp_path: Path) -> None:
    class Mute(Vendor):
        @override
        def events(self, remote_id: str, after: int) -> Sequence[JobEvent]:
            raise NotFound("no events here")

    told = [job.state for job in watched.watch(Mute(tmp_path, in_turn(DONE)), watched.add(1))]
    assert told == ["succeeded"]


@pytest.mark.parametrize("trouble", [AuthError("401"), RateLimited("429"), Unavailable("down")])
@pytest.mark.parametrize("count", [1, 3, FEW + 2])
def test_a_job_that_ended_meanwhile_is_not_called_stale(
    watched: Watched, tmp_path: Path, trouble: FtctlError, count: int
) -> None:
    ids = watched.add(count)

    def another_process_sees_the_end() -> None:
        for job in ids:
            watched.store.update(
                job, lambda _: {"state": JobState.SUCCEEDED, "fine_tuned_model": "model-1"}
            )

    class Slow(Vendor):
        @override
        def list_jobs(self) -> Iterator[Mapping[str, Snapshot]]:
            another_process_sees_the_end()
            raise trouble

    def look(_: str) -> Snapshot:
        another_process_sees_the_end()
        raise trouble

    told = list(watched.watch(Slow(tmp_path, look), ids))
    assert sorted(record.id for record in told) == sorted(ids)
    assert {(record.state, record.stale_because) for record in told} == {("succeeded", None)}
    assert all(watched.store.get_job(job).stale_because is None for job in ids)


def test_numbers_that_blew_up_damage_no_record(watched: Watched, tmp_path: Path) -> None:
    (job,) = watched.add(1)
    odd = DONE.model_copy(update={"progress": {"loss": float("nan"), "seconds": float("inf")}})
    list(watched.watch(Vendor(tmp_path, in_turn(odd)), [job]))
    assert watched.store.get_job(job).progress == {}


def test_a_wait_of_years_is_slept_in_pieces(watched: Watched, tmp_path: Path) -> None:
    limited = RateLimited("429")
    limited.retry_after_s = 10_000.0
    list(watched.watch(Vendor(tmp_path, in_turn(limited, DONE)), watched.add(1)))
    assert watched.slept == [3600.0, 3600.0, 2800.0]


def test_lost_jobs_are_looked_for_slowly_and_told_of(watched: Watched, tmp_path: Path) -> None:
    (job,) = watched.add(1)
    vendor = Vendor(tmp_path, lambda _: DONE if watched.now >= 60 else missing())

    def missing() -> Snapshot:
        raise NotFound("no such job")

    moves: list[str] = []
    pace = Pace(
        2.0,
        sleep=watched.sleep,
        clock=lambda: NOW + timedelta(seconds=watched.now),
        ticks=lambda: watched.now,
        tell=lambda record: moves.append(record.state),
    )
    list(watch_jobs(watched.store, lambda _: vendor, [watched.store.get_job(job)], pace))
    assert moves == ["lost", "succeeded"]
    assert len([asked for asked in vendor.asked if asked.startswith("poll")]) < 10


def test_retry_after_is_obeyed(watched: Watched, tmp_path: Path) -> None:
    limited = RateLimited("429")
    limited.retry_after_s = 777.0
    list(watched.watch(Vendor(tmp_path, in_turn(limited, DONE)), watched.add(1)))
    assert watched.slept == [777.0]


def test_one_account_in_trouble_holds_up_no_other(watched: Watched, tmp_path: Path) -> None:
    bad, good = watched.add(1, "openai")[0], watched.add(1)[0]
    vendors = {
        "openai": Vendor(tmp_path, in_turn(Unavailable("down"), Unavailable("down"), DONE)),
        "fake": Vendor(tmp_path, in_turn(RUNNING, RUNNING, DONE)),
    }
    ends = {
        record.id: watched.now
        for record in watched.watch(lambda job: vendors[job.provider], [bad, good])
    }
    assert ends == {good: 4.0, bad: pytest.approx(12.0, rel=0.101)}


def test_many_jobs_are_seen_in_as_few_pages_as_hold_them(watched: Watched, tmp_path: Path) -> None:
    ids = watched.add(25)
    looks = iter([RUNNING] * 40)
    vendor = Listing(tmp_path, lambda _: next(looks, DONE), holds=40)
    states = [record.state for record in watched.watch(vendor, ids)]
    assert sorted(states) == ["running"] * 25 + ["succeeded"] * 25
    pages = [asked for asked in vendor.asked if asked.startswith("page")]
    assert pages == [f"page {n}" for n in range(4)] * 2
    # What the jobs said is asked for at their end, and of one job a page while they run.
    assert sorted(set(vendor.asked) - set(pages)) == sorted(f"events remote-{n}" for n in range(25))
    assert len(vendor.asked) == 8 + 3 + 25


class Talking(Listing):
    """Runs for some seconds; each job says a step and a loss when it is asked."""

    def __init__(self, folder: Path, watched: Watched, holds: int, until_s: float) -> None:
        super().__init__(folder, lambda _: DONE if watched.now >= until_s else RUNNING, holds)
        self._watched = watched

    @override
    def events(self, remote_id: str, after: int) -> Sequence[JobEvent]:
        self.asked.append(f"events {remote_id}")
        step = after + 1
        return [
            JobEvent(
                source_id=f"step-{step}",
                at=NOW,
                kind="metrics",
                message=f"step {step}",
                data={"step": step, "loss": 2.0 / step},
            )
        ]


def test_many_running_jobs_show_their_steps_in_turn_for_two_questions_a_page(
    watched: Watched, tmp_path: Path
) -> None:
    ids = watched.add(25)
    looks = 20
    vendor = Talking(tmp_path, watched, holds=25, until_s=2.0 * looks)
    steps = dict.fromkeys(ids, 0.0)
    for record in watched.watch(vendor, ids):
        if record.state is JobState.RUNNING:
            steps[record.id] = record.progress.get("step", 0)
    # Pages of ten, ten and five jobs: in twenty looks each is asked twice, or four times.
    assert sorted(steps.values()) == [2] * 20 + [4] * 5
    asked = vendor.asked[: vendor.asked.index("page 0", len(vendor.asked) - 3 - 25)]
    pages = [question for question in asked if question.startswith("page")]
    assert len(pages) == 3 * looks
    assert len(asked) == 2 * len(pages)
    assert watched.store.get_job(ids[0]).progress["loss"] == pytest.approx(2.0 / 4)


def test_a_vendor_that_tells_no_events_is_asked_once_a_look(
    watched: Watched, tmp_path: Path
) -> None:
    class Mute(Talking):
        @override
        def events(self, remote_id: str, after: int) -> Sequence[JobEvent]:
            self.asked.append(f"events {remote_id}")
            raise RateLimited("429")

    ids = watched.add(25)
    vendor = Mute(tmp_path, watched, holds=25, until_s=2.0)
    states = [record.state for record in watched.watch(vendor, ids)]
    assert sorted(states) == ["running"] * 25 + ["succeeded"] * 25
    first_look = vendor.asked[: vendor.asked.index("page 0", 1)]
    assert first_look == ["page 0", "events remote-24", "page 1", "page 2"]


def test_what_was_said_by_a_job_that_ended_meanwhile_changes_nothing(
    watched: Watched, tmp_path: Path
) -> None:
    ids = watched.add(7)

    class Ending(Talking):
        @override
        def events(self, remote_id: str, after: int) -> Sequence[JobEvent]:
            for job in ids:  # another process sees the end at this moment
                watched.store.update(
                    job,
                    lambda now: (
                        {}
                        if now.state.terminal
                        else {"state": JobState.SUCCEEDED, "fine_tuned_model": "model-1"}
                    ),
                )
            return super().events(remote_id, after)

    vendor = Ending(tmp_path, watched, holds=7, until_s=1e9)
    ends = [job.state for job in watched.watch(vendor, ids) if job.state.terminal]
    assert ends == ["succeeded"] * 7
    assert all(watched.store.get_job(job).progress == {} for job in ids)


def test_no_page_is_turned_once_every_job_was_seen(watched: Watched, tmp_path: Path) -> None:
    ids = watched.add(30)[20:]
    vendor = Listing(tmp_path, in_turn(DONE), holds=30)
    assert len(list(watched.watch(vendor, ids))) == 10
    assert "page 1" not in vendor.asked


def test_a_job_on_no_page_is_lost_only_when_asked_for_three_times(
    watched: Watched, tmp_path: Path
) -> None:
    ids = watched.add(7)

    def look(remote_id: str) -> Snapshot:
        if remote_id == "remote-6":
            raise NotFound("no such job")
        return RUNNING if watched.now < 10 else DONE

    vendor = Listing(tmp_path, look, holds=6)
    states: list[str] = []
    for record in watched.watch(vendor, ids):
        if record.id == ids[6] and record.state not in states:
            states.append(record.state)
        if states[-1:] == ["lost"]:
            break
    assert states == ["queued", "lost"]
    assert vendor.asked.count("poll remote-6") == 3


def test_what_another_process_has_just_seen_is_not_asked_again(
    watched: Watched, tmp_path: Path
) -> None:
    (job,) = watched.add(1)
    seen = {"observed_at": NOW, "state": JobState.RUNNING}
    watched.store.update(job, lambda _: seen)
    vendor = Vendor(tmp_path, in_turn(DONE))
    states = [(record.state, watched.now) for record in watched.watch(vendor, [job])]
    assert states == [("running", 0.0), ("succeeded", 2.0)]


def test_one_job_that_cannot_be_asked_for_stops_no_other(watched: Watched, tmp_path: Path) -> None:
    good, bad = watched.add(1)[0], watched.add(1, "openai")[0]

    def driver(record: JobRecord) -> Provider:
        if record.id == bad:
            raise CredentialsMissing("no key")
        return Vendor(tmp_path, in_turn(DONE))

    told = {record.id: record.stale_because for record in watched.watch(driver, [good, bad])}
    assert told == {bad: "no key", good: None}
    with pytest.raises(CredentialsMissing):
        list(watched.watch(driver, [bad]))


def test_a_refused_key_is_waited_for(watched: Watched, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path, in_turn(AuthError("401"), DONE))
    told = list(watched.watch(vendor, watched.add(1)))
    assert [record.stale_because for record in told] == ["401", None]


def test_watching_a_job_that_never_left_ends(watched: Watched, tmp_path: Path) -> None:
    spec = JobSpec(provider="fake", model="m", data=Path("x"), data_sha256="0" * 64, name="n")
    cut = watched.store.add_job(spec, "i")
    looks = [record.state for record in watched.watch(Vendor(tmp_path, in_turn(DONE)), [cut.id])]
    assert (looks, watched.slept) == (["created"], [])
