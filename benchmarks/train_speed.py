"""Trained examples a second on this CPU, beside TRL: as it comes, and as tuned as it gets.

`python benchmarks/train_speed.py [--steps 12] [--rounds 3] [--threads N] [--cpu-time] [--model M]
[--data FILE]`

All train the same LoRA on the same rows in batches of 16, in turns, with the same AdamW. Ours is
a whole run as a worker does it, timed from report to report; TRL's steps are timed without what it
does between them. `--cpu-time` counts the processor's seconds instead of the clock's, which says
more on a machine that others use; with one thread that is what a step takes on an idle one. TRL
gets our token ids and what is trained of them, so that losses compare: on one batch they must be
equal, over the run every one must fall, with gradients that aren't zero.

`TRL defaults` keeps what TRL chooses but for the batch; `TRL tuned` recomputes nothing and sorts
by length, in fp32, and where this CPU multiplies bf16 by itself in bf16, too. No packing: TRL
packs with flash attention alone, which no CPU has.
"""

import argparse
import importlib
import itertools
import math
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ftctl.datasets.digest import file_sha256
from ftctl.datasets.render import load_tokenizer
from ftctl.estimation.decoder import read_decoder
from ftctl.job import Hyperparameters
from ftctl.local_backend.base_models import find_base
from ftctl.local_backend.data import Example, collate, iter_step_batches, load_examples
from ftctl.local_backend.hardware import has_fast_bf16
from ftctl.local_backend.loop import Watch
from ftctl.local_backend.losses import token_losses
from ftctl.local_backend.model import load_base
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.run_folder import RunFolder, WorkerConfig
from ftctl.local_backend.train import train

ROOT = Path(__file__).resolve().parent.parent
BATCH, RATE, SEED = 16, 5e-4, 0


class Run(NamedTuple):
    """One run of one engine.

    Attributes:
        seconds: Of each step but the first, which warms up.
        losses: Of each step, nats a trained token.
        norms: Gradient norm of each step.
        padding: Share of the tokens that went through the model and are none.
        peak: Share of the matmul peak of the same run; None where it isn't counted.
        first: Seconds from the start to the end of the first step.
    """

    seconds: list[float]
    losses: list[float]
    norms: list[float]
    padding: float
    peak: float | None
    first: float

    @property
    def rate(self) -> float:
        """Trained examples a second."""
        return BATCH * len(self.seconds) / sum(self.seconds)


class Task(NamedTuple):
    """What all engines do."""

    base: Path
    data: Path
    examples: list[Example]
    steps: int
    folder: Path
    clock: Callable[[], float]


def main() -> None:
    """Run all in turns and print a table."""
    asked = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    asked.add_argument("--steps", type=int, default=12)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    asked.add_argument("--cpu-time", action="store_true")
    asked.add_argument("--model", default="smollm2-135m-instruct")
    asked.add_argument("--data", type=Path, default=ROOT / "examples" / "spdx" / "train.jsonl")
    given = asked.parse_args()
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        clock = time.process_time if given.cpu_time else time.perf_counter
        task = task_of(given.model, given.data, given.steps, Path(folder), clock)
        check_equal_loss(task)
        engines = engines_of(task)
        runs: dict[str, list[Run]] = {name: [] for name in engines}
        for number in range(given.rounds):
            for name, engine in engines.items():
                runs[name].append(engine(number))
    load = os.getloadavg()[0]
    unit = "CPU time" if given.cpu_time else "by the clock"
    said = f"{unit}, {given.threads} threads, {given.rounds} rounds of {given.steps} steps"
    print(f"{said}, load {load:.1f}")
    for name, found in runs.items():
        assert_learning(name, found)
        print(line_of(name, found))
    compare(runs)


def task_of(model: str, data: Path, steps: int, folder: Path, clock: Callable[[], float]) -> Task:
    """All rows of a file: TRL groups by length only where there are many more than a batch."""
    base = find_base(model, Path.home() / ".ftctl")
    assert isinstance(base, Path)
    examples = load_examples(data, load_tokenizer(base), 2048).examples
    return Task(base, data.resolve(), examples, steps, folder, clock)


