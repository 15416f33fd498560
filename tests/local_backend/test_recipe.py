"""What training must never get wrong, on a tiny random model."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_model import SYSTEM
from training_runs import run_of, settings, watch

from ftctl.datasets.digest import file_sha256
from ftctl.datasets.render import load_tokenizer, render
from ftctl.errors import DataInvalid, JobFailed, StoreError, UsageError
from ftctl.job import Hyperparameters
from ftctl.local_backend import checkpoint
from ftctl.local_backend.data import Batch, collate, load_examples, shared_prefix
from ftctl.local_backend.loop import Interrupted
from ftctl.local_backend.losses import token_losses
from ftctl.local_backend.model import add_adapter, load_base, merged, tuned_weights
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.run_folder import RunFolder
from ftctl.local_backend.train import train

# Seconds each on an idle machine; a busy one must not fail them.
pytestmark = [pytest.mark.medium, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def one_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a CPU has fast bf16 the choice is timed; runs that are compared must share it."""
    monkeypatch.setattr("ftctl.local_backend.hardware._FAST_BF16_FLAGS", ())


def trained(tmp_path: Path, model: Path, data: Path, name: str, **values: Any) -> bytes:
    run, config = run_of(tmp_path, model, data, settings(**values), name)
    train(config, run, watch())
    return (run.output / "adapter_model.safetensors").read_bytes()


def losses(run: RunFolder) -> list[float]:
    return [row["loss"] for row in run.rows(run.metrics_file) if row["kind"] == "step"]


def batch_of(model: Path, data: Path, count: int = 8) -> Batch:
    tokenizer = load_tokenizer(model)
    examples = load_examples(data, tokenizer, 512).examples[:count]
    return collate(examples, tokenizer.pad_token_id or 0, shared_prefix(examples), "cpu")


def adapted(model: Path) -> Any:
    import torch

    torch.manual_seed(0)
    return add_adapter(load_base(model, torch.float32, "cpu"), Hyperparameters())


def test_only_the_answer_and_its_stop_token_are_trained(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "red"},
        {"role": "user", "content": "second"},
        {"role": "assistant", "content": "blue"},
    ]
    rendered = render(tokenizer, messages)
    said = [i for i, m in zip(rendered.ids, rendered.mask, strict=True) if m]
    assert tokenizer.decode(said) == "red<|im_end|>blue<|im_end|>"
    assert tokenizer.decode(rendered.ids) == tokenizer.apply_chat_template(
        messages, tokenize=False
    ).removesuffix("\n")


def test_a_message_of_weight_0_is_not_trained(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "red", "weight": 0},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "blue", "weight": 1},
    ]
    rendered = render(tokenizer, messages)
    said = [i for i, m in zip(rendered.ids, rendered.mask, strict=True) if m]
    assert tokenizer.decode(said) == "blue<|im_end|>"


def test_the_shared_prefix_changes_neither_loss_nor_gradient(tiny_model: Path, data: Path) -> None:
    import torch

    batch = batch_of(tiny_model, data)
    assert batch.prefix > 20  # the system line
    gradients = []
    for plain in (True, False):
        model = adapted(tiny_model)
        with torch.no_grad():  # a zero adapter has no gradient on one side: give it weights
            for name, weight in model.named_parameters():
                if "lora_B" in name:
                    weight.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
        value = token_losses(model, batch, plain=plain).sum()
        value.backward()
        gradients.append(
            (
                value.item(),
                torch.cat([w.grad.ravel() for w in model.parameters() if w.requires_grad]),
            )
        )
    (plain, by_plain), (shared, by_shared) = gradients
    assert shared == pytest.approx(plain, rel=1e-5)
    assert by_plain.norm() > 0.1
    torch.testing.assert_close(by_shared, by_plain, rtol=1e-3, atol=1e-4)


def test_untrained_tokens_and_padding_do_not_count(tiny_model: Path, data: Path) -> None:
    import torch

    batch, model = batch_of(tiny_model, data), adapted(tiny_model)
    before = token_losses(model, batch, plain=True).sum().item()
    last = batch.mask.shape[1] - batch.mask.flip(1).argmax(1)  # one past the last trained token
    columns = torch.arange(batch.ids.shape[1])
    after_the_end = columns[None] >= last[:, None]
    assert after_the_end.any()
    changed = replace(batch, ids=torch.where(after_the_end, 7, batch.ids))
    assert token_losses(model, changed, plain=True).sum().item() == pytest.approx(before, rel=1e-6)


def test_merged_for_a_while_answers_the_same_and_leaves_no_trace(
    tiny_model: Path, data: Path
) -> None:
    import torch

    batch, model = batch_of(tiny_model, data), adapted(tiny_model)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
        before = {name: weight.clone() for name, weight in model.state_dict().items()}
        apart = token_losses(model, batch, plain=True).sum().item()
        with merged(model):
            assert token_losses(model, batch, plain=True).sum().item() == pytest.approx(
                apart, rel=1e-4
            )
        assert token_losses(model, batch, plain=True).sum().item() == apart
    for name, weight in model.state_dict().items():
        assert weight.equal(before[name]), name


