"""Jobs for the tests of the store, and ways to move them."""

from datetime import UTC, datetime
from pathlib import Path

from ftctl.job import JobRecord, JobSpec, JobState
from ftctl.store import Store

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def a_spec(name: str = "a-job", **changes: str) -> JobSpec:
    fields = {"provider": "local", "model": "m", "data_sha256": "0" * 64} | changes
    return JobSpec.model_validate(fields | {"name": name, "data": Path("train.jsonl")})


def moved(store: Store, job: JobRecord, *states: JobState) -> JobRecord:
    for state in states:
        job = store.update(job.id, lambda _, state=state: {"state": state})  # type: ignore[misc]
    return job


def a_queued_job(store: Store, name: str = "a-job") -> JobRecord:
    job = store.add_job(a_spec(name), "i", new=True)
    return moved(store, job, JobState.UPLOADING, JobState.SUBMITTING, JobState.QUEUED)
