"""What learns and what must not: the adapter's forms, masked tokens, one batch learned by heart."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_model import TEMPLATE, write_data, write_family
from training_runs import run_of, settings, steps_of, watch

from ftctl.datasets.digest import file_sha256
from ftctl.datasets.render import load_tokenizer
from ftctl.job import Hyperparameters
from ftctl.local_backend.data import Batch, collate, load_examples, shared_prefix
from ftctl.local_backend.losses import token_losses
from ftctl.local_backend.model import Trainable, load_base
from ftctl.local_backend.run_options import RunOptions
from ftctl.local_backend.train import train

pytestmark = [pytest.mark.medium, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def one_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftctl.local_backend.hardware._FAST_BF16_FLAGS", ())


def batch_of(model: Path, data: Path, count: int = 8) -> Batch:
    tokenizer = load_tokenizer(model)
    examples = load_examples(data, tokenizer, 512).examples[:count]
    return collate(examples, tokenizer.pad_token_id or 0, shared_prefix(examples), "cpu")


@pytest.mark.parametrize("base", ["float32", "bfloat16"])
@pytest.mark.parametrize("asked", ["auto", "bf16", "fp32"])
def test_the_adapter_computes_in_the_format_asked_for(
    tiny_model: Path, data: Path, base: str, asked: Any
) -> None:
    import torch

    trainable = Trainable("lora", Hyperparameters(), RunOptions(adapter_format=asked))
    model = trainable.load(tiny_model, getattr(torch, base), "cpu").train()
    expected = {"auto": base, "bf16": "bfloat16", "fp32": "float32"}[asked]
    adapter = [weight for weight in model.parameters() if weight.requires_grad]
    assert {weight.dtype for weight in adapter} == {getattr(torch, expected)}
    assert model.get_base_model().dtype is getattr(torch, base)
    token_losses(model, batch_of(tiny_model, data), plain=True).sum().backward()
    assert sum(float(w.grad.float().norm()) for w in adapter) > 0


def test_dropout_is_the_adapters_alone(tmp_path: Path, data: Path) -> None:
    import torch
    from torch import nn

    folder = write_family(tmp_path / "gpt2", "gpt2")  # pretrained with 0.1 everywhere
    base = load_base(folder, torch.float32, "cpu")
    assert {m.p for m in base.modules() if isinstance(m, nn.Dropout)} == {0.1}
    batch = batch_of(folder, data)
    model = Trainable("full").load(folder, torch.float32, "cpu").train()
    losses = [token_losses(model, batch, plain=True) for _ in range(2)]
    assert losses[0].equal(losses[1])
    asked = Hyperparameters(lora_dropout=0.2)
    adapted = Trainable("lora", asked).load(folder, torch.float32, "cpu").train()
    found = {n: m.p for n, m in adapted.named_modules() if isinstance(m, nn.Dropout)}
    assert {p for name, p in found.items() if "lora_dropout" in name} == {0.2}
    assert {p for name, p in found.items() if "lora_dropout" not in name} == {0.0}


def test_rslora_scales_by_the_root_of_the_rank(
    tmp_path: Path, tiny_model: Path, data: Path
) -> None:
    import torch
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

    asked = settings(max_steps=2, lora_r=9, lora_alpha=6)
    run, config = run_of(tmp_path, tiny_model, data, asked, options={"rslora": "true"})
    train(config, run, watch())
    said = json.loads((run.output / "adapter_config.json").read_bytes())
    assert (said["use_rslora"], said["r"], said["lora_alpha"]) == (True, 9, 6)
    tuned = PeftModel.from_pretrained(load_base(tiny_model, torch.float32, "cpu"), run.output)
    scales = {s for m in tuned.modules() if isinstance(m, LoraLayer) for s in m.scaling.values()}
    assert scales == {6 / math.sqrt(9)}


@pytest.mark.parametrize("plain", [True, False])
def test_no_gradient_reaches_what_stands_only_after_the_trained_tokens(
    tiny_model: Path, data: Path, plain: bool
) -> None:
    """Not the logits of masked tokens, nor the embedding of what follows them, nor padding's."""
    import torch

    batch = batch_of(tiny_model, data)
    model = load_base(tiny_model, torch.float32, "cpu").train()
    said: list[Any] = []
    if plain:

        def keep(_module: Any, _inputs: Any, logits: Any) -> None:
            logits.retain_grad()
            said.append(logits)

        model.get_output_embeddings().register_forward_hook(keep)
    token_losses(model, batch, plain=plain).sum().backward()
    for logits in said:
        touched = logits.grad.abs().sum(-1) > 0
        assert torch.equal(touched[:, :-1], batch.mask[:, 1:].bool())
        assert not touched[:, -1].any()
    # Learned from as an input: whatever stands before a trained token. The last "\\n" and padding
    # don't; of the vocabulary, only what occurs does.
    last = batch.mask.shape[1] - 1 - batch.mask.flip(1).argmax(1)  # the last trained token
    columns = torch.arange(batch.ids.shape[1])
    inputs = set(batch.ids[columns[None] < last[:, None]].tolist())
    rows = model.get_input_embeddings().weight.grad.abs().sum(-1).nonzero().ravel().tolist()
    assert set(rows) == inputs
    assert 2 not in inputs  # padding


