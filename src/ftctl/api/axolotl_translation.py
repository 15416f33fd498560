"""What became of an Axolotl configuration's keys, for the job and for the person who reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict


class Line(BaseModel):
    """One key: what it said, what it became, and what a person should know of that."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    value: str
    becomes: str = ""
    note: str = ""


@dataclass
class Translation:
    """What a configuration asks for, in our words.

    Attributes:
        fields: Of a spec: model, method, tuning.
        settings: Hyperparameters, and options of the local provider.
        data: Files with rows to train on.
        validation: Files with rows to watch.
        held_out: Share of the rows to set aside where there is no such file.
        warmup_steps: Given as a number of steps; a share of them only once the rows are counted.
        lines: What became of each key.
        lost: Keys that change what is learnt and have no counterpart.
        unknown: Keys that nobody knows.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    data: list[Path] = field(default_factory=list)
    validation: list[Path] = field(default_factory=list)
    held_out: float = 0.0
    warmup_steps: int | None = None
    lines: list[Line] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def told(self, key: str, value: object, becomes: str = "", note: str = "") -> None:
        """Keep what became of a key."""
        self.lines.append(Line(key=key, value=shown(value), becomes=becomes, note=note))

    def lose(self, key: str, value: object, note: str) -> None:
        """Keep that a key can't be carried."""
        self.told(key, value, "", note)
        self.lost.append(f"{key} ({shown(value)})")


def shown(value: object) -> str:
    """A value in a few words; what is nested is only counted."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(str(key) for key in list(value)[:6]) + "}"
    if isinstance(value, list):
        plain = all(isinstance(item, str | int | float | bool) for item in value)
        return shown(", ".join(map(str, value[:12]))) if plain else f"{len(value)} entries"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= 60 else one_line[:57] + "…"
