"""OpenAI's fine-tuning, and every gateway that speaks its wire."""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

from ftctl.catalog.load import load_catalog
from ftctl.config import Settings, mask_url
from ftctl.errors import FtctlError, IllegalMove, NotFound, Unsupported, UsageError
from ftctl.job import JobEvent, JobSpec, Snapshot, TunedModel
from ftctl.policy import is_gateway
from ftctl.providers.artifacts.download import Download, Progress
from ftctl.providers.artifacts.result_folder import write_results
from ftctl.providers.artifacts.safe_names import choose
from ftctl.providers.base import Probe, RemoteFile
from ftctl.providers.openai import wire as wire
from ftctl.providers.openai.connection import PAGE, Connection
from ftctl.providers.openai.events import EventReader
from ftctl.providers.openai.files import Files
from ftctl.providers.openai.limits import require_bounds, require_tunable
from ftctl.providers.openai.models import Models
from ftctl.providers.openai.profiles import AZURE, BEDROCK, NEBIUS, OPENAI
from ftctl.providers.openai.request import request_of
from ftctl.providers.openai.results import (
    card_of,
    checkpoints_measured,
    metrics_download,
    record_of,
    steps_of,
)
from ftctl.providers.openai.weights import last_with_weights, weights_of
from ftctl.providers.transport.documents import lines_of, moment
from ftctl.providers.transport.http_errors import harmless, may_be_ours

_log = logging.getLogger(__name__)


