"""What Axolotl says while it trains, read line by line.

Source: Axolotl 0.19.0 with transformers 5.16: a line of progress bar before each dictionary of
figures, whose values are texts.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ftctl.local_backend.checkpoint import Progress
from ftctl.local_backend.engines.trainer import renamed

_FIGURES = re.compile(r"\{'.*\}")
_BAR = re.compile(r"\d+%\|[^|]*\| *(\d+)/(\d+) \[")


@dataclass
class Figures:
    """Reads figures out of the lines; `at` is how far the run is.

    Attributes:
        at: Steps and tokens so far.
        total_steps: As the progress bar says it; 0 before it does.
    """

    at: Progress
    total_steps: int = 0
    _bar: tuple[int, int] = (0, 0)
    _before: dict[str, float] = field(default_factory=dict)

    def read(self, line: str) -> dict[str, Any] | None:
        """A row for `metrics.jsonl`, where the line holds the figures of a step or validation."""
        bars = _BAR.findall(line)
        if bars:
            self._bar = (int(bars[-1][0]), int(bars[-1][1]))
        found = figures_in(line)
        if "eval_loss" in found:
            return {"kind": "validation", "step": self.at.step, "loss": found["eval_loss"]}
        if "loss" not in found:
            return None
        step = self.at.step + 1
        if self._bar[0] == step:
            self.total_steps = self._bar[1]
        self.at = replace(
            self.at,
            step=step,
            tokens=self.at.tokens + self._more("num_tokens", found),
            trained_tokens=self.at.trained_tokens + self._more("tokens/trainable", found),
        )
        row: dict[str, Any] = {"kind": "step", "step": step}
        return row | renamed(found) | {"trained_tokens": self.at.trained_tokens}

    def _more(self, name: str, found: Mapping[str, float]) -> int:
        """Tokens since the step before; the counts begin anew with each process.

        SFT tells those with a loss, DPO all but padding.
        """
        before = self._before.get(name, 0.0)
        now = self._before[name] = found.get(name, before)
        return int(now - before)


def figures_in(line: str) -> dict[str, float]:
    """The dictionary that a line ends in, its values as numbers; empty where there is none."""
    matched = _FIGURES.search(line)
    if matched is None:
        return {}
    try:
        found = ast.literal_eval(matched[0])
        return {str(key): float(value) for key, value in found.items()}
    except (ValueError, SyntaxError, TypeError, AttributeError, MemoryError, RecursionError):
        return {}
