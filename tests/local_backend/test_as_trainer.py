"""Our loop does what transformers' Trainer does: same batches, same losses, same adapter."""

from pathlib import Path
from typing import Any

import pytest
from training_runs import run_of, settings, steps_of, watch

from ftctl.datasets.render import load_tokenizer
from ftctl.job import Hyperparameters
from ftctl.local_backend.data import Example, iter_step_batches, load_examples
from ftctl.local_backend.model import Trainable, tuned_weights
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.train import train

pytestmark = [pytest.mark.medium, pytest.mark.timeout(600)]
STEPS = 5


@pytest.fixture(autouse=True)
def one_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftctl.local_backend.hardware._FAST_BF16_FLAGS", ())


def padded(examples: list[Example]) -> dict[str, Any]:
    """A batch as transformers has it: padding with a mask, -100 where nothing is learned."""
    import torch

    width = max(example.length for example in examples)
    rows: dict[str, list[list[int]]] = {"input_ids": [], "attention_mask": [], "labels": []}
    for example in examples:
        ids, mask, pad = example.rendered.ids, example.rendered.mask, width - example.length
        labels = [i if m else -100 for i, m in zip(ids, mask, strict=True)]
        rows["input_ids"].append(ids + [2] * pad)
        rows["attention_mask"].append([1] * len(ids) + [0] * pad)
        rows["labels"].append(labels + [-100] * pad)
    return {name: torch.tensor(values) for name, values in rows.items()}


def by_trainer(
    tmp_path: Path, model: Any, order: list[Example], plan: Plan, parts: int
) -> list[dict[str, float]]:
    """Train a model with these examples in this order; what each step told."""
    import torch
    from transformers import Trainer, TrainingArguments

    class InOrder(Trainer):  # type: ignore[misc]  # transformers ships no types
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(order)

    optimizer = torch.optim.AdamW(
        [w for w in model.parameters() if w.requires_grad],
        lr=1.0,
        betas=(0.9, 0.99),
        weight_decay=plan.weight_decay,
    )
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, plan.learning_rate_at)
    trainer = InOrder(
        model,
        TrainingArguments(
            output_dir=str(tmp_path / "trainer"),
            per_device_train_batch_size=plan.batch_size // parts,
            gradient_accumulation_steps=parts,
            max_steps=STEPS,
            max_grad_norm=1.0,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            bf16=False,
            disable_tqdm=True,
            remove_unused_columns=False,
        ),
        data_collator=padded,
        train_dataset=order,
        optimizers=(optimizer, rates),
    )
    trainer.train()
    return [row for row in trainer.state.log_history if "grad_norm" in row]


@pytest.mark.parametrize("parts", [1, 4])
def test_losses_gradients_and_the_adapter_are_those_of_transformers(
    tmp_path: Path, tiny_model: Path, data: Path, parts: int
) -> None:
    import torch
    from safetensors.torch import load_file

    asked = settings(max_steps=STEPS, micro_batch_size=8 // parts, weight_decay=0.01, seed=3)
    run, config = run_of(tmp_path, tiny_model, data, asked, options={"packing": "off"})
    train(config, run, watch())
    plan = run.read(run.plan_file, Plan)
    assert plan is not None

    torch.manual_seed(3)
    model = Trainable("lora", Hyperparameters()).load(tiny_model, torch.float32, "cpu")
    examples = load_examples(data, load_tokenizer(tiny_model), 512).examples
    batches = list(iter_step_batches(examples, plan.batch_size, 3, 0, STEPS))
    assert {len(batch) for batch in batches} == {8}
    told = by_trainer(tmp_path, model, [each for batch in batches for each in batch], plan, parts)

    ours = steps_of(run)
    assert len(told) == len(ours) == STEPS
    for mine, theirs in zip(ours, told, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-4, abs=1e-4)
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-3)
    assert ours[-1]["loss"] < ours[0]["loss"]
    output = load_file(run.output / "adapter_model.safetensors")
    theirs = tuned_weights(model)
    assert output.keys() == theirs.keys()
    for name, weight in theirs.items():
        torch.testing.assert_close(output[name], weight, rtol=1e-3, atol=1e-4, msg=name)
