"""What Axolotl and TRL have in common: transformers' Trainer, its checkpoints and its figures.

Source: transformers 5.24, where `trainer_state.json` is the last file of a checkpoint.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ftctl.local_backend.checkpoint import Progress, folder_of, read_progress
from ftctl.local_backend.run_folder import RunFolder

_NAMES = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "rewards/margins": "reward_margin",
    "rewards/accuracies": "reward_accuracy",
}


def renamed(figures: Mapping[str, float], prefix: str = "") -> dict[str, float]:
    """Figures by our names, those that have one; of a validation where the prefix is `eval_`."""
    found = {ours: figures.get(prefix + theirs) for theirs, ours in _NAMES.items()}
    return {ours: value for ours, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The Trainer's checkpoints, and where ours would stand, how far each of them is.

    Attributes:
        made: The Trainer's output folder.
    """

    run: RunFolder
    made: Path

    def newest(self) -> int:
        """The step of the newest whole one; 0 is none."""
        found = (
            file.parent.name.rpartition("-")[2]
            for file in self.made.glob("checkpoint-*/trainer_state.json")
        )
        return max((int(step) for step in found if step.isdecimal()), default=0)

    def resumed(self) -> Progress:
        """How far the newest whole one is; a torn one is taken away."""
        for torn in self.made.glob("checkpoint-*"):
            if not (torn / "trainer_state.json").is_file():
                shutil.rmtree(torn, ignore_errors=True)
        step = self.newest()
        kept = read_progress(folder_of(self.run, step) / "progress.json") if step else None
        return kept or Progress(step=step)

    def note(self, seen: Mapping[int, Progress]) -> None:
        """Write down how far the newest one is.

        Args:
            seen: Progress by step.
        """
        step = self.newest()
        folder = folder_of(self.run, step)
        if step not in seen or (folder / "progress.json").exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(seen[step]))
        (folder / "progress.json").write_text(text, encoding="utf-8")
        for old in self.run.checkpoints.glob("step-*"):
            if old != folder:
                shutil.rmtree(old, ignore_errors=True)

    def best(self, last: int) -> int:
        """The step that scored best on the validation data as the last one knows; 0 is none."""
        try:
            state = json.loads((self.made / f"checkpoint-{last}/trainer_state.json").read_bytes())
            return int(state.get("best_global_step") or 0)
        except (OSError, ValueError, AttributeError):
            return 0
