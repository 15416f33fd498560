"""What DPO must never get wrong, on a tiny random model."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from preference_rows import write_pairs
from training_runs import logps_of, run_of, settings, steps_of, watch

from ftctl.datasets.digest import file_sha256
from ftctl.datasets.render import load_tokenizer
from ftctl.errors import DataInvalid, UsageError
from ftctl.job import Hyperparameters
from ftctl.local_backend import checkpoint
from ftctl.local_backend.data import Batch, collate, sequences_of, shared_prefix
from ftctl.local_backend.loop import Interrupted, Watch
from ftctl.local_backend.losses import token_losses
from ftctl.local_backend.model import add_adapter, load_base
from ftctl.local_backend.pairs import Pair, load_pairs
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.preference import preference_loss
from ftctl.local_backend.run_folder import RunFolder
from ftctl.local_backend.run_options import DEFAULT_BETA, options_of
from ftctl.local_backend.train import train

# Seconds each on an idle machine; a busy one must not fail them.
pytestmark = [pytest.mark.medium, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def one_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a CPU has fast bf16 the choice is timed; runs that are compared must share it."""
    monkeypatch.setattr("ftctl.local_backend.hardware._FAST_BF16_FLAGS", ())


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A training file of 24 pairs."""
    return write_pairs(tmp_path / "pairs.jsonl")


def trained(tmp_path: Path, model: Path, data: Path, name: str, **values: Any) -> bytes:
    run, config = run_of(tmp_path, model, data, settings(**values), name, "dpo")
    train(config, run, watch())
    return (run.output / "adapter_model.safetensors").read_bytes()


def loaded(model: Path, data: Path, count: int = 8) -> list[Pair]:
    return load_pairs(data, load_tokenizer(model), 512).examples[:count]


def batch_of(model: Path, data: Path, count: int = 8) -> Batch:
    chosen = loaded(model, data, count)
    pad_id = load_tokenizer(model).pad_token_id or 0
    return collate(sequences_of(chosen), pad_id, shared_prefix(sequences_of(chosen)), "cpu")


def adapted(model: Path, *, stirred: bool = False) -> Any:
    """A model with a fresh adapter; stirred, that isn't zero any more."""
    import torch

    torch.manual_seed(0)
    found = add_adapter(load_base(model, torch.float32, "cpu"), Hyperparameters())
    with torch.no_grad():
        for name, weight in found.named_parameters():
            if stirred and "lora_B" in name:
                weight.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    return found


def test_only_the_two_answers_are_compared(tiny_model: Path, tmp_path: Path) -> None:
    row = {
        "input": {
            "messages": [
                {"role": "user", "content": "first"},
                {"role": "assistant", "content": "said before"},
                {"role": "user", "content": "second"},
            ]
        },
        "preferred_output": [{"role": "assistant", "content": "blue"}],
        "non_preferred_output": [{"role": "assistant", "content": "no idea"}],
    }
    data = tmp_path / "pair.jsonl"
    data.write_text(json.dumps(row), encoding="utf-8")
    tokenizer = load_tokenizer(tiny_model)
    (pair,) = load_pairs(data, tokenizer, 512).examples
    told = [
        tokenizer.decode([i for i, m in zip(s.rendered.ids, s.rendered.mask, strict=True) if m])
        for s in pair.sequences
    ]
    assert told == ["blue<|im_end|>", "no idea<|im_end|>"]
    assert pair.length == pair.rejected.length


def test_a_pair_with_an_untrained_answer_is_left_out_and_named(
    tiny_model: Path, pairs: Path
) -> None:
    lines = pairs.read_text(encoding="utf-8").splitlines()
    row = json.loads(lines[2])
    row["non_preferred_output"][0]["weight"] = 0
    pairs.write_text("\n".join([*lines[:2], json.dumps(row), *lines[3:]]), encoding="utf-8")
    found = load_pairs(pairs, load_tokenizer(tiny_model), 512)
    assert [pair.line for pair in found.examples] == [1, 2, *range(4, 25)]
    assert found.remarks == [
        "1 of 24 examples left out, without a token to train on: lines 3",
    ]


def test_a_chat_example_is_no_pair(tiny_model: Path, data: Path) -> None:
    with pytest.raises(DataInvalid, match=r"train\.jsonl:1: not a pair of answers"):
        load_pairs(data, load_tokenizer(tiny_model), 512)


