"""What is measured also reaches TensorBoard, MLflow, W&B and trackio: the real packages."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_model import write_data, write_model
from tool_sessions import _UNREACHED, MACHINE, find_uv, run

TESTS = Path(__file__).resolve().parents[1]
NAMES = ("tensorboard", "mlflow", "wandb", "trackio")


def said_by(stdout: str) -> Any:
    """The script's own line: trackers talk, too, before it and after."""
    (line,) = [line for line in stdout.splitlines() if line.startswith('{"metrics"')]
    return json.loads(line)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_each_holds_what_stands_in_the_metrics_and_no_row(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    wanted = ("tensorboard", "mlflow-skinny", "wandb", "trackio")
    pip: list[str | Path] = [find_uv(), "pip", "install", "-q", "--target", packages]
    pip += ["--python", sys.executable]
    ran = run([*pip, *wanted], tmp_path)
    if ran.returncode and any(word in ran.stderr.lower() for word in _UNREACHED):
        pytest.skip(f"no package index: {ran.stderr.strip().splitlines()[-1]}")
    assert ran.returncode == 0, ran.stderr

    model, data = write_model(tmp_path / "tiny"), write_data(tmp_path / "train.jsonl")
    there = {
        "PYTHONPATH": str(TESTS),
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(tmp_path),
        "TRACKIO_DIR": str(tmp_path / "trackio"),
        "MLFLOW_TRACKING_URI": (tmp_path / "mlflow").as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",
    }
    home = tmp_path / "home"
    home.mkdir()
    script = TESTS / "local_backend" / "tracked_run.py"
    command: list[str | Path] = [sys.executable, script, home, model, data, packages]
    command.append(",".join(NAMES))
    done = subprocess.run(
        command, cwd=tmp_path, env=MACHINE | there, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = said_by(done.stdout)
    steps = [row for row in found["metrics"] if row["kind"] == "step"]
    expected = [[row["step"], pytest.approx(row["loss"], rel=1e-6)] for row in steps]
    assert len(expected) == 3
    for name in ("tensorboard", "mlflow", "trackio"):
        assert found[name] == expected, name
    assert found["wandb"] == {"step/loss": True, "indeed": False, str(home / "run"): False}
    assert not [row for row in found["events"] if "takes no metrics" in row["message"]]


@pytest.mark.medium
@pytest.mark.timeout(600)
def test_one_that_fails_is_told_of_and_the_training_goes_on(tmp_path: Path) -> None:
    """A stand-in named like the package, on the path of a process of its own, that breaks."""
    broken = tmp_path / "packages" / "wandb"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text(
        "def init(**options):\n    raise RuntimeError('no such project')\n", encoding="utf-8"
    )
    model, data = write_model(tmp_path / "tiny"), write_data(tmp_path / "train.jsonl")
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys, tracked_run\nfrom pathlib import Path\n"
        "tracked_run.in_wandb = lambda run: None\n"
        "tracked_run.main(*map(Path, sys.argv[1:4]), *sys.argv[4:])"
    )
    paths = os.pathsep.join([str(TESTS), str(TESTS / "local_backend")])
    done = subprocess.run(
        [sys.executable, "-c", code, home, model, data, str(broken.parent), "wandb"],
        env=dict(os.environ) | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = said_by(done.stdout)
    assert len([row for row in found["metrics"] if row["kind"] == "step"]) == 3
    told = [row["message"] for row in found["events"]]
    said = "wandb takes no metrics any more (no such project); metrics.jsonl goes on"
    assert told.count(said) == 1
