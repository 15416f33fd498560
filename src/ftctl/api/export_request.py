"""What is asked of an export, what comes of it, and the adapter that most exports begin with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ftctl.api.job_handle import Job
from ftctl.config import Settings
from ftctl.errors import NotFound, Unsupported
from ftctl.job import JobSpec, JobState
from ftctl.providers.registry import get_provider

Tell = Callable[[str], None]

_ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


class Exported(BaseModel):
    """Where an export stands: a folder or file here, or an address at a hub.

    `verified` says how far its weights are from those that were trained, where they were changed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    job: str
    to: str
    place: str
    files: tuple[str, ...]
    bytes: int
    commit: str | None = None
    private: bool | None = None
    verified: dict[str, Any] | None = None


@dataclass(frozen=True)
class Exporting:
    """What is asked of one export.

    Attributes:
        job: Whose result.
        to: The target as it was named.
        out: The folder or file to write; None where it goes elsewhere.
        public: Whether strangers may read what is sent away.
        settings: Where things are on this machine.
        tell: Told what is being done.
        max_kl: How far changed weights may be from the trained ones, in nats a token.
    """

    job: Job
    to: str
    out: Path | None
    public: bool
    settings: Settings
    tell: Tell
    max_kl: float = 0.02

    @property
    def spec(self) -> JobSpec:
        """What the job was asked."""
        return self.job.record.spec


def is_adapter(folder: Path) -> bool:
    """Whether a fetched folder is a PEFT adapter; else it is a whole model."""
    return (folder / _ADAPTER[0]).is_file()


def fetched(asked: Exporting, folder: Path, *, whole: bool = False) -> Path:
    """A job's PEFT adapter, in `folder`; with `whole` it may be a model that was tuned whole.

    Raises:
        Unsupported: the provider gives no weights, or something else than a PEFT adapter.
        NotFound: the job has no model.
    """
    job = asked.job
    if not get_provider(job.record.provider, asked.settings).capabilities.returns_weights:
        raise Unsupported(
            f"{job.record.provider} keeps the weights of {job.id}: there is nothing to export",
            hint="ftctl migrate moves the job to a provider that gives them",
        )
    if job.refresh().state is not JobState.SUCCEEDED:
        raise NotFound(f"{job.id} is {job.state}: it has no model", hint=f"ftctl watch {job.id}")
    job.fetch(folder)
    if (folder / "config.json").is_file() and not is_adapter(folder):
        if whole:
            return folder
        raise Unsupported(
            f"{job.id} tuned all weights, so there is no adapter",
            hint=f"ftctl export {job.id} --to merged -o DIR",
        )
    missing = [name for name in _ADAPTER if not (folder / name).is_file()]
    if missing:
        raise Unsupported(
            f"{folder}: {job.record.provider} sent no {' and no '.join(missing)}, so this isn't a "
            "PEFT adapter",
            hint="what it sent is in that folder",
        )
    return folder


def at_home(asked: Exporting, *, whole: bool = False) -> Path:
    """The adapter under the home, for what is made of it or sent on."""
    folder = asked.settings.home / "adapters" / asked.job.record.marker
    return fetched(asked, folder, whole=whole)