def test_the_shared_prefix_changes_neither_log_probabilities_nor_gradient(
    tiny_model: Path, pairs: Path
) -> None:
    import torch

    batch = batch_of(tiny_model, pairs)
    assert batch.prefix > 20  # the system line
    found = []
    for shared in (False, True):
        model = adapted(tiny_model, stirred=True)
        logps = logps_of(model, batch, shared=shared)
        preference_loss(logps.reshape(-1, 2), torch.zeros(8, 2), 0.1).loss.backward()
        gradient = torch.cat([w.grad.ravel() for w in model.parameters() if w.requires_grad])
        found.append((logps.detach(), gradient))
    (plain, by_plain), (quick, by_quick) = found
    torch.testing.assert_close(quick, plain, rtol=1e-5, atol=1e-4)
    assert by_plain.norm() > 0.01
    torch.testing.assert_close(by_quick, by_plain, rtol=1e-3, atol=1e-4)


def test_log_probabilities_add_up_to_the_loss(tiny_model: Path, pairs: Path) -> None:
    import torch

    batch, model = batch_of(tiny_model, pairs), adapted(tiny_model, stirred=True)
    with torch.no_grad():
        each = logps_of(model, batch, shared=False)
        assert each.shape == (16,)
        assert -each.sum().item() == pytest.approx(
            token_losses(model, batch, plain=True).sum().item(), rel=1e-6
        )


def test_a_fresh_adapter_loses_ln_2_exactly(tiny_model: Path, pairs: Path) -> None:
    import torch

    batch, model = batch_of(tiny_model, pairs), adapted(tiny_model)
    with torch.no_grad(), model.disable_adapter():
        reference = logps_of(model, batch, shared=True).reshape(-1, 2)
    policy = logps_of(model, batch, shared=True).reshape(-1, 2)
    found = preference_loss(policy, reference, 0.1)
    assert found.margins.tolist() == [0.0] * 8
    ln2 = -torch.nn.functional.logsigmoid(torch.zeros(8)).sum().item()
    assert found.loss.item() == ln2
    assert ln2 / 8 == pytest.approx(math.log(2), rel=1e-6)
    found.loss.backward()
    norms = [w.grad.norm().item() for n, w in model.named_parameters() if "lora_B" in n]
    assert min(norms) > 0


def test_the_micro_batch_changes_nothing_but_memory(
    tmp_path: Path, tiny_model: Path, pairs: Path
) -> None:
    import torch
    from safetensors.torch import load

    whole = load(trained(tmp_path, tiny_model, pairs, "whole", micro_batch_size=8))
    for size in (1, 3):
        parts = load(trained(tmp_path, tiny_model, pairs, f"micro-{size}", micro_batch_size=size))
        assert parts.keys() == whole.keys()
        for name, weight in whole.items():
            torch.testing.assert_close(parts[name], weight, rtol=2e-2, atol=5e-4)