class OpenAIProvider:
    """Jobs at OpenAI, at a gateway that speaks its wire, or at a vendor with a dialect of it.

    Args:
        settings: Where weights would come home.
        base_url: The job's own; the vendor's when None.

    Attributes:
        models: Those of the account: also who may use a checkpoint.
    """

    profile = OPENAI
    name = OPENAI.name
    capabilities = OPENAI.capabilities

    def __init__(self, settings: Settings, base_url: str | None = None) -> None:
        self._home = settings.home
        # Always said, or the environment's would win.
        self._base_url = (base_url or self.profile.base_url or "").rstrip("/")
        self._gateway = is_gateway(load_catalog().get_provider(self.name), base_url)
        self._who = mask_url(self._base_url) if self._gateway else self.profile.who
        self._at = Connection(self._who, self._base_url, self.name)
        self._files = Files(self._at, self._who, self.profile)
        self.models = Models(self._at)
        self._events = EventReader(self._at)
        self._last_seen: dict[str, wire.Job] = {}  # by the look before the events are asked for

    @property
    def base_url(self) -> str:
        """Where jobs are kept and models answer."""
        return self._base_url

    def check(self, spec: JobSpec) -> None:
        """Refuse what the vendor would refuse, before anything is written or sent.

        Raises:
            ExtraMissing, CredentialsMissing: it can't be asked at all.
            Unsupported: a method, model or grader that it doesn't take.
            UsageError: a base URL, name or setting out of its bounds, or an unknown model.
            PrivacyForbids: the rows would be trained on where they mustn't.
        """
        if not self._base_url:
            raise UsageError(
                f"{self._who} has an address for each customer, and yours isn't given",
                hint=self.profile.address_hint,
            )
        self._at.require()
        if not self._gateway:
            require_tunable(spec.model, spec.method, self.profile)
        require_bounds(spec, self.profile)

    def upload(self, file: Path, sha256: str) -> RemoteFile:
        """Send a file, unless the vendor holds one of this content: its name is its hash."""
        return RemoteFile(id=self._files.hold(file, sha256), sha256=sha256)

    def create(self, spec: JobSpec, files: Mapping[str, RemoteFile], marker: str) -> str:
        """Start a job; its metadata carries our marker.

        Raises:
            Unavailable: no readable answer; the job may exist.
            ProviderError: a definite no; it doesn't.
        """
        request = request_of(spec, files, marker, self.profile)
        made = self._at.one(
            "create a job",
            wire.Job,
            lambda c: c.fine_tuning.jobs.with_raw_response.create(**request),
        )
        if made.marker(self.profile.marker) != marker:
            _log.warning(
                "%s keeps no %s: %s can't be found again by our marker",
                self._who,
                self.profile.marker,
                made.id,
            )
        return made.id

    def find(self, marker: str) -> str | None:
        """The job that carries the marker.

        OpenAI is asked for just that job. Others may not know the filter, or drop what carries the
        marker: the whole list is read, and a job there that may be ours leaves the question open.

        Raises:
            InvalidRequest: it shows a job of our data without a marker.
        """
        filtered = self.profile.filters_lists and not self._gateway
        unmarked = []
        for job in self._jobs({"metadata": {wire.MARKER: marker}} if filtered else {}):
            found = job.marker(self.profile.marker)
            if found == marker:
                return job.id
            if found is None:
                unmarked.append(job)
        if not filtered and unmarked:
            self._require_strangers(unmarked)
        return None

    def _require_strangers(self, jobs: Sequence[wire.Job]) -> None:
        """Refuse to call jobs other people's when they were made of a file that ftctl sent."""
        ours = self._files.ours()
        doubtful = [job.id for job in jobs if job.training_file in ours]
        if doubtful:
            raise may_be_ours(self._who, self.profile.marker, doubtful)

    def poll(self, remote_id: str) -> Snapshot:
        """One look at a job."""
        job = self._last_seen[remote_id] = self._job(remote_id)
        return wire.snapshot_of(job)

    def list_jobs(self) -> Iterator[Mapping[str, Snapshot]]:
        """Every job, newest first, as many at a time as one answer holds.

        Left out are those whose model's name only their checkpoints tell: asked for one by one.
        """
        jobs = self._jobs({})
        while page := list(islice(jobs, PAGE)):
            self._last_seen |= {job.id: job for job in page if job.ended}
            told = (job for job in page if not self._asks_checkpoints(job))
            yield {job.id: wire.snapshot_of(job) for job in told}

    def probe(self, model: str | None) -> Probe:  # noqa: ARG002 - one list tells of the account
        """The newest job that the key's list shows, from one page of it."""
        newest = next(self._jobs({}), None)
        made_at = None if newest is None else newest.created_at
        return Probe(
            has_jobs=newest is not None,
            last_job=None if made_at is None else moment(made_at).date(),
        )

    def events(self, remote_id: str, after: int) -> Sequence[JobEvent]:
        """What the job said, oldest first, leaving out the first `after` lines."""
        return self._events.read(remote_id, after, lambda: self._left_behind(remote_id))

    def _left_behind(self, remote_id: str) -> list[wire.Measured]:
        """What a job that succeeded left of its measurements."""
        job = self._last_seen.pop(remote_id, None) or self._job(remote_id)
        if not job.succeeded:
            return []
        with contextlib.suppress(FtctlError):  # a gateway may keep none
            if self.profile.returns_weights:
                return list(checkpoints_measured(job, self._checkpoints(remote_id)))
            return list(steps_of(self._at, job))
        return []

    def cancel(self, remote_id: str) -> None:
        """Stop a job; harmless when it has ended."""
        with harmless(lambda: self._job(remote_id).ended):
            self._at.one(
                f"cancel {remote_id}",
                wire.Job,
                lambda c: c.fine_tuning.jobs.with_raw_response.cancel(remote_id),
            )

    def pause(self, remote_id: str) -> None:
        """Hold a job; its status is a word that the SDK's types don't have."""
        self._at.one(
            f"pause {remote_id}",
            wire.Job,
            lambda c: c.fine_tuning.jobs.with_raw_response.pause(remote_id),
        )

    def unpause(self, remote_id: str) -> None:
        """Let a paused job go on, in the same attempt."""
        self._at.one(
            f"resume {remote_id}",
            wire.Job,
            lambda c: c.fine_tuning.jobs.with_raw_response.resume(remote_id),
        )

    def shutdown_dates(self) -> Mapping[str, date]:
        """The last day of each model whose end the vendor has announced, by its name."""
        return self.models.shutdown_dates()

    def resume(self, remote_id: str, attempt: int) -> None:
        """Refuse: a stopped job can't go on there."""
        raise Unsupported(
            f"{self._who} can't go on with {remote_id} (attempt {attempt}): it keeps no state",
            hint="submit it again with --new",
        )

    def tuned_model(self, remote_id: str) -> TunedModel:
        """The name under which the tuned model answers.

        Raises:
            NotFound: there is none.
        """
        return self._tuned(self._job(remote_id))

    def fetch(self, remote_id: str, folder: Path, progress: Progress | None = None) -> TunedModel:
        """Bring home events, a model card, and the weights, or metrics where those stay there."""
        job = self._job(remote_id)
        tuned = self._tuned(job)
        checkpoints = self._checkpoints(remote_id)
        last = last_with_weights(checkpoints) if self.profile.returns_weights else None
        files: dict[str, bytes | Download] = {
            "README.md": card_of(job, tuned, self._base_url, weights=last is not None),
            "job.json": record_of(job, checkpoints),
            "events.jsonl": lines_of(self._events.read(remote_id, 0, lambda: ())),
        }
        if last is not None:
            offered = weights_of(
                self._at, last, who=self._who, base_url=self._base_url, provider=self.name
            )
            files |= choose(self._who, offered, taken=files).files
            tuned = tuned.model_copy(update={"folder": folder})
        else:
            for number, file_id in enumerate(job.result_files or (), start=1):
                name = "metrics.csv" if number == 1 else f"metrics-{number}.csv"
                files[name] = metrics_download(self._at, file_id)
        write_results(folder, files, progress)
        return tuned

    def forget(self, remote_id: str) -> None:
        """Delete the job's files, its checkpoints' and its tuned model; see that they are gone.

        A file that a job which hasn't ended still reads is kept, and so is data that wasn't ours.
        The job's own record can't be deleted: the wire has no verb for it.

        Raises:
            IllegalMove: the job hasn't ended.
            Unavailable: something is still there.
        """
        job = self._job(remote_id)
        if not job.ended:
            raise IllegalMove(f"{remote_id} hasn't ended: {job.status}", hint="cancel it first")
        running = [other for other in self._jobs({}) if not other.ended]
        kept: set[str | None] = {file for other in running for file in other.files}
        kept |= {job.training_file, job.validation_file} - self._files.ours()
        checkpoints = self._checkpoints(remote_id) if self.profile.returns_weights else []
        weights = [file for row in checkpoints for file in row.result_files or ()]
        for file_id in dict.fromkeys([*job.files, *weights]):
            if file_id not in kept:
                self._files.delete(file_id)
        if job.fine_tuned_model:
            self.models.delete(job.fine_tuned_model)

    def _named(self, job: wire.Job) -> wire.Job:
        """The job with its model's name, where only its checkpoints tell that."""
        if job.fine_tuned_model or not self._asks_checkpoints(job):
            return job
        last = last_with_weights(self._checkpoints(job.id))
        name = None if last is None else last.fine_tuned_model_checkpoint or last.id
        return job.model_copy(update={"fine_tuned_model": name})

    def _asks_checkpoints(self, job: wire.Job) -> bool:
        return self.profile.returns_weights and job.succeeded and not job.fine_tuned_model

    def _tuned(self, job: wire.Job) -> TunedModel:
        if not job.ended or not job.fine_tuned_model:
            raise NotFound(
                f"{job.id}: there is no tuned model yet ({job.status})", hint="ftctl watch"
            )
        return TunedModel(name=job.fine_tuned_model, base_model=job.model, base_url=self._base_url)

    def _job(self, remote_id: str) -> wire.Job:
        return self._named(
            self._at.one(
                f"show job {remote_id}",
                wire.Job,
                lambda c: c.fine_tuning.jobs.with_raw_response.retrieve(remote_id),
            )
        )

    def _jobs(self, query: dict[str, Any]) -> Iterator[wire.Job]:
        return self._at.rows(
            "list jobs",
            wire.Job,
            lambda c, q: c.fine_tuning.jobs.with_raw_response.list(**query, **q),
        )

    def _checkpoints(self, remote_id: str) -> list[wire.Checkpoint]:
        try:
            return list(
                self._at.rows(
                    f"list the checkpoints of {remote_id}",
                    wire.Checkpoint,
                    lambda c, q: c.fine_tuning.jobs.checkpoints.with_raw_response.list(
                        remote_id, **q
                    ),
                )
            )
        except NotFound:  # not every gateway has them
            return []


class AzureProvider(OpenAIProvider):
    """Jobs at Azure AI Foundry."""

    profile, name, capabilities = AZURE, AZURE.name, AZURE.capabilities


class NebiusProvider(OpenAIProvider):
    """Jobs at Nebius Token Factory."""

    profile, name, capabilities = NEBIUS, NEBIUS.name, NEBIUS.capabilities


class BedrockProvider(OpenAIProvider):
    """Reinforcement fine-tuning at Amazon Bedrock, over OpenAI's wire."""

    profile, name, capabilities = BEDROCK, BEDROCK.name, BEDROCK.capabilities
