"""What somebody decided about a job: the line of the audit log."""

import getpass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict


class AuditEntry(BaseModel):
    """Who did what, when; entries are never changed or taken away."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    at: datetime
    job_id: str | None
    actor: str
    action: str
    detail: dict[str, Any]


def this_user() -> str:
    """The name of who runs this process, as the operating system has it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may run under a number without a name
        return "unknown"