# An adapter leaves the head as it is, here a random one of 32 dimensions, which can't be surer.
@pytest.mark.parametrize(("tuning", "loss"), [("lora", 0.12), ("full", 0.02)])
def test_one_batch_is_learned_by_heart(
    tmp_path: Path, tiny_model: Path, tuning: Any, loss: float
) -> None:
    data = write_data(tmp_path / "few.jsonl", count=8)
    asked = settings(max_steps=60, checkpoint_steps=60, learning_rate=1e-2)
    run, config = run_of(tmp_path, tiny_model, data, asked, tuning=tuning)
    held_out = {"validation": data, "validation_sha256": file_sha256(data)}
    train(config.model_copy(update=held_out), run, watch())
    assert steps_of(run)[-1]["loss"] < loss
    (scored,) = [row for row in run.rows(run.metrics_file) if row["kind"] == "validation"]
    assert scored["exact_match"] == 1.0


def test_answers_are_compared_up_to_what_stops_the_model_and_calls_as_they_are_rendered(
    tmp_path: Path, tiny_model: Path
) -> None:
    """As Gemma has it, whose turns don't end in its tokenizer's end of text."""
    model, data = tmp_path / "tiny", write_data(tmp_path / "few.jsonl", count=8)
    shutil.copytree(tiny_model, model)
    tokenizer: Any = load_tokenizer(model)
    tokenizer.eos_token = "<|im_start|>"
    called = "{{ m.tool_calls[0].function.name if m.tool_calls else m.content }}"
    tokenizer.chat_template = TEMPLATE.replace("{{ m.content }}", called)
    tokenizer.save_pretrained(model)
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    for row in rows[::2]:
        said = row["messages"][-1]
        call = {"name": said.pop("content"), "arguments": "{}"}
        said["tool_calls"] = [{"id": "1", "type": "function", "function": call}]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    asked = settings(max_steps=60, checkpoint_steps=60, learning_rate=1e-2)
    run, config = run_of(tmp_path, model, data, asked)
    held_out = {"validation": data, "validation_sha256": file_sha256(data)}
    train(config.model_copy(update=held_out), run, watch())
    (scored,) = [row for row in run.rows(run.metrics_file) if row["kind"] == "validation"]
    assert scored["exact_match"] == 1.0


def test_accumulated_or_not_the_first_gradients_are_the_same(
    tmp_path: Path, tiny_model: Path, data: Path
) -> None:
    norms = []
    for size in (8, 4, 2, 1):
        asked = settings(max_steps=2, micro_batch_size=size)
        run, config = run_of(
            tmp_path, tiny_model, data, asked, f"of-{size}", options={"packing": "off"}
        )
        train(config, run, watch())
        norms.append([(row["loss"], row["grad_norm"]) for row in steps_of(run)])
    for each in norms[1:]:
        for (loss, norm), (whole_loss, whole_norm) in zip(each, norms[0], strict=True):
            assert loss == pytest.approx(whole_loss, rel=2e-6)
            assert norm == pytest.approx(whole_norm, rel=2e-5)
