"""The whole path through the command line and the library, with real workers on a tiny model."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import Cli
from tiny_model import SYSTEM

import ftctl
from ftctl.errors import IllegalMove, JobFailed
from ftctl.local_backend.executors import process
from ftctl.local_backend.run_folder import RunFolder

# Half a minute each on an idle machine; a busy one must not fail them.
pytestmark = [pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def no_worker_left(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Quick looks; and whatever a test does, no worker outlives it."""
    monkeypatch.setenv("FTCTL_POLL_S", "0.2")
    yield
    for file in (clean_environment / "runs").glob("*/worker.json"):
        run = RunFolder(file.parent)
        run.cancel_file.touch()
        process.stop(run, grace_s=1)


def settings_of(steps: int) -> dict[str, Any]:
    return {"max_steps": steps, "batch_size": 8, "checkpoint_steps": 10, "learning_rate": 0.02}


def submit_words(model: Path, data: Path, steps: int, *more: str | Path) -> list[str | Path]:
    words: list[str | Path] = ["submit", "--provider", "local", "--model", model, "--data", data]
    for key, value in settings_of(steps).items():
        words += ["--set", f"{key}={value}"]
    return [*words, *more]


def test_from_data_to_an_answer(cli: Cli, tiny_model: Path, data: Path, tmp_path: Path) -> None:
    held_out = shutil.copy(data, tmp_path / "held-out.jsonl")
    asked = submit_words(tiny_model, data, 30, "--validation", held_out, "--name", "colours")
    done = cli(*asked, "--json")
    assert done.returncode == 0, done.stderr
    job = done.json()
    assert job["schema"] == "ftctl.job/1"
    assert job["state"] == "queued"
    assert job["estimate"]["cost"]["high"] == 0
    assert cli(*asked).stdout.strip() == job["id"]  # the same again is the same job

    watched = cli("watch", "colours", "--json")
    assert watched.returncode == 0, watched.stderr
    lines = [json.loads(line) for line in watched.stdout.splitlines()]
    assert lines[-1]["state"] == "succeeded"
    assert lines[-1]["fine_tuned_model"] == job["id"]
    assert lines[-1]["actual"]["trained_tokens"] > 0
    assert any(line["progress"].get("eta_s") for line in lines)

    said = cli("logs", job["id"]).stdout
    assert "30 steps (max_steps=30), 24 examples" in said
    assert "validation at step 30" in said
    whole = cli("job", job["id"], "--json").json()
    assert [event["message"].split(":")[0] for event in whole["history"]][-1] == "succeeded"
    assert [row["id"] for row in cli("jobs", "--json").json()["jobs"]] == [job["id"]]

    assert cli("fetch", "colours", "-o", tmp_path / "adapter").returncode == 0
    scored = cli(
        "eval", tmp_path / "adapter", "--against", tiny_model, "--data", data, "--json", "--quiet"
    ).json()
    tuned = next(row for row in scored["targets"] if row["name"].endswith("adapter"))
    assert tuned["n"] == 24
    assert scored["comparisons"][0]["method"] == "tango"
    answer = cli("chat", "colours", "Item 1: it looks green", "--system", SYSTEM, "--json").json()
    assert isinstance(answer["answer"], str)
    piped = cli("chat", tmp_path / "adapter", "--system", SYSTEM, stdin="Item 1: it looks green")
    assert piped.stdout.strip() == answer["answer"].strip()


def test_the_same_from_python(tiny_model: Path, data: Path, tmp_path: Path) -> None:
    job = ftctl.submit(
        provider="local", data=data, model=str(tiny_model), hyperparameters=settings_of(10)
    )
    assert ftctl.get_job(job.id).state == "queued"
    job.wait()
    assert job.state == "succeeded"
    assert [known.id for known in ftctl.jobs()] == [job.id]
    tuned = job.fetch(tmp_path / "adapter")
    assert tuned.folder == tmp_path / "adapter"
    messages = [{"role": "user", "content": "Item 2: it looks blue"}]
    answer = job.model.chat(messages, max_new_tokens=8)
    assert ftctl.chat(str(tmp_path / "adapter"), messages, max_new_tokens=8) == answer
    report = ftctl.evaluate([job.id], data=data, grader="label", max_new_tokens=8)
    assert report.n == 24
    with pytest.raises(IllegalMove, match="has ended: succeeded"):
        job.cancel()
    with pytest.raises(IllegalMove, match="only a failed or cancelled job"):
        job.resume()