def test_it_learns_and_prefers_what_it_never_saw(
    tmp_path: Path, tiny_model: Path, pairs: Path
) -> None:
    chosen = settings(max_steps=30, learning_rate=1e-2, checkpoint_steps=10)
    run, config = run_of(tmp_path, tiny_model, pairs, chosen, method="dpo")
    held_out = write_pairs(tmp_path / "held-out.jsonl", 32, first=100)
    more = {"validation": held_out, "validation_sha256": file_sha256(held_out)}
    train(config.model_copy(update=more), run, watch())
    steps = steps_of(run)
    assert steps[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert steps[0]["reward_margin"] == pytest.approx(0, abs=1e-4)
    assert min(row["grad_norm"] for row in steps) > 0
    assert sum(row["loss"] for row in steps[-5:]) / 5 < 0.5 * steps[0]["loss"]
    assert steps[-1]["reward_accuracy"] == 1
    assert steps[-1]["reward_margin"] > 0.5
    scored = [row for row in run.rows(run.metrics_file) if row["kind"] == "validation"]
    assert [row["step"] for row in scored] == [10, 20, 30]
    assert scored[-1]["examples"] == 32
    assert max(row["reward_accuracy"] for row in scored) > 0.65  # a coin has 0.5
    assert min(row["loss"] for row in scored) < math.log(2)
    assert all(row["reward_margin"] > 0 for row in scored)
    told = [row["message"] for row in run.rows(run.events_file)]
    assert any("of 32 preferences right" in message for message in told)
    assert any("dpo with beta 0.1" in message for message in told)
    record = json.loads((run.output / "run.json").read_bytes())
    assert record["plan"]["beta"] == DEFAULT_BETA
    assert record["config"]["method"] == "dpo"
    assert "tags: [lora, dpo, ftctl]" in (run.output / "README.md").read_text(encoding="utf-8")


def test_beta_is_taken_and_named_in_the_plan(tmp_path: Path, tiny_model: Path, pairs: Path) -> None:
    margins = []
    for beta in ("0.1", "0.5"):
        run, config = run_of(
            tmp_path, tiny_model, pairs, settings(max_steps=3), f"beta-{beta}", "dpo"
        )
        train(config.model_copy(update={"options": {"beta": beta}}), run, watch())
        plan = run.read(run.plan_file, Plan)
        assert plan is not None
        assert plan.beta == float(beta)
        margins.append(steps_of(run)[-1]["reward_margin"])
    assert margins[1] > margins[0]


@pytest.mark.parametrize("said", ["0", "-1", "2.1", "nan", "inf", "much", ""])
def test_a_beta_out_of_range_is_refused(said: str) -> None:
    with pytest.raises(UsageError, match="beta="):
        options_of("dpo", {"beta": said})


def test_sft_has_no_beta() -> None:
    assert options_of("sft", {}).beta is None
    with pytest.raises(UsageError, match="for dpo"):
        options_of("sft", {"beta": "0.1"})


@pytest.mark.parametrize("stop_after", [1, 3, 5])
def test_resumed_equals_uninterrupted_bit_for_bit(
    tmp_path: Path, tiny_model: Path, pairs: Path, stop_after: int
) -> None:
    run, config = run_of(tmp_path, tiny_model, pairs, settings(), method="dpo")
    with pytest.raises(Interrupted):
        train(config, run, watch(stop_after))
    assert checkpoint.whole_steps(run)[-1] == stop_after
    known = run.reference_file.read_bytes()
    assert train(config, run, watch()).step == 6
    assert run.reference_file.read_bytes() == known  # nothing of it was computed again
    assert [row["step"] for row in steps_of(run)] == [1, 2, 3, 4, 5, 6]
    resumed = (run.output / "adapter_model.safetensors").read_bytes()
    assert resumed == trained(tmp_path, tiny_model, pairs, "uninterrupted")


@pytest.mark.parametrize("cut", ["between rows", "in mid-row"])
def test_cut_short_while_the_reference_is_computed(
    tmp_path: Path, tiny_model: Path, pairs: Path, cut: str
) -> None:
    asked = settings(micro_batch_size=4)
    run, config = run_of(tmp_path, tiny_model, pairs, asked, method="dpo")
    known: list[str] = []

    def report(_phase: str, message: str, **_: Any) -> None:
        known.append(message)

    with pytest.raises(Interrupted):
        train(config, run, Watch(report, lambda: "the base's view of 12 of 24" in known[-1]))
    before = rows_of(run)
    assert [len(row["lines"]) for row in before] == [4, 4, 4]
    if cut == "in mid-row":
        run.reference_file.write_bytes(run.reference_file.read_bytes()[:-20])
    train(config, run, watch())
    whole = 2 if cut == "in mid-row" else 3
    assert rows_of(run)[:whole] == before[:whole]
    assert sorted(line for row in rows_of(run) for line in row["lines"]) == list(range(1, 25))
    resumed = (run.output / "adapter_model.safetensors").read_bytes()
    assert resumed == trained(tmp_path, tiny_model, pairs, "uninterrupted", micro_batch_size=4)


def rows_of(run: RunFolder) -> list[dict[str, Any]]:
    return list(run.rows(run.reference_file))


def test_rows_of_other_data_or_broken_by_hand_are_not_believed(
    tmp_path: Path, tiny_model: Path, pairs: Path
) -> None:
    run, config = run_of(tmp_path, tiny_model, pairs, settings(), method="dpo")
    lines = list(range(1, 25))
    for sha256, logps in (
        ("of-other-data", [[-1.0, -2.0]] * 24),
        (config.data_sha256, [["-1", "-2"]] * 24),
        (config.data_sha256, [[-1.0]] * 24),
        (config.data_sha256, None),
    ):
        row = {"data_sha256": sha256, "lines": lines, "logps": logps}
        run.append(run.reference_file, row)
    train(config, run, watch())
    alone = (run.output / "adapter_model.safetensors").read_bytes()
    assert alone == trained(tmp_path, tiny_model, pairs, "alone")
