"""How long a file takes from disk to batches, beside TRL's preparation of the same file.

`python benchmarks/prepare_time.py [--rounds 5] [--repeat 5] [--model M]` prints a table.

Both render every example with the model's own chat template, mark what is trained on and end with
token ids in memory. TRL is given prompt and completion apart, which spares it finding the answer;
its cache is off, for a first preparation is what a run waits for.
"""

import argparse
import importlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ftctl.datasets.render import load_tokenizer
from ftctl.local_backend.base_models import find_base
from ftctl.local_backend.data import load_examples

ROOT = Path(__file__).resolve().parent.parent
MODEL = "smollm2-135m-instruct"


def main() -> None:
    """Time both in turns, and print medians with their spread."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--repeat", type=int, default=5, help="copies of the demo's file")
    asked.add_argument("--model", default=MODEL)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = measure(given.model, given.rounds, given.repeat, Path(folder))
    examples, ours, theirs = table
    ratio = statistics.median(t / o for o, t in zip(ours, theirs, strict=True))
    print(f"{examples} examples, {given.rounds} rounds in turns, seconds: median (least to most)")
    for name, seconds in (("ftctl", ours), ("TRL", theirs)):
        print(
            f"{name:6} {statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"
        )
    print(f"TRL / ftctl, median of the rounds' ratios: {ratio:.2f}")


def measure(
    model: str, rounds: int, repeat: int, folder: Path
) -> tuple[int, list[float], list[float]]:
    """Seconds of each round, ours and TRL's.

    Args:
        model: Whose tokenizer and template.
        rounds: How often each is timed, in turns, after one round that isn't counted.
        repeat: How often the demo's file is written one after the other.
        folder: Where to write.
    """
    rows = (ROOT / "examples" / "spdx" / "train.jsonl").read_text(encoding="utf-8") * repeat
    file = folder / "train.jsonl"
    file.write_text(rows, encoding="utf-8")
    tokenizer = load_tokenizer(find_base(model, Path.home() / ".ftctl"))
    prepare = trl_preparation(tokenizer, file, folder)
    count = len(load_examples(file, tokenizer, 2048).examples)
    assert prepare() == count
    ours, theirs = list[float](), list[float]()
    for _ in range(rounds):
        ours.append(timed(lambda: load_examples(file, tokenizer, 2048)))
        theirs.append(timed(prepare))
    return count, ours, theirs


def timed(act: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def trl_preparation(tokenizer: Any, file: Path, folder: Path) -> Callable[[], int]:  # noqa: ANN401
    """What TRL does to a dataset before its first step, as a call that reads the file anew."""
    from transformers import LlamaConfig, LlamaForCausalLM
    from trl import SFTConfig, SFTTrainer

    datasets: Any = importlib.import_module("datasets")  # not the tests' folder of that name
    datasets.disable_caching()
    datasets.disable_progress_bars()
    small = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
    )
    config = SFTConfig(
        output_dir=str(folder / "trl"),
        use_cpu=True,
        bf16=False,
        report_to=[],
        max_length=2048,
        completion_only_loss=True,
    )

    def read() -> Any:  # noqa: ANN401 - datasets ships no types
        with file.open(encoding="utf-8") as lines:
            messages = [json.loads(line)["messages"] for line in lines]
        pairs = [{"prompt": said[:-1], "completion": said[-1:]} for said in messages]
        return datasets.Dataset.from_list(pairs)

    trainer = SFTTrainer(
        LlamaForCausalLM(small),
        args=config,
        train_dataset=read().select(range(4)),
        processing_class=tokenizer,
    )

    def prepare() -> int:
        ready = trainer._prepare_dataset(read(), tokenizer, config, False, None, "train")  # noqa: SLF001
        return len(ready["input_ids"])

    return prepare


if __name__ == "__main__":
    main()
