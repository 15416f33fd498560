"""A store of an older schema is brought up with all that it holds; a newer one is refused."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text
from store_steps import NOW, a_queued_job, a_spec

from ftctl.errors import StoreError
from ftctl.job import JobEvent, JobState
from ftctl.store import Store

OLD = Path(__file__).with_name("version_1.sql").read_text(encoding="utf-8")


def change(url: str, *statements: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement.replace(":", "\\:")))
    engine.dispose()


def schema(url: str) -> dict[str, object]:
    """Tables, columns and indexes, in words that compare."""
    engine = create_engine(url)
    look = inspect(engine)
    tables: dict[str, object] = {
        name: (
            [
                (c["name"], str(c["type"]), c["nullable"], bool(c["default"]))
                for c in look.get_columns(name)
            ],
            sorted(
                (i["name"], tuple(i["column_names"]), i["unique"]) for i in look.get_indexes(name)
            ),
            look.get_pk_constraint(name)["constrained_columns"],
        )
        for name in look.get_table_names()
    }
    engine.dispose()
    return tables


@pytest.fixture
def old_url(url: str, tmp_path: Path) -> str:
    """A store as the first release left it; its statements run on PostgreSQL as well."""
    if url.startswith("sqlite"):
        file = Path(url.removeprefix("sqlite:///"))
        file.parent.mkdir()
        connection = sqlite3.connect(file)
        connection.executescript(OLD)
        connection.close()
        return url
    wanted = [s for s in OLD.split(";\n") if not s.strip().startswith(("--", "BEGIN", "COMMIT"))]
    # PostgreSQL checks the reference of events to jobs, which the dump makes in the other order.
    wanted.sort(key=lambda s: ("events" in s, not s.startswith("CREATE TABLE")))
    change(url, *(s.replace("number INTEGER", "number BIGSERIAL") for s in wanted if s.strip()))
    change(url, "SELECT setval('events_number_seq', 6)")
    return url


def test_a_store_of_the_first_schema_is_brought_up_whole(old_url: str) -> None:
    with Store(old_url) as store:
        jobs = {job.name: job for job in store.jobs() if job.name != "tickets"}
        assert [job.state for job in store.jobs()] == [
            JobState.CANCELLED,
            JobState.NEEDS_ATTENTION,
            JobState.LOST,
            JobState.FAILED,
            JobState.SUCCEEDED,
            JobState.RUNNING,
            JobState.SUBMITTING,
            JobState.CREATED,
        ]
        assert jobs["ünïcode ✓"].actual == {"cost_usd": 0.5}
        assert [event.message for _, event in store.events(jobs["run"].id)] == [
            "step 0",
            "step 1",
            "step 2",
        ]
        # What is searched came out of the records.
        assert store.get_job("ünïcode ✓").fine_tuned_model == "model-2"
        assert store.audits() == []
        # And it goes on: moves, events, audit.
        moved = store.update(jobs["run"].id, lambda _: {"state": JobState.SUCCEEDED})
        assert moved.state is JobState.SUCCEEDED
        event = JobEvent(source_id="line-3", at=NOW, message="step 3")
        assert store.add_events(jobs["run"].id, [event]) == 1
        store.audit("forgotten", {}, job_id=jobs["run"].id)
        assert len(store.audits()) == 1
    with Store(old_url) as again:
        assert len(again.jobs()) == 8


def test_an_old_store_becomes_what_a_new_one_is(
    old_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with Store(old_url):
        pass
    brought_up = schema(old_url)
    if old_url.startswith("sqlite"):
        new_url = f"sqlite:///{tmp_path / 'new.db'}"
    else:
        change(old_url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        new_url = old_url
    with Store(new_url):
        pass
    assert brought_up == schema(new_url)


def test_two_who_open_an_old_store_at_once_both_end_well(old_url: str) -> None:
    ready = threading.Barrier(4)

    def open_it(_: int) -> int:
        ready.wait()
        with Store(old_url) as store:
            return len(store.jobs())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(open_it, range(4))) == [8] * 4


def test_many_who_make_the_same_store_at_once_all_end_well(url: str) -> None:
    ready = threading.Barrier(6)

    def open_it(who: int) -> None:
        ready.wait()
        with Store(url) as store:
            a_queued_job(store, f"job {who}")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(open_it, range(6)))
    with Store(url) as store:
        assert len(store.jobs()) == 6


def test_many_who_open_a_file_without_a_write_ahead_log_wait_for_each_other(tmp_path: Path) -> None:
    for number in range(10):
        file = tmp_path / f"{number}.db"
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE of_somebody_else (a)")
        ready = threading.Barrier(6)

        def open_it(_: int, file: Path = file, ready: threading.Barrier = ready) -> int:
            ready.wait()
            with Store(f"sqlite:///{file}") as store:
                return len(store.jobs())

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(open_it, range(6))) == [0] * 6


def test_a_failing_upgrade_leaves_the_old_store(old_url: str) -> None:
    change(old_url, "CREATE TABLE audit (mine INTEGER)")  # in the way of a later step
    before = schema(old_url)
    with pytest.raises(StoreError, match="audit"):
        Store(old_url)
    assert schema(old_url) == before
    change(old_url, "DROP TABLE audit")
    with Store(old_url) as store:
        assert len(store.jobs()) == 8


def test_a_damaged_record_hinders_no_upgrade(old_url: str) -> None:
    change(old_url, "UPDATE jobs SET record = 'cut' WHERE intention = 'i-created'")
    with Store(old_url) as store:
        assert store.get_job("run").state is JobState.RUNNING
        found, damaged = store.survey()
        assert len(damaged) == 1
        assert len(found) == 7


@pytest.mark.parametrize("version", [0, 99])
def test_a_store_of_a_version_that_we_do_not_know_is_refused(url: str, version: int) -> None:
    with Store(url) as store:
        store.add_job(a_spec(), "i")
    change(url, f"UPDATE ftctl_schema SET version = {version}")  # noqa: S608 - our own number
    with pytest.raises(
        StoreError, match=f"schema version {version}; this ftctl writes 2"
    ) as caught:
        Store(url)
    assert "upgrade" in caught.value.hint
