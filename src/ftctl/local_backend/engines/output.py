"""What another engine leaves, as our folder: weights, tokenizer, card, record, manifest."""

import json
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from ftctl import __version__
from ftctl.datasets.digest import file_sha256
from ftctl.errors import JobFailed
from ftctl.local_backend.checkpoint import Progress
from ftctl.local_backend.output import SystemPrompts, public_name, system_prompts_of, write_manifest
from ftctl.local_backend.run_folder import RunFolder, WorkerConfig

_TOKENIZER = """
    tokenizer.json tokenizer_config.json chat_template.jinja special_tokens_map.json
    added_tokens.json vocab.json merges.txt tokenizer.model
    """
_MODEL = ("config.json", "generation_config.json")
_ADAPTER = ["adapter_config.json", "adapter_model.safetensors"]
_CARD = """---
base_model: {base}
library_name: {library}
tags: [{tags}, ftctl]
---
# {name}

{what}, fine-tuned by {engine} {version} under ftctl {ours} from `{model}` ({method}).

| | |
|---|---|
| data | {data}, sha256 `{data_sha256}` |
| steps | {steps} |
| trained tokens | {tokens} |
| system prompt | {system} |

What {engine} was told is in `{settings}`, every setting of the job in `run.json`, every step in
`metrics.jsonl`. `ftctl chat .` talks to it.
"""


@dataclass(frozen=True, slots=True)
class Engine:
    """Who trained, and by which settings.

    Attributes:
        name: What `--engine` takes.
        title: What people call it.
        version: Its own.
        settings: The file of what it was told.
    """

    name: str
    title: str
    version: str
    settings: Path


def write_engine_output(
    run: RunFolder, config: WorkerConfig, at: Progress, base: Path | str, engine: Engine, made: Path
) -> None:
    """Write our output folder from what an engine left: whole or not at all.

    Args:
        run: Where to.
        config: What was asked.
        at: How far it went.
        base: What it started from.
        engine: What trained.
        made: The folder with its weights and tokenizer.

    Raises:
        JobFailed: it left no weights.
    """
    run.check_fence()
    part = run.path / f"output.part-{engine.name}"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    whole = config.tuning == "full"
    weights = [file.name for file in made.glob("model*.safetensors*")] if whole else _ADAPTER
    for name in (*weights, *(_MODEL if whole else ()), *_TOKENIZER.split()):
        if (made / name).is_file():
            shutil.copyfile(made / name, part / name)
    if not any(part.glob("*.safetensors")):
        raise JobFailed(
            f"{engine.title} ended without an error, but left no weights in {made}",
            hint=f"see {run.log_file}",
        )
    shutil.copyfile(engine.settings, part / engine.settings.name)
    if run.metrics_file.exists():
        shutil.copyfile(run.metrics_file, part / "metrics.jsonl")
    said = system_prompts_of(_system_prompts(config.data))
    kept = at.best_step or at.step
    record = {
        "config": config.model_dump(mode="json", exclude={"home"}),
        "engine": {
            "name": engine.name,
            "version": engine.version,
            "config_sha256": file_sha256(engine.settings),
        },
        "system_prompts": said.model_dump(),
        "steps": at.step,
        "kept_step": kept,
        "trained_tokens": at.trained_tokens,
        "seconds": at.seconds,
        "versions": {"ftctl": __version__, "python": platform.python_version()},
    }
    (part / "run.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    card = _card(config, base, engine, at, said)
    (part / "README.md").write_text(card, encoding="utf-8")
    write_manifest(part)
    shutil.rmtree(run.output, ignore_errors=True)
    part.rename(run.output)


def _card(
    config: WorkerConfig,
    base: Path | str,
    engine: Engine,
    at: Progress,
    said: SystemPrompts,
) -> str:
    whole = config.tuning == "full"
    return _CARD.format(
        base=public_name(config.model, base),
        library="transformers" if whole else "peft",
        tags=f"{'full' if whole else 'lora'}, {config.method}, {engine.name}",
        name=config.name,
        what="A whole model with all its weights tuned" if whole else "A LoRA adapter",
        engine=engine.title,
        version=engine.version,
        settings=engine.settings.name,
        ours=__version__,
        model=config.model,
        method=config.method,
        data=config.data.name,
        data_sha256=config.data_sha256,
        steps=f"{at.step}, kept: step {at.best_step or at.step}",
        tokens=at.trained_tokens or "not told",
        system=said.in_words(),
    )


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
