"""From a file to an answer through real HTTP: OpenAI's own SDK, our own driver, and a kill."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Cli
from openai import BadRequestError, NotFoundError, OpenAI
from openai.types.chat import ChatCompletionChunk
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint
from pydantic import BaseModel
from running_server import Running
from tiny_model import SYSTEM, write_data

pytestmark = [pytest.mark.slow, pytest.mark.real]
Start = Callable[..., Running]
REAL = "smollm2-135m-instruct"
HELLO: Any = [
    {"role": "system", "content": SYSTEM},
    {"role": "user", "content": "Item 1: it looks green"},
]


def connect(running: Running) -> OpenAI:
    return OpenAI(api_key=running.token, base_url=running.base_url, max_retries=0)


def strictly(made: BaseModel) -> None:
    """What the server said, by the SDK's own types; the SDK builds its objects of anything."""
    type(made).model_validate(made.model_dump(), strict=True)


def wait_until(
    client: OpenAI, job_id: str, reached: Callable[[FineTuningJob], bool]
) -> FineTuningJob:
    give_up = time.monotonic() + 400
    while not reached(job := client.fine_tuning.jobs.retrieve(job_id)):
        assert time.monotonic() < give_up, job
        time.sleep(0.3)
    strictly(job)
    return job


def ended(job: FineTuningJob) -> bool:
    return job.status in ("succeeded", "failed", "cancelled")


def all_events(client: OpenAI, job_id: str) -> list[FineTuningJobEvent]:
    """Oldest first, through the SDK's own pages."""
    found = list(client.fine_tuning.jobs.list_events(job_id, limit=7))
    for event in found:
        strictly(event)
    return found[::-1]


@pytest.mark.parametrize(("base", "epochs"), [("tiny", 2), (REAL, 1)])
def test_from_a_file_to_an_answer(
    start_server: Start,
    tiny_base: Path,
    tmp_path: Path,
    cli_process: Cli,
    monkeypatch: pytest.MonkeyPatch,
    base: str,
    epochs: int,
) -> None:
    running = start_server("--base", f"tiny={tiny_base}")
    through_the_official_sdk(running, tmp_path, base, epochs)
    monkeypatch.setenv("FTCTL_HOME", str(tmp_path / "client-home"))
    monkeypatch.setenv("OPENAI_API_KEY", running.token)
    monkeypatch.setenv("FTCTL_POLL_S", "0.5")
    through_our_command_line(running, tmp_path, cli_process, base, epochs)
    log = running.log.read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert running.token not in log


def through_the_official_sdk(running: Running, tmp_path: Path, base: str, epochs: int) -> None:
    client = connect(running)
    assert base in [model.id for model in client.models.list()]
    data = write_data(tmp_path / "train.jsonl", 20)
    with data.open("rb") as stream:
        training = client.files.create(file=stream, purpose="fine-tune")
    held_out = client.files.create(
        file=("held-out.jsonl", write_data(tmp_path / "v.jsonl", 10).read_bytes()),
        purpose="fine-tune",
    )
    assert client.files.wait_for_processing(training.id).status == "processed"
    job = client.fine_tuning.jobs.create(
        model=base,
        training_file=training.id,
        validation_file=held_out.id,
        suffix="colours",
        seed=1,
        metadata={"ftctl_marker": "here"},
        method={
            "type": "supervised",
            "supervised": {"hyperparameters": {"n_epochs": epochs, "batch_size": 10}},
        },
    )
    strictly(job)
    seen: list[str] = []
    give_up = time.monotonic() + 400
    while not ended(client.fine_tuning.jobs.retrieve(job.id)):
        assert time.monotonic() < give_up
        ids = [event.id for event in all_events(client, job.id)]
        assert ids[: len(seen)] == seen  # only ever added to
        seen = ids
        time.sleep(0.3)
    done = wait_until(client, job.id, ended)
    assert done.status == "succeeded", done.error
    assert done.fine_tuned_model == f"ft:{base}:ftctl:colours:{job.id.removeprefix('ftjob-')}"
    assert (done.trained_tokens or 0) > 0
    assert (done.finished_at or 0) >= done.created_at

    events = all_events(client, job.id)
    assert [event.id for event in events][: len(seen)] == seen
    said = [event.message for event in events]
    assert said[0].startswith("Created fine-tuning job: ftjob-")
    assert said[-2:] == [
        f"New fine-tuned model created: {done.fine_tuned_model}",
        "The job has successfully completed",
    ]
    measured = [event.data for event in events if event.type == "metrics"]
    expected = list(range(1, 2 * epochs + 1))
    steps = [row["step"] for row in measured if isinstance(row, dict) and "train_loss" in row]
    assert steps == expected
    assert any("valid_loss" in row for row in measured if isinstance(row, dict))

    (checkpoint,) = client.fine_tuning.jobs.checkpoints.list(job.id)
    strictly(FineTuningJobCheckpoint.model_validate(checkpoint.model_dump()))
    assert (checkpoint.step_number, checkpoint.fine_tuning_job_id) == (expected[-1], job.id)
    assert checkpoint.metrics.valid_loss is not None
    (result,) = done.result_files
    table = client.files.content(result).text.splitlines()
    assert table[0].startswith("step,train_loss,")
    assert [row.split(",")[0] for row in table[1:]] == [str(step) for step in expected]
    by_marker = client.fine_tuning.jobs.list(metadata={"ftctl_marker": "here"})
    assert [found.id for found in by_marker] == [job.id]

    assert done.fine_tuned_model in [model.id for model in client.models.list()]
    asked: Any = {"model": done.fine_tuned_model, "messages": HELLO, "max_tokens": 12}
    whole = client.chat.completions.create(**asked)
    strictly(whole)
    pieces: list[ChatCompletionChunk] = list(client.chat.completions.create(**asked, stream=True))
    for piece in pieces:
        strictly(piece)
    streamed = "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
    assert streamed == whole.choices[0].message.content

    # The last checkpoint is what the model is made of; one that isn't there isn't answered for.
    at_step = asked | {"model": checkpoint.fine_tuned_model_checkpoint}
    assert client.chat.completions.create(**at_step).choices[0].message == whole.choices[0].message
    with pytest.raises(NotFoundError):
        client.chat.completions.create(**at_step | {"model": f"{at_step['model']}0"})

    with pytest.raises(BadRequestError, match="can't be cancelled: it is succeeded"):
        client.fine_tuning.jobs.cancel(job.id)
    deleted = client.models.delete(done.fine_tuned_model)
    strictly(deleted)
    assert deleted.deleted
    for gone in (training.id, held_out.id, result):
        assert client.files.delete(gone).deleted
    for gone_too in (asked, at_step):
        with pytest.raises(NotFoundError):
            client.chat.completions.create(**gone_too)
    assert list(client.files.list()) == []
    assert done.fine_tuned_model not in [model.id for model in client.models.list()]
    kept = client.fine_tuning.jobs.retrieve(job.id)
    assert (kept.status, kept.result_files) == ("succeeded", [])
    assert [event.id for event in all_events(client, job.id)] == [event.id for event in events]


