"""LoRA in bf16, QLoRA and full tuning: each learns, comes out the same twice, and goes on."""

import importlib.util
import math
import re
from pathlib import Path
from typing import Any

import pytest
from preference_rows import write_pairs
from training_runs import run_of, settings, steps_of, tuned_of, watch

from ftctl.datasets.digest import file_sha256
from ftctl.job import Tuning
from ftctl.local_backend import checkpoint
from ftctl.local_backend.loop import Interrupted
from ftctl.local_backend.model import adapter_base
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.run_folder import RunFolder
from ftctl.local_backend.train import train

pytestmark = [pytest.mark.medium, pytest.mark.timeout(600)]

four_bits = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes isn't installed"
)
KINDS = [
    pytest.param("lora", "bfloat16", id="lora-bf16"),
    pytest.param("full", "float32", id="full-fp32"),
    pytest.param("full", "bfloat16", id="full-bf16"),
    pytest.param("qlora", "float32", id="qlora-fp32", marks=four_bits),
    pytest.param("qlora", "bfloat16", id="qlora-bf16", marks=four_bits),
]


@pytest.fixture
def dtype(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The base's format, whatever this machine is quick in."""
    import torch

    chosen: str = getattr(request, "param", "float32")
    picked = (getattr(torch, chosen), f"{chosen}: so that tests compare the same everywhere")
    monkeypatch.setattr("ftctl.local_backend.plan.pick_dtype", lambda *_: picked)
    return chosen


def trained(
    tmp_path: Path, model: Path, data: Path, name: str, tuning: Tuning, *stops: int, **more: Any
) -> RunFolder:
    """A run, stopped after these steps and gone on with each time."""
    run, config = run_of(
        tmp_path, model, data, settings(**more), name, tuning=tuning, options={"packing": "off"}
    )
    for stop in stops:
        with pytest.raises(Interrupted):
            train(config, run, watch(stop))
    train(config, run, watch())
    return run


@pytest.mark.parametrize(("tuning", "dtype"), KINDS, indirect=["dtype"])
def test_it_learns_comes_out_the_same_and_goes_on(
    tmp_path: Path, tiny_model: Path, data: Path, tuning: Tuning, dtype: str
) -> None:
    asked = {"learning_rate": 5e-3 if tuning == "full" else 2e-2, "max_steps": 8}
    first = trained(tmp_path, tiny_model, data, "first", tuning, **asked)
    seen = [row["loss"] for row in steps_of(first)]
    assert sum(seen[-2:]) / 2 < 0.9 * seen[0]
    assert min(row["grad_norm"] for row in steps_of(first)) > 0
    again = trained(tmp_path, tiny_model, data, "again", tuning, **asked)
    assert tuned_of(again) == tuned_of(first)
    resumed = trained(tmp_path, tiny_model, data, "resumed", tuning, 3, 4, **asked)
    assert tuned_of(resumed) == tuned_of(first)
    keys = ("step", "loss", "grad_norm", "learning_rate", "trained_tokens")
    told = [[{key: row[key] for key in keys} for row in steps_of(run)] for run in (resumed, first)]
    assert told[0] == told[1]


@pytest.mark.parametrize("dtype", ["bfloat16"], indirect=True)
@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_a_checkpoint_holds_the_masters_of_weights_in_bf16(
    tmp_path: Path, tiny_model: Path, data: Path, tuning: Tuning, dtype: str
) -> None:
    import torch
    from safetensors.torch import load_file

    run = trained(tmp_path, tiny_model, data, "run", tuning, max_steps=4)
    folder = checkpoint.folder_of(run, 4)
    (file,) = folder.glob("*model.safetensors")
    weights, state = load_file(file), load_file(folder / "optimizer.safetensors")
    masters = [value for name, value in state.items() if name.endswith(".master")]
    assert len(masters) == len(weights)
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    assert {master.dtype for master in masters} == {torch.float32}
    rounded = sorted(float(master.bfloat16().double().sum()) for master in masters)
    assert rounded == sorted(float(weight.double().sum()) for weight in weights.values())
    assert any(not master.bfloat16().float().equal(master) for master in masters)


@pytest.mark.parametrize(("asked", "kept"), [("1", [8]), ("3", [4, 6, 8])])
def test_the_last_checkpoints_are_kept(
    tmp_path: Path, tiny_model: Path, data: Path, dtype: str, asked: str, kept: list[int]
) -> None:
    run, config = run_of(
        tmp_path, tiny_model, data, settings(max_steps=8), options={"keep_checkpoints": asked}
    )
    train(config, run, watch())
    assert checkpoint.whole_steps(run) == kept


def test_the_best_of_a_full_tuning_is_kept(
    tmp_path: Path, tiny_model: Path, data: Path, dtype: str
) -> None:
    from safetensors.torch import load_file

    other = tmp_path / "other.jsonl"
    text = data.read_text(encoding="utf-8")
    other.write_text(re.sub(r'"content": "\w+"}]', '"content": "0#&!"}]', text), encoding="utf-8")
    # What was tuned is a base for more; the more it learns, the less it knows of what it knew.
    knows = trained(tmp_path, tiny_model, other, "knows", "full", max_steps=20)
    run, config = run_of(
        tmp_path,
        knows.output,
        data,
        settings(max_steps=8),
        tuning="full",
        options={"keep_checkpoints": "1"},
    )
    held_out = {"validation": other, "validation_sha256": file_sha256(other)}
    at = train(config.model_copy(update=held_out), run, watch())
    assert at.best_step == 2
    assert checkpoint.whole_steps(run) == [2, 8]
    best = load_file(checkpoint.folder_of(run, 2) / "model.safetensors")
    output = load_file(run.output / "model.safetensors")
    assert output.keys() == best.keys()
    for name, weight in best.items():
        assert weight.equal(output[name]), name


def test_a_full_tuning_leaves_a_model_that_any_tool_loads(
    tmp_path: Path, tiny_model: Path, data: Path, dtype: str
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    run = trained(tmp_path, tiny_model, data, "run", "full", max_steps=4)
    assert not (run.output / "adapter_config.json").exists()
    assert adapter_base(run.output) == str(tiny_model)
    tuned = AutoModelForCausalLM.from_pretrained(run.output, dtype=torch.float32).state_dict()
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).state_dict()
    assert tuned.keys() == base.keys()
    assert all(not weight.equal(base[name]) for name, weight in tuned.items())


def test_all_weights_take_a_tenth_of_the_rate(
    tmp_path: Path, tiny_model: Path, data: Path, dtype: str
) -> None:
    rates = []
    for tuning in ("lora", "full"):
        run = trained(tmp_path, tiny_model, data, tuning, tuning, max_steps=1, learning_rate=None)
        plan = run.read(run.plan_file, Plan)
        assert plan is not None
        rates.append(plan.learning_rate)
    assert rates == [pytest.approx(2e-4), pytest.approx(2e-5)]


def test_dpo_of_all_weights_is_measured_against_the_base(
    tmp_path: Path, tiny_model: Path, dtype: str
) -> None:
    data = write_pairs(tmp_path / "pairs.jsonl")
    asked = settings(max_steps=6, learning_rate=1e-3, micro_batch_size=4)
    whole, config = run_of(tmp_path, tiny_model, data, asked, "whole", "dpo", "full")
    train(config, whole, watch())
    losses = [row["loss"] for row in steps_of(whole)]
    assert losses[0] == pytest.approx(math.log(2), rel=1e-5)  # it is the base, still
    assert losses[-1] < 0.6
    parts, config = run_of(tmp_path, tiny_model, data, asked, "parts", "dpo", "full")
    with pytest.raises(Interrupted):
        train(config, parts, watch(3))
    reference = parts.reference_file.read_bytes()
    parts.reference_file.unlink()  # computed again, of the base and not of what was trained
    train(config, parts, watch())
    again = [row["logps"] for row in parts.rows(parts.reference_file)]
    assert len(again) == len(reference.splitlines())
    assert tuned_of(parts) == tuned_of(whole)
