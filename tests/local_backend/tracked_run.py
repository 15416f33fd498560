"""A short run whose metrics also go to trackers; started by a test, with a folder of packages."""

import json
import sys
from pathlib import Path


def main(home: Path, model: Path, data: Path, packages: str, track: str) -> None:
    """Train three steps, then say what each tracker holds.

    Args:
        home: Where the run and the trackers may write.
        model: A tiny model.
        data: Examples for it.
        packages: The folder that holds the trackers' packages.
        track: As `--set track=` takes it.
    """
    sys.path.append(packages)
    from training_runs import run_of, settings, watch

    from ftctl.local_backend.train import train

    run, config = run_of(home, model, data, settings(max_steps=3, checkpoint_steps=3))
    held_out = {"validation": data, "validation_sha256": config.data_sha256}
    train(config.model_copy(update={**held_out, "options": {"track": track}}), run, watch())
    found: dict[str, object] = {
        "metrics": list(run.rows(run.metrics_file)),
        "events": list(run.rows(run.events_file)),
    }
    for name in track.split(","):
        found[name] = {
            "tensorboard": in_tensorboard,
            "mlflow": in_mlflow,
            "wandb": in_wandb,
            "trackio": in_trackio,
        }[name](run.path)
    print(json.dumps(found))  # noqa: T201 - what the test reads


def in_tensorboard(run: Path) -> object:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    seen = EventAccumulator(str(run / "tracking" / "test"))
    seen.Reload()
    return [[event.step, event.value] for event in seen.Scalars("step/loss")]


def in_mlflow(run: Path) -> object:
    from mlflow import MlflowClient

    client = MlflowClient()
    (experiment,) = client.search_experiments(filter_string="name = 'test'")
    (found,) = client.search_runs([experiment.experiment_id])
    history = client.get_metric_history(found.info.run_id, "step/loss")
    return [[metric.step, metric.value] for metric in history]


def in_wandb(run: Path) -> object:
    """Offline it leaves a file to be sent later; its text holds the names of what was logged."""
    (file,) = Path.cwd().rglob("*.wandb")
    data = file.read_bytes()
    return {name: name.encode() in data for name in ("step/loss", "indeed", str(run))}


def in_trackio(run: Path) -> object:
    import os
    import sqlite3

    (file,) = Path(os.environ["TRACKIO_DIR"]).glob("*.db")
    rows = sqlite3.connect(file).execute("select step, metrics from metrics order by step")
    told = [(step, json.loads(text)) for step, text in rows]
    return [[step, row["step/loss"]] for step, row in told if "step/loss" in row]


if __name__ == "__main__":
    where, base, rows = map(Path, sys.argv[1:4])
    main(where, base, rows, *sys.argv[4:])