def test_a_fresh_adapter_is_the_base_model(tiny_model: Path, data: Path) -> None:
    import torch

    batch = batch_of(tiny_model, data)
    base = load_base(tiny_model, torch.float32, "cpu")
    with torch.no_grad():
        assert (
            token_losses(adapted(tiny_model), batch, plain=True).sum().item()
            == token_losses(base, batch, plain=True).sum().item()
        )


def test_the_micro_batch_changes_nothing_but_memory(
    tmp_path: Path, tiny_model: Path, data: Path
) -> None:
    import torch
    from safetensors.torch import load

    whole = load(trained(tmp_path, tiny_model, data, "whole", micro_batch_size=8))
    for size in (1, 3):
        parts = load(trained(tmp_path, tiny_model, data, f"micro-{size}", micro_batch_size=size))
        assert parts.keys() == whole.keys()
        for name, weight in whole.items():
            torch.testing.assert_close(parts[name], weight, rtol=2e-2, atol=2e-4)


def test_two_runs_are_equal_and_another_seed_is_not(
    tmp_path: Path, tiny_model: Path, data: Path
) -> None:
    first = trained(tmp_path, tiny_model, data, "a")
    assert trained(tmp_path, tiny_model, data, "b") == first
    assert trained(tmp_path, tiny_model, data, "c", seed=1) != first


@pytest.mark.parametrize("stop_after", [1, 3, 5])
def test_resumed_equals_uninterrupted_bit_for_bit(
    tmp_path: Path, tiny_model: Path, data: Path, stop_after: int
) -> None:
    run, config = run_of(tmp_path, tiny_model, data, settings())
    with pytest.raises(Interrupted):
        train(config, run, watch(stop_after))
    assert checkpoint.whole_steps(run)[-1] == stop_after
    assert not run.output.exists()
    done = train(config, run, watch())
    assert done.step == 6
    assert len(losses(run)) == 6
    resumed = (run.output / "adapter_model.safetensors").read_bytes()
    assert resumed == trained(tmp_path, tiny_model, data, "uninterrupted")


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, tiny_model: Path, data: Path) -> None:
    run, config = run_of(tmp_path, tiny_model, data, settings())
    with pytest.raises(Interrupted):
        train(config, run, watch(5))
    newest = checkpoint.folder_of(run, 5)
    (newest / "optimizer.safetensors").write_bytes(b"not safetensors")
    train(config, run, watch())
    told = [row["message"] for row in run.rows(run.events_file)]
    assert any("step-000005 can't be read" in message for message in told)
    resumed = (run.output / "adapter_model.safetensors").read_bytes()
    assert resumed == trained(tmp_path, tiny_model, data, "uninterrupted")


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "optimizer.safetensors"])
def test_a_checkpoint_of_another_shape_changes_nothing(
    tmp_path: Path, tiny_model: Path, data: Path, file: str
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    run, config = run_of(tmp_path, tiny_model, data, settings())
    with pytest.raises(Interrupted):
        train(config, run, watch(3))
    model = adapted(tiny_model)
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad])
    for step in checkpoint.whole_steps(run):
        place = checkpoint.folder_of(run, step) / file
        save_file(
            {key: value[:1].clone() for key, value in load_file(place).items() if value.ndim}
            | {"rng": torch.get_rng_state()},
            place,
        )
    before, chance = tuned_weights(model), torch.get_rng_state()
    assert checkpoint.restore(run, model, optimizer).step == 0
    assert not optimizer.state_dict()["state"]
    assert torch.equal(torch.get_rng_state(), chance)
    for name, weight in tuned_weights(model).items():
        assert weight.equal(before[name])


