"""How an attempt ended, in words that are true and say what to do."""

import errno
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from specimens import worker_config

from ftctl.local_backend import checkpoint
from ftctl.local_backend.checkpoint import Progress
from ftctl.local_backend.loop import Interrupted
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.run_folder import RunFolder, WorkerConfig
from ftctl.local_backend.step import OutOfMemory
from ftctl.local_backend.worker import _ending_of


class SafetensorError(Exception):
    """As safetensors names its own; importing that one takes a while."""


@pytest.fixture
def config(tmp_path: Path) -> WorkerConfig:
    return worker_config(tmp_path)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run", attempt=1)


def plan_of(**values: Any) -> Plan:
    known: dict[str, Any] = {
        "device": "cpu",
        "device_name": "cpu",
        "dtype": "fp32",
        "dtype_reason": "",
        "loss": "plain",
        "loss_reason": "",
        "prefix_tokens": 0,
        "total_steps": 40,
        "steps_reason": "",
        "batch_size": 8,
        "micro_batch_size": 8,
        "learning_rate": 1e-3,
        "warmup_steps": 1,
        "weight_decay": 0.0,
        "checkpoint_steps": 20,
        "seed": 0,
        "seconds_per_step": 1.0,
    }
    return Plan(**known | values)


def reach(run: RunFolder, step: int) -> Progress:
    at = Progress(step=step, trained_tokens=step * 10, seconds=2.5)
    folder = checkpoint.folder_of(run, step)
    folder.mkdir(parents=True)
    (folder / "progress.json").write_text(json.dumps(asdict(at)), encoding="utf-8")
    return at


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "store_error"),
        (OSError(errno.EFBIG, "File too large"), "store_error"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "store_error"),
        (MemoryError(), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out_of_memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "out_of_memory"),
        (RuntimeError("shapes differ"), "bug"),
        (ImportError("libtorch.so: cannot open shared object file"), "bug"),
    ],
)
def test_the_cause_is_named_and_the_progress_kept(
    error: Exception, kind: str, run: RunFolder, config: WorkerConfig
) -> None:
    at = reach(run, 20)
    ending = _ending_of(error, run, config)
    assert (ending.outcome, ending.kind, ending.progress) == ("failed", kind, at)
    if kind == "store_error":
        assert ending.hint == "free space, then ftctl resume job-test"


def test_a_cancelled_job_speaks_of_a_checkpoint_only_when_there_is_one(
    run: RunFolder, config: WorkerConfig
) -> None:
    run.path.mkdir()
    run.cancel_file.touch()
    assert _ending_of(Interrupted(), run, config).message == "cancelled, before any checkpoint"
    reach(run, 20)
    ending = _ending_of(Interrupted(), run, config)
    assert ending.message == "cancelled, at the checkpoint of step 20"
    assert ending.progress.trained_tokens == 200


def test_a_split_model_that_ran_out_of_memory_goes_on_with_half_as_much_at_once(
    run: RunFolder, config: WorkerConfig
) -> None:
    reach(run, 20)
    run.write(run.plan_file, plan_of(micro_batch_size=6))
    ending = _ending_of(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), run, config)
    assert (ending.kind, ending.progress.step) == ("out_of_memory", 20)
    assert ending.hint.startswith("ftctl resume job-test goes on from the last checkpoint with 3 ")
    kept = run.read(run.plan_file, Plan)
    assert kept == plan_of(micro_batch_size=3)


def test_where_one_example_is_too_much_the_plan_is_quoted(
    run: RunFolder, config: WorkerConfig
) -> None:
    run.path.mkdir()
    plan = plan_of(micro_batch_size=6, budget_reason="tight: by the plan it doesn't fit")
    run.write(run.plan_file, plan)
    ending = _ending_of(OutOfMemory("can't allocate"), run, config)
    assert ending.message == (
        "out of memory: can't allocate, with one example at a time "
        "(tight: by the plan it doesn't fit)"
    )
    assert f"ftctl estimate --provider local --model {config.model}" in ending.hint
    assert run.read(run.plan_file, Plan) == plan