def test_a_running_job_is_cancelled(start_server: Start, tiny_base: Path, tmp_path: Path) -> None:
    client = connect(start_server("--base", f"tiny={tiny_base}"))
    data = write_data(tmp_path / "train.jsonl", 200)
    training = client.files.create(file=data, purpose="fine-tune")
    job = client.fine_tuning.jobs.create(
        model="tiny", training_file=training.id, hyperparameters={"n_epochs": 50, "batch_size": 1}
    )
    running = wait_until(client, job.id, lambda job: job.estimated_finish is not None or ended(job))
    assert running.status == "running"
    assert (running.estimated_finish or 0) >= running.created_at
    cancelled = client.fine_tuning.jobs.cancel(job.id)
    strictly(cancelled)
    assert (cancelled.status, cancelled.fine_tuned_model) == ("cancelled", None)
    assert client.fine_tuning.jobs.retrieve(job.id).status == "cancelled"


def test_a_killed_server_loses_nothing(
    start_server: Start, tiny_base: Path, tmp_path: Path, clean_environment: Path
) -> None:
    base = ("--base", f"tiny={tiny_base}")
    running = start_server(*base)
    client = connect(running)
    training = client.files.create(file=write_data(tmp_path / "t.jsonl", 40), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(
        model="tiny", training_file=training.id, hyperparameters={"n_epochs": 8, "batch_size": 4}
    )
    wait_until(client, job.id, lambda job: job.status != "validating_files")
    before = all_events(client, job.id)
    # Another whose files are perhaps not yet validated: it must start all the same.
    young = client.fine_tuning.jobs.create(
        model="tiny", training_file=training.id, hyperparameters={"n_epochs": 1}
    )
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait()
    # The job goes on while no server is there, to its end.
    (run,) = clean_environment.glob(f"runs/*{job.id.removeprefix('ftjob-')}")
    give_up = time.monotonic() + 400
    while not list(run.glob("exit-*.json")):
        assert time.monotonic() < give_up
        time.sleep(0.3)

    again = start_server(*base)
    assert again.token == running.token
    client = connect(again)
    assert [file.id for file in client.files.list()] == [training.id]
    assert client.files.content(training.id).read() == (tmp_path / "t.jsonl").read_bytes()
    assert [found.id for found in client.fine_tuning.jobs.list()] == [young.id, job.id]
    after = all_events(client, job.id)
    assert [event.id for event in after][: len(before)] == [event.id for event in before]
    for made in (job, young):
        done = wait_until(client, made.id, ended)
        assert done.status == "succeeded", done.error
        assert done.fine_tuned_model in [model.id for model in client.models.list()]


def through_our_command_line(
    running: Running, tmp_path: Path, cli_process: Cli, base: str, epochs: int
) -> None:
    data = write_data(tmp_path / "train.jsonl", 20)
    words = ["submit", "--provider", "openai", "--base-url", running.base_url, "--model", base]
    settings = ["--set", f"epochs={epochs}", "--set", "batch_size=10", "--name", "colours"]
    ran = cli_process(*words, "--data", data, *settings, "--wait", "--json")
    assert ran.returncode == 0, ran.stderr + ran.stdout
    job = json.loads(ran.stdout.splitlines()[-1])
    assert (job["state"], job["provider_status"]) == ("succeeded", "succeeded")
    assert job["fine_tuned_model"].startswith(f"ft:{base}:ftctl:colours:")
    said = cli_process("logs", job["id"]).stdout
    assert "Created fine-tuning job" in said
    assert "The job has successfully completed" in said
    answered = cli_process(
        "chat", job["id"], "Item 1: it looks green", "--system", SYSTEM, "--json"
    )
    assert answered.returncode == 0, answered.stderr
    client = connect(running)
    asked: Any = {"model": job["fine_tuned_model"], "messages": HELLO, "max_tokens": 512}
    assert (
        answered.json()["answer"]
        == client.chat.completions.create(**asked).choices[0].message.content
    )
    assert cli_process("fetch", job["id"], "-o", tmp_path / "results").returncode == 0
    forgotten = cli_process("forget", job["id"])
    assert forgotten.returncode == 0, forgotten.stderr
    assert list(client.files.list()) == []
    assert [model.id for model in client.models.list() if model.id.startswith("ft:")] == []
    assert running.token not in ran.stdout + ran.stderr + said
