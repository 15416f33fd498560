"""Real worker processes: killed, cancelled, resumed, damaged; the run folder tells the truth."""

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ftctl.datasets.digest import file_sha256
from ftctl.errors import IllegalMove, NotFound, StoreError, UsageError
from ftctl.job import Hyperparameters, JobSpec, JobState
from ftctl.local_backend import checkpoint
from ftctl.local_backend.executors import process
from ftctl.local_backend.run_folder import Fenced, RunFolder, WorkerProcess
from ftctl.providers.local import LocalProvider

pytestmark = [pytest.mark.slow, pytest.mark.real]

Start = Callable[..., str]


@pytest.fixture
def provider(tmp_path: Path) -> LocalProvider:
    return LocalProvider(tmp_path / "home")


@pytest.fixture
def start(provider: LocalProvider, tiny_model: Path, data: Path) -> Start:
    """Start a job on the tiny model; returns its id."""

    def go(marker: str = "job-aaaaaaaaaa", steps: int = 4000, **options: str) -> str:
        sha = file_sha256(data)
        spec = JobSpec(
            provider="local",
            model=str(tiny_model),
            data=data,
            data_sha256=sha,
            name="tiny",
            options=options,
            hyperparameters=Hyperparameters(
                max_steps=steps, batch_size=8, checkpoint_steps=20, learning_rate=1e-3
            ),
        )
        return provider.create(spec, {"training": provider.upload(data, sha)}, marker)

    return go


@pytest.fixture(autouse=True)
def no_worker_left(tmp_path: Path) -> object:
    """Whatever a test does, no worker outlives it."""
    yield
    for file in (tmp_path / "home" / "runs").glob("*/worker.json"):
        run = RunFolder(file.parent)
        run.cancel_file.touch()
        process.stop(run, grace_s=1)


def run_of(tmp_path: Path, job: str) -> RunFolder:
    return RunFolder(tmp_path / "home" / "runs" / job)


def wait_for(question: Callable[[], object], seconds: float = 240) -> None:
    give_up = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < give_up, "it never came"
        time.sleep(0.1)


def losses(run: RunFolder) -> list[float]:
    return [row["loss"] for row in run.rows(run.metrics_file)]


def steps(run: RunFolder) -> int:
    return max((row["step"] for row in run.rows(run.metrics_file)), default=0)


def state(provider: LocalProvider, job: str) -> JobState | None:
    return provider.poll(job).state


def ended(provider: LocalProvider, job: str) -> bool:
    now = state(provider, job)
    return now is not None and now.terminal


def group_of(run: RunFolder) -> WorkerProcess:
    found = run.read(run.process_file, WorkerProcess)
    assert found is not None
    return found


def living(group: int) -> list[int]:
    """Processes of a group that do anything; one that is dead and not yet buried doesn't."""
    found = []
    for candidate in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(candidate.pid) == group:
                found.append((candidate.pid, candidate.info["status"]))
    return [pid for pid, status in found if status != psutil.STATUS_ZOMBIE]


def test_a_job_runs_to_its_end_and_can_be_fetched_twice(
    tmp_path: Path, provider: LocalProvider, start: Start
) -> None:
    job = start(steps=6)
    assert provider.find(job) == job
    assert start(steps=6) == job  # asked again after a crash: nothing new is made
    wait_for(lambda: ended(provider, job))
    snapshot = provider.poll(job)
    assert snapshot.state is JobState.SUCCEEDED, snapshot.message
    assert snapshot.fine_tuned_model == job
    target = tmp_path / "adapter"
    provider.fetch(job, target)
    before = {file.name: file.stat().st_mtime_ns for file in target.iterdir()}
    provider.fetch(job, target)
    assert {file.name: file.stat().st_mtime_ns for file in target.iterdir()} == before
    manifest = json.loads((target / "manifest.json").read_bytes())
    assert {"adapter_model.safetensors", "adapter_config.json", "metrics.jsonl"} <= set(manifest)
    for name, row in manifest.items():
        assert file_sha256(target / name) == row["sha256"]
    (target / "README.md").write_text("edited", encoding="utf-8")
    with pytest.raises(UsageError, match="exists and isn't this job's adapter"):
        provider.fetch(job, target)
    provider.forget(job)
    with pytest.raises(NotFound, match="run folder"):
        provider.poll(job)


