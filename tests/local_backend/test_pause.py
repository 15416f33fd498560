"""A job is held and goes on, in the same attempt, with real workers on a tiny model."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import Cli
from preference_rows import write_pairs

import ftctl
from ftctl.config import load_settings
from ftctl.errors import IllegalMove
from ftctl.job import JobState
from ftctl.local_backend.executors import process
from ftctl.local_backend.run_folder import ExitRecord, RunFolder, WorkerProcess
from ftctl.providers.local import LocalProvider

# Half a minute each on an idle machine; a busy one must not fail them.
pytestmark = [pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(600)]
Start = Callable[[int], RunFolder]


@pytest.fixture
def start(
    clean_environment: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Start]:
    """Submits DPO of so many steps and waits until it has taken one; no worker outlives a test."""
    monkeypatch.setenv("FTCTL_POLL_S", "0.2")
    data = write_pairs(tmp_path / "pairs.jsonl")

    def submit(steps: int) -> RunFolder:
        job = ftctl.submit(
            provider="local",
            data=data,
            model=str(tiny_model),
            method="dpo",
            hyperparameters={
                "max_steps": steps,
                "batch_size": 8,
                "checkpoint_steps": 1000,
                "learning_rate": 5e-3,
                "beta": "0.3",
            },
        )
        for record in job.watch():
            if record.progress.get("step", 0) >= 1 or record.state.terminal:
                break
        return RunFolder(clean_environment / "runs" / job.id)

    yield submit
    for file in (clean_environment / "runs").glob("*/worker.json"):
        run = RunFolder(file.parent)
        run.cancel_file.touch()
        process.stop(run, grace_s=1)


def test_paused_often_it_ends_once(start: Start, cli: Cli, tmp_path: Path) -> None:
    run = start(120)
    job = run.path.name
    for _ in range(2):
        paused = cli("pause", job, "--json")
        assert paused.returncode == 0, paused.stderr
        assert paused.json()["state"] == "paused"
        assert not process.is_alive(run)
        assert cli("job", job, "--refresh", "--json").json()["state"] == "paused"
        assert cli("pause", job).returncode == 1  # it is held already
        resumed = cli("resume", job, "--json").json()
        assert (resumed["attempt"], resumed["error"]) == (1, None)
        assert resumed["state"] in ("queued", "running")
    done = ftctl.get_job(job).wait()
    assert done.state == "succeeded"
    said = [event.message for _, event in done.events()]
    assert sum(message.startswith("paused, at the checkpoint") for message in said) == 2
    assert sum(message.startswith("done: 120 steps") for message in said) == 1
    assert [row["step"] for row in run.rows(run.metrics_file)] == list(range(1, 121))
    assert done.fetch(tmp_path / "adapter").folder == tmp_path / "adapter"


def test_a_paused_job_can_be_cancelled_and_then_resumed(start: Start) -> None:
    run = start(4000)
    job = ftctl.get_job(run.path.name).pause()
    assert job.state is JobState.PAUSED
    assert job.cancel().state is JobState.CANCELLED
    with pytest.raises(IllegalMove, match="has ended"):
        LocalProvider(load_settings().home).pause(job.id)
    assert job.resume().record.attempt == 2
    assert job.refresh().state in (JobState.QUEUED, JobState.RUNNING)
    job.cancel()


def test_a_killed_resume_leaves_the_job_paused(start: Start) -> None:
    run = start(4000)
    job = ftctl.get_job(run.path.name).pause()
    driver = LocalProvider(load_settings().home)
    run.pause_file.unlink()  # what `unpause` does before it starts a worker
    assert driver.poll(job.id).state is JobState.PAUSED
    driver.unpause(job.id)
    driver.unpause(job.id)  # twice is once
    assert driver.poll(job.id).state in (JobState.QUEUED, JobState.RUNNING)
    while (record := run.read(run.process_file, WorkerProcess)) is None:
        pass
    while run.exit_record(1) is not None:  # until the worker has taken the pause back
        pass
    os.kill(record.pid, signal.SIGKILL)
    while process.is_alive(run):
        pass
    assert driver.poll(job.id).state is JobState.FAILED
    with pytest.raises(IllegalMove, match="isn't paused"):
        driver.unpause(job.id)


def test_a_worker_that_is_killed_while_it_is_asked_to_pause_is_paused(start: Start) -> None:
    run = start(4000)
    process_of = run.read(run.process_file, WorkerProcess)
    assert process_of is not None
    os.kill(process_of.pid, signal.SIGKILL)
    LocalProvider(load_settings().home).pause(run.path.name)
    record = run.read(run.exit_file(1), ExitRecord)
    assert record is not None
    assert record.outcome == "paused"
