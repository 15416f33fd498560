"""Acme, an invented vendor, as a provider of ftctl.

A driver translates between ftctl and one wire, and does nothing else: it keeps no records, retries
nothing and decides nothing.
"""

import functools
import weakref
from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import IO, Annotated, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, JsonValue, ValidationError

from ftctl.config import Credential, Settings, direct_mounts, find_credential
from ftctl.errors import (
    CredentialsMissing,
    IllegalMove,
    NotFound,
    ProviderError,
    Unavailable,
    Unsupported,
)
from ftctl.job import JobEvent, JobSpec, JobState, Snapshot, TunedModel
from ftctl.providers.artifacts.download import Progress
from ftctl.providers.artifacts.result_folder import write_results
from ftctl.providers.base import Capabilities, RemoteFile
from ftctl.providers.transport.http_errors import connection_error, printable, status_error

BASE_URL = "https://api.acme.example"
TIMEOUT_S = 60.0

# Every status word. One that isn't here is reported as unknown, never guessed.
STATES = {
    "checking": JobState.VALIDATING,
    "waiting": JobState.QUEUED,
    "working": JobState.RUNNING,
    "done": JobState.SUCCEEDED,
    "broken": JobState.FAILED,
    "stopped": JobState.CANCELLED,
}

Words = Annotated[str, AfterValidator(printable)]  # a stranger's text can't move the cursor


class Datasets(BaseModel):
    """The hashes of the files that Acme holds."""

    datasets: frozenset[str]


class Job(BaseModel):
    """A job as Acme tells it; `label` is our marker."""

    id: str = Field(min_length=1)
    label: str
    state: Words
    model: Words
    tuned_model: Words | None = None
    problem: Words = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        state = STATES.get(self.state)
        return state is not None and state.terminal


class Jobs(BaseModel):
    """A list of jobs."""

    jobs: tuple[Job, ...]


class Line(BaseModel):
    """What a job said, and when."""

    at: AwareDatetime
    text: Words


class Log(BaseModel):
    """All that a job said, oldest first."""

    lines: tuple[Line, ...]


class Deleted(BaseModel):
    """That something is gone."""

    deleted: bool


_Document = TypeVar("_Document", bound=BaseModel)


