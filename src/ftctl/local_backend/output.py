"""What a finished run leaves: a PEFT or model folder, a card, the run record, a manifest."""

import contextlib
import importlib.metadata
import json
import os
import platform
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ftctl import __version__
from ftctl.catalog.load import load_catalog
from ftctl.datasets.digest import file_sha256
from ftctl.datasets.render import Tokenizer
from ftctl.errors import FtctlError, StoreError, UsageError
from ftctl.local_backend.checkpoint import Progress
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.run_folder import RunFolder, WorkerConfig

MANIFEST = "manifest.json"
_VERSIONED = ("torch", "transformers", "peft", "accelerate", "safetensors")

# The ranks that vLLM takes for --max-lora-rank beyond its default of 16. Source: `MaxLoRARanks` in
# its vllm/config/lora.py, 0.26 and 0.27.
_VLLM_RANKS = (32, 64, 128, 256, 320, 512)

_CARD = """---
base_model: {base}
library_name: {library}
tags: [{tags}]
---
# {name}

{what}, fine-tuned by ftctl {version} from `{model}` ({how}).

| | |
|---|---|
| data | {data}, sha256 `{data_sha256}` |
| system prompt | {system} |
| steps | {steps} of {total} ({reason}), kept: {kept} |
| trained tokens | {tokens} |
| device, format | {device}, {dtype} |

Every setting, version and measurement stands in `run.json`, every step in `metrics.jsonl`.

## Use

In this folder:

```python
from {library} import {loader}
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = {loader}.from_pretrained(".")
```

Or without code: `ftctl chat .`

With vLLM:

```bash
{vllm}
```
"""


def write_output(  # noqa: PLR0913 - what a run has in hand at its end
    run: RunFolder,
    config: WorkerConfig,
    plan: Plan,
    at: Progress,
    model: Any,  # noqa: ANN401 - a PeftModel, or the whole model that full fine-tuning leaves
    tokenizer: Tokenizer,
    base: Path | str,
    *,
    system_prompts: Sequence[str | None] = (),
) -> None:
    """Write the folder of the adapter, or of the whole model, whole or not at all.

    Args:
        run: Where to.
        config: What was asked.
        plan: What was chosen.
        at: How far it went.
        model: What was tuned.
        tokenizer: With the chat template it was tuned with.
        base: What it started from.
        system_prompts: The system message of each training example.
    """
    run.check_fence()
    part = run.output.with_name(f"output.part-{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(str(part))
    tokenizer.save_pretrained(str(part))  # type: ignore[attr-defined]  # transformers' own
    if run.metrics_file.exists():
        shutil.copyfile(run.metrics_file, part / "metrics.jsonl")
    said = system_prompts_of(system_prompts)
    record = {
        "config": config.model_dump(mode="json", exclude={"home"}),
        "plan": plan.model_dump(mode="json"),
        "system_prompts": said.model_dump(),
        "steps": at.step,
        "kept_step": at.best_step or at.step,
        "trained_tokens": at.trained_tokens,
        "seconds": at.seconds,
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONED}
        | {"ftctl": __version__, "python": platform.python_version()},
    }
    (part / "run.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    text = _card(
        config, plan, at, said, _kind_words(model, config, public_name(config.model, base))
    )
    (part / "README.md").write_text(text, encoding="utf-8")
    write_manifest(part)
    shutil.rmtree(run.output, ignore_errors=True)
    part.rename(run.output)


def _card(
    config: WorkerConfig, plan: Plan, at: Progress, said: "SystemPrompts", kind: dict[str, str]
) -> str:
    return _CARD.format(
        name=config.name,
        version=__version__,
        model=config.model,
        how=config.method if plan.beta is None else f"dpo, beta {plan.beta:g}",
        data=config.data.name,
        data_sha256=config.data_sha256,
        steps=at.step,
        total=plan.total_steps,
        reason=plan.steps_reason,
        kept=f"step {at.best_step}, the best on validation" if at.best_step else "the last step",
        tokens=at.trained_tokens,
        device=plan.device_name,
        dtype=plan.dtype,
        system=said.in_words(),
        **kind,
    )


def _kind_words(
    model: Any,  # noqa: ANN401 - as `write_output`'s
    config: WorkerConfig,
    base: str,
) -> dict[str, str]:
    """What the card says of an adapter, or of a whole model."""
    if not hasattr(model, "peft_config"):
        return {
            "base": base,
            "what": "A whole model with all its weights tuned, no adapter",
            "library": "transformers",
            "loader": "AutoModelForCausalLM",
            "tags": f"full, {config.method}, ftctl",
            "vllm": "vllm serve .",
        }
    rank = max(adapter.r for adapter in model.peft_config.values())
    wide = next((known for known in _VLLM_RANKS if known >= rank), rank)
    module = shlex.quote(re.sub(r"\s+", "-", config.name.strip()) + "=.")
    more = f" --max-lora-rank {wide}" if rank > 16 else ""
    return {
        "base": base,
        "what": "A LoRA adapter",
        "library": "peft",
        "loader": "AutoPeftModelForCausalLM",
        "tags": f"lora, {config.method}, ftctl",
        "vllm": f"vllm serve {shlex.quote(base)} --enable-lora --lora-modules {module}{more}",
    }


