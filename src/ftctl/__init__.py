"""Decide whether, where and how to fine-tune a model, then run it anywhere.

The names below are imported when they are first used: `import ftctl` itself loads nothing.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ftctl.api.advising import advise, check
    from ftctl.api.diagnosing import explain
    from ftctl.api.estimating import estimate
    from ftctl.api.evaluating import evaluate
    from ftctl.api.exporting import export
    from ftctl.api.job_handle import Job, get_job, jobs, watch
    from ftctl.api.migrating import migrate
    from ftctl.api.model_handle import chat
    from ftctl.api.piloting import pilot
    from ftctl.api.probing import probe
    from ftctl.api.submitting import submit
    from ftctl.errors import FtctlError

__version__ = "0.1.0"

_HOMES = {
    "FtctlError": "ftctl.errors",
    "Job": "ftctl.api.job_handle",
    "advise": "ftctl.api.advising",
    "chat": "ftctl.api.model_handle",
    "check": "ftctl.api.advising",
    "estimate": "ftctl.api.estimating",
    "evaluate": "ftctl.api.evaluating",
    "explain": "ftctl.api.diagnosing",
    "export": "ftctl.api.exporting",
    "get_job": "ftctl.api.job_handle",
    "jobs": "ftctl.api.job_handle",
    "migrate": "ftctl.api.migrating",
    "pilot": "ftctl.api.piloting",
    "probe": "ftctl.api.probing",
    "submit": "ftctl.api.submitting",
    "watch": "ftctl.api.job_handle",
}

__all__ = [
    "FtctlError",
    "Job",
    "advise",
    "chat",
    "check",
    "estimate",
    "evaluate",
    "explain",
    "export",
    "get_job",
    "jobs",
    "migrate",
    "pilot",
    "probe",
    "submit",
    "watch",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ftctl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
