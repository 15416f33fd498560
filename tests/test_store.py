"""Jobs and events survive, moves are legal, and of two writers one wins."""

import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftctl.errors import IllegalMove, NotFoundHere, StoreError
from ftctl.job import LEGAL_MOVES, JobEvent, JobSpec, JobState
from ftctl.store import Store

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def spec(name: str = "a-job") -> JobSpec:
    return JobSpec(
        provider="local", model="m", data=Path("train.jsonl"), data_sha256="0" * 64, name=name
    )


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'new folder' / 'ftctl.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store(url) as opened:
        yield opened


def test_a_job_is_found_by_id_by_its_beginning_and_by_name(store: Store) -> None:
    job = store.add_job(spec(), "i")
    store.add_job(spec("another"), "j")
    for name in (job.id, job.id[:9], "a-job"):
        assert store.get_job(name) == job
    with pytest.raises(NotFoundHere, match="no job nothing"):
        store.get_job("nothing")
    with pytest.raises(NotFoundHere, match="more than one job"):
        store.get_job(same_name(store))


def same_name(store: Store) -> str:
    store.add_job(spec("twin"), "k")
    store.add_job(spec("twin"), "l")
    return "twin"


def test_the_same_intention_makes_no_second_job_until_the_first_has_ended(store: Store) -> None:
    first = store.add_job(spec(), "same")
    assert store.add_job(spec(), "same").id == first.id
    assert store.add_job(spec(), "same", new=True).id != first.id
    for job in store.jobs():
        store.update(job.id, lambda _: {"state": JobState.FAILED})
    assert store.add_job(spec(), "same").id not in {first.id}
    assert len(store.jobs()) == 3


def test_only_legal_moves_are_made(store: Store) -> None:
    job = store.add_job(spec(), "i")
    with pytest.raises(IllegalMove, match="created; it can't become running"):
        store.update(job.id, lambda _: {"state": JobState.RUNNING})
    assert store.get_job(job.id).state is JobState.CREATED


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(moves=st.lists(st.sampled_from(list(JobState)), max_size=12))
def test_any_order_of_moves_ends_in_a_legal_history(store: Store, moves: list[JobState]) -> None:
    job = store.add_job(spec(), "i", new=True)
    state = job.state
    for wanted in moves:
        try:
            after = store.update(job.id, lambda _, wanted=wanted: {"state": wanted}).state  # type: ignore[misc]
        except IllegalMove:
            after = state
            assert wanted not in LEGAL_MOVES[state]
        else:
            assert wanted == state or wanted in LEGAL_MOVES[state]
        if state.terminal:
            assert after in (state, JobState.QUEUED)
        state = after
        assert store.get_job(job.id).state is state


def test_writers_at_the_same_time_lose_nothing(store: Store, url: str) -> None:
    job = store.add_job(spec(), "i")

    def count(_: int) -> None:
        with Store(url) as mine:
            for _turn in range(10):
                mine.update(job.id, lambda now: {"misses": now.misses + 1})

    threads = [threading.Thread(target=count, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get_job(job.id).misses == 40


def test_events_are_kept_once(store: Store) -> None:
    job = store.add_job(spec(), "i")
    events = [JobEvent(source_id=f"line-{i}", at=NOW, message=str(i)) for i in range(3)]
    assert store.add_events(job.id, events[:2]) == 2
    assert store.add_events(job.id, events) == 1
    numbers = [number for number, _ in store.events(job.id)]
    assert [event.message for _, event in store.events(job.id)] == ["0", "1", "2"]
    assert [event.message for _, event in store.events(job.id, after=numbers[1])] == ["2"]


def test_a_store_of_a_newer_version_is_refused(store: Store, url: str) -> None:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE ftctl_schema SET version = 99")
    connection.close()
    with pytest.raises(StoreError, match="schema version 99; this ftctl writes 1") as caught:
        Store(url)
    assert "upgrade" in caught.value.hint


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ftctl.db"
    file.write_bytes(b"not a database at all, but long enough to be read as one" * 20)
    with pytest.raises(StoreError, match="file is not a database"):
        Store(f"sqlite:///{file}")
    assert file.read_bytes().startswith(b"not a database")


def test_a_damaged_record_is_told(store: Store, url: str) -> None:
    store.add_job(spec(), "i")
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE jobs SET record = '{}'")
    connection.close()
    with pytest.raises(StoreError, match="record is damaged"):
        store.jobs()


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(StoreError, match="isn't a database URL"):
        Store("nonsense")
