"""A step is the same however it is shared and whatever memory there is; its NaNs are named."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from training_runs import run_of, settings, steps_of, watch

from ftctl.datasets.render import load_tokenizer
from ftctl.errors import JobFailed
from ftctl.local_backend.checkpoint import Progress
from ftctl.local_backend.data import Example, Item, load_examples
from ftctl.local_backend.loop import Loop, run_steps
from ftctl.local_backend.memory import OutOfMemory
from ftctl.local_backend.model import load_base, tuned_weights
from ftctl.local_backend.objectives import Imitation
from ftctl.local_backend.optimizer import make_optimizer
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.processes import Team
from ftctl.local_backend.run_folder import RunFolder
from ftctl.local_backend.sharding import Whole
from ftctl.local_backend.step import share_out
from ftctl.local_backend.train import train

pytestmark = [pytest.mark.medium, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Sized:
    """An item, as far as sharing asks."""

    line: int
    length: int
    trained_tokens: int = 1

    @property
    def sequences(self) -> tuple[Any, ...]:
        return (self,)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_a_step_is_shared_out_by_tokens_and_nothing_twice(count: int) -> None:
    lengths = (100, 7, 30, 30, 5, 64, 9, 41, 2)
    items: list[Item] = [Sized(line, length) for line, length in enumerate(lengths)]
    shares = share_out(items, count)
    assert sorted(item.line for share in shares for item in share) == list(range(len(items)))
    assert all(share == sorted(share, key=lambda item: item.line) for share in shares)
    loads = [sum(item.length for item in share) for share in shares]
    assert max(loads) <= max(*lengths, sum(lengths) / count + max(lengths) / 2)
    assert share_out(items[:1], 2) == [[items[0]], []]


def narrow(scorer: Any, most: int, at_most_times: int = 10**9) -> Any:
    """A scorer that asks for more memory than any machine has when it gets more rows than that."""
    import torch
    from torch import nn

    class Narrow(nn.Module):  # type: ignore[misc]  # torch is imported here and untyped
        def __init__(self) -> None:
            super().__init__()
            self.scorer, self.model, self.left = scorer, scorer.model, at_most_times

        def forward(self, batch: Any) -> Any:
            found = self.scorer(batch)
            if len(batch.lines) > most and self.left:
                self.left -= 1
                torch.empty(2**60, dtype=torch.uint8)
            return found

    return Narrow()


@dataclass(frozen=True)
class Bench:
    """What `train` sets up for a loop, with a hand on the scorer."""

    run: RunFolder
    plan: Plan
    examples: list[Example]
    base: Path

    def go(self, wrap: Callable[[Any], Any]) -> dict[str, Any]:
        """Train with such a scorer; returns the adapter."""
        import torch

        from ftctl.local_backend.model import Trainable

        torch.manual_seed(0)
        layout = Whole(Team(), "cpu")
        model = Trainable().load(self.base, torch.float32, "cpu")
        scorer, optimizer = layout.prepare(
            wrap(self.plan.scorer(model)), lambda weights: make_optimizer(weights, 0.0)
        )
        objective = Imitation(self.plan, 2, self.plan.prefix_tokens)
        loop = Loop(layout, scorer, model, optimizer, self.plan, objective, None)
        run_steps(loop, self.examples, Progress(), self.run, watch())
        return tuned_weights(model)


@pytest.fixture
def bench(tmp_path: Path, tiny_model: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("ftctl.local_backend.hardware._FAST_BF16_FLAGS", ())
    run, config = run_of(tmp_path, tiny_model, data, settings())
    train(config, run, watch())
    plan = run.read(run.plan_file, Plan)
    assert plan is not None
    run.events_file.unlink()
    run.metrics_file.unlink()
    examples = load_examples(data, load_tokenizer(tiny_model), 512).examples
    return Bench(run, plan, examples, tiny_model)


def test_memory_that_runs_out_changes_how_many_go_at_once_and_nothing_else(bench: Bench) -> None:
    import torch

    undisturbed = bench.go(lambda scorer: scorer)
    losses = [row["loss"] for row in steps_of(bench.run)]
    bench.run.metrics_file.unlink()
    short = bench.go(lambda scorer: narrow(scorer, 3))
    assert [row["loss"] for row in steps_of(bench.run)] == pytest.approx(losses, rel=1e-3)
    for name, weight in undisturbed.items():
        torch.testing.assert_close(short[name], weight, rtol=2e-2, atol=5e-4)
    told = [row["message"] for row in bench.run.rows(bench.run.events_file)]
    assert told == [
        "memory ran out in step 1: it was taken again with 2 at once instead of 8; a step is "
        "still 8 examples"
    ]
    kept = bench.run.read(bench.run.plan_file, Plan)
    assert kept is not None
    assert (kept.micro_batch_size, kept.batch_size) == (2, 8)  # a resumed run begins with that


def test_memory_that_runs_out_once_is_enough_to_go_on_with_less(bench: Bench) -> None:
    bench.go(lambda scorer: narrow(scorer, 4, at_most_times=1))
    assert len(steps_of(bench.run)) == 6
    told = [row["message"] for row in bench.run.rows(bench.run.events_file)]
    assert [message.split(":")[0] for message in told] == ["memory ran out in step 1"]


def test_memory_too_short_for_one_example_ends_the_run(bench: Bench) -> None:
    with pytest.raises(OutOfMemory, match="allocate"):
        bench.go(lambda scorer: narrow(scorer, 0))
    assert not bench.run.metrics_file.exists()


def test_the_lines_that_have_no_number_are_named(
    tmp_path: Path, tiny_model: Path, data: Path
) -> None:
    import torch

    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    for line in (5, 11):
        rows[line - 1]["messages"][1]["content"] = "~"  # short: not among what is tried first
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    tokenizer = load_tokenizer(tiny_model)
    broken = tmp_path / "broken"
    model = load_base(tiny_model, torch.float32, "cpu")
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer("~")["input_ids"][0]] = torch.nan
    model.save_pretrained(broken)
    tokenizer.save_pretrained(broken)  # type: ignore[attr-defined]
    run, config = run_of(tmp_path, broken, data, settings())
    with pytest.raises(JobFailed, match=r"comes from the loss of lines 5, 11") as caught:
        train(config, run, watch())
    assert "--set learning_rate=" in caught.value.hint
