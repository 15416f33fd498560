"""What Axolotl says while it trains, read line by line; and what it leaves, as our folder.

Source: Axolotl 0.19.0 with transformers 5.16: a line of progress bar before each dictionary of
figures, whose values are texts.
"""

import ast
import json
import platform
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ftctl import __version__
from ftctl.datasets.digest import file_sha256
from ftctl.errors import JobFailed
from ftctl.local_backend.checkpoint import Progress
from ftctl.local_backend.output import SystemPrompts, public_name, system_prompts_of, write_manifest
from ftctl.local_backend.run_folder import RunFolder, WorkerConfig

_FIGURES = re.compile(r"\{'.*\}")
_BAR = re.compile(r"\d+%\|[^|]*\| *(\d+)/(\d+) \[")
_NAMES = {"loss": "loss", "grad_norm": "grad_norm", "learning_rate": "learning_rate"}
_PAIR_NAMES = {"rewards/margins": "reward_margin", "rewards/accuracies": "reward_accuracy"}
_TOKENIZER = """
    tokenizer.json tokenizer_config.json chat_template.jinja special_tokens_map.json
    added_tokens.json vocab.json merges.txt tokenizer.model
    """
_MODEL = ("config.json", "generation_config.json")
_ADAPTER = ["adapter_config.json", "adapter_model.safetensors"]
_CARD = """---
base_model: {base}
library_name: {library}
tags: [{tags}, axolotl, ftctl]
---
# {name}

{what}, fine-tuned by Axolotl {version} under ftctl {ours} from `{model}` ({method}).

| | |
|---|---|
| data | {data}, sha256 `{data_sha256}` |
| steps | {steps} |
| trained tokens | {tokens} |
| system prompt | {system} |

Axolotl's configuration is `axolotl.yml`, every setting stands in `run.json` too, every step in
`metrics.jsonl`. `ftctl chat .` talks to it.
"""


@dataclass
class Figures:
    """Reads figures out of the lines; `at` is how far the run is.

    Attributes:
        at: Steps and tokens so far.
        total_steps: As the progress bar says it; 0 before it does.
    """

    at: Progress
    total_steps: int = 0
    _bar: tuple[int, int] = (0, 0)
    _before: dict[str, float] = field(default_factory=dict)

    def read(self, line: str) -> dict[str, Any] | None:
        """A row for `metrics.jsonl`, where the line holds the figures of a step or validation."""
        bars = _BAR.findall(line)
        if bars:
            self._bar = (int(bars[-1][0]), int(bars[-1][1]))
        found = figures_in(line)
        if "eval_loss" in found:
            return {"kind": "validation", "step": self.at.step, "loss": found["eval_loss"]}
        if "loss" not in found:
            return None
        step = self.at.step + 1
        if self._bar[0] == step:
            self.total_steps = self._bar[1]
        self.at = replace(
            self.at,
            step=step,
            tokens=self.at.tokens + self._more("num_tokens", found),
            trained_tokens=self.at.trained_tokens + self._more("tokens/trainable", found),
        )
        row: dict[str, Any] = {"kind": "step", "step": step}
        names = _NAMES | _PAIR_NAMES
        row |= {ours: found[theirs] for theirs, ours in names.items() if theirs in found}
        return row | {"trained_tokens": self.at.trained_tokens}

    def _more(self, name: str, found: Mapping[str, float]) -> int:
        """Tokens since the step before; the counts begin anew with each process.

        SFT tells those with a loss, DPO all but padding.
        """
        before = self._before.get(name, 0.0)
        now = self._before[name] = found.get(name, before)
        return int(now - before)


def figures_in(line: str) -> dict[str, float]:
    """The dictionary that a line ends in, its values as numbers; empty where there is none."""
    matched = _FIGURES.search(line)
    if matched is None:
        return {}
    try:
        found = ast.literal_eval(matched[0])
        return {str(key): float(value) for key, value in found.items()}
    except (ValueError, SyntaxError, TypeError, AttributeError, MemoryError, RecursionError):
        return {}


def write_axolotl_output(
    run: RunFolder,
    config: WorkerConfig,
    at: Progress,
    made: Path,
    yaml: Path,
    base: Path | str,
    version: str,
) -> None:
    """Write our output folder from what Axolotl left: whole or not at all.

    Raises:
        JobFailed: it left no weights.
    """
    run.check_fence()
    part = run.path / "output.part-axolotl"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    whole = config.tuning == "full"
    weights = [file.name for file in made.glob("model*.safetensors*")] if whole else _ADAPTER
    for name in (*weights, *(_MODEL if whole else ()), *_TOKENIZER.split()):
        if (made / name).is_file():
            shutil.copyfile(made / name, part / name)
    if not any(part.glob("*.safetensors")):
        raise JobFailed(
            f"Axolotl ended without an error, but left no weights in {made}",
            hint=f"see {run.log_file}",
        )
    shutil.copyfile(yaml, part / "axolotl.yml")
    if run.metrics_file.exists():
        shutil.copyfile(run.metrics_file, part / "metrics.jsonl")
    said = system_prompts_of(_system_prompts(config.data))
    kept = _best_step(made, at.step)
    record = {
        "config": config.model_dump(mode="json", exclude={"home"}),
        "engine": {"name": "axolotl", "version": version, "config_sha256": file_sha256(yaml)},
        "system_prompts": said.model_dump(),
        "steps": at.step,
        "kept_step": kept,
        "trained_tokens": at.trained_tokens,
        "seconds": at.seconds,
        "versions": {"ftctl": __version__, "python": platform.python_version()},
    }
    (part / "run.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    card = _card(config, base, version, f"{at.step}, kept: step {kept}", at.trained_tokens, said)
    (part / "README.md").write_text(card, encoding="utf-8")
    write_manifest(part)
    shutil.rmtree(run.output, ignore_errors=True)
    part.rename(run.output)


def _card(
    config: WorkerConfig,
    base: Path | str,
    version: str,
    steps: str,
    tokens: int,
    said: SystemPrompts,
) -> str:
    whole = config.tuning == "full"
    return _CARD.format(
        base=public_name(config.model, base),
        library="transformers" if whole else "peft",
        tags=f"{'full' if whole else 'lora'}, {config.method}",
        name=config.name,
        what="A whole model with all its weights tuned" if whole else "A LoRA adapter",
        version=version,
        ours=__version__,
        model=config.model,
        method=config.method,
        data=config.data.name,
        data_sha256=config.data_sha256,
        steps=steps,
        tokens=tokens or "not told",
        system=said.in_words(),
    )


def _best_step(made: Path, last: int) -> int:
    """The step whose weights Axolotl kept: the best one it looked at, else the last."""
    try:
        state = json.loads((made / f"checkpoint-{last}" / "trainer_state.json").read_bytes())
        return int(state.get("best_global_step") or last)
    except (OSError, ValueError, AttributeError):
        return last


def _system_prompts(data: Path) -> list[str | None]:
    prompts: list[str | None] = []
    with data.open("rb") as stream:
        for line in stream:
            try:
                row = json.loads(line)
                first = (row.get("messages") or row["input"]["messages"])[0]
                prompts.append(first["content"] if first["role"] == "system" else None)
            except (ValueError, KeyError, TypeError, IndexError, AttributeError):
                continue
    return [prompt if isinstance(prompt, str) else None for prompt in prompts]