def engines_of(task: Task) -> dict[str, Callable[[int], Run]]:
    """Every engine as a call that takes the number of the round."""
    tuned = {"gradient_checkpointing": False, "train_sampling_strategy": "group_by_length"}
    found: dict[str, Callable[[int], Run]] = {
        "ftctl": lambda number: run_ours(task, number),
        "TRL defaults": lambda _: run_trl(task, {}),
        "TRL tuned": lambda _: run_trl(task, tuned | {"bf16": False}),
    }
    if has_fast_bf16("cpu"):
        found["TRL tuned, bf16"] = lambda _: run_trl(task, tuned | {"bf16": True})
    return found


def run_ours(task: Task, number: int) -> Run:
    """A whole run, as a worker does it."""
    run = RunFolder(task.folder / f"ours-{number}", attempt=1)
    run.path.mkdir()
    config = WorkerConfig(
        attempt=1,
        job_id="benchmark",
        name="benchmark",
        model=str(task.base),
        data=task.data,
        data_sha256=file_sha256(task.data),
        validation=None,
        validation_sha256=None,
        method="sft",
        tuning="lora",
        hyperparameters=Hyperparameters(
            max_steps=task.steps, batch_size=BATCH, learning_rate=RATE, seed=SEED
        ),
        home=task.folder,
    )
    run.write(run.config_file, config)
    at: list[float] = []

    def report(phase: str, *_said: str, **_fields: object) -> None:
        if phase == "training":
            at.append(task.clock())

    started = task.clock()
    train(config, run, Watch(report, lambda: False))
    rows = [row for row in run.rows(run.metrics_file) if row["kind"] == "step"]
    plan = run.read(run.plan_file, Plan)
    assert plan is not None
    if not number:
        print(f"ftctl: {plan.dtype_reason}; {plan.loss_reason}; {plan.head}; {plan.packing}")
    seconds = [after - before for before, after in itertools.pairwise(at)]
    losses, norms = ([row[name] for row in rows] for name in ("loss", "grad_norm"))
    work, padding = work_of(task, plan)
    share = sum(work[1:]) / sum(seconds) / matmul_peak(task, plan)
    return Run(seconds, losses, norms, padding, share, at[0] - started)


def work_of(task: Task, plan: Plan) -> tuple[list[float], float]:
    """FLOPs of each step's matrices, and the share of padding in all its tokens."""
    decoder = read_decoder(task.base)
    assert not isinstance(decoder, str), decoder
    frozen = 4 * decoder.layer_weights * decoder.layers + 6 * decoder.adapter_weights(16)
    prefix, work, held, real = plan.prefix_tokens, [], 0, 0
    for step in iter_step_batches(task.examples, BATCH, SEED, 0, task.steps):
        tokens = 0
        for part in plan.micro_batches(step, prefix):
            behind = [example.length - prefix for example in part]
            padded = max(behind) * len(part) if plan.attention == "padded" else sum(behind)
            tokens += prefix + padded
            held += padded
            real += sum(behind)
        trained = sum(example.trained_tokens for example in step)
        work.append(frozen * tokens + 4.0 * decoder.head_weights * trained)
    return work, 1 - real / held


def matmul_peak(task: Task, plan: Plan) -> float:
    """FLOP/s of the largest matrix of a block, as many rows as a step has tokens, at best."""
    import torch

    decoder = read_decoder(task.base)
    assert not isinstance(decoder, str), decoder
    rows, best = sum(example.length for example in task.examples[:BATCH]), math.inf
    left = torch.randn(rows, decoder.hidden, dtype=plan.torch_dtype())
    right = torch.randn(decoder.ffn, decoder.hidden, dtype=plan.torch_dtype())
    for _ in range(30):
        started = task.clock()
        torch.nn.functional.linear(left, right)
        best = min(best, task.clock() - started)
    return 2 * rows * decoder.hidden * decoder.ffn / best


