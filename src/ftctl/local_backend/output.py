"""What a finished run leaves: a PEFT folder, a model card, the run record, a manifest."""

import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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

_CARD = """---
base_model: {base}
library_name: peft
tags: [lora, {method}, ftctl]
---
# {name}

A LoRA adapter, fine-tuned by ftctl {version} from `{model}` ({how}).

| | |
|---|---|
| data | {data}, sha256 `{data_sha256}` |
| steps | {steps} of {total} ({reason}), kept: {kept} |
| trained tokens | {tokens} |
| device, format | {device}, {dtype} |

Every setting, version and measurement stands in `run.json`, every step in `metrics.jsonl`.

## Use

In this folder:

```python
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoPeftModelForCausalLM.from_pretrained(".")
```

Or without code: `ftctl chat .`
"""


def write_output(
    run: RunFolder,
    config: WorkerConfig,
    plan: Plan,
    at: Progress,
    model: Any,  # noqa: ANN401 - a PeftModel
    tokenizer: Tokenizer,
    base: Path | str,
) -> None:
    """Write the adapter folder whole or not at all."""
    run.check_fence()
    part = run.output.with_name(f"output.part-{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(str(part), safe_serialization=True)
    tokenizer.save_pretrained(str(part))  # type: ignore[attr-defined]  # transformers' own
    if run.metrics_file.exists():
        shutil.copyfile(run.metrics_file, part / "metrics.jsonl")
    record = {
        "config": config.model_dump(mode="json", exclude={"home"}),
        "plan": plan.model_dump(mode="json"),
        "steps": at.step,
        "kept_step": at.best_step or at.step,
        "trained_tokens": at.trained_tokens,
        "seconds": at.seconds,
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONED}
        | {"ftctl": __version__, "python": platform.python_version()},
    }
    (part / "run.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    card = _CARD.format(
        base=public_name(config.model, base),
        name=config.name,
        version=__version__,
        model=config.model,
        method=config.method,
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
    )
    (part / "README.md").write_text(card, encoding="utf-8")
    (part / MANIFEST).write_text(json.dumps(_manifest(part), indent=1), encoding="utf-8")
    shutil.rmtree(run.output, ignore_errors=True)
    part.rename(run.output)


def public_name(model: str, base: Path | str) -> str:
    """What others know the base by: its hub id where it has one, else where it is here."""
    row = load_catalog().find_model(model)
    return row.hub_id if row is not None and row.hub_id is not None else str(base)


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
