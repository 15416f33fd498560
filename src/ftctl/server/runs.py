"""What a run folder tells beyond its state: metrics, checkpoints, when it ended."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ftctl.job import JobEvent, JobRecord
from ftctl.local_backend.checkpoint import folder_of, whole_steps
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.run_folder import RunFolder

METRICS = "metrics-"  # begins the source ids of events made of metrics
_COLUMNS = ("step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy")


@dataclass(frozen=True)
class StepMetrics:
    """What was measured at one optimiser step; losses in nats per token, or per pair."""

    step: int
    train_loss: float | None = None
    valid_loss: float | None = None
    rewards: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A saved state of the adapter."""

    step: int
    saved_at: float
    metrics: StepMetrics


class RunFacts:
    """One job's run folder, read for the wire.

    Args:
        home: The ftctl home.
        record: The job.
    """

    def __init__(self, home: Path, record: JobRecord) -> None:
        self._run = RunFolder(home / "runs" / (record.remote_id or record.marker))
        self._attempt = record.attempt

    def ended_at(self) -> datetime | None:
        """When the worker said its last word; None when there is no such word."""
        ending = self._run.exit_record(self._attempt)
        return None if ending is None else ending.at

    def metric_events(self, after: int) -> list[JobEvent]:
        """The metrics after the first `after` lines, as events.

        Raises:
            StoreError: the run folder is damaged.
        """
        plan = self._run.read(self._run.plan_file, Plan)
        total = 0 if plan is None else plan.total_steps
        rows = self._run.rows(self._run.metrics_file)
        found = (_event(n, row, total) for n, row in enumerate(rows, 1) if n > after)
        return [event for event in found if event is not None]

    def steps(self) -> list[StepMetrics]:
        """The metrics by step; a step that was done twice, around a resume, counts once."""
        by_step: dict[int, StepMetrics] = {}
        for row in self._run.rows(self._run.metrics_file):
            step, loss = row.get("step"), row.get("loss")
            if not isinstance(step, int) or not isinstance(loss, int | float):
                continue
            known = by_step.get(step, StepMetrics(step))
            held_out = row.get("kind") == "validation"
            rewards = known.rewards | _rewards(row, held_out=held_out)
            train = known.train_loss if held_out else loss
            valid = loss if held_out else known.valid_loss
            by_step[step] = StepMetrics(step, train, valid, rewards)
        return [by_step[step] for step in sorted(by_step)]

    def checkpoints(self) -> list[Checkpoint]:
        """The whole checkpoints that are still kept, newest first."""
        metrics = {row.step: row for row in self.steps()}
        found = []
        for step in reversed(whole_steps(self._run)):
            try:
                saved_at = (folder_of(self._run, step) / "progress.json").stat().st_mtime
            except FileNotFoundError:  # the worker has just dropped it
                continue
            found.append(Checkpoint(step, saved_at, metrics.get(step, StepMetrics(step))))
        return found

    def checkpoint_weights(self, step: str) -> Path | None:
        """The adapter's weights after a step, while they are kept."""
        if step not in map(str, whole_steps(self._run)):
            return None
        return folder_of(self._run, int(step)) / "adapter_model.safetensors"


def result_csv(steps: Sequence[StepMetrics]) -> bytes:
    """The result file in OpenAI's columns, and those of the rewards where there are any.

    Cells are empty for what isn't measured here.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    more = list(dict.fromkeys(name for row in steps for name in row.rewards))
    table.writerow([*_COLUMNS, *more])
    for row in steps:
        losses = [row.step, _cell(row.train_loss), "", _cell(row.valid_loss), ""]
        table.writerow([*losses, *(_cell(row.rewards.get(name)) for name in more)])
    return text.getvalue().encode()


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _rewards(row: dict[str, Any], *, held_out: bool) -> dict[str, float]:
    """DPO's own numbers, by their names on the wire."""
    begins = "valid" if held_out else "train"
    known = {f"{begins}_{name}": row.get(name) for name in ("reward_margin", "reward_accuracy")}
    return {name: float(n) for name, n in known.items() if isinstance(n, int | float)}


def _event(number: int, row: dict[str, Any], total_steps: int) -> JobEvent | None:
    """One line of the metrics as an event; what a hand may have broken is passed over."""
    step, loss = row.get("step"), row.get("loss")
    if not isinstance(step, int) or not isinstance(loss, int | float):
        return None
    held_out = row.get("kind") == "validation"
    try:
        at = datetime.fromisoformat(str(row.get("at")))
    except ValueError:
        at = datetime.now(UTC)
    what, key = ("validation", "valid_loss") if held_out else ("training", "train_loss")
    return JobEvent(
        source_id=f"{METRICS}{number}",
        at=at,
        kind="state",  # else the watcher would take it for one of the run's own messages
        message=f"Step {step}/{total_steps}: {what} loss={loss:.4f}",
        data={"step": step, "total_steps": total_steps, key: loss}
        | _rewards(row, held_out=held_out),
    )
