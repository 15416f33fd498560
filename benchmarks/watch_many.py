"""Watch 10,000 live jobs in one process: requests, staleness and memory, sweep by sweep.

The vendor is on loopback in a process of its own, with twice as many jobs as are watched: every
other one is somebody else's. Exits 1 when a sweep asks more than two requests a page of the
vendor's list, a job is staler than 1.5 cadences, or memory grows by more than a tenth after the
first sweeps.
"""

import argparse
import multiprocessing
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from ftctl.config import load_settings
from ftctl.job import JobRecord, JobSpec, JobState
from ftctl.providers.openai.connection import PAGE
from ftctl.providers.openai.driver import OpenAIProvider
from ftctl.store import Store
from ftctl.testing.openai_vendor import OpenAIVendor, VendorJob, job_document
from ftctl.watcher import utc_now
from ftctl.watching import Pace, watch_jobs

KEY = "sk-loopback"


def serve(pipe: Connection, jobs: int) -> None:
    """The vendor: jobs that run for ever; tells how many requests it had when asked."""
    with OpenAIVendor(KEY, by_polls=False) as vendor:
        for number in range(jobs):
            asked = {"model": "gpt-4.1-mini-2025-04-14", "training_file": f"file-{number}"}
            document = job_document(asked, "running")
            vendor.jobs[document["id"]] = VendorJob(document, [])
        pipe.send((vendor.base_url, list(vendor.jobs)))
        while pipe.recv() == "requests":
            pipe.send(len(vendor.requests))


def fill(store: Store, remote_ids: list[str], base_url: str) -> None:
    """Jobs that are live at the vendor."""
    spec = JobSpec(
        provider="openai",
        model="gpt-4.1-mini",
        data=Path("train.jsonl"),
        data_sha256="0" * 64,
        name="n",
        base_url=base_url,
    )
    ids = [store.add_job(spec, str(n), new=True).id for n in range(len(remote_ids))]
    for start in range(0, len(ids), 1000):
        some = dict(zip(ids[start : start + 1000], remote_ids[start : start + 1000], strict=True))
        for state in (JobState.UPLOADING, JobState.SUBMITTING):
            store.update_many({job: partial(_put, state=state) for job in some})
        store.update_many(
            {
                job: partial(_put, state=JobState.QUEUED, remote_id=remote)
                for job, remote in some.items()
            }
        )


def _put(_: JobRecord, **fields: object) -> dict[str, object]:
    return fields


class EnoughError(Exception):
    """The last sweep is over."""


class Sweeps:
    """Measures each sweep when the watcher goes to sleep after it."""

    def __init__(self, database: Path, requests: Callable[[], int], count: int) -> None:
        self._database = database
        self._requests = requests
        self._left = count
        self._started, self._asked = time.monotonic(), requests()
        self.asked: list[int] = []
        self.stale_s: list[float] = []
        self.rss_mb: list[float] = []

    def sleep(self, seconds: float) -> None:
        """What the watcher calls between two sweeps."""
        took, asked = time.monotonic() - self._started, self._requests()
        self.asked.append(asked - self._asked)
        self.stale_s.append(self._oldest_look_s() + seconds)  # just before the next sweep
        self.rss_mb.append(psutil.Process().memory_info().rss / 2**20)
        print(
            f"{len(self.asked):5} {took:8.1f} {self.asked[-1]:9} {self.stale_s[-1]:11.1f} "
            f"{self.rss_mb[-1]:8.0f}",
            flush=True,
        )
        self._left -= 1
        if not self._left:
            raise EnoughError
        time.sleep(seconds)
        self._started, self._asked = time.monotonic(), asked

    def _oldest_look_s(self) -> float:
        with closing(sqlite3.connect(self._database)) as connection:
            (oldest,) = connection.execute(
                "SELECT min(coalesce(json_extract(record, '$.observed_at'), created_at)) FROM jobs"
            ).fetchone()
        return (utc_now() - datetime.fromisoformat(oldest)).total_seconds()


def main() -> int:
    """Print a row a sweep, then the verdict."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--sweeps", type=int, default=6)
    parser.add_argument("--every", type=float, default=30.0, help="the cadence, in seconds")
    given = parser.parse_args()
    os.environ["OPENAI_API_KEY"] = KEY
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    context.Process(target=serve, args=(theirs, 2 * given.jobs), daemon=True).start()
    base_url, remote_ids = ours.recv()

    def requests() -> int:
        ours.send("requests")
        return int(ours.recv())

    with tempfile.TemporaryDirectory() as home:
        os.environ["FTCTL_HOME"] = home
        settings = load_settings()
        with Store(settings.database_url) as store:
            fill(store, remote_ids[::2], base_url)
            print("sweep  seconds  requests  staleness s  RSS MB")
            sweeps = Sweeps(Path(home) / "ftctl.db", requests, given.sweeps)
            watched = watch_jobs(
                store,
                lambda job: OpenAIProvider(settings, job.base_url),
                store.jobs(),
                Pace(given.every, sleep=sweeps.sleep),
            )
            with suppress(EnoughError):
                for _ in watched:
                    pass
    return verdict(sweeps, pages=-(-2 * given.jobs // PAGE), every_s=given.every)


def verdict(sweeps: Sweeps, *, pages: int, every_s: float) -> int:
    """Say what held; 1 when something didn't."""
    per_page = max(sweeps.asked) / pages
    growth = sweeps.rss_mb[-1] / sweeps.rss_mb[0]
    stale = max(sweeps.stale_s)
    print(f"{per_page:.2f} requests a page, {stale:.1f} s stale at most, memory x {growth:.2f}")
    return int(per_page > 2 or stale > 1.5 * every_s or growth > 1.1)


if __name__ == "__main__":
    sys.exit(main())
