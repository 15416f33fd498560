"""Axolotl as the engine, by a stand-in that speaks as it was measured; the real one is `slow`."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from axolotl_stand_in import write_stand_in
from command_line import Cli
from tiny_model import write_data, write_model
from training_runs import run_of, settings, steps_of, watch

from ftctl.api.job_handle import Job, get_job
from ftctl.config import load_settings
from ftctl.errors import JobFailed, StoreError
from ftctl.job import Method
from ftctl.local_backend.checkpoint import newest_progress
from ftctl.local_backend.engines.axolotl import train
from ftctl.local_backend.engines.axolotl_figures import figures_in
from ftctl.local_backend.loop import Interrupted
from ftctl.local_backend.output import is_whole
from ftctl.local_backend.run_folder import RunFolder, WorkerConfig

pytestmark = pytest.mark.medium


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base"))


@pytest.fixture
def axolotl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    write_stand_in(folder)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def calls(axolotl: Path) -> list[str]:
    lines = (axolotl / "calls").read_text().splitlines()
    return [json.loads(line)[0] for line in lines]


def run(
    tmp_path: Path, model: Path, method: Method = "sft", **more: Any
) -> tuple[RunFolder, WorkerConfig]:
    data = write_data(tmp_path / "rows.jsonl")
    if method == "dpo":
        row = {
            "input": {"messages": [{"role": "user", "content": "Hi"}]},
            "preferred_output": [{"role": "assistant", "content": "a"}],
            "non_preferred_output": [{"role": "assistant", "content": "b"}],
        }
        data.write_text((json.dumps(row) + "\n") * 4, encoding="utf-8")
    return run_of(tmp_path, model, data, settings(**{"checkpoint_steps": 2, **more}), method=method)


def test_a_run_goes_from_data_to_our_folder(tmp_path: Path, model: Path, axolotl: Path) -> None:
    folder, config = run(tmp_path, model)
    at = train(config, folder, watch())
    assert (at.step, at.trained_tokens) == (6, 240)
    assert calls(axolotl) == ["preprocess", "train", "inference"]
    rows = steps_of(folder)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[0]["loss"] == 6.9
    assert rows[-1].items() >= {"grad_norm": 5.2, "learning_rate": 0.001}.items()
    assert is_whole(folder.output)
    record = json.loads((folder.output / "run.json").read_bytes())
    assert record["engine"]["name"] == "axolotl"
    assert record["system_prompts"]["most_common"] == "Name the colour."
    assert (record["steps"], record["kept_step"]) == (6, 2)
    names = {file.name for file in folder.output.iterdir()}
    assert names == {
        "README.md", "adapter_config.json", "adapter_model.safetensors", "axolotl.yml",
        "manifest.json", "metrics.jsonl", "run.json", "tokenizer.json",
    }  # fmt: skip
    keys = yaml.safe_load((folder.output / "axolotl.yml").read_text())
    assert keys["trust_remote_code"] is False
    assert keys["micro_batch_size"] * keys["gradient_accumulation_steps"] == 8
    said = [row["message"] for row in folder.rows(folder.events_file)]
    assert said[-1] == "Axolotl's inference answers the first example: '<answer>red'"


def test_validation_and_preferences_are_told(tmp_path: Path, model: Path, axolotl: Path) -> None:
    folder, config = run(tmp_path, model, "dpo")
    config = config.model_copy(
        update={"validation": config.data, "validation_sha256": config.data_sha256}
    )
    at = train(config, folder, watch())
    assert (at.tokens, at.trained_tokens) == (720, 0)
    rows = list(folder.rows(folder.metrics_file))
    watched = [(row["step"], row["loss"]) for row in rows if row["kind"] == "validation"]
    assert watched == [(2, 4.5), (4, 4.5), (6, 4.5)]
    assert steps_of(folder)[0].items() >= {"reward_margin": 0.5, "reward_accuracy": 1.0}.items()
    keys = yaml.safe_load((folder.output / "axolotl.yml").read_text())
    assert (keys["rl"], keys["datasets"][0]["type"]) == ("dpo", "chat_template.default")
    pairs = Path(keys["datasets"][0]["path"]).read_text().splitlines()
    assert set(json.loads(pairs[0])) == {"messages", "chosen", "rejected"}


def test_a_stopped_run_goes_on_from_axolotls_checkpoint(
    tmp_path: Path, model: Path, axolotl: Path
) -> None:
    (axolotl / "behaviour").write_text("slow")
    folder, config = run(tmp_path, model)
    with pytest.raises(Interrupted):
        train(config, folder, watch(stop_after=4))
    made = folder.path / "axolotl" / "output"
    (made / "checkpoint-9").mkdir()  # torn: it was being written
    assert not folder.output.exists()
    assert newest_progress(folder).step == 4
    assert newest_progress(folder).trained_tokens == 160
    folder.append(folder.metrics_file, {"kind": "step", "step": 5})
    (axolotl / "behaviour").write_text("")
    at = train(config, folder, watch())
    assert (at.step, at.trained_tokens) == (6, 240)
    assert [row["step"] for row in steps_of(folder)] == [1, 2, 3, 4, 5, 6]
    assert calls(axolotl) == ["preprocess", "train", "train", "inference"]
    assert not (made / "checkpoint-9").exists()


def test_a_failure_is_its_last_error(tmp_path: Path, model: Path, axolotl: Path) -> None:
    folder, config = run(tmp_path, model)
    (axolotl / "behaviour").write_text("fails")
    with pytest.raises(JobFailed, match="axolotl train ended with 1: ValueError: no such thing"):
        train(config, folder, watch())
    (axolotl / "behaviour").write_text("no-memory")
    with pytest.raises(MemoryError, match="CUDA out of memory"):
        train(config, folder, watch())
    assert newest_progress(folder).step == 2
    config.data.write_text("")
    with pytest.raises(StoreError, match="was changed after"):
        train(config, folder, watch())


def test_an_answer_that_fails_spoils_nothing(tmp_path: Path, model: Path, axolotl: Path) -> None:
    folder, config = run(tmp_path, model)
    (axolotl / "behaviour").write_text("mute")
    assert train(config, folder, watch()).step == 6
    last = list(folder.rows(folder.events_file))[-1]
    assert last["level"] == "warning"
    assert "gave no answer" in last["message"]


def test_figures_are_only_numbers() -> None:
    line = "\r   {'loss': '6.869', 'epoch': 2}\n"
    assert figures_in(line) == {"loss": 6.869, "epoch": 2.0}
    for other in ("{'a': __import__('os')}", "{'a': [1]}", "{'a'", "{}", "{'a': 'b'}", "{'a', 1}"):
        assert figures_in(other) == {}


def at_step_four(cli: Cli, tmp_path: Path, model: Path, axolotl: Path) -> Job:
    """A job whose Axolotl does nothing any more after step 4."""
    (axolotl / "behaviour").write_text("slow")
    data = write_data(tmp_path / "rows.jsonl")
    ran = cli(
        "submit", "--provider", "local", "--model", model, "--data", data, "--engine", "axolotl",
        "--set", "max_steps=6", "--set", "checkpoint_steps=2", "--json",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    job = get_job(ran.json()["id"])
    while job.refresh().record.progress.get("step", 0) < 4:
        assert not job.state.terminal, job.record.message
        time.sleep(0.1)
    (axolotl / "behaviour").write_text("")
    return job


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it ends when it next prints")
def test_axolotl_dies_with_its_worker(cli: Cli, tmp_path: Path, model: Path, axolotl: Path) -> None:
    job = at_step_four(cli, tmp_path, model, axolotl)
    run = RunFolder(load_settings().home / "runs" / job.record.marker)
    worker = json.loads(run.process_file.read_bytes())["pid"]
    os.kill(worker, signal.SIGKILL)
    child = Path("/proc") / (axolotl / "pid").read_text()
    while child.exists() and "Z" not in (child / "stat").read_text().split(")")[-1]:
        time.sleep(0.05)
    while job.refresh().state == "running":
        time.sleep(0.05)
    assert job.state == "failed", job.record.message
    assert cli("resume", job.id).returncode == 0
    assert cli("watch", job.id).returncode == 0


def test_a_job_runs_is_cancelled_and_resumed(
    cli: Cli, tmp_path: Path, model: Path, axolotl: Path
) -> None:
    job = at_step_four(cli, tmp_path, model, axolotl)
    assert cli("cancel", job.id).returncode == 0
    assert job.refresh().state == "cancelled"
    assert "step 4" in job.record.message
    assert cli("resume", job.id).returncode == 0
    assert cli("watch", job.id).returncode == 0
    assert cli("fetch", job.id, "-o", tmp_path / "out").returncode == 0
    assert (tmp_path / "out" / "axolotl.yml").is_file()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--engine", "axolotl"), "no command `axolotl`"),
        (("--engine", "axolotl", "--set", "attention=flex"), "no setting for attention"),
        (("--engine", "unsloth"), "has no engine 'unsloth'; it has ftctl, axolotl"),
    ],
)
def test_what_can_not_run_is_refused_before_anything(
    cli: Cli,
    tmp_path: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, ...],
    said: str,
) -> None:
    write_stand_in(tmp_path / "bin")
    path = "/usr/bin:/bin" if "no command" in said else f"{tmp_path / 'bin'}:/usr/bin:/bin"
    monkeypatch.setenv("PATH", path)
    data = write_data(tmp_path / "rows.jsonl")
    ran = cli("submit", "--provider", "local", "--model", model, "--data", data, *more)
    assert ran.returncode == 3
    assert said in ran.stderr
    assert cli("jobs", "--json").json()["jobs"] == []
