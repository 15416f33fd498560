"""What the fixture `start_server` returns."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Running:
    """A server that runs as a process of its own."""

    process: "subprocess.Popen[str]"
    base_url: str
    token: str = field(repr=False)
    log: Path
    said: dict[str, Any]

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.base_url.rpartition(":")[2].partition("/")[0])
