"""Only what is due is looked at, the longest due first; a clock set back loses no look."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from store_steps import NOW, a_queued_job, a_spec, moved

from ftctl.job import JobRecord, JobState
from ftctl.store import Store

SOON = NOW + timedelta(seconds=30)
LATER = NOW + timedelta(hours=5)


def due(store: Store, at: datetime, limit: int = 10) -> list[str]:
    return [job.name for job in store.due(at, limit)]


@pytest.fixture
def queued(store: Store) -> list[JobRecord]:
    return [a_queued_job(store, name) for name in ("a", "b", "c")]


def test_a_job_that_has_come_to_its_provider_is_due_at_once(store: Store) -> None:
    job = store.add_job(a_spec(), "i")
    for state in (JobState.UPLOADING, JobState.SUBMITTING):
        assert store.due(NOW, 10) == []
        moved(store, job, state)
    moved(store, job, JobState.NEEDS_ATTENTION)
    assert store.due(NOW, 10) == []
    queued = moved(store, job, JobState.QUEUED)
    assert store.due(NOW, 10) == [queued]


def test_a_scheduled_job_is_due_when_its_time_has_come(
    store: Store, queued: list[JobRecord]
) -> None:
    a, b, c = (job.id for job in queued)
    store.schedule({a: LATER, b: SOON}, NOW)
    assert due(store, NOW) == ["c"]
    assert due(store, SOON) == ["c", "b"]  # unset is oldest
    assert due(store, LATER) == ["c", "b", "a"]
    assert due(store, LATER, limit=2) == ["c", "b"]
    store.schedule({c: LATER + timedelta(microseconds=1)}, SOON)
    assert due(store, LATER) == ["b", "a"]
    store.schedule({}, NOW)


def test_a_move_keeps_the_time_of_the_next_look_and_an_end_takes_it_away(
    store: Store, queued: list[JobRecord]
) -> None:
    a, b, c = queued
    store.schedule({job.id: SOON for job in queued}, NOW)
    moved(store, a, JobState.RUNNING)
    moved(store, b, JobState.FAILED)
    moved(store, c, JobState.LOST)  # a lost job may be found again
    assert due(store, NOW) == []
    assert sorted(due(store, SOON)) == ["a", "c"]
    store.schedule({b.id: SOON}, NOW)  # planned by somebody who did not see the end
    assert sorted(due(store, SOON)) == ["a", "c"]
    store.update(b.id, lambda _: {"state": JobState.QUEUED, "attempt": 2})
    assert due(store, NOW) == ["b"]


def test_a_time_of_any_zone_and_width_is_compared_as_time(
    store: Store, queued: list[JobRecord]
) -> None:
    a, b, _ = (job.id for job in queued)
    east = NOW.astimezone(datetime.strptime("+0900", "%z").tzinfo)
    store.schedule({job.id: LATER for job in queued}, NOW)
    store.schedule({a: east, b: NOW + timedelta(microseconds=1)}, NOW)
    assert due(store, NOW) == ["a"]
    assert due(store, NOW.astimezone(UTC) + timedelta(microseconds=1)) == ["a", "b"]


@pytest.mark.parametrize("back", [timedelta(minutes=2), timedelta(days=400)])
def test_a_clock_set_back_delays_no_look(
    store: Store, queued: list[JobRecord], back: timedelta
) -> None:
    store.schedule({job.id: SOON for job in queued}, NOW)
    before = NOW - back
    assert sorted(due(store, before)) == ["a", "b", "c"]
    # Looked at and planned by the new clock, they wait again.
    store.schedule({job.id: before + timedelta(seconds=30) for job in queued}, before)
    assert due(store, before) == []
    assert sorted(due(store, before + timedelta(seconds=30))) == ["a", "b", "c"]


def test_clocks_a_few_seconds_apart_make_nobody_look_twice(
    store: Store, queued: list[JobRecord]
) -> None:
    store.schedule({job.id: SOON for job in queued}, NOW)
    assert due(store, NOW - timedelta(seconds=20)) == []


def test_a_clock_set_back_hides_no_job_and_no_event(store: Store) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        first = a_queued_job(store, "first")
        clock.shift(timedelta(days=-2))
        again = store.add_job(a_spec("second"), "same")
        assert store.add_job(a_spec("second"), "same") == again
        assert {job.id for job in store.jobs()} == {first.id, again.id}
        assert due(store, datetime.now(UTC)) == ["first"]
        store.audit("one", {})
        clock.shift(timedelta(days=-1))
        store.audit("two", {})
    assert [entry.action for entry in store.audits()] == ["one", "two"]
