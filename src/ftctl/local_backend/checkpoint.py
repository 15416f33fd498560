"""Checkpoints: everything a resumed run needs to go on as if it had never stopped."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftctl.local_backend.model import (
    put_tuned_weights,
    trained_names,
    tuned_weights,
    weights_file,
)
from ftctl.local_backend.run_folder import RunFolder

if TYPE_CHECKING:
    import torch

Model = Any  # a PeftModel, or a whole model whose weights are all trained


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the run is; stands in every checkpoint.

    Attributes:
        step: Optimiser steps done.
        tokens: All tokens that went through so far, which is what vendors bill.
        trained_tokens: Those of them that loss was taken on.
        seconds: Wall time spent training so far, all attempts together.
        best_step: The step whose checkpoint scored best on the validation data; 0 is none yet.
        best_score: Its score: (exact match, -loss); larger is better.
        processes: How many trained together in the last step.
    """

    step: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    seconds: float = 0.0
    best_step: int = 0
    best_score: tuple[float, float] | None = None
    processes: int = 1


def folder_of(run: RunFolder, step: int) -> Path:
    """Where a step's checkpoint stands."""
    return run.checkpoints / f"step-{step:06d}"


def save(
    run: RunFolder,
    model: Model,
    optimizer: "torch.optim.Optimizer",
    at: Progress,
    *,
    keep: int = 2,
) -> None:
    """Write a checkpoint whole or not at all, then drop old ones.

    Args:
        run: Where to.
        model: What was trained.
        optimizer: With its moments, and with the masters of weights in bf16.
        at: How far it is.
        keep: How many of the last ones stay; the best one stays besides.
    """
    import torch
    from safetensors.torch import save_file

    run.check_fence()
    weights, moments = tuned_weights(model), optimizer.state_dict()["state"]
    if not run.writes:  # asked for its part of them, where a model is split between processes
        return
    target = folder_of(run, at.step)
    part = target.with_name(f"{target.name}.part-{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_file(weights, part / weights_file(model))
    tensors = {"rng": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        tensors["rng-cuda"] = torch.cuda.get_rng_state()
    for index, state in moments.items():
        tensors |= {f"{index}.{name}": value.cpu() for name, value in state.items()}
    save_file(tensors, part / "optimizer.safetensors")
    # Last, so that a folder with it is whole.
    (part / "progress.json").write_text(json.dumps(asdict(at)), encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    for old in whole_steps(run)[:-keep]:
        if old != at.best_step:
            shutil.rmtree(folder_of(run, old), ignore_errors=True)


def whole_steps(run: RunFolder) -> list[int]:
    """Steps that have a whole checkpoint, ascending."""
    found = []
    for file in run.checkpoints.glob("step-*/progress.json"):
        number = file.parent.name.removeprefix("step-")
        if number.isdigit() and read_progress(file) is not None:
            found.append(int(number))
    return sorted(found)


def read_progress(file: Path) -> Progress | None:
    """The progress a checkpoint holds; None when it is damaged."""
    try:
        row = json.loads(file.read_bytes())
        score = row["best_score"]
        return Progress(**row | {"best_score": tuple(score) if score else None})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def restore(run: RunFolder, model: Model, optimizer: "torch.optim.Optimizer") -> Progress:
    """Load the newest checkpoint that can be read; a fresh start when there is none."""
    from safetensors import SafetensorError

    steps = whole_steps(run)
    for step in reversed(steps):
        folder = folder_of(run, step)
        progress = read_progress(folder / "progress.json")
        try:
            if progress is not None:
                _apply(folder, model, optimizer)
                return progress
        except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
            # Damaged by hand or by the disk: the one before it is worth more than giving up.
            run.append(
                run.events_file,
                {"level": "warning", "message": f"{folder.name} can't be read ({error}); skipped"},
            )
    if steps:
        message = "no checkpoint is left that can be read: the run begins at its first step again"
        run.append(run.events_file, {"level": "warning", "message": message})
    return Progress()


def drop_rows_after(run: RunFolder, step: int) -> None:
    """Take out of the metrics what an attempt did after its last checkpoint: it is done again.

    The file is replaced whole, so that somebody who reads it sees the old one or the new one.
    """
    run.check_fence()
    if not run.writes:
        return
    rows = list(run.rows(run.metrics_file))
    kept = [row for row in rows if row.get("step", 0) <= step]
    if len(kept) == len(rows):
        return
    part = run.metrics_file.with_name(f"{run.metrics_file.name}.part-{os.getpid()}")
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
    part.write_text("".join(lines), encoding="utf-8")
    part.replace(run.metrics_file)


def _apply(folder: Path, model: Model, optimizer: "torch.optim.Optimizer") -> None:
    """Put a checkpoint into model, optimizer and random generators: all of it, or nothing.

    Raises:
        ValueError: the checkpoint is of another model or adapter.
        OSError, SafetensorError, KeyError: a file can't be read.
    """
    import torch
    from safetensors.torch import load_file

    weights = load_file(folder / weights_file(model))
    tensors = load_file(folder / "optimizer.safetensors")
    generators = {key: tensors.pop(key) for key in ("rng", "rng-cuda") if key in tensors}
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    ours = tuned_weights(model)
    _take_format(weights, state, ours, trained_names(model))
    if {name: (w.shape, w.dtype) for name, w in weights.items()} != {
        name: (w.shape, w.dtype) for name, w in ours.items()
    }:
        raise ValueError("its weights have other names, shapes or formats than the model's")
    _require_fitting(state, optimizer)
    torch.set_rng_state(generators["rng"])
    if "rng-cuda" in generators and torch.cuda.is_available():
        torch.cuda.set_rng_state(generators["rng-cuda"])
    put_tuned_weights(model, weights)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _take_format(
    weights: dict[str, "torch.Tensor"],
    state: dict[int, dict[str, "torch.Tensor"]],
    ours: dict[str, "torch.Tensor"],
    names: Sequence[str],
) -> None:
    """Let a checkpoint of whole weights be one of split weights, or the other way round.

    Computing in bf16, whole weights are kept in it, each with a master in fp32 beside its moments;
    split ones are kept in fp32 alone. So any number of processes goes on from a checkpoint.
    """
    import torch

    for index, name in enumerate(names):
        row, here, there = state.get(index, {}), ours.get(name), weights.get(name)
        if here is None or there is None or here.dtype == there.dtype:
            continue
        if here.dtype is torch.float32 and "master" in row:
            weights[name] = row.pop("master")
        elif there.dtype is torch.float32 and "master" not in row:
            weights[name], row["master"] = there.to(here.dtype), there


def _require_fitting(
    state: dict[int, dict[str, "torch.Tensor"]], optimizer: "torch.optim.Optimizer"
) -> None:
    """Refuse an optimizer's state that isn't one of these weights; some may have had no gradient.

    Raises:
        ValueError: moments or masters of other shapes, or none.
        KeyError: one is missing.
    """
    trained = dict(enumerate(w for group in optimizer.param_groups for w in group["params"]))
    masters = ["master"] if "master" in optimizer.state_dict()["state"].get(0, {}) else []
    for name in ("exp_avg", "exp_avg_sq", *masters):
        if not state or any(row[name].shape != trained[i].shape for i, row in state.items()):
            raise ValueError("its optimizer state has other shapes than the model's weights")


def newest_progress(run: RunFolder) -> Progress:
    """How far the last checkpoint is; zeros when there is none."""
    steps = whole_steps(run)
    found = read_progress(folder_of(run, steps[-1]) / "progress.json") if steps else None
    return found or Progress()
