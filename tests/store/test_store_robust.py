"""A full disk, a folder that can't be written, a lock, a kill: told in a sentence, nothing lost.

Children are real processes with real limits; each works on the store through its own `Store`.
"""

import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from specimens import without_privilege
from store_steps import NOW, a_queued_job, a_spec

from ftctl.errors import StoreError
from ftctl.job import JobEvent
from ftctl.store import Store

# What children run first. A line a committed change, so that the parent knows what must be there.
CHILD = """
import sys
from datetime import UTC, datetime
from ftctl.errors import StoreError
from ftctl.job import JobEvent
from ftctl.store import Store
url, job_id, *rest = sys.argv[1:]
"""


def child(code: str, *arguments: str, prefix: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", CHILD + code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> list[str]:
    """What it printed; its own traceback fails the test."""
    out, err = process.communicate(timeout=50)
    assert process.returncode == 0, err
    return out.splitlines()


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def is_whole(url: str) -> bool:
    connection = sqlite3.connect(file_of(url))
    (said,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    return bool(said == "ok")


@pytest.mark.medium
def test_a_disk_that_takes_no_more_loses_nothing_that_was_written(sqlite_url: str) -> None:
    with Store(sqlite_url) as store:
        job = store.add_job(a_spec(), "i")
    code = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
with Store(url) as store:
    for i in range(1, 200):
        try:
            line = JobEvent(source_id=str(i), at=datetime.now(UTC), message="x" * 30_000)
            store.add_events(job_id, [line])
            store.update(job_id, lambda now: {"misses": i})
        except StoreError as error:
            print(store.get_job(job_id).misses, "|", error.message, "|", error.hint)
            break
"""
    last, message, hint = ended(child(code, sqlite_url, job.id))[0].split("|")
    assert "disk" in message
    assert "space" in hint
    assert is_whole(sqlite_url)
    with Store(sqlite_url) as store:
        assert store.get_job(job.id).misses == int(last) > 0
        assert len(store.events(job.id)) >= int(last)
        assert store.update(job.id, lambda _: {"misses": 0}).misses == 0  # there is space again


@pytest.mark.medium
@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_store_that_cannot_be_written_is_told_and_left(sqlite_url: str, what: str) -> None:
    with Store(sqlite_url) as store:
        job = store.add_job(a_spec(), "i")
    file = file_of(sqlite_url)
    before = file.read_bytes()
    path, mode = (file.parent, 0o500) if what == "folder" else (file, 0o400)
    path.chmod(mode)
    code = """
try:
    with Store(url) as store:
        store.update(job_id, lambda now: {"misses": 1})
    print("written")
except StoreError as error:
    print(error.message, "|", error.hint)
"""
    try:
        (said,) = ended(child(code, sqlite_url, job.id, prefix=without_privilege()))
    finally:
        path.chmod(0o700)
    message, _, hint = said.partition("|")
    assert str(file) in message
    assert "writable" in hint
    assert file.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="file") as caught:
        Store(f"sqlite:///{tmp_path / 'file' / 'ftctl.db'}")
    assert "FTCTL_HOME" in caught.value.hint


def test_a_lock_held_too_long_is_told_and_reading_goes_on(sqlite_url: str) -> None:
    with Store(sqlite_url, timeout_s=0.05) as store:
        job = a_queued_job(store)
        other = sqlite3.connect(file_of(sqlite_url), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked") as caught:
            store.update(job.id, lambda _: {"misses": 1})
        assert "another program" in caught.value.hint
        assert store.get_job(job.id) == job
        assert store.jobs() == [job]
        with Store(sqlite_url, timeout_s=0.05) as second:  # opening only reads
            assert second.jobs() == [job]
        other.execute("ROLLBACK")
        other.close()
        assert store.update(job.id, lambda _: {"misses": 1}).misses == 1


@pytest.mark.slow
def test_a_row_locked_too_long_is_told_by_postgresql(postgres_url: str) -> None:
    with Store(postgres_url) as holder, Store(postgres_url, timeout_s=0.05) as store:
        job = a_queued_job(store)
        other = a_queued_job(store, "other")
        inside, leave = threading.Event(), threading.Event()

        def hold(_: object) -> dict[str, object]:
            inside.set()
            leave.wait(30)
            return {"misses": 1}

        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(holder.update, job.id, hold)
            inside.wait(30)
            with pytest.raises(StoreError, match="lock timeout") as caught:
                store.update(job.id, lambda _: {"misses": 5})
            assert "another program" in caught.value.hint
            assert store.get_job(job.id) == job
            assert store.update(other.id, lambda _: {"misses": 7}).misses == 7
            leave.set()
            assert held.result().misses == 1


@pytest.mark.medium
def test_ten_threads_and_three_processes_lose_nothing(sqlite_url: str) -> None:
    with Store(sqlite_url) as store:
        jobs = [a_queued_job(store, str(i)) for i in range(2)]
    code = """
with Store(url) as store:
    for i in range(15):
        both = {job: lambda now: {"misses": now.misses + 1} for job in (job_id, rest[0])}
        store.update_many(both)
        event = JobEvent(source_id=f"{rest[1]}-{i}", at=datetime.now(UTC), message="")
        assert store.add_events(job_id, [event]) == 1
"""
    ids = [job.id for job in jobs]
    processes = [child(code, sqlite_url, *ids, f"process {i}") for i in range(3)]
    with Store(sqlite_url) as shared:

        def work(who: int) -> None:
            for turn in range(6):
                for job_id in ids:
                    shared.update(job_id, lambda now: {"misses": now.misses + 1})
                event = JobEvent(source_id=f"{who}-{turn}", at=NOW, message="")
                assert shared.add_events(ids[0], [event]) == 1
                shared.jobs(limit=5)

        with ThreadPoolExecutor(10) as pool:
            list(pool.map(work, range(10)))
        for process in processes:
            ended(process)
        assert [shared.get_job(job_id).misses for job_id in ids] == [3 * 15 + 10 * 6] * 2
        said = [event for _, event in shared.events(ids[0]) if event.kind != "state"]
        assert len(said) == 3 * 15 + 10 * 6


@pytest.mark.medium
def test_processes_that_open_a_new_store_at_once_all_end_well(sqlite_url: str) -> None:
    code = """
sys.stdin.read()  # all begin when the last has come so far
with Store(url) as store:
    print(len(store.jobs()))
"""
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD + code, sqlite_url, "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    assert [ended(process) for process in crowd] == [["0"]] * 4


@pytest.mark.slow
def test_a_process_killed_in_the_middle_leaves_the_last_committed_state(sqlite_url: str) -> None:
    with Store(sqlite_url) as store:
        jobs = [a_queued_job(store, str(i)) for i in range(20)]
    code = """
ids = [job_id, *rest]
with Store(url) as store:
    start = store.get_job(job_id).misses + 1
    for i in range(start, start + 100_000):
        store.update_many({id_: lambda now: {"misses": i, "message": "x" * 5000} for id_ in ids})
        print(i, flush=True)
"""
    for turn in range(8):
        process = child(code, sqlite_url, *(job.id for job in jobs))
        assert process.stdout is not None
        for _ in range(turn + 1):  # killed after that many commits, wherever it then is
            committed = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate(timeout=50)
        committed = int(rest.split("\n")[-2]) if rest.count("\n") else committed
        with Store(sqlite_url) as store:
            found = {job.misses for job in store.jobs()}
        # All twenty or none; what was said to be written is there.
        assert len(found) == 1
        assert found <= {committed, committed + 1}
    assert is_whole(sqlite_url)
