"""Metrics elsewhere, too: TensorBoard, Weights & Biases, MLflow or trackio, by accelerate's hands.

`metrics.jsonl` stays the truth. Trackers follow it, so that they see what stands there and nothing
else: numbers, never a row of the data.
"""

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any

from ftctl.errors import Unsupported, UsageError
from ftctl.local_backend.run_folder import RunFolder

# Name of each, the module it needs, and the package that holds it.
_NEEDS = {
    "tensorboard": ("tensorboard", "tensorboard"),
    "wandb": ("wandb", "wandb"),
    "mlflow": ("mlflow", "mlflow-skinny"),
    "trackio": ("trackio", "trackio"),
}
# What else these would send: code, the console, the state of a repository.
_QUIET = {
    "WANDB_DISABLE_CODE": "true",
    "WANDB_DISABLE_GIT": "true",
    "WANDB_CONSOLE": "off",
    "WANDB_SILENT": "true",
}


def trackers_of(said: str) -> tuple[str, ...]:
    """The trackers that are named.

    Raises:
        UsageError: one that isn't known.
        Unsupported: one whose package isn't installed.
    """
    names = tuple(dict.fromkeys(name.strip() for name in said.split(",") if name.strip()))
    for name in names:
        if name not in _NEEDS:
            raise UsageError(f"track={name!r}: no such tracker", hint=f"known: {', '.join(_NEEDS)}")
        module, package = _NEEDS[name]
        if find_spec(module) is None:
            raise Unsupported(
                f"tracking with {name} needs the package {package}, which isn't installed",
                hint=f"pip install {package}",
            )
    return names


class Trackers:
    """Passes on what is new in a run's metrics; one that fails is told of and left alone.

    Args:
        run: Whose metrics.
        names: Of the trackers.
        name: What the run is called there.
        settings: Told once: numbers and words by name.
        tell: Told of a tracker that fails.
    """

    def __init__(
        self,
        run: RunFolder,
        names: tuple[str, ...],
        name: str,
        settings: Mapping[str, object],
        tell: Callable[[str], None],
    ) -> None:
        self._run, self._tell = run, tell
        self._read = run.metrics_file.stat().st_size if run.metrics_file.exists() else 0
        self._live: dict[str, Any] = {}
        os.environ.update(_QUIET)
        for tracker in names:
            self._try(tracker, partial(self._start, tracker, name, settings))

    def follow(self) -> None:
        """Pass on the rows that were written since the last call."""
        if not self._live or not self._run.metrics_file.exists():
            return
        with self._run.metrics_file.open("rb") as stream:
            stream.seek(self._read)
            new = stream.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            row = json.loads(line)
            kind, step = row.pop("kind", "step"), row.pop("step", 0)
            found = {
                f"{kind}/{key}": value
                for key, value in row.items()
                if isinstance(value, int | float)
            }
            for name, tracker in list(self._live.items()):
                self._try(name, partial(tracker.log, found, step=step))

    def close(self) -> None:
        """Write out what they still hold."""
        for name, tracker in list(self._live.items()):
            self._try(name, tracker.finish)

    def _start(self, tracker: str, name: str, settings: Mapping[str, object]) -> None:
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        made = LOGGER_TYPE_TO_CLASS[tracker]
        folder = {"logging_dir": str(self._run.path / "tracking")}
        started = made(name, **folder if made.requires_logging_directory else {})
        started.start()
        started.store_init_configuration(dict(settings))
        self._live[tracker] = started

    def _try(self, name: str, act: Callable[[], object]) -> None:
        """The training is worth more than its curve elsewhere."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - whatever a foreign service does
            self._live.pop(name, None)
            self._tell(f"{name} takes no metrics any more ({error}); metrics.jsonl goes on")
