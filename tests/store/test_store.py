"""Jobs and events survive, moves are legal, and of two writers one wins."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from store_steps import NOW, a_queued_job, a_spec, moved

from ftctl.errors import IllegalMove, NotFoundHere, StoreError
from ftctl.job import JobEvent, JobState
from ftctl.store import Store
from ftctl.store.rows import Change


def test_a_job_is_found_by_id_by_its_beginning_and_by_name(store: Store) -> None:
    job = store.add_job(a_spec(), "i")
    store.add_job(a_spec("another"), "j")
    for name in (job.id, job.id[:9], "a-job"):
        assert store.get_job(name) == job
    for name in ("nothing", "job-%", "job-_" + job.id[5:], "job", ""):
        with pytest.raises(NotFoundHere, match="no job "):
            store.get_job(name)


def test_an_id_wins_over_a_name_and_a_name_over_a_beginning(store: Store) -> None:
    job = store.add_job(a_spec(), "i")
    named_like_it = store.add_job(a_spec(job.id), "j")
    named_like_its_beginning = store.add_job(a_spec(job.id[:8]), "k")
    assert store.get_job(job.id) == job
    assert store.get_job(job.id[:8]) == named_like_its_beginning
    assert store.get_job(job.id[:9]) == job
    assert store.get_job(named_like_it.id) == named_like_it


def test_a_name_of_many_jobs_is_refused_with_a_few_of_them(store: Store) -> None:
    twins = [store.add_job(a_spec("twin"), str(i)) for i in range(2)]
    with pytest.raises(NotFoundHere, match="more than one job") as caught:
        store.get_job("twin")
    assert all(job.id in caught.value.message for job in twins)
    for i in range(2, 9):
        store.add_job(a_spec("twin"), str(i))
    with pytest.raises(NotFoundHere, match="…"):
        store.get_job("twin")


def test_the_same_intention_makes_no_second_job_until_the_first_has_ended(store: Store) -> None:
    first = store.add_job(a_spec(), "same")
    assert store.add_job(a_spec(), "same").id == first.id
    second = store.add_job(a_spec(), "same", new=True)
    assert second.id != first.id
    assert store.add_job(a_spec(), "same").id in {first.id, second.id}
    for job in store.jobs():
        moved(store, job, JobState.FAILED)
    assert store.add_job(a_spec(), "same").id not in {first.id, second.id}
    assert len(store.jobs()) == 3


def test_the_same_intention_at_once_makes_one_job(url: str) -> None:
    ready = threading.Barrier(6)

    def add(_: int) -> str:
        with Store(url) as mine:
            ready.wait()
            return mine.add_job(a_spec(), "same").id

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(add, range(6)))) == 1


def test_only_legal_moves_are_made(store: Store) -> None:
    job = store.add_job(a_spec(), "i")
    with pytest.raises(IllegalMove, match="created; it can't become running"):
        moved(store, job, JobState.RUNNING)
    assert store.get_job(job.id).state is JobState.CREATED


def test_jobs_are_listed_newest_first_and_by_state(store: Store) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        first = a_queued_job(store)
        clock.shift(timedelta(seconds=1))
        second = store.add_job(a_spec(), "j")
    assert [job.id for job in store.jobs()] == [second.id, first.id]
    assert [job.id for job in store.jobs(limit=1)] == [second.id]
    assert [job.id for job in store.jobs(states={JobState.QUEUED, JobState.FAILED})] == [first.id]
    assert store.jobs(states=set()) == []


def test_many_jobs_change_together_or_not_at_all(store: Store) -> None:
    jobs = [a_queued_job(store, f"job {i}") for i in range(3)]
    running: dict[str, Change] = {
        job.id: lambda _: {"state": JobState.RUNNING} for job in reversed(jobs)
    }
    after = store.update_many(running)
    assert [job.id for job in after] == list(running)
    assert {job.state for job in store.jobs()} == {JobState.RUNNING}
    broken: dict[str, Change] = {
        jobs[0].id: lambda _: {"message": "changed"},
        jobs[1].id: lambda _: {"state": JobState.CREATED},
    }
    with pytest.raises(IllegalMove):
        store.update_many(broken)
    with pytest.raises(NotFoundHere):
        store.update_many({jobs[0].id: broken[jobs[0].id], "job-nobody": lambda _: {}})
    assert "changed" not in {job.message for job in store.jobs()}
    assert store.update_many({}) == []


def test_writers_at_the_same_time_lose_nothing(store: Store, url: str) -> None:
    jobs = [store.add_job(a_spec(), str(i)) for i in range(3)]

    def count(turn: int) -> None:
        # Each in an order of its own: rows are locked in one order all the same.
        ids = [jobs[(turn + i) % 3].id for i in range(3)]
        with Store(url) as mine:
            for _ in range(10):
                mine.update_many(dict.fromkeys(ids, lambda now: {"misses": now.misses + 1}))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(4)))
    assert [job.misses for job in store.jobs()] == [40] * 3


def test_events_are_kept_once(store: Store) -> None:
    job = store.add_job(a_spec(), "i")
    events = [JobEvent(source_id=f"line-{i}", at=NOW, message=str(i)) for i in range(3)]
    assert store.add_events(job.id, []) == 0
    assert store.add_events(job.id, events[:2]) == 2
    assert store.add_events(job.id, events) == 1
    assert store.add_events(job.id, [events[0], events[0]]) == 0
    other = store.add_job(a_spec(), "j")
    assert store.add_events(other.id, [events[0], events[0]]) == 1
    numbers = [number for number, _ in store.events(job.id)]
    assert [event.message for _, event in store.events(job.id)] == ["0", "1", "2"]
    assert [event.message for _, event in store.events(job.id, after=numbers[1])] == ["2"]
    with pytest.raises(NotFoundHere):
        store.add_events("job-nobody", events)


def test_a_reader_who_goes_on_from_a_number_misses_no_event(store: Store, url: str) -> None:
    job = store.add_job(a_spec(), "i")

    def write(who: int) -> None:
        with Store(url) as mine:
            for i in range(10):
                event = JobEvent(source_id=f"{who}-{i}", at=NOW, message="")
                assert mine.add_events(job.id, [event]) == 1

    seen: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, who) for who in range(4)]
        last, over = 0, False
        while not over:
            over = all(writer.done() for writer in writers)
            for number, event in store.events(job.id, after=last):
                seen.append(event.source_id)
                last = number
        for writer in writers:
            writer.result()
    assert len(seen) == len(set(seen)) == 40


def test_the_audit_log_keeps_who_what_and_when(store: Store) -> None:
    job = store.add_job(a_spec(), "i")
    store.audit("scan hits allowed", {"file": "ab" * 32, "kinds": ["email ✓"]}, at=NOW)
    store.audit("resolved", {"remote_id": None}, job_id=job.id, actor="ann")
    first, second = store.audits()
    assert (first.job_id, first.at, first.action) == (None, NOW, "scan hits allowed")
    assert first.detail == {"file": "ab" * 32, "kinds": ["email ✓"]}
    assert first.actor
    assert (second.actor, second.detail) == ("ann", {"remote_id": None})
    assert store.audits(job.id) == [second]
    assert second.number > first.number


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ftctl.db"
    file.write_bytes(b"not a database at all, but long enough to be read as one" * 20)
    with pytest.raises(StoreError, match="file is not a database") as caught:
        Store(f"sqlite:///{file}")
    assert "backup" in caught.value.hint
    assert file.read_bytes().startswith(b"not a database")


@pytest.mark.parametrize("record", ["'{}'", "'{\"id\": '", "CAST(X'7B22E9' AS TEXT)", "7"])
def test_a_damaged_record_is_told_and_hides_no_other(
    sqlite_url: str, record: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Store(sqlite_url) as store:
        first, bad, last = (store.add_job(a_spec(name), name) for name in ("a", "b", "c"))
        with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
            connection.execute(f"UPDATE jobs SET record = {record} WHERE id = ?", (bad.id,))  # noqa: S608
        connection.close()
        assert [job.id for job in store.jobs()] == [last.id, first.id]
        assert f"the record of {bad.id} is damaged" in caplog.text
        found, damaged = store.survey(states={JobState.CREATED})
        assert [job.id for job in found] == [last.id, first.id]
        assert [job.id for job in damaged] == [bad.id]
        assert "backup" in damaged[0].error.hint
        for ask in (bad.id, "b"):
            with pytest.raises(StoreError, match=f"the record of {bad.id} is damaged"):
                store.get_job(ask)
        with pytest.raises(StoreError, match="damaged"):  # or it would be paid for twice
            store.add_job(a_spec("b"), "b")


def test_a_damaged_event_is_told(sqlite_url: str) -> None:
    with Store(sqlite_url) as store:
        job = store.add_job(a_spec(), "i")
        store.add_events(job.id, [JobEvent(source_id="1", at=NOW, message="m")])
        with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
            connection.execute("UPDATE events SET record = '{}'")
        connection.close()
        with pytest.raises(StoreError, match=f"an event's record of {job.id} is damaged"):
            store.events(job.id)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "isn't a database URL"),
        ("oracle://host/db", "can't be kept in oracle"),
        ("postgresql+nobody://host/db", "no driver"),
        ("postgresql+psycopg://127.0.0.1:1/db", "refused"),
    ],
)
def test_a_store_that_cannot_be_reached_is_told(url: str, says: str) -> None:
    with pytest.raises(StoreError, match=says) as caught:
        Store(url)
    assert "DATABASE_URL" in caught.value.hint or "pip install" in caught.value.hint