def test_steps_done_twice_stand_in_the_metrics_once(
    tmp_path: Path, tiny_model: Path, data: Path
) -> None:
    run, config = run_of(tmp_path, tiny_model, data, settings())
    with pytest.raises(Interrupted):
        train(config, run, watch(3))
    for step in (4, 5):  # a killed worker's last words, after its last checkpoint
        run.append(run.metrics_file, {"kind": "step", "step": step, "loss": 9.0})
    train(config, run, watch())
    with (run.output / "metrics.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all(row["loss"] != 9.0 for row in rows)


@pytest.mark.parametrize("changed", ["data", "validation"])
def test_data_changed_after_submit_is_not_trained_on(
    tmp_path: Path, tiny_model: Path, data: Path, changed: str
) -> None:
    run, config = run_of(tmp_path, tiny_model, data, settings())
    other = tmp_path / "other.jsonl"
    other.write_bytes(data.read_bytes() + b"\n")
    update = {changed: other, f"{changed}_sha256": file_sha256(data)}
    with pytest.raises(StoreError, match=r"other\.jsonl: the data was changed") as caught:
        train(config.model_copy(update=update), run, watch())
    assert "--new" in caught.value.hint
    assert not run.metrics_file.exists()


def test_data_deleted_after_submit_is_named(tmp_path: Path, tiny_model: Path, data: Path) -> None:
    run, config = run_of(tmp_path, tiny_model, data, settings())
    data.unlink()
    with pytest.raises(StoreError, match=f"{data}: No such file") as caught:
        train(config, run, watch())
    assert "--new" in caught.value.hint


def test_it_learns(tmp_path: Path, tiny_model: Path, data: Path) -> None:
    run, config = run_of(
        tmp_path, tiny_model, data, settings(max_steps=60, learning_rate=2e-2, checkpoint_steps=60)
    )
    train(config, run, watch())
    seen = losses(run)
    assert sum(seen[-5:]) / 5 < 0.5 * seen[0]
    norms = [row["grad_norm"] for row in run.rows(run.metrics_file) if row["kind"] == "step"]
    assert min(norms) > 0


def test_the_best_checkpoint_on_validation_is_kept(
    tmp_path: Path, tiny_model: Path, data: Path
) -> None:
    run, config = run_of(tmp_path, tiny_model, data, settings(learning_rate=0.3, max_steps=8))
    held_out = {"validation": data, "validation_sha256": file_sha256(data)}
    config = config.model_copy(update=held_out)
    train(config, run, watch())
    rows = [row for row in run.rows(run.metrics_file) if row["kind"] == "validation"]
    assert [row["step"] for row in rows] == [2, 4, 6, 8]
    best = max(rows, key=lambda row: (row["exact_match"], -row["loss"]))
    record = json.loads((run.output / "run.json").read_bytes())
    assert record["kept_step"] == best["step"]
    kept = checkpoint.folder_of(run, best["step"]) / "adapter_model.safetensors"
    from safetensors.torch import load_file

    output = load_file(run.output / "adapter_model.safetensors")
    for name, weight in load_file(kept).items():
        assert weight.equal(output[name])


def test_only_the_last_layers_are_adapted_when_asked(tiny_model: Path) -> None:
    import torch

    model = add_adapter(load_base(tiny_model, torch.float32, "cpu"), Hyperparameters(last_layers=1))
    names = list(tuned_weights(model))
    assert names
    assert all(".layers.2." in name for name in names)
    assert len({name.split(".layers.2.")[1] for name in names}) == 14  # 7 linear layers, A and B
    with pytest.raises(UsageError, match="the model has 3 layers"):
        add_adapter(load_base(tiny_model, torch.float32, "cpu"), Hyperparameters(last_layers=4))


def test_a_loss_that_is_no_number_stops_with_the_lines(
    tmp_path: Path, tiny_model: Path, data: Path
) -> None:
    import torch

    broken = tmp_path / "broken"
    model = load_base(tiny_model, torch.float32, "cpu")
    with torch.no_grad():
        model.model.norm.weight.fill_(math.nan)
    model.save_pretrained(broken)
    load_tokenizer(tiny_model).save_pretrained(broken)  # type: ignore[attr-defined]
    run, config = run_of(tmp_path, broken, data, settings())
    with pytest.raises(JobFailed, match=r"gradient of the longest examples is nan.*lines \d+, \d+"):
        train(config, run, watch())


def test_a_run_tells_once_which_lines_it_leaves_out(
    tmp_path: Path, tiny_model: Path, data: Path
) -> None:
    text = data.read_text(encoding="utf-8").splitlines()
    text[3] = text[3].replace('"role": "assistant"', '"role": "assistant", "weight": 0')
    data.write_text("\n".join(text), encoding="utf-8")
    run, config = run_of(tmp_path, tiny_model, data, settings())
    config = config.model_copy(update={"validation": data, "validation_sha256": config.data_sha256})
    with pytest.raises(Interrupted):
        train(config, run, watch(3))
    train(config, run, watch())
    told = [row["message"] for row in run.rows(run.events_file) if row["level"] == "warning"]
    assert told == [
        f"{data}: 1 of 24 examples left out, without a token to train on: lines 4",
    ]


def test_a_file_of_examples_that_would_all_be_cut_is_refused(tiny_model: Path, data: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    with pytest.raises(DataInvalid, match="longer than 64 tokens") as caught:
        load_examples(data, tokenizer, 64)
    assert "--set max_length=" in caught.value.hint


def test_a_time_budget_sets_the_number_of_steps(
    tmp_path: Path, tiny_model: Path, data: Path
) -> None:
    chosen = settings(max_steps=100_000, max_minutes=0.001)
    run, config = run_of(tmp_path, tiny_model, data, chosen)
    train(config, run, watch())
    plan = run.read(run.plan_file, Plan)
    assert plan is not None
    assert plan.total_steps == max(20, int(0.06 / plan.seconds_per_step))
    assert "0.001 minutes" in plan.steps_reason
