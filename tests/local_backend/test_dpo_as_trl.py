"""DPO's loss and gradient are those of TRL, on the same batch with the same adapter."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from preference_rows import write_pairs
from training_runs import logps_of

from ftctl.datasets.render import load_tokenizer
from ftctl.job import Hyperparameters
from ftctl.local_backend.data import collate, sequences_of
from ftctl.local_backend.model import add_adapter, load_base
from ftctl.local_backend.pairs import Pair, load_pairs
from ftctl.local_backend.preference import preference_loss

pytestmark = [
    pytest.mark.medium,
    pytest.mark.timeout(600),
    pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="TRL isn't installed"),
]


def fresh(model: Path) -> Any:
    import torch

    torch.manual_seed(0)
    return add_adapter(load_base(model, torch.float32, "cpu"), Hyperparameters())


def stir(model: Any) -> Any:
    """Make a fresh adapter one that isn't zero any more; the same at every call."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B.default" in name:
                weight.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    return model


def gradient_of(model: Any) -> Any:
    import torch

    named = dict(model.named_parameters())
    return torch.cat([named[name].grad.ravel() for name in sorted(named) if ".default." in name])


def as_trl(pair: Pair) -> dict[str, list[int]]:
    """The same token ids in TRL's columns."""
    begins = pair.chosen.rendered.mask.index(1)
    return {
        "prompt_ids": pair.chosen.rendered.ids[:begins],
        "chosen_ids": pair.chosen.rendered.ids[begins:],
        "rejected_ids": pair.rejected.rendered.ids[begins:],
    }


@pytest.mark.parametrize("beta", [0.1, 0.5])
def test_the_loss_is_that_of_trl(tiny_model: Path, tmp_path: Path, beta: float) -> None:
    import torch
    from trl import DPOConfig, DPOTrainer
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    tokenizer = load_tokenizer(tiny_model)
    pairs = load_pairs(write_pairs(tmp_path / "pairs.jsonl"), tokenizer, 512).examples[:6]
    pad_id = tokenizer.pad_token_id or 0

    ours = stir(fresh(tiny_model)).train()
    batch = collate(sequences_of(pairs), pad_id, 0, "cpu")
    with torch.no_grad(), ours.disable_adapter():
        reference = logps_of(ours, batch, shared=False).reshape(-1, 2)
    policy = logps_of(ours, batch, shared=False).reshape(-1, 2)
    found = preference_loss(policy, reference, beta)
    (found.loss / len(pairs)).backward()

    config = DPOConfig(
        output_dir=str(tmp_path / "trl"),
        beta=beta,
        per_device_train_batch_size=len(pairs),
        bf16=False,
        report_to=[],
        use_cpu=True,
        gradient_checkpointing=False,
    )
    theirs = fresh(tiny_model)
    rows: Any = importlib.import_module("datasets")  # not our folder of that name
    # TRL prepares a dataset of its own; the batch that is compared is ours.
    some = [{"prompt": "a", "chosen": "b", "rejected": "c"}]
    trainer = DPOTrainer(
        theirs, args=config, train_dataset=rows.Dataset.from_list(some), processing_class=tokenizer
    )
    stir(theirs).train()  # after TRL has put the adapter as it was aside, as its reference
    inputs = DataCollatorForPreference(pad_token_id=pad_id)([as_trl(pair) for pair in pairs])
    loss = trainer.compute_loss(theirs, inputs)
    loss.backward()

    assert found.loss.item() / len(pairs) == pytest.approx(loss.item(), rel=1e-5)
    assert abs(loss.item() - 0.693) > 1e-3
    torch.testing.assert_close(gradient_of(ours), gradient_of(theirs), rtol=1e-3, atol=1e-5)
    assert gradient_of(ours).norm() > 1e-3
    told = trainer._metrics["train"]
    assert found.margins.mean().item() == pytest.approx(told["rewards/margins"][0], rel=1e-4)
    right = (found.margins > 0).float().mean().item()
    assert right == pytest.approx(told["rewards/accuracies"][0])
