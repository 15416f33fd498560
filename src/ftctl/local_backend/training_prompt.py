"""The system message that a model was tuned with, and what to say when another one is sent."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import override

from ftctl.pages.text import shorten, visible

RECORD = "run.json"
_NEARLY_ALL = 0.9  # of the examples; with fewer no message is the one it was tuned with
_SHOWN = 80  # columns of it that are shown


class TrainingPrompt(BaseModel):
    """What nearly every training example began with.

    Attributes:
        text: The system message; None where the examples had none.
        share: The part of the examples that began so, from 0 to 1.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    text: str | None = Field(alias="most_common")
    share: float = Field(ge=_NEARLY_ALL, le=1)

    @override
    def __str__(self) -> str:
        return f'"{shorten(visible(self.text or ""), _SHOWN)}"'

    def unlike(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """What is to say of a conversation that begins otherwise; "" when it doesn't."""
        sent, known = _system_of(messages), (self.text or "").strip()
        if sent == known:
            return ""
        many = "all" if self.share == 1 else f"{self.share:.0%}"
        if not known:
            what = f"{many} of its training examples had no system message, and one is sent"
        else:
            other = "another" if sent else "none"
            what = f"{many} of its training examples had the system message {self}, {other} is sent"
        return f"{what}: answers may be worse"


def find_training_prompt(folder: Path) -> TrainingPrompt | None:
    """What the run record in a model's folder tells; None where there is none, or no one message.

    Args:
        folder: An adapter, or a model it was merged into.
    """
    try:
        return TrainingPrompt.model_validate(
            json.loads((folder / RECORD).read_bytes())["system_prompts"]
        )
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None  # fetched from elsewhere, written by an older version, or mixed


def _system_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """The system message a conversation begins with; "" where it has none."""
    if not messages or messages[0].get("role") not in ("system", "developer"):
        return ""
    content = messages[0].get("content") or ""
    if isinstance(content, list):  # OpenAI's parts
        content = "".join(part.get("text", "") for part in content)
    return str(content).strip()