def run_trl(task: Task, chosen: dict[str, Any]) -> Run:
    """A run of TRL's SFTTrainer on the same rows."""
    from transformers import PrinterCallback, TrainerCallback

    trainer = trl_trainer(task, chosen)
    marks: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
        def on_step_begin(self, *_: object, **__: object) -> None:
            marks.append(task.clock())

        def on_step_end(self, *_: object, **__: object) -> None:
            marks.append(task.clock())

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Clock())
    collate_rows, sizes = trainer.data_collator, [0, 0]

    def counted(rows: Sequence[Any]) -> Any:  # noqa: ANN401 - TRL's batch
        batch = collate_rows(rows)
        sizes[0] += int(batch["attention_mask"].sum())
        sizes[1] += batch["attention_mask"].numel()
        return batch

    trainer.data_collator = counted
    started = task.clock()
    trainer.train()
    steps = [row for row in trainer.state.log_history if "loss" in row]
    pairs = list(zip(marks[::2], marks[1::2], strict=True))
    return Run(
        seconds=[end - begin for begin, end in pairs[1:]],
        losses=[float(row["loss"]) for row in steps],
        norms=[float(row["grad_norm"]) for row in steps],
        padding=1 - sizes[0] / sizes[1],
        peak=None,
        first=pairs[0][1] - started,
    )


def trl_trainer(task: Task, chosen: dict[str, Any]) -> Any:  # noqa: ANN401 - untyped
    """TRL's trainer of the same adapter on our token ids."""
    import torch

    dataset: Any = importlib.import_module("datasets").Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    rows = [
        {"input_ids": list(e.rendered.ids), "completion_mask": list(e.rendered.mask)}
        for e in task.examples
    ]
    lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    settings: dict[str, Any] = {
        "output_dir": str(task.folder / "trl"),
        "use_cpu": True,
        "per_device_train_batch_size": BATCH,
        "max_steps": task.steps,
        "learning_rate": RATE,
        "adam_beta2": 0.99,
        "completion_only_loss": True,
        "logging_steps": 1,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "seed": SEED,
    }
    return SFTTrainer(
        model=load_base(task.base, torch.float32, "cpu"),
        args=SFTConfig(**settings | chosen),
        train_dataset=dataset.from_list(rows),
        processing_class=load_tokenizer(task.base),
        peft_config=lora,
    )


def check_equal_loss(task: Task) -> None:
    """On one batch, before any step, TRL and we say the same."""
    import torch

    trainer = trl_trainer(task, {"bf16": False, "gradient_checkpointing": False})
    chosen = task.examples[:BATCH]
    batch = trainer.data_collator([trainer.train_dataset[place] for place in range(BATCH)])
    trainer.model.eval()
    with torch.no_grad():
        theirs = float(trainer.compute_loss(trainer.model, dict(batch)))
        base = load_base(task.base, torch.float32, "cpu")
        ours = token_losses(base, collate(chosen, 0, 0, "cpu"), plain=True).mean().item()
    assert abs(ours - theirs) < 1e-4 * theirs, (ours, theirs)
    print(f"loss of one batch before training: ftctl {ours:.5f}, TRL {theirs:.5f}")


def assert_learning(name: str, runs: Sequence[Run]) -> None:
    """A speed counts only of what learns."""
    for run in runs:
        assert min(run.norms) > 0, f"{name}: a gradient of zero"
        assert all(map(math.isfinite, run.losses)), f"{name}: {run.losses}"
        half = len(run.losses) // 2
        early, late = statistics.mean(run.losses[:half]), statistics.mean(run.losses[half:])
        assert late < early, f"{name}: the loss doesn't fall ({run.losses})"


def line_of(name: str, runs: Sequence[Run]) -> str:
    """One engine's row."""
    rates = [run.rate for run in runs]
    loss = statistics.mean(statistics.mean(run.losses) for run in runs)
    said = f"{name:16} {statistics.median(rates):7.2f} examples/s "
    said += f"({min(rates):.2f} to {max(rates):.2f}), padding {runs[0].padding:.1%}, "
    said += f"mean loss {loss:.4f}, last {runs[0].losses[-1]:.4f}, first step after "
    said += f"{statistics.median(run.first for run in runs):.1f} s"
    shares = [run.peak for run in runs if run.peak is not None]
    return said + (f", {statistics.median(shares):.0%} of the matmul peak" if shares else "")


def compare(runs: dict[str, list[Run]]) -> None:
    """How much faster than TRL, by the median of the rounds' ratios."""
    for name, theirs in runs.items():
        if name != "ftctl":
            ratios = [a.rate / b.rate for a, b in zip(runs["ftctl"], theirs, strict=True)]
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            print(f"ftctl / {name}: {statistics.median(ratios):.2f} ({spread})")


if __name__ == "__main__":
    main()
