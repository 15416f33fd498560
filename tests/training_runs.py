"""Runs that are trained in the test's own process, and stopped where a test wants it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ftctl.datasets.digest import file_sha256
from ftctl.job import Hyperparameters, Method, Tuning
from ftctl.local_backend.data import Batch
from ftctl.local_backend.loop import Watch
from ftctl.local_backend.losses import summed_by_row, token_losses
from ftctl.local_backend.run_folder import RunFolder, WorkerConfig


def settings(**values: Any) -> Hyperparameters:
    known = {"max_steps": 6, "batch_size": 8, "learning_rate": 5e-3, "checkpoint_steps": 2}
    return Hyperparameters(**{**known, **values})


def run_of(
    tmp_path: Path,
    model: Path,
    data: Path,
    chosen: Hyperparameters,
    name: str = "run",
    method: Method = "sft",
    tuning: Tuning = "lora",
    options: dict[str, str] | None = None,
) -> tuple[RunFolder, WorkerConfig]:
    run = RunFolder(tmp_path / name, attempt=1)
    run.path.mkdir()
    config = WorkerConfig(
        attempt=1,
        job_id="job-test",
        name="test",
        model=str(model),
        data=data,
        data_sha256=file_sha256(data),
        validation=None,
        validation_sha256=None,
        method=method,
        tuning=tuning,
        hyperparameters=chosen,
        options=options or {},
        home=tmp_path / "home",
    )
    run.write(run.config_file, config)
    return run, config


def watch(stop_after: int | None = None) -> Watch:
    """Nobody listens; a stop is asked for once this step is done."""
    seen = {"step": 0}

    def report(_phase: str, _message: str, **fields: Any) -> None:
        seen["step"] = fields.get("step", seen["step"])

    return Watch(report, lambda: stop_after is not None and seen["step"] >= stop_after)


def logps_of(model: Any, batch: Batch, *, shared: bool) -> Any:
    """Log-probability of each row's trained tokens, in nats: [B]."""
    chosen = batch if shared else replace(batch, prefix=0)
    return -summed_by_row(token_losses(model, chosen, plain=not shared), chosen)


def tuned_of(run: RunFolder) -> bytes:
    """The weights that a run left: of its adapter, or of the whole model."""
    (file,) = run.output.glob("*model.safetensors")
    return file.read_bytes()


def steps_of(run: RunFolder) -> list[dict[str, Any]]:
    """What was measured at each step."""
    return [row for row in run.rows(run.metrics_file) if row["kind"] == "step"]