class SystemPrompts(BaseModel):
    """Which system messages a model was trained with, as `run.json` keeps it.

    Attributes:
        distinct: How many different ones.
        most_common: The one that most examples had; None where most had none.
        share: How many of all examples had it, from 0 to 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    distinct: int = 0
    most_common: str | None = None
    share: float = 0.0

    def in_words(self) -> str:
        """As a cell of a table."""
        if not self.share:
            return "not recorded"
        if self.most_common is None:
            return "none" if self.share == 1 else f"none in {self.share:.0%} of the examples"
        one_line = " ".join(self.most_common.split()).replace("|", "\\|")
        short = one_line if len(one_line) <= 300 else one_line[:300] + " … (whole in `run.json`)"
        return f"{self.share:.0%} of the examples: {short}"


def system_prompts_of(prompts: Sequence[str | None]) -> SystemPrompts:
    """The system prompts of a training file, counted."""
    if not prompts:
        return SystemPrompts()
    (text, count), *_ = Counter(prompts).most_common(1)
    distinct = len({prompt for prompt in prompts if prompt is not None})
    return SystemPrompts(distinct=distinct, most_common=text, share=count / len(prompts))


def public_name(model: str, base: Path | str) -> str:
    """What others know the base by: its hub id where it has one, else where it is here."""
    row = load_catalog().find_model(model)
    return row.hub_id if row is not None and row.hub_id is not None else str(base)


def write_manifest(folder: Path) -> None:
    """Write down sha256 and size of every file in a folder, by which it is known to be whole."""
    (folder / MANIFEST).write_text(json.dumps(_manifest(folder), indent=1), encoding="utf-8")


def _manifest(folder: Path) -> dict[str, dict[str, str | int]]:
    """sha256 and size of every file in a folder but the manifest itself."""
    return {
        file.name: {"sha256": file_sha256(file), "bytes": file.stat().st_size}
        for file in sorted(folder.iterdir())
        if file.name != MANIFEST
    }


def is_whole(folder: Path) -> bool:
    """Whether a folder holds what its manifest says, byte for byte."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        return bool(manifest == _manifest(folder))
    except (OSError, ValueError):
        return False


def copy_output(source: Path, target: Path) -> None:
    """Copy an output folder into `target`: whole or not at all, and again without harm.

    Raises:
        UsageError: `target` holds something else.
        StoreError: the source isn't whole, or the disk won't take the copy.
    """
    if not is_whole(source):
        raise StoreError(
            f"{source}: the adapter isn't what the run wrote (its manifest doesn't match)",
            hint="ftctl resume ID writes it again from the last checkpoint",
        )
    target = target.resolve()  # `.` and `..` have no name to put a part beside
    with one_at_a_time(source):  # a second one must not judge a folder that is half there
        _copy(source, target)


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Whoever else asks for the same folder waits, in any process; the killed hold up nobody."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems lock no folders
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _copy(source: Path, target: Path) -> None:
    # The run's own name: no folder of the user's, and what is there a fetch that was killed left.
    part = target.parent / f"{target.name}.part-{source.parent.name}"
    shutil.rmtree(part, ignore_errors=True)
    if _is_copy(source, target):
        return
    if target.exists() and not _is_piece(source, target):
        raise UsageError(
            f"{target}: exists and isn't this job's adapter", hint="name an empty or new folder"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copytree(source, part)
            if not is_whole(part):
                raise StoreError(
                    f"{part}: the copy doesn't match its manifest", hint="run it again"
                )
            _put(part, target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            f"{target}: could not be written ({_reason(error)}); the job and its adapter are "
            "untouched",
            hint="free space or choose another folder, then run the same command again",
        ) from None


def _put(part: Path, target: Path) -> None:
    """Give the copy its name; a folder that is there stays, for it may be the current one."""
    if not target.exists():
        part.rename(target)
        return
    files = sorted(part.iterdir(), key=lambda file: file.name == MANIFEST)  # the manifest last
    moved = [target / file.name for file in files]
    try:
        for file, place in zip(files, moved, strict=True):
            file.replace(place)
    except OSError:
        for place in moved:
            place.unlink(missing_ok=True)
        raise


def _is_piece(source: Path, target: Path) -> bool:
    """Whether a folder is empty, or holds whole files of `source` alone: a fetch was killed."""
    whole = json.loads((source / MANIFEST).read_bytes())
    try:
        return all(row == whole.get(name) for name, row in _manifest(target).items())
    except (OSError, FtctlError):  # no folder, or a folder in it
        return False


def _is_copy(source: Path, target: Path) -> bool:
    return is_whole(target) and _same_manifest(source, target)


def _same_manifest(a: Path, b: Path) -> bool:
    return (a / MANIFEST).read_bytes() == (b / MANIFEST).read_bytes()


def _reason(error: OSError) -> str:
    """Copytree gathers its failures as (source, target, why) rows: the first why is enough."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        return str(error.args[0][0][2])
    return str(error.strerror or error)
