"""Product code on many threads and in several processes, all on one store."""

import subprocess
import sys
from pathlib import Path

import pytest
from specimens import write_chats

import ftctl
from ftctl.config import load_settings
from ftctl.providers.fake import FakeProvider

pytestmark = pytest.mark.medium

PROCESSES, THREADS = 3, 10
# Each thread submits a job of its own and one that all threads of all processes ask for, and
# reads the whole list before, between and after.
CODE = """
import sys
from concurrent.futures import ThreadPoolExecutor
import ftctl

def work(number):
    ftctl.jobs()
    for name in (f"own-{sys.argv[1]}-{number}", "shared"):
        job = ftctl.submit(provider="fake", data=sys.argv[2], model="m", name=name)
        seen = {other.id for other in ftctl.jobs()}
        assert job.id in seen, "a job that was just made isn't in the list"
        if name != "shared":  # looked at often it would end, and ended it is no longer the same
            assert ftctl.get_job(job.id).refresh().id == job.id

with ThreadPoolExecutor(int(sys.argv[3])) as pool:
    list(pool.map(work, range(int(sys.argv[3]))))
"""


def test_ten_threads_in_three_processes_share_one_store(tmp_path: Path) -> None:
    data = write_chats(tmp_path / "train.jsonl")
    running = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, str(number), str(data), str(THREADS)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    said = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0] * PROCESSES, "\n".join(said)
    jobs = ftctl.jobs()
    own = {f"own-{process}-{thread}" for process in range(PROCESSES) for thread in range(THREADS)}
    assert sorted(job.record.name for job in jobs) == sorted({*own, "shared"})
    made = FakeProvider(load_settings().home / "fake").jobs
    assert sorted(job.id for job in made) == sorted(job.record.remote_id or "" for job in jobs)
