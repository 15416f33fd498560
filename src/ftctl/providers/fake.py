"""A provider that only pretends: scripted, and kept in a folder so that it outlives a process.

For tests of what lives above a provider, ours and other people's. Nothing leaves the machine and
nothing is trained.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ftctl.errors import (
    AuthError,
    FtctlError,
    IllegalMove,
    InvalidRequest,
    NotFound,
    RateLimited,
    Retired,
    Unavailable,
)
from ftctl.job import Hyperparameters, JobEvent, JobSpec, JobState, Snapshot, TunedModel
from ftctl.providers.artifacts.download import Progress
from ftctl.providers.artifacts.result_folder import write_results
from ftctl.providers.base import Capabilities, RemoteFile

Trouble = Literal[
    "auth", "invalid", "not_found", "retired", "rate_limited", "unavailable", "answer_lost"
]
_ERRORS: dict[Trouble, type[FtctlError]] = {
    "auth": AuthError,
    "invalid": InvalidRequest,
    "not_found": NotFound,
    "retired": Retired,
    "rate_limited": RateLimited,
    "unavailable": Unavailable,
}
_LAST_STOP = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class FakeScript(BaseModel):
    """What the fake provider will do.

    Attributes:
        words: What a job says at each look, one after the other; the last one stays. A word that
            is no job state is one that nobody knows.
        troubles: For each verb, what goes wrong with its next calls, one after the other.
            `answer_lost` makes the job and fails all the same.
        hidden_looks: How many times a new job isn't found: lists lag.
        names_a_model: Whether a job that succeeded names its model.
        retry_after_s: How long `rate_limited` asks to wait, in seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: tuple[str, ...] = ("validating", "queued", "running", "succeeded")
    troubles: dict[str, tuple[Trouble, ...]] = {}
    hidden_looks: int = 0
    names_a_model: bool = True
    retry_after_s: float | None = None


