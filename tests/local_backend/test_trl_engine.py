"""TRL as the engine: SFT and DPO, stopped and resumed, and the same loss as ours."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import Cli
from preference_rows import write_pairs
from tiny_model import write_data
from training_runs import run_of, settings, steps_of, watch

from ftctl.api.job_handle import get_job
from ftctl.datasets.render import load_tokenizer
from ftctl.errors import DataInvalid, ExtraMissing
from ftctl.job import JobSpec, Method
from ftctl.local_backend.checkpoint import newest_progress
from ftctl.local_backend.data import load_examples
from ftctl.local_backend.engines.trl import require_trl, train
from ftctl.local_backend.engines.trl_settings import not_carried, rows_of, settings_of
from ftctl.local_backend.loop import Interrupted
from ftctl.local_backend.output import is_whole
from ftctl.local_backend.pairs import load_pairs
from ftctl.local_backend.run_folder import RunFolder, WorkerConfig
from ftctl.local_backend.run_options import RunOptions
from ftctl.local_backend.train import train as train_by_ours

pytestmark = [pytest.mark.medium, pytest.mark.timeout(600)]
needs_trl = pytest.mark.skipif(
    importlib.util.find_spec("trl") is None, reason="TRL isn't installed"
)


def validated(run: RunFolder, config: WorkerConfig) -> WorkerConfig:
    """The same job, with its own data to validate on."""
    seen = {"validation": config.data, "validation_sha256": config.data_sha256}
    config = config.model_copy(update=seen)
    run.write(run.config_file, config)
    return config


def answers(base: Path, run: RunFolder) -> Any:
    """The logits of a prompt with the adapter that a run left, loaded by PEFT, and without."""
    import torch
    from peft import AutoPeftModelForCausalLM

    model = AutoPeftModelForCausalLM.from_pretrained(str(run.output))
    ids = torch.arange(5, 15)[None]
    with torch.no_grad():
        tuned = model(input_ids=ids).logits
        with model.disable_adapter():
            return tuned, model(input_ids=ids).logits


@needs_trl
@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_a_run_goes_from_data_to_our_folder(
    tmp_path: Path, tiny_model: Path, method: Method
) -> None:
    write = write_data if method == "sft" else write_pairs
    data = write(tmp_path / "rows.jsonl")
    chosen = settings(lora_r=4, micro_batch_size=3, learning_rate=2e-2, seed=7)
    run, config = run_of(tmp_path, tiny_model, data, chosen, method=method)
    at = train(validated(run, config), run, watch())

    rows = steps_of(run)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1].keys() >= {"grad_norm", "learning_rate", "tokens_per_s", "trained_tokens"}
    load: Any = load_examples if method == "sft" else load_pairs
    examples = load(data, load_tokenizer(tiny_model), 2048).examples
    once = sum(example.trained_tokens for example in examples)
    assert at.trained_tokens == rows[-1]["trained_tokens"] == 2 * once  # 6 steps of 8 are 2 epochs
    assert at.tokens == 2 * sum(one.length for row in examples for one in row.sequences)
    losses = [row for row in run.rows(run.metrics_file) if row["kind"] == "validation"]
    assert [row["step"] for row in losses] == [2, 4, 6]
    best = min(losses, key=lambda row: row["loss"])["step"]
    if method == "dpo":
        assert rows[0]["loss"] == pytest.approx(0.6931, abs=1e-3)  # ln 2: nothing is preferred yet
        assert rows[-1]["reward_margin"] > 0

    assert is_whole(run.output)
    record = json.loads((run.output / "run.json").read_bytes())
    assert record["engine"]["name"] == "trl"
    assert (record["steps"], record["kept_step"]) == (6, best)
    assert record["system_prompts"]["most_common"] == "Name the colour."
    told = json.loads((run.output / "trl.json").read_bytes())
    assert told["per_device_train_batch_size"] * told["gradient_accumulation_steps"] == 8
    assert told.get("beta") == (0.1 if method == "dpo" else None)
    assert "fine-tuned by TRL 1." in (run.output / "README.md").read_text()
    adapter = json.loads((run.output / "adapter_config.json").read_bytes())
    assert (adapter["r"], adapter["lora_alpha"]) == (4, 8)
    tuned, bare = answers(tiny_model, run)
    assert not tuned.allclose(bare, atol=1e-2)


@needs_trl
def test_a_stopped_run_goes_on_as_if_it_had_not(tmp_path: Path, tiny_model: Path) -> None:
    data = write_data(tmp_path / "rows.jsonl")
    whole, config = run_of(tmp_path, tiny_model, data, settings(), "whole")
    at = train(config, whole, watch())
    cut, config = run_of(tmp_path, tiny_model, data, settings(checkpoint_steps=4), "cut")
    with pytest.raises(Interrupted):
        train(config, cut, watch(stop_after=3))
    made = cut.path / "trl" / "output"
    assert [folder.name for folder in made.glob("checkpoint-*")] == ["checkpoint-3"]
    assert newest_progress(cut).step == 3
    assert not cut.output.exists()
    (made / "checkpoint-9").mkdir()  # torn: it was being written
    cut.append(cut.metrics_file, {"kind": "step", "step": 4})
    again = train(config, cut, watch())
    assert (again.step, again.tokens, again.trained_tokens) == (6, at.tokens, at.trained_tokens)
    for one, other in zip(steps_of(cut), steps_of(whole), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
    assert train(config, cut, watch()).step == 6  # it ended before it could say so


@needs_trl
def test_the_first_step_is_ours(tmp_path: Path, tiny_model: Path) -> None:
    """All examples in one step, and all weights trained, so that no order or chance is left."""
    data = write_data(tmp_path / "rows.jsonl", 12)
    chosen = settings(max_steps=1, batch_size=12, micro_batch_size=4, learning_rate=1e-3)
    found = []
    for name, by in (("ours", train_by_ours), ("trl", train)):
        run, config = run_of(tmp_path, tiny_model, data, chosen, name, tuning="full")
        at = by(config, run, watch())
        (row,) = steps_of(run)
        found.append((row["loss"], row["grad_norm"], at.tokens, at.trained_tokens))
        assert (run.output / "model.safetensors").is_file()
    assert found[1] == pytest.approx(found[0], rel=2e-2 if ours_is_half(tmp_path) else 1e-4)


def ours_is_half(tmp_path: Path) -> bool:
    plan = json.loads((tmp_path / "ours" / "plan.json").read_bytes())
    return bool(plan["dtype"] == "bf16")


@needs_trl
def test_a_job_by_trl(cli: Cli, tmp_path: Path, tiny_model: Path) -> None:
    data = write_data(tmp_path / "rows.jsonl")
    ran = cli(
        "submit", "--provider", "local", "--model", tiny_model, "--data", data, "--engine", "trl",
        "--set", "max_steps=2", "--set", "lora_r=4", "--wait", "--json",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    (row,) = cli("jobs", "--json").json()["jobs"]
    job = get_job(row["id"])
    assert job.refresh().state == "succeeded", job.record.message
    assert job.record.message.startswith("done: 2 steps")


def test_without_trl_it_is_refused(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    spec = JobSpec(
        provider="local", model="m", data=Path("d"), data_sha256="0", name="n", engine="trl"
    )
    with pytest.raises(ExtraMissing, match="needs the extra `trl`") as refused:
        require_trl(spec)
    assert refused.value.hint == "pip install 'ftctl[trl]'"


@needs_trl
def test_what_it_can_not_be_told_is_refused(cli: Cli, tmp_path: Path, tiny_model: Path) -> None:
    data = write_data(tmp_path / "rows.jsonl")
    ran = cli(
        "submit", "--provider", "local", "--model", tiny_model, "--data", data, "--engine", "trl",
        "--set", "attention=flex", "--set", "packing=on",
    )  # fmt: skip
    assert ran.returncode == 3
    assert "--engine trl has no setting for attention, packing=on" in ran.stderr
    assert cli("jobs", "--json").json()["jobs"] == []


def test_settings_are_carried_or_told() -> None:
    given = settings(max_minutes=5)
    options = {"recompute": "2", "early_stopping": "3", "beta": "0.2", "packing": "off"}
    assert not_carried(given, options) == ["early_stopping", "max_minutes", "recompute=2"]
    told = settings_of(
        settings(max_steps=None, epochs=2, batch_size=10, warmup_fraction=0.5),
        RunOptions(beta=0.2, recompute="all", keep_checkpoints=1),
        "lora",
        35,
        validate=False,
    )
    assert told["max_steps"] == 8  # 2 epochs of 4 steps
    assert (told["warmup_steps"], told["beta"], told["save_total_limit"]) == (4, 0.2, 2)
    assert told["gradient_checkpointing"]
    assert told["eval_strategy"] == "no"


def test_a_pair_of_more_than_answers_is_named(tmp_path: Path, tiny_model: Path) -> None:
    file = write_pairs(tmp_path / "pairs.jsonl", 2)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[1]["preferred_output"] += [
        {"role": "user", "content": "Sure?"},
        {"role": "assistant", "content": "Yes"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    pairs = load_pairs(file, load_tokenizer(tiny_model), 512).examples
    with pytest.raises(DataInvalid, match=r"pairs.jsonl:2: TRL takes one answer"):
        rows_of(file, pairs)