class Acme:
    """Jobs at Acme.

    Args:
        settings: Where things are on this machine.
        base_url: The job's own; Acme's when None. The key is sent nowhere else.
    """

    name = "acme"
    capabilities = Capabilities(
        methods=frozenset({"sft"}),
        tunings=frozenset({"lora"}),
        hyperparameters=frozenset({"epochs"}),
        can_cancel=True,
        can_find=True,
        can_resume=False,
        returns_weights=False,
        data_stays_here=False,
        lists_lag=True,
    )

    def __init__(self, settings: Settings, base_url: str | None = None) -> None:
        self._home = settings.home
        self._base_url = base_url or BASE_URL

    def check(self, spec: JobSpec) -> None:
        """Refuse what can be known to fail: here, a missing key or a validation file."""
        self._credential()
        if spec.validation is not None:
            raise Unsupported("Acme takes no validation file", hint="leave out --validation")

    def upload(self, file: Path, sha256: str) -> RemoteFile:
        """Send a file, unless Acme holds it."""
        held = self._ask("list datasets", Datasets, "GET", "/datasets")
        if sha256 not in held.datasets:
            path = f"/datasets/{sha256}"
            with file.open("rb") as stream:
                self._ask("take a dataset", Datasets, "PUT", path, content=stream)
        return RemoteFile(id=sha256, sha256=sha256)

    def create(self, spec: JobSpec, files: Mapping[str, RemoteFile], marker: str) -> str:
        """Start a job that carries our marker. Sent once: a second POST would be a second job."""
        asked: dict[str, JsonValue] = {
            "label": marker,
            "model": spec.model,
            "dataset": files["training"].id,
        }
        if spec.hyperparameters.epochs is not None:
            asked["epochs"] = spec.hyperparameters.epochs
        return self._ask("create a job", Job, "POST", "/jobs", json=asked).id

    def find(self, marker: str) -> str | None:
        """The job that carries the marker; None when Acme answered that there is none."""
        found = self._ask("list jobs", Jobs, "GET", f"/jobs?label={quote(marker)}")
        return next((job.id for job in found.jobs if job.label == marker), None)

    def poll(self, remote_id: str) -> Snapshot:
        """One look. The status word decides, not whether there is a problem."""
        job = self._job(remote_id)
        state = STATES.get(job.state)
        error = None
        if state is JobState.FAILED:
            error = {"kind": "failed", "message": job.problem, "hint": "ftctl logs"}
        return Snapshot(
            state=state,
            provider_status=job.state,
            message=job.problem,
            fine_tuned_model=job.tuned_model,
            error=error,
        )

    def events(self, remote_id: str, after: int) -> Sequence[JobEvent]:
        """What the job said, oldest first, leaving out the first `after` lines."""
        log = self._ask("show a log", Log, "GET", f"{_path(remote_id)}/log")
        events = [
            JobEvent(source_id=str(number), at=line.at.astimezone(UTC), message=line.text)
            for number, line in enumerate(log.lines)
        ]
        return events[after:]

    def cancel(self, remote_id: str) -> None:
        """Stop a job; Acme takes it calmly when it has ended."""
        self._ask("stop a job", Job, "POST", f"{_path(remote_id)}/stop")

    def resume(self, remote_id: str, attempt: int) -> None:
        """Refuse: a stopped job can't go on there."""
        raise Unsupported(f"Acme can't go on with {remote_id} (attempt {attempt})", hint="--new")

    def tuned_model(self, remote_id: str) -> TunedModel:
        """The name under which the tuned model answers."""
        job = self._job(remote_id)
        if not job.ended or not job.tuned_model:
            raise NotFound(f"{job.id}: there is no tuned model ({job.state})", hint="ftctl watch")
        return TunedModel(name=job.tuned_model, base_model=job.model, base_url=self._base_url)

    def fetch(self, remote_id: str, folder: Path, progress: Progress | None = None) -> TunedModel:
        """Bring home a model card: the weights stay there."""
        tuned = self.tuned_model(remote_id)
        card = f"# {tuned.name}\n\nTuned from {tuned.base_model} at {self._base_url}.\n"
        write_results(folder, {"README.md": card.encode()}, progress)
        return tuned

    def forget(self, remote_id: str) -> None:
        """Delete a job that has ended, with its model; again is harmless."""
        try:
            job = self._job(remote_id)
        except NotFound:
            return
        if not job.ended:
            raise IllegalMove(f"{job.id} hasn't ended ({job.state})", hint="cancel it first")
        self._ask("delete a job", Deleted, "DELETE", _path(remote_id))

    def _job(self, remote_id: str) -> Job:
        return self._ask("show a job", Job, "GET", _path(remote_id))

    def _ask(
        self,
        doing: str,
        document: type[_Document],
        method: str,
        path: str,
        json: JsonValue = None,
        content: IO[bytes] | None = None,
    ) -> _Document:
        """One request, one answer; whatever goes wrong becomes an error of ftctl."""
        key = self._credential()
        headers = {"Authorization": f"Bearer {key.key}"}
        try:
            answer = self._client.request(method, path, headers=headers, json=json, content=content)
        except httpx2.RequestError as error:
            raise connection_error(
                who="Acme", doing=doing, url=self._base_url, error=error
            ) from None
        if not answer.is_success:
            raise self._refusal(doing, answer, key)
        try:
            return document.model_validate_json(answer.content)
        except ValidationError:  # a create may have been done: unclear, which isn't no
            raise Unavailable(f"asked to {doing}, Acme sent something else") from None

    def _refusal(self, doing: str, answer: httpx2.Response, key: Credential) -> ProviderError:
        try:
            body = answer.json()
        except ValueError:
            body = None
        return status_error(
            who="Acme",
            doing=doing,
            status=answer.status_code,
            headers=answer.headers,
            body=body,
            credential=key,
        )

    @functools.cached_property
    def _client(self) -> httpx2.Client:
        client = httpx2.Client(
            base_url=self._base_url, timeout=TIMEOUT_S, mounts=direct_mounts(self._base_url)
        )
        weakref.finalize(self, client.close)
        return client

    def _credential(self) -> Credential:
        key = find_credential(self.name, self._home)
        if key is None:
            raise CredentialsMissing("Acme needs a key", hint="ftctl config set-key acme")
        return key


def _path(remote_id: str) -> str:
    """A job's path, which a strange id can't leave."""
    return f"/jobs/{quote(remote_id, safe='')}"
