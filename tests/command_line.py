"""What the fixtures `cli` and `cli_process` are and return."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Ran:
    """What a command printed and how it ended."""

    stdout: str
    stderr: str
    returncode: int

    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.stdout)


class Cli(Protocol):
    """Runs the command line: `cli("data", "check", path)`."""

    def __call__(self, *args: str | Path, stdin: str | None = None) -> Ran: ...
