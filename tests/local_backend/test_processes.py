"""Several processes train as one does, whatever they split."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from own_environment import python_beside
from tiny_model import write_data, write_model
from training_runs import run_of, settings, steps_of, tuned_of, watch

from ftctl.datasets.digest import file_sha256
from ftctl.local_backend.executors.process import worker_environment
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.run_folder import RunFolder
from ftctl.local_backend.train import train

# Half a minute each on an idle machine; a busy one must not fail them.
pytestmark = [pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(900)]

# Sums over processes are rounded in another order than sums over one, and Adam passes that on:
# its first steps go by the sign of a gradient, however small that is.
_LOSS, _WEIGHT = 2e-3, 2e-3


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """What one process does."""
    folder = tmp_path_factory.mktemp("alone")
    model, data = write_model(folder / "tiny"), write_data(folder / "train.jsonl")
    chosen = settings(micro_batch_size=3, checkpoint_steps=6)
    run, config = run_of(folder, model, data, chosen)
    few = write_data(folder / "held_out.jsonl", 4)
    held_out = {"validation": few, "validation_sha256": file_sha256(few)}
    config = config.model_copy(update=held_out)
    run.write(run.config_file, config)
    with pytest.MonkeyPatch.context() as patch:
        # Where a CPU has fast bf16 the choice is timed; runs that are compared must share it.
        patch.setattr("ftctl.local_backend.hardware._FAST_BF16_FLAGS", ())
        train(config, run, watch())
    return run


def together(
    alone: RunFolder, folder: Path, options: Mapping[str, str], python: Path = Path(sys.executable)
) -> RunFolder:
    """The same run by a worker that has such options; its plan is the one's, untimed."""
    run = begun(alone, folder)
    require_outcome("succeeded", run, options, python)
    return run


def begun(alone: RunFolder, folder: Path, **planned: str) -> RunFolder:
    """The same run, not trained yet."""
    run = RunFolder(folder / "run", attempt=1)
    run.path.mkdir()
    plan = alone.read(alone.plan_file, Plan)
    assert plan is not None
    run.write(run.config_file, alone.config())
    run.write(run.plan_file, plan.model_copy(update=planned))
    return run


def require_outcome(
    outcome: str,
    run: RunFolder,
    options: Mapping[str, str],
    python: Path = Path(sys.executable),
    attempt: int = 1,
) -> None:
    """Train with such options, and see how that ends."""
    told = {"options": dict(options), "attempt": attempt}
    run.write(run.config_file, run.config().model_copy(update=told))
    command = [str(python), "-m", "ftctl.local_backend.worker", str(run.path)]
    environment = worker_environment(os.environ)
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    record = run.exit_record(attempt)
    assert record is not None, ran.stderr
    assert record.outcome == outcome, (record, ran.stderr)


def require_same(alone: RunFolder, run: RunFolder) -> None:
    import torch
    from safetensors.torch import load_file

    ours, theirs = steps_of(run), steps_of(alone)
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    for key in ("loss", "grad_norm", "trained_tokens"):
        assert [row[key] for row in ours] == pytest.approx([r[key] for r in theirs], rel=_LOSS)
    judged, judged_alone = (
        [row["loss"] for row in folder.rows(folder.metrics_file) if row["kind"] == "validation"]
        for folder in (run, alone)
    )
    assert judged == pytest.approx(judged_alone, rel=_LOSS)
    weights = load_file(run.output / "adapter_model.safetensors")
    for name, weight in load_file(alone.output / "adapter_model.safetensors").items():
        torch.testing.assert_close(weights[name], weight, rtol=0, atol=_WEIGHT, msg=name)
    ours_says, alone_says = (
        json.loads((folder.output / "adapter_config.json").read_bytes()) for folder in (run, alone)
    )
    for said in (ours_says, alone_says):
        said["target_modules"].sort()  # PEFT keeps a set
    assert ours_says == alone_says


