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
from ftctl.local_backend.memory import BrokenOff, OutOfMemory, breaking_off, with_less
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.processes import OUT_OF_MEMORY, Lost
from ftctl.local_backend.run_folder import RunFolder, WorkerConfig
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


def broken_off(cause: str, tried: int) -> BrokenOff:
    with pytest.raises(BrokenOff) as caught, breaking_off(tried):
        raise RuntimeError(cause)
    return caught.value


@pytest.mark.parametrize(
    ("tried", "micro_batch"),
    [(6, 3), (5, 2), (4, 2), (48, 3)],  # the token budget let fewer than 6 go; a validation more
)
def test_less_at_once_is_half_of_what_went_through(tried: int, micro_batch: int) -> None:
    error = broken_off("CUDA out of memory. Tried to allocate 2 GiB", tried)
    plan = plan_of(micro_batch_size=6)
    assert with_less(plan, error, None) == plan_of(micro_batch_size=micro_batch)
    away = broken_off("Connection closed by peer", tried)
    assert with_less(plan, away, Lost(1, 2, OUT_OF_MEMORY)) == plan_of(micro_batch_size=micro_batch)


@pytest.mark.parametrize("status", [-9, 1])
def test_less_at_once_helps_no_other_failure(status: int) -> None:
    away = broken_off("Connection closed by peer", 6)
    plan = plan_of(micro_batch_size=6)
    assert with_less(plan, away, Lost(1, 2, status)) is None
    assert with_less(plan, away, None) is None
    assert with_less(plan, RuntimeError("CUDA out of memory while loading"), None) is None
    assert with_less(plan, broken_off("CUDA out of memory", 1), None) is None
    assert with_less(None, broken_off("CUDA out of memory", 6), None) is None


def test_a_split_model_out_of_memory_with_one_example_ends_with_what_to_do(
    run: RunFolder, config: WorkerConfig
) -> None:
    at = reach(run, 20)
    run.write(run.plan_file, plan_of(micro_batch_size=1))
    ending = _ending_of(broken_off("can't allocate memory: 2 GiB", 1), run, config)
    assert (ending.outcome, ending.kind, ending.progress) == ("failed", "out_of_memory", at)
    assert (
        ending.message == "out of memory: can't allocate memory: 2 GiB, with one example at a time"
    )
    assert "--set recompute=all" in ending.hint


def test_a_model_that_is_too_large_isnt_said_to_have_been_tried_with_one_example(
    run: RunFolder, config: WorkerConfig
) -> None:
    run.path.mkdir()
    ending = _ending_of(RuntimeError("can't allocate memory: 9 GiB"), run, config)
    assert ending.message == "out of memory: can't allocate memory: 9 GiB"


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
