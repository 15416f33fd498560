"""Preferences through real HTTP: the official SDK and our own driver, a pause, a file in parts."""

import hashlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Cli
from openai import BadRequestError, OpenAI
from openai.types.fine_tuning import FineTuningJob
from preference_rows import write_pairs
from running_server import Running
from tiny_model import SYSTEM

import ftctl

pytestmark = [pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(600)]
Start = Callable[..., Running]
STEPS: Any = {"n_epochs": 4, "batch_size": 8, "learning_rate_multiplier": 100, "beta": 0.2}


def connect(running: Running) -> OpenAI:
    return OpenAI(api_key=running.token, base_url=running.base_url, max_retries=0)


def wait_until(
    client: OpenAI, job_id: str, reached: Callable[[FineTuningJob], bool]
) -> FineTuningJob:
    give_up = time.monotonic() + 400
    while not reached(job := client.fine_tuning.jobs.retrieve(job_id)):
        assert time.monotonic() < give_up, job
        time.sleep(0.3)
    return job


def uploaded_in_parts(client: OpenAI, data: bytes) -> str:
    """The id of the file, sent as the SDK's own helper sends large ones."""
    done = client.uploads.upload_file_chunked(
        file=data,
        filename="pairs.jsonl",
        bytes=len(data),
        mime_type="text/jsonl",
        purpose="fine-tune",
        part_size=1000,
        md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
    )
    type(done).model_validate(done.model_dump(), strict=True)
    assert done.status == "completed"
    assert done.file is not None
    return done.file.id


def test_preferences_are_learnt_held_and_answered_for(
    start_server: Start, tiny_base: Path, tmp_path: Path
) -> None:
    client = connect(start_server("--base", f"tiny={tiny_base}"))
    data = write_pairs(tmp_path / "pairs.jsonl", 200).read_bytes()
    training = uploaded_in_parts(client, data)
    assert client.files.content(training).read() == data
    held_out = client.files.create(
        file=write_pairs(tmp_path / "held-out.jsonl", 16, first=300), purpose="fine-tune"
    )
    job = client.fine_tuning.jobs.create(
        model="tiny",
        training_file=training,
        validation_file=held_out.id,
        seed=1,
        method={"type": "dpo", "dpo": {"hyperparameters": STEPS}},
    )
    type(job).model_validate(job.model_dump(), strict=True)
    assert job.method is not None
    assert job.method.dpo is not None
    assert job.method.model_dump(exclude_none=True) == {
        "type": "dpo",
        "dpo": {"hyperparameters": STEPS},
    }
    wait_until(client, job.id, lambda job: job.estimated_finish is not None or _ended(job))
    paused = client.fine_tuning.jobs.pause(job.id)
    assert str(paused.status) == "paused"
    assert str(client.fine_tuning.jobs.retrieve(job.id).status) == "paused"
    with pytest.raises(BadRequestError, match="can't be paused: it is paused"):
        client.fine_tuning.jobs.pause(job.id)
    going_on = client.fine_tuning.jobs.resume(job.id)
    assert going_on.status in ("queued", "running")
    with pytest.raises(BadRequestError, match="can't be resumed: it is"):
        client.fine_tuning.jobs.resume(job.id)
    done = wait_until(client, job.id, _ended)
    assert done.status == "succeeded", done.error

    events = list(client.fine_tuning.jobs.list_events(job.id, limit=50))[::-1]
    measured: list[dict[str, Any]] = [
        event.data for event in events if event.type == "metrics" and isinstance(event.data, dict)
    ]
    steps = [row for row in measured if "train_loss" in row]
    assert [row["step"] for row in steps] == list(range(1, 101))
    assert steps[0]["train_loss"] == pytest.approx(math.log(2), abs=0.05)
    assert steps[-1]["train_loss"] < 0.5
    assert steps[-1]["train_reward_margin"] > 0
    assert steps[-1]["train_reward_accuracy"] > 0.5
    assert "valid_reward_accuracy" in next(row for row in measured if "valid_loss" in row)
    said = [event.message for event in events]
    assert any(message.startswith("paused") for message in said)
    (result,) = done.result_files
    head = client.files.content(result).text.splitlines()[0].split(",")
    assert {"train_reward_margin", "train_reward_accuracy"} <= set(head)
    answered = client.chat.completions.create(
        model=str(done.fine_tuned_model),
        messages=[
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": "Item 1: it looks green"},
        ],
        max_tokens=8,
    )
    assert answered.choices[0].message.content is not None


def _ended(job: FineTuningJob) -> bool:
    return job.status in ("succeeded", "failed", "cancelled")


def test_chat_rows_are_no_pairs(start_server: Start, tiny_base: Path, tmp_path: Path) -> None:
    client = connect(start_server("--base", f"tiny={tiny_base}"))
    rows = json.dumps({"messages": [{"role": "user", "content": "a"}]}) + "\n"
    file = client.files.create(file=("chats.jsonl", (rows * 12).encode()), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(
        model="tiny", training_file=file.id, method={"type": "dpo"}
    )
    failed = wait_until(client, job.id, _ended)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.code == "invalid_training_file"
    assert "line 1" in str(failed.error.message)


def test_our_own_driver_moves_a_job_there_and_home(
    start_server: Start,
    tiny_base: Path,
    tmp_path: Path,
    cli_process: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running = start_server("--base", f"tiny={tiny_base}")
    monkeypatch.setenv("FTCTL_HOME", str(tmp_path / "client-home"))
    monkeypatch.setenv("OPENAI_API_KEY", running.token)
    monkeypatch.setenv("FTCTL_POLL_S", "0.5")
    data = write_pairs(tmp_path / "pairs.jsonl")
    words = ["submit", "--provider", "openai", "--base-url", running.base_url, "--model", "tiny"]
    words += ["--method", "dpo", "--set", "beta=0.2", "--set", "epochs=2", "--set", "batch_size=8"]
    ran = cli_process(*words, "--data", data, "--name", "colours", "--wait", "--json")
    assert ran.returncode == 0, ran.stderr + ran.stdout
    there = json.loads(ran.stdout.splitlines()[-1])
    assert (there["state"], there["method"]) == ("succeeded", "dpo")
    told = [event.data for _, event in ftctl.get_job(there["id"]).events()]
    assert [row["train_reward_margin"] for row in told if "train_loss" in row]

    moved = cli_process(
        "migrate", there["id"], "--to", "local", "--model", tiny_base, "--yes", "--json"
    )
    assert moved.returncode == 0, moved.stderr + moved.stdout
    (home,) = [
        job for job in cli_process("jobs", "--json").json()["jobs"] if job["provider"] == "local"
    ]
    assert (home["method"], home["spec"]["options"]) == ("dpo", {"beta": "0.2"})
    watched = cli_process("watch", home["id"], "--json")
    assert watched.returncode == 0, watched.stdout
    last = json.loads(watched.stdout.splitlines()[-1])
    assert last["state"] == "succeeded"
    # Looks may come before or after so short a training; the run's own figures hold every step.
    figures = tmp_path / "client-home" / "runs" / home["remote_id"] / "metrics.jsonl"
    rows = [json.loads(line) for line in figures.read_text("utf-8").splitlines()]
    steps = [row for row in rows if row["kind"] == "step"]
    assert [row["step"] for row in steps] == [1, 2, 3, 4, 5, 6]
    assert all({"reward_margin", "reward_accuracy"} <= set(row) for row in steps)