def test_the_model_card_s_own_lines_load_the_adapter(
    tmp_path: Path, provider: LocalProvider, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start(steps=6)
    wait_for(lambda: ended(provider, job))
    target = tmp_path / "adapter"
    provider.fetch(job, target)
    card = (target / "README.md").read_text(encoding="utf-8")
    lines = card.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(target)
    found: dict[str, object] = {}
    exec(lines, found)  # noqa: S102 - exactly what the card tells people to run
    model, tokenizer = found["model"], found["tokenizer"]
    ids = tokenizer("hello", return_tensors="pt")  # type: ignore[operator]
    assert model(**ids).logits.shape[-1] > 200  # type: ignore[operator]
    assert list(target.glob("*.bin")) == []


def test_killed_it_is_failed_with_the_reason_and_resume_goes_on(
    tmp_path: Path, provider: LocalProvider, start: Start
) -> None:
    job = start(steps=300)
    run = run_of(tmp_path, job)
    wait_for(lambda: steps(run) >= 25)
    os.kill(group_of(run).pid, signal.SIGKILL)
    wait_for(lambda: not process.is_alive(run))
    snapshot = provider.poll(job)
    assert snapshot.state is JobState.FAILED
    assert snapshot.error is not None
    assert "killed from outside" in snapshot.message
    assert f"ftctl resume {job}" in snapshot.error["hint"]
    provider.resume(job, attempt=2)
    wait_for(lambda: ended(provider, job))
    assert state(provider, job) is JobState.SUCCEEDED
    told = [row["message"] for row in run.rows(run.events_file)]
    (gone_on,) = (message for message in told if message.startswith("goes on from step"))
    assert int(gone_on.split()[4]) % 20 == 0


def test_cancel_ends_every_process_that_trains(
    tmp_path: Path, provider: LocalProvider, start: Start
) -> None:
    job = start(processes="2")
    run = run_of(tmp_path, job)
    wait_for(lambda: steps(run) >= 3)
    group = group_of(run).process_group
    assert len(living(group)) == 2
    provider.cancel(job)
    assert state(provider, job) is JobState.CANCELLED
    assert checkpoint.whole_steps(run)[-1] == steps(run)  # all had agreed to stop after it
    wait_for(lambda: not living(group), seconds=20)


def test_whichever_process_is_killed_ends_the_attempt_and_resume_goes_on(
    tmp_path: Path, provider: LocalProvider, start: Start
) -> None:
    job = start(steps=120, processes="2", sharding="full_shard")
    run = run_of(tmp_path, job)
    wait_for(lambda: steps(run) >= 25)
    leader = group_of(run)
    (follower,) = set(living(leader.process_group)) - {leader.pid}
    os.kill(follower, signal.SIGKILL)
    wait_for(lambda: not living(leader.process_group), seconds=60)
    snapshot = provider.poll(job)
    assert snapshot.state is JobState.FAILED
    assert "process 1 of 2 was killed from outside (SIGKILL)" in snapshot.message
    provider.resume(job, attempt=2)
    before = steps(run)
    wait_for(lambda: steps(run) >= max(before, 45))
    leader = group_of(run)
    os.kill(leader.pid, signal.SIGKILL)
    wait_for(lambda: not living(leader.process_group), seconds=20)
    wait_for(lambda: not process.is_alive(run), seconds=20)  # its threads end a moment later
    assert provider.poll(job).provider_status == "died"
    provider.resume(job, attempt=3)
    wait_for(lambda: ended(provider, job))
    assert state(provider, job) is JobState.SUCCEEDED
    assert [row["step"] for row in run.rows(run.metrics_file)] == list(range(1, 121))
    other = run_of(tmp_path, "job-bbbbbbbbbb")
    other.path.mkdir()
    shutil.copy(run.plan_file, other.plan_file)  # what was timed may come out otherwise
    whole = start(other.path.name, steps=120, processes="2", sharding="full_shard")
    wait_for(lambda: ended(provider, whole))
    assert losses(run) == losses(other)
    name = "adapter_model.safetensors"
    assert (run.output / name).read_bytes() == (other.output / name).read_bytes()


def test_stopped_by_the_system_it_leaves_a_checkpoint(
    tmp_path: Path, provider: LocalProvider, start: Start
) -> None:
    job = start()
    run = run_of(tmp_path, job)
    wait_for(lambda: steps(run) >= 3)
    os.kill(group_of(run).pid, signal.SIGTERM)
    wait_for(lambda: ended(provider, job))
    snapshot = provider.poll(job)
    assert (snapshot.state, snapshot.provider_status) == (JobState.FAILED, "interrupted")
    assert list(run.checkpoints.glob("step-*/progress.json"))
    heard = provider.events(job, 0)
    assert heard[-1].message == snapshot.message
    provider.resume(job, attempt=2)
    assert provider.events(job, 0)[: len(heard)] == heard


def test_cancel_ends_the_whole_process_group(
    tmp_path: Path, provider: LocalProvider, start: Start
) -> None:
    job = start()
    run = run_of(tmp_path, job)
    wait_for(lambda: steps(run) >= 3)
    group = group_of(run).process_group
    with pytest.raises(IllegalMove, match="still runs"):
        provider.resume(job, attempt=2)
    provider.cancel(job)
    provider.cancel(job)
    assert state(provider, job) is JobState.CANCELLED
    wait_for(lambda: not living(group), seconds=10)


def test_a_worker_that_does_not_listen_is_forced(
    tmp_path: Path, provider: LocalProvider, start: Start
) -> None:
    job = start()
    run = run_of(tmp_path, job)
    wait_for(lambda: steps(run) >= 3)
    psutil.Process(group_of(run).pid).suspend()
    run.cancel_file.touch()
    assert process.stop(run, grace_s=0.5)
    provider.cancel(job)
    assert state(provider, job) is JobState.CANCELLED


def test_a_second_job_waits_for_the_first(
    tmp_path: Path, provider: LocalProvider, start: Start
) -> None:
    first = start("job-bbbbbbbbbb")
    wait_for(lambda: steps(run_of(tmp_path, first)) >= 1)
    second = start("job-cccccccccc", steps=6)
    wait_for(lambda: provider.poll(second).provider_status == "queued")
    assert "waiting for another job" in provider.poll(second).message
    provider.cancel(first)
    wait_for(lambda: ended(provider, second))
    assert state(provider, second) is JobState.SUCCEEDED


def test_a_worker_with_a_successor_writes_no_more(
    tmp_path: Path, provider: LocalProvider, start: Start
) -> None:
    job = start()
    run = run_of(tmp_path, job)
    wait_for(lambda: steps(run) >= 3)
    run.write(run.config_file, run.config().model_copy(update={"attempt": 2}))
    wait_for(lambda: not process.is_alive(run))
    assert not run.exit_file(1).exists()
    assert not run.output.exists()
    with pytest.raises(Fenced):
        RunFolder(run.path, attempt=1).append(run.events_file, {"message": "too late"})


def test_a_damaged_run_folder_is_told_and_mended_where_it_can_be(
    tmp_path: Path, provider: LocalProvider, start: Start
) -> None:
    job = start()
    run = run_of(tmp_path, job)
    wait_for(lambda: steps(run) >= 3)
    psutil.Process(group_of(run).pid).suspend()
    run.status_file.write_text("{", encoding="utf-8")
    snapshot = provider.poll(job)
    assert (snapshot.state, snapshot.provider_status) == (None, "damaged")
    assert "status.json" in snapshot.message
    psutil.Process(group_of(run).pid).resume()
    wait_for(lambda: provider.poll(job).state is JobState.RUNNING)
    provider.cancel(job)
    run.exit_file(1).write_text('{"attempt": "none"}', encoding="utf-8")
    ended_badly = provider.poll(job)  # the worker is gone: its checkpoints can still be used
    assert (ended_badly.state, ended_badly.provider_status) == (JobState.FAILED, "damaged")
    assert "exit-1.json: damaged" in ended_badly.message
    run.config_file.unlink()
    with pytest.raises(StoreError, match="orders are missing"):
        provider.poll(job)


def test_data_that_cannot_be_trained_on_fails_with_the_lines(
    provider: LocalProvider, data: Path, start: Start
) -> None:
    text = data.read_text(encoding="utf-8").replace(": it looks", " looks" * 900)
    data.write_text(text, encoding="utf-8")
    job = start(steps=6)
    wait_for(lambda: ended(provider, job))
    snapshot = provider.poll(job)
    assert snapshot.error is not None
    assert snapshot.error["kind"] == "data_invalid"
    assert "24 of 24 examples left out, longer than 512 tokens" in snapshot.message