class FakeJob(BaseModel):
    """A job as the fake provider holds it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    marker: str
    name: str
    model: str
    looks: int = 0
    hidden_looks: int = 0
    cancelled: bool = False


class FakeProvider:
    """Jobs that are only said to run.

    Args:
        folder: Where its jobs, files and script are; two drivers on one folder see the same.
    """

    name = "fake"
    capabilities = Capabilities(
        methods=frozenset({"sft", "dpo", "rft"}),
        tunings=frozenset({"lora", "qlora", "full"}),
        hyperparameters=frozenset(Hyperparameters.model_fields),
        can_cancel=True,
        can_find=True,
        can_resume=True,
        returns_weights=False,
        data_stays_here=True,
        lists_lag=True,
    )

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def script(self) -> FakeScript:
        """What it will do."""
        file = self._folder / "script.json"
        return FakeScript.model_validate_json(file.read_bytes()) if file.exists() else FakeScript()

    @script.setter
    def script(self, script: FakeScript) -> None:
        self._write("script.json", script)

    @property
    def jobs(self) -> list[FakeJob]:
        """Every job that was made."""
        files = sorted((self._folder / "jobs").glob("*.json"))
        return [FakeJob.model_validate_json(file.read_bytes()) for file in files]

    def check(self, spec: JobSpec) -> None:
        """Refuse nothing but what the script says."""
        self._trouble("check")

    def upload(self, file: Path, sha256: str) -> RemoteFile:
        """Keep a copy, named by its hash."""
        self._trouble("upload")
        kept = self._folder / "files" / sha256
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(file.read_bytes())
        return RemoteFile(id=sha256, sha256=sha256)

    def create(self, spec: JobSpec, files: Mapping[str, RemoteFile], marker: str) -> str:
        """Make a job; like a vendor, a second one for the same marker when asked again."""
        trouble = self._trouble("create")
        job = FakeJob(
            id=f"fake-{secrets.token_hex(6)}",
            marker=marker,
            name=spec.name,
            model=spec.model,
            hidden_looks=self.script.hidden_looks,
        )
        self._keep(job)
        if trouble == "answer_lost":
            raise Unavailable("fake: the answer was lost")
        return job.id

    def find(self, marker: str) -> str | None:
        """The job that carries the marker, once lists show it."""
        self._trouble("find")
        for job in self.jobs:
            if job.marker == marker:
                if not job.hidden_looks:
                    return job.id
                self._keep(job.model_copy(update={"hidden_looks": job.hidden_looks - 1}))
        return None

    def poll(self, remote_id: str) -> Snapshot:
        """Say the next word of the script."""
        job = self._job("poll", remote_id)
        word = self._word(job)
        self._keep(job.model_copy(update={"looks": job.looks + 1}))
        state = JobState(word) if word in set(JobState) else None
        done = state is JobState.SUCCEEDED
        reason = {"kind": "scripted", "message": "scripted", "hint": "change the script"}
        return Snapshot(
            state=state,
            provider_status=word,
            message="scripted" if state is JobState.FAILED else "",
            fine_tuned_model=f"{job.id}-model" if done and self.script.names_a_model else None,
            progress={"trained_tokens": 42.0} if done else {},
            error=reason if state is JobState.FAILED else None,
        )

    def list_jobs(self) -> Iterator[Mapping[str, Snapshot]]:
        """All jobs on one page; each is looked at."""
        self._trouble("list_jobs")
        yield {job.id: self.poll(job.id) for job in self.jobs}

    def events(self, remote_id: str, after: int) -> Sequence[JobEvent]:
        """One line for each look so far."""
        job = self._job("events", remote_id)
        at = datetime.fromtimestamp(0, UTC)
        lines = [
            JobEvent(source_id=f"look-{n}", at=at, message=f"look {n}") for n in range(job.looks)
        ]
        return lines[after:]

    def cancel(self, remote_id: str) -> None:
        """Stop a job; harmless when it has ended."""
        job = self._job("cancel", remote_id)
        if self._word(job) not in _LAST_STOP:
            self._keep(job.model_copy(update={"cancelled": True}))

    def resume(self, remote_id: str, attempt: int) -> None:
        """Begin the script again."""
        job = self._job("resume", remote_id)
        self._keep(job.model_copy(update={"cancelled": False, "looks": 0}))

    def fetch(self, remote_id: str, folder: Path, progress: Progress | None = None) -> TunedModel:
        """Write a model card: there are no weights."""
        job = self._job("fetch", remote_id)
        tuned = self._tuned(job)
        card = f"# {job.name}\n\nNothing was trained.\n"
        write_results(folder, {"README.md": card.encode()}, progress)
        return tuned

    def tuned_model(self, remote_id: str) -> TunedModel:
        """The name that a tuned model would have."""
        return self._tuned(self._job("tuned_model", remote_id))

    def forget(self, remote_id: str) -> None:
        """Delete the job; harmless when it is gone.

        Raises:
            IllegalMove: it hasn't ended.
        """
        self._trouble("forget")
        job = next((job for job in self.jobs if job.id == remote_id), None)
        if job is not None and self._word(job) not in _LAST_STOP:
            raise IllegalMove(f"{remote_id} hasn't ended", hint="cancel it first")
        (self._folder / "jobs" / f"{remote_id}.json").unlink(missing_ok=True)

    def _tuned(self, job: FakeJob) -> TunedModel:
        if self._word(job) != JobState.SUCCEEDED or not self.script.names_a_model:
            raise NotFound(f"{job.id}: there is no tuned model yet", hint="ftctl watch")
        return TunedModel(name=f"{job.id}-model", base_model=job.model)

    def _word(self, job: FakeJob) -> str:
        words = self.script.words
        return JobState.CANCELLED if job.cancelled else words[min(job.looks, len(words) - 1)]

    def _job(self, verb: str, remote_id: str) -> FakeJob:
        self._trouble(verb)
        for job in self.jobs:
            if job.id == remote_id:
                return job
        raise NotFound(f"fake: no job {remote_id}", hint="submit it again with --new")

    def _trouble(self, verb: str) -> Trouble | None:
        """What the script lets go wrong now; taken off the script."""
        script = self.script
        waiting = script.troubles.get(verb, ())
        if not waiting:
            return None
        left = script.troubles | {verb: waiting[1:]}
        self.script = script.model_copy(update={"troubles": left})
        kind = _ERRORS.get(waiting[0])
        if kind is not None:
            error = kind(f"fake: scripted for {verb}", hint="run the same command again")
            if isinstance(error, RateLimited):
                error.retry_after_s = script.retry_after_s
            raise error
        return waiting[0]

    def _keep(self, job: FakeJob) -> None:
        self._write(f"jobs/{job.id}.json", job)

    def _write(self, name: str, document: BaseModel) -> None:
        file = self._folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.part-{secrets.token_hex(4)}")
        part.write_text(document.model_dump_json(), encoding="utf-8")
        part.replace(file)