@pytest.mark.parametrize(
    ("sharding", "count", "wrap"),
    [
        ("ddp", 2, "transformer"),
        ("full_shard", 2, "transformer"),
        ("shard_grad_op", 2, "size"),
        ("hybrid_shard", 4, "transformer"),
    ],
)
def test_processes_train_what_one_does(
    alone: RunFolder, tmp_path: Path, sharding: str, count: int, wrap: str
) -> None:
    options = {"processes": str(count), "sharding": sharding, "wrap": wrap}
    require_same(alone, together(alone, tmp_path, options))


_DDP = {"processes": "2"}
_SPLIT = {"processes": "2", "sharding": "full_shard"}


@pytest.mark.parametrize(
    ("first", "then", "dtype", "exact"),
    [
        (_DDP, {}, "fp32", _LOSS),
        ({}, _SPLIT, "fp32", _LOSS),
        # Whole weights in bf16 have masters; split ones are fp32. Products are rounded to 8 bits.
        (_SPLIT, {}, "bf16", 3e-2),
        ({}, _SPLIT, "bf16", 3e-2),
        (_SPLIT, _DDP, "bf16", 3e-2),
    ],
)
def test_any_number_of_processes_goes_on_from_a_checkpoint(
    alone: RunFolder,
    tmp_path: Path,
    first: Mapping[str, str],
    then: Mapping[str, str],
    dtype: str,
    exact: float,
) -> None:
    run = begun(alone, tmp_path, dtype=dtype)
    run.cancel_file.touch()
    require_outcome("cancelled", run, first)
    run.cancel_file.unlink()
    run = RunFolder(run.path, attempt=2)
    require_outcome("succeeded", run, then, attempt=2)
    told = [row["message"] for row in run.rows(run.events_file)]
    assert "goes on from step 1 of 6" in told
    counts = [int(options.get("processes", 1)) for options in (then, first)]
    changed = f"processes: {counts[0]} instead of {counts[1]}; every step is as it would be"
    assert (changed in told) is (counts[0] != counts[1])
    assert not any("can't be read" in message for message in told)
    if dtype == "fp32":
        require_same(alone, run)
    losses = [row["loss"] for row in steps_of(alone)]
    assert [row["loss"] for row in steps_of(run)] == pytest.approx(losses, rel=exact)


@pytest.fixture(scope="module")
def with_deepspeed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs = ("einops", "hjson", "msgpack", "ninja", "py-cpuinfo")  # and what stands here already
    return python_beside(tmp_path_factory.mktemp("env"), "deepspeed==0.19.8", *needs)


@pytest.mark.parametrize("stage", ["zero2", "zero3"])
def test_deepspeed_trains_what_one_process_does(
    alone: RunFolder, tmp_path: Path, with_deepspeed: Path, stage: str
) -> None:
    options = {"processes": "2", "sharding": stage}
    require_same(alone, together(alone, tmp_path, options, with_deepspeed))


@pytest.mark.parametrize("stage", ["zero2", "zero3"])
def test_deepspeed_in_bf16_goes_on_as_if_it_had_never_stopped(
    alone: RunFolder, tmp_path: Path, with_deepspeed: Path, stage: str
) -> None:
    """Its masters are kept, too; rounded to what the model computes with, they'd be others."""
    options = {"processes": "2", "sharding": stage}
    (tmp_path / "whole").mkdir()
    whole = begun(alone, tmp_path / "whole", dtype="bf16")
    require_outcome("succeeded", whole, options, with_deepspeed)
    run = begun(alone, tmp_path, dtype="bf16")
    run.cancel_file.touch()
    require_outcome("cancelled", run, options, with_deepspeed)
    run.cancel_file.unlink()
    run = RunFolder(run.path, attempt=2)
    require_outcome("succeeded", run, options, with_deepspeed, attempt=2)
    assert [row["loss"] for row in steps_of(run)] == [row["loss"] for row in steps_of(whole)]
    assert tuned_of(run) == tuned_of(whole)
