"""QLoRA's base is in four bits, and its adapter learns what that base asks for."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from training_runs import run_of, settings, steps_of, watch

from ftctl.datasets.render import load_tokenizer
from ftctl.local_backend.base_models import find_base
from ftctl.local_backend.data import Batch, collate, load_examples
from ftctl.local_backend.losses import token_losses
from ftctl.local_backend.model import Trainable, add_adapter, load_base, merged
from ftctl.local_backend.train import train

pytestmark = [
    pytest.mark.medium,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes isn't installed"
    ),
]


def batch_of(model: Path, data: Path) -> Batch:
    tokenizer = load_tokenizer(model)
    examples = load_examples(data, tokenizer, 512).examples[:8]
    return collate(examples, tokenizer.pad_token_id or 0, 0, "cpu")


def stir(model: Any) -> Any:
    """Make a fresh adapter one that isn't zero any more; the same at every call."""
    import torch

    chance = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if "lora_" in name:
                weight.copy_(torch.empty(weight.shape).normal_(std=0.05, generator=chance))
    return model


def in_four_bits(folder: Path) -> Any:
    import torch

    return stir(Trainable("qlora").load(folder, torch.float32, "cpu")).train()


def rounded_to_four_bits(folder: Path) -> Any:
    """The same base with every block's linear weight put through NF4 and back, in fp32."""
    import torch
    from bitsandbytes import functional

    base = load_base(folder, torch.float32, "cpu")
    for name, module in base.named_modules():
        if isinstance(module, torch.nn.Linear) and "lm_head" not in name:
            packed, state = functional.quantize_4bit(
                module.weight.data, quant_type="nf4", compress_statistics=True
            )
            module.weight.data = functional.dequantize_4bit(packed, state)
    return base


def gradients(model: Any, batch: Batch) -> dict[str, Any]:
    model.zero_grad()
    token_losses(model, batch, plain=True).sum().backward()
    return {name: w.grad.clone() for name, w in model.named_parameters() if w.requires_grad}


def test_blocks_are_in_four_bits_and_head_and_embeddings_are_not(tiny_model: Path) -> None:
    import torch

    model = in_four_bits(tiny_model)
    packed = [w for w in model.parameters() if w.dtype is torch.uint8]
    assert len(packed) == 3 * 7
    base = load_base(tiny_model, torch.float32, "cpu")
    held = sum(w.numel() for w in base.model.layers.parameters() if w.ndim == 2)
    assert sum(w.numel() for w in packed) == held / 2
    assert model.get_output_embeddings().weight.dtype is torch.float32
    assert model.get_input_embeddings().weight.dtype is torch.float32
    assert {w.dtype for w in model.parameters() if w.requires_grad} == {torch.float32}


def test_gradients_are_those_of_lora_on_the_rounded_base(tiny_model: Path, data: Path) -> None:
    import torch

    batch = batch_of(tiny_model, data)
    packed = gradients(in_four_bits(tiny_model), batch)
    rounded = gradients(stir(add_adapter_to(rounded_to_four_bits(tiny_model))).train(), batch)
    exact = gradients(stir(add_adapter_to(load_base(tiny_model, torch.float32, "cpu"))), batch)
    assert packed.keys() == rounded.keys()
    for name, gradient in rounded.items():
        torch.testing.assert_close(packed[name], gradient, rtol=1e-3, atol=1e-3, msg=name)
    norm = sum(g.norm() ** 2 for g in rounded.values()) ** 0.5
    apart = sum((g - exact[name]).norm() ** 2 for name, g in rounded.items()) ** 0.5
    assert norm > 1
    assert apart > 0.01 * norm  # not the gradients of the base as it was


def add_adapter_to(base: Any) -> Any:
    return add_adapter(base, Trainable().settings)


def test_answering_in_between_changes_no_gradient(tiny_model: Path, data: Path) -> None:
    import torch

    batch, model = batch_of(tiny_model, data), in_four_bits(tiny_model)
    before = gradients(model, batch)
    with torch.no_grad(), merged(model.eval()):
        token_losses(model, batch, plain=True)
    after = gradients(model.train(), batch)
    for name, gradient in before.items():
        assert after[name].equal(gradient), name


def test_merged_onto_the_rounded_base_it_is_the_same_and_onto_the_exact_one_it_is_not(
    tiny_model: Path, data: Path
) -> None:
    import torch

    batch, model = batch_of(tiny_model, data), in_four_bits(tiny_model).eval()
    apart = {}
    with torch.no_grad():
        trained = model(input_ids=batch.ids).logits.log_softmax(-1)
        for name, base in (
            ("rounded", rounded_to_four_bits(tiny_model)),
            ("exact", load_base(tiny_model, torch.float32, "cpu")),
        ):
            whole = stir(add_adapter_to(base)).merge_and_unload().eval()
            said = whole(input_ids=batch.ids).logits.log_softmax(-1)
            apart[name] = float((trained.exp() * (trained - said)).sum(-1).mean())
    assert abs(apart["rounded"]) < 1e-5  # nats a token
    assert apart["exact"] > 1e-3


@pytest.mark.slow
def test_a_real_model_learns_in_four_bits(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SmolLM2-135M: most of the loss is gone soon, and PEFT loads the adapter on either base."""
    import torch
    from peft import AutoPeftModelForCausalLM, PeftModel

    single = (torch.float32, "fp32: so that every machine does the same")
    monkeypatch.setattr("ftctl.local_backend.plan.pick_dtype", lambda *_: single)
    asked = settings(max_steps=5, batch_size=4, learning_rate=1e-3, checkpoint_steps=5)
    run, config = run_of(tmp_path, Path("smollm2-135m-instruct"), data, asked, tuning="qlora")
    train(config, run, watch())
    seen = [row["loss"] for row in steps_of(run)]
    assert seen[-1] < seen[0] / 3
    assert min(row["grad_norm"] for row in steps_of(run)) > 0

    base = find_base(config.model, config.home)
    batch = batch_of(Path(base), data)
    with torch.no_grad():
        packed = load_base(base, torch.float32, "cpu", four_bits=True)
        trained = PeftModel.from_pretrained(packed, run.output).eval()
        said = token_losses(trained, batch, plain=True).mean().item()
        whole = AutoPeftModelForCausalLM.from_pretrained(run.output, dtype=torch.float32).eval()
        exact = token_losses(whole, batch, plain=True).mean().item()
    assert said < seen[0] / 3
    assert exact == pytest.approx(said, abs=0.1)  # what leaving four bits costs this task