def test_a_killed_watcher_leaves_the_job_and_any_other_picks_it_up(
    cli: Cli, tiny_model: Path, data: Path
) -> None:
    words = [str(word) for word in submit_words(tiny_model, data, 60, "--wait")]
    watcher = subprocess.Popen(
        [sys.executable, "-m", "ftctl.cli", *words], stderr=subprocess.PIPE, text=True
    )
    assert watcher.stderr is not None
    for line in watcher.stderr:
        if re.search(r"step \d+ of", line):
            break
    os.kill(watcher.pid, signal.SIGKILL)
    watcher.wait()
    watcher.stderr.close()
    (job,) = cli("jobs", "--json").json()["jobs"]
    assert job["state"] == "running"
    watched = cli("watch", "--all")
    assert watched.returncode == 0
    assert "succeeded" in watched.stdout


def test_ctrl_c_stops_the_watching_and_says_how_to_go_on(
    cli: Cli, tiny_model: Path, data: Path
) -> None:
    job = cli(*submit_words(tiny_model, data, 4000)).stdout.strip()
    watcher = subprocess.Popen(
        [sys.executable, "-m", "ftctl.cli", "watch", job],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watcher.stderr is not None
    watcher.stderr.readline()
    watcher.send_signal(signal.SIGINT)
    _, said = watcher.communicate(timeout=60)
    assert watcher.returncode == 130
    assert f"ftctl watch {job}" in said
    assert cli("job", job, "--refresh", "--json").json()["state"] in ("queued", "running")
    assert cli("cancel", job).returncode == 0


def test_cancelled_and_resumed(cli: Cli, tiny_model: Path, data: Path) -> None:
    job = cli(*submit_words(tiny_model, data, 400)).stdout.strip()
    for record in ftctl.watch([job]):
        if record.progress.get("step", 0) >= 12:
            break
    assert cli("cancel", job, "--json").json()["state"] == "cancelled"
    watched = cli("watch", job)
    assert watched.returncode == 1
    assert "cancelled" in watched.stdout
    assert cli("cancel", job).returncode == 1
    resumed = cli("resume", job, "--json").json()
    assert (resumed["state"], resumed["attempt"]) == ("queued", 2)
    assert cli("watch", job).returncode == 0
    assert "goes on from step" in cli("logs", job).stdout


def test_a_failed_job_says_why_and_exits_1(cli: Cli, tiny_model: Path, data: Path) -> None:
    asked = submit_words(tiny_model, data, 5, "--set", "max_length=32", "--wait")
    failed = cli(*asked)
    assert failed.returncode == 1
    assert "longer than 32 tokens" in failed.stdout
    assert "--set max_length=" in failed.stdout
    (job,) = ftctl.jobs()
    assert job.record.error is not None
    assert job.record.error["kind"] == "data_invalid"
    with pytest.raises(JobFailed, match="longer than 32 tokens"):
        job.wait()


def test_a_full_disk_while_fetching_loses_nothing(
    cli: Cli, tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    job = cli(*submit_words(tiny_model, data, 5, "--wait", "--json")).stdout.splitlines()[-1]
    name = json.loads(job)["id"]
    target = tmp_path / "adapter"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, hard))
    try:
        full = subprocess.run(
            [sys.executable, "-m", "ftctl.cli", "fetch", name, "-o", str(target)],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert full.returncode == 1
    assert "Traceback" not in full.stderr
    assert "File too large" in full.stderr
    assert not target.exists()
    assert list(tmp_path.glob("adapter*")) == []
    assert cli("fetch", name, "-o", target).returncode == 0


def test_a_vanished_run_folder_becomes_lost_and_never_success(
    cli: Cli, tiny_model: Path, data: Path, clean_environment: Path
) -> None:
    job = cli(*submit_words(tiny_model, data, 4000)).stdout.strip()
    for record in ftctl.watch([job]):
        if record.progress.get("step", 0) >= 1:
            break
    assert cli("cancel", job).returncode == 0
    shutil.rmtree(clean_environment / "runs" / job)
    assert cli("fetch", job, "-o", "adapter").returncode == 1
    resumed = cli("resume", job)
    assert resumed.returncode == 1
    assert "run folder" in resumed.stderr


def test_submitting_is_not_slowed_by_a_long_job(cli: Cli, tiny_model: Path, data: Path) -> None:
    first = cli(*submit_words(tiny_model, data, 4000)).stdout.strip()
    for record in ftctl.watch([first]):
        if record.progress.get("step", 0) >= 1:
            break
    second = cli(*submit_words(tiny_model, data, 5)).stdout.strip()
    assert second != first
    give_up = time.monotonic() + 120
    while "waiting for another job" not in cli("job", second, "--refresh").stdout:
        assert time.monotonic() < give_up
        time.sleep(0.2)
    assert cli("cancel", second, "--json").json()["state"] == "cancelled"
    assert cli("cancel", first, "--json").json()["state"] == "cancelled"
