"""What a run chooses: attention, packing, layers computed again, and how many tokens at once."""

import json
from pathlib import Path
from typing import Any

import pytest
from preference_rows import write_pairs
from training_runs import run_of, settings, steps_of, watch

from ftctl.datasets.digest import file_sha256
from ftctl.datasets.render import load_tokenizer
from ftctl.errors import UsageError
from ftctl.local_backend.data import count_tokens, load_examples, sequences_of
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.run_folder import RunFolder
from ftctl.local_backend.run_options import options_of
from ftctl.local_backend.train import train

pytestmark = [pytest.mark.medium, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def one_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a CPU has fast bf16 the choice is timed; runs that are compared must share it."""
    monkeypatch.setattr("ftctl.local_backend.hardware._FAST_BF16_FLAGS", ())


def run_with(
    tmp_path: Path, model: Path, data: Path, name: str, **options: str
) -> tuple[RunFolder, Plan]:
    values: dict[str, Any] = {"max_steps": 3}
    run, config = run_of(tmp_path, model, data, settings(**values), name)
    update = {"options": options, "validation": data, "validation_sha256": file_sha256(data)}
    train(config.model_copy(update=update), run, watch())
    plan = run.read(run.plan_file, Plan)
    assert plan is not None
    return run, plan


def weights_of(run: RunFolder) -> dict[str, Any]:
    from safetensors.torch import load_file

    found: dict[str, Any] = load_file(run.output / "adapter_model.safetensors")
    return found


def test_every_way_trains_the_same(tmp_path: Path, tiny_model: Path, data: Path) -> None:
    import torch

    first, plan = run_with(tmp_path, tiny_model, data, "auto")
    assert (plan.attention, plan.packing) == ("documents", "best fit decreasing")
    assert (plan.recompute, plan.loss) == ("off", "shared prefix")
    assert "of 8 examples one by one" in plan.loss_reason
    record = json.loads((first.output / "run.json").read_bytes())["plan"]
    assert {"attention", "packing", "recompute", "head"} <= record.keys()
    ways = [{"attention": "masked"}, {"packing": "off"}, {"recompute": "all"}]
    ways += [{"packing": "off", "recompute": "2"}]
    for number, way in enumerate(ways):
        run, plan = run_with(tmp_path, tiny_model, data, f"way-{number}", **way)
        for name, asked in way.items():
            assert str(getattr(plan, name)) == asked
        if way.keys() == {"packing", "recompute"}:  # no cache is kept over layers computed again
            assert plan.prefix_tokens == 0
        for a, b in zip(steps_of(run), steps_of(first), strict=True):
            assert a["loss"] == pytest.approx(b["loss"], rel=1e-3)
        for name, weight in weights_of(first).items():
            torch.testing.assert_close(weights_of(run)[name], weight, rtol=2e-2, atol=3e-4)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"attention": "varlen"}, "attention=varlen: not with this model here"),
        ({"packing": "off", "attention": "masked"}, "packing=off contradicts attention=masked"),
        ({"packing": "on", "attention": "padded"}, "packing=on contradicts attention=padded"),
    ],
)
def test_what_cannot_be_had_here_is_said(
    tmp_path: Path, tiny_model: Path, data: Path, options: dict[str, str], why: str
) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        run_with(tmp_path, tiny_model, data, "run", **options)
    assert caught.value.hint
    if options == {"attention": "varlen"}:
        assert "documents or padded or masked" in caught.value.hint


def test_micro_batches_hold_the_step_and_no_more_than_the_budget(
    tmp_path: Path, tiny_model: Path, data: Path
) -> None:
    _, plan = run_with(tmp_path, tiny_model, data, "run")
    examples = load_examples(data, load_tokenizer(tiny_model), 512).examples
    prefix = plan.prefix_tokens
    for way in ("documents", "padded"):
        small = plan.model_copy(
            update={"token_budget": 200, "attention": way, "micro_batch_size": 24}
        )
        parts = small.micro_batches(examples, prefix)
        lines = sorted(example.line for part in parts for example in part)
        assert lines == [example.line for example in examples]
        assert 1 < len(parts) < len(examples)
        for part in parts:
            behind = [example.length - prefix for example in part]
            held = sum(behind) if way == "documents" else len(part) * max(behind)
            assert prefix + held <= 200
        heaviest = [count_tokens(sequences_of(part)) for part in parts]
        assert way == "padded" or heaviest[0] == max(heaviest)
        assert max(map(len, small.micro_batches(examples, prefix, 2))) == 2


def test_a_run_planned_before_there_were_budgets_goes_on(
    tmp_path: Path, tiny_model: Path, data: Path
) -> None:
    _, plan = run_with(tmp_path, tiny_model, data, "run")
    new = {"token_budget", "budget_reason", "attention", "packing", "recompute", "head"}
    old = plan.model_dump(mode="json", exclude=new) | {"micro_batch_size": 3}
    run, config = run_of(tmp_path, tiny_model, data, settings(max_steps=3), "old")
    run.write(run.plan_file, old)
    train(config, run, watch())
    kept = run.read(run.plan_file, Plan)
    assert kept is not None
    assert (kept.attention, kept.recompute, kept.token_budget) == ("padded", "off", None)
    assert [len(part) for part in kept.micro_batches(list(range(8)), 0)] == [3, 3, 2]  # type: ignore[type-var]
    assert len(steps_of(run)) == 3


def test_pairs_go_the_same_ways(tmp_path: Path, tiny_model: Path) -> None:
    import torch

    pairs = write_pairs(tmp_path / "pairs.jsonl")
    found = []
    for packing in ("on", "off"):
        run, config = run_of(tmp_path, tiny_model, pairs, settings(max_steps=3), packing, "dpo")
        train(config.model_copy(update={"options": {"packing": packing}}), run, watch())
        found.append((steps_of(run), weights_of(run)))
    (steps, packed), (others, padded) = found
    for a, b in zip(steps, others, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-3)
        assert a["reward_margin"] == pytest.approx(b["reward_margin"], rel=2e-2, abs=1e-4)
    for name, weight in padded.items():
        torch.testing.assert_close(packed[name], weight, rtol=2e-2, atol=3e-4)


def test_dropout_shares_no_prefix(tmp_path: Path, tiny_model: Path, data: Path) -> None:
    run, config = run_of(tmp_path, tiny_model, data, settings(max_steps=2, lora_dropout=0.1))
    train(config, run, watch())
    plan = run.read(run.plan_file, Plan)
    assert plan is not None
    assert (plan.attention, plan.prefix_tokens, plan.loss) == ("documents", 0, "trained tokens")


@pytest.mark.parametrize("every", ["0", "-2", "some"])
def test_layers_are_counted_from_one(every: str) -> None:
    with pytest.raises(UsageError, match=f"recompute='{every}'"):
        options_of("sft", {"recompute": every})
    assert options_of("sft", {"recompute": "2"}).recompute == 2
