"""Out of memory with a split model: all processes begin again with less, and train the same."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from training_runs import run_of, settings, steps_of

from ftctl.local_backend import checkpoint
from ftctl.local_backend.executors.process import worker_environment
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.run_folder import RunFolder, WorkerProcess

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

# As between one process and several: the same sums, rounded in another order.
_LOSS, _WEIGHT = 2e-3, 2e-3

# What Python imports first: no choice of format that is timed, as runs that are compared share it.
_BEGUN = """
from ftctl.local_backend import hardware
hardware._FAST_BF16_FLAGS = ()
"""
# And from a checkpoint on, one process's machine is full, so that its allocator really refuses
# what more than so many rows at once ask for.
_FULL = """
import os
from pathlib import Path
from ftctl.local_backend.plan import Plan

def full(scorer, args, found):
    import torch
    if len(getattr(args[0], "lines", ())) > {most} and Path({since!r}).exists():
        torch.empty(2**60, dtype=torch.uint8)

def scorer(plan, model, made=Plan.scorer):
    prepared = made(plan, model)
    if os.environ["RANK"] == "{rank}":
        prepared.register_forward_hook(full)
    return prepared

Plan.scorer = scorer
"""


def train(run: RunFolder, *arguments: str, begun: str = _BEGUN) -> "subprocess.Popen[str]":
    first = run.path.with_name(f"{run.path.name}-first")
    first.mkdir()
    (first / "sitecustomize.py").write_text(begun, encoding="utf-8")
    command = [sys.executable, "-m", "ftctl.local_backend.worker", str(run.path), *arguments]
    environment = worker_environment(os.environ) | {"PYTHONPATH": str(first)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as ran:
        ran.communicate()
    return ran


def plan_of(run: RunFolder) -> Plan:
    found = run.read(run.plan_file, Plan)
    assert found is not None
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rank", "sharding", "sizes"),  # of a step's 8 examples a process has 4
    [(0, "full_shard", (8, 2, 1)), (1, "shard_grad_op", (8, 2))],
)
def test_a_split_model_begins_again_with_less_and_trains_the_same(
    tmp_path: Path, tiny_model: Path, data: Path, rank: int, sharding: str, sizes: tuple[int, ...]
) -> None:
    import torch
    from safetensors.torch import load_file

    chosen = settings(micro_batch_size=sizes[-1])
    options = {"processes": "2", "sharding": sharding}
    small, _ = run_of(tmp_path, tiny_model, data, chosen, "small", options=options)
    assert train(small).returncode == 0
    run, _ = run_of(tmp_path, tiny_model, data, chosen, options=options)
    run.write(run.plan_file, plan_of(small).model_copy(update={"micro_batch_size": 8}))
    since = checkpoint.folder_of(run, 2) / "progress.json"
    begun = _BEGUN + _FULL.format(most=sizes[-1], rank=rank, since=str(since))
    ran = train(run, begun=begun)
    assert ran.returncode == 0, run.exit_record(1)

    told = [row["message"] for row in run.rows(run.events_file) if row["level"] == "warning"]
    who = "process 1 of 2 ran out of memory" if rank else "[enforce fail"
    assert all(message.startswith(f"out of memory: {who}") for message in told)
    assert [message.partition("; ")[2] for message in told] == [
        f"all begin again from the checkpoint of step 2 with {less} at once instead of {more}; a "
        "step is still 8 examples"
        for more, less in pairwise(sizes)
    ]
    assert (plan_of(run).micro_batch_size, plan_of(run).batch_size) == (sizes[-1], 8)
    record = run.exit_record(1)
    assert record is not None
    assert (record.outcome, record.steps) == ("succeeded", 6)
    process = run.read(run.process_file, WorkerProcess)
    assert process is not None
    assert process.pid == ran.pid  # who would stop or kill it has the right one still
    ours, theirs = steps_of(run), steps_of(small)
    assert [row["step"] for row in ours] == list(range(1, 7))
    for key in ("loss", "grad_norm", "trained_tokens"):
        assert [row[key] for row in ours] == pytest.approx([r[key] for r in theirs], rel=_LOSS)
    file = "adapter_model.safetensors"
    weights = load_file(run.output / file)
    for name, weight in load_file(small.output / file).items():
        torch.testing.assert_close(weights[name], weight, rtol=0, atol=_WEIGHT, msg=name)


@pytest.mark.medium
def test_who_begins_anew_leaves_the_run_to_a_newer_attempt(
    tmp_path: Path, tiny_model: Path, data: Path
) -> None:
    run, config = run_of(tmp_path, tiny_model, data, settings())
    run.write(run.config_file, config.model_copy(update={"attempt": 2}))
    before = sorted(run.path.iterdir())
    assert train(run, "1", "9").returncode == 1
    assert sorted(run.path.iterdir()) == before


_DEAF = """
import subprocess, sys, threading, time
from pathlib import Path
from ftctl.local_backend import processes

ended = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({processes.OUT_OF_MEMORY})"])
processes._others.processes.append(ended)
threading.Thread(target=processes._watch, daemon=True).start()
with processes.led(lambda lost: Path(sys.argv[1]).write_text(str(lost), encoding="utf-8")):
    time.sleep(600)
"""


@pytest.mark.slow
def test_a_leader_that_waits_for_good_sees_to_its_end(tmp_path: Path) -> None:
    said = tmp_path / "said"
    ran = subprocess.run([sys.executable, "-c", _DEAF, str(said)], check=False)
    assert ran.returncode == 1
    assert said.read_text(encoding="utf-8") == "process 1 of 2 ran out of memory"
