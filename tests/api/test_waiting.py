"""Waiting for a job that isn't at its provider tells how to go on, and not that it failed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats

from ftctl.api.job_handle import Job, get_job, jobs, watch
from ftctl.api.submitting import submit
from ftctl.config import load_settings
from ftctl.errors import IllegalMove, JobFailed, Unavailable
from ftctl.job import JobState
from ftctl.providers.fake import FakeProvider, FakeScript
from ftctl.store import Store


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTCTL_POLL_S", "0.01")
    monkeypatch.setenv("FTCTL_SETTLE_S", "0.1")


@pytest.fixture
def fake() -> FakeProvider:
    return FakeProvider(load_settings().home / "fake")


@pytest.fixture
def cut(tmp_path: Path, fake: FakeProvider) -> Callable[[str, str], Job]:
    """A submission that came as far as a verb."""

    def run(verb: str, trouble: str) -> Job:
        fake.script = FakeScript.model_validate({"troubles": {verb: [trouble]}})
        with pytest.raises(Unavailable):
            submit(provider="fake", data=write_chats(tmp_path / "train.jsonl"), model="m")
        (job,) = jobs()
        return job

    return run


@pytest.mark.parametrize(
    ("verb", "trouble", "state"),
    [("upload", "unavailable", "uploading"), ("create", "unavailable", "submitting")],
)
def test_a_job_that_never_got_there(
    cut: Callable[[str, str], Job], cli: Cli, verb: str, trouble: str, state: str
) -> None:
    job = cut(verb, trouble)
    with pytest.raises(IllegalMove, match="not submitted yet") as caught:
        job.wait()
    assert "ftctl jobs reconcile" in caught.value.hint
    assert [record.state for record in watch([job.id])] == [state]
    ran = cli("watch", job.id)
    assert ran.returncode == 1
    assert f"({job.id}) {state}: not submitted yet" in ran.stdout
    assert "→ run the same submit again, or ftctl jobs reconcile" in ran.stdout


def test_a_job_that_was_made_is_adopted_and_waited_for(cut: Callable[[str, str], Job]) -> None:
    assert cut("create", "answer_lost").wait().state is JobState.SUCCEEDED


def test_a_job_that_needs_a_person(cut: Callable[[str, str], Job], cli: Cli) -> None:
    job = cut("create", "answer_lost")
    with Store(load_settings().database_url) as store:
        store.update(job.id, lambda _: {"state": JobState.NEEDS_ATTENTION, "message": "not known"})
    with pytest.raises(IllegalMove, match="needs_attention: not known") as caught:
        get_job(job.id).wait()
    assert caught.value.hint == f"ftctl jobs resolve {job.id} --remote ID, or --none"
    ran = cli("watch", job.id)
    assert ran.returncode == 1
    assert f"→ {caught.value.hint}" in ran.stdout


def test_a_job_that_failed_is_told_as_failed(tmp_path: Path, fake: FakeProvider) -> None:
    fake.script = FakeScript(words=("failed",))
    job = submit(provider="fake", data=write_chats(tmp_path / "train.jsonl"), model="m")
    with pytest.raises(JobFailed, match="failed: scripted"):
        job.wait()
