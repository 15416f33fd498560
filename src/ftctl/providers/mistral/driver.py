"""Mistral's fine-tuning, over plain HTTP: for a gateway that still speaks its wire.

Mistral itself takes no jobs any more, and its SDK dropped them; who asks is told so by the
catalog before a driver is made. Models that were tuned there are kept and asked through the SDK.

A job is one request: with `auto_start`, which is the rule, the vendor goes on by itself, so that
an unanswered create that is found again by its suffix is under way. The limit of `--max-cost` is
held against the vendor's dry run, which makes nothing. With `--set auto_start=false` the job is
made, validated and quoted, and waits; a person starts it with `ftctl resume`. No look starts it.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from ftctl.config import Settings, mask_url
from ftctl.errors import IllegalMove, InvalidRequest, NotFound, Unavailable, Unsupported
from ftctl.job import JobEvent, JobSpec, JobState, Snapshot, TunedModel
from ftctl.providers.artifacts.download import Progress
from ftctl.providers.artifacts.result_folder import write_results
from ftctl.providers.base import Capabilities, KeptModel, RemoteFile
from ftctl.providers.mistral import request as asking
from ftctl.providers.mistral import wire as wire
from ftctl.providers.mistral.chat import MistralModel
from ftctl.providers.mistral.models import MistralModels
from ftctl.providers.mistral.results import files_of
from ftctl.providers.mistral.sdk import MistralSdk
from ftctl.providers.prices import VendorPrice
from ftctl.providers.sending import OURS, name_of
from ftctl.providers.transport.documents import untold
from ftctl.providers.transport.http_connection import HttpConnection, segment
from ftctl.providers.transport.http_errors import harmless, may_be_ours

BASE_URL = "https://api.mistral.ai/v1"
PAGE = 100
_JOBS = "/fine_tuning/jobs"

_Page = TypeVar("_Page", wire.Jobs, wire.Files)
_log = logging.getLogger(__name__)


class MistralProvider:
    """Jobs at a gateway that speaks Mistral's wire.

    Args:
        settings: Not used; every driver is made with them.
        base_url: The job's own; Mistral's when None.
    """

    name = "mistral"
    capabilities = Capabilities(
        methods=frozenset({"sft"}),
        tunings=frozenset({"lora"}),
        hyperparameters=frozenset(
            {
                "epochs",
                "max_steps",
                "learning_rate",
                "weight_decay",
                "warmup_fraction",
                "max_length",
            }
        ),
        can_cancel=True,
        can_find=True,
        can_resume=False,
        returns_weights=False,
        data_stays_here=False,
        lists_lag=True,
        dialect="mistral",
        options=asking.OPTIONS,
    )

    def __init__(
        self,
        settings: Settings,  # noqa: ARG002 - every driver is made so
        base_url: str | None = None,
    ) -> None:
        self._base_url = (base_url or BASE_URL).rstrip("/")
        self._who = "Mistral" if base_url is None else mask_url(self._base_url)
        self._at = HttpConnection(self._who, self._base_url, self.name)
        self._sdk = MistralSdk(self._who, self._base_url)
        self._models = MistralModels(self._sdk, self._who)

    def check(self, spec: JobSpec) -> None:
        """Refuse what the vendor would refuse, without asking it.

        Raises:
            CredentialsMissing: no key.
            UsageError: a base URL or a setting out of its range.
            Unsupported: a file that is too large.
        """
        self._at.require()
        asking.require_settings(spec)

    def upload(self, file: Path, sha256: str) -> RemoteFile:
        """Send a file, unless one of this content is held: its name is its hash."""
        name = name_of(sha256)
        for held in self._files(name):
            _log.info("%s holds %s already, as %s", self._who, name, held.id)
            return RemoteFile(id=held.id, sha256=sha256)
        sent = self._at.send_file(
            "take a file", "/files", file, name=name, fields={"purpose": "fine-tune"}
        )
        return RemoteFile(id=self._at.read("take a file", wire.File, sent).id, sha256=sha256)

    def price(self, spec: JobSpec, files: Mapping[str, RemoteFile]) -> VendorPrice | None:
        """What a dry run says that the job costs; None where it says nothing in dollars.

        A gateway that knows no dry run may take it for a create: it is asked for one that waits
        for its start, which is cancelled at once.
        """
        body = asking.request_of(spec, files) | {asking.AUTO_START: False}
        try:
            said = self._at.one(
                "quote a job", wire.DryRun, "POST", _JOBS, query={"dry_run": "true"}, body=body
            )
        except (InvalidRequest, NotFound) as error:
            _log.info("%s quotes no job: %s", self._who, error.message)
            return None
        if said.id is not None:
            _log.warning("%s made %s of a dry run; it is cancelled", self._who, said.id)
            self.cancel(said.id)
            return None
        if said.cost_usd is None:
            _log.info("%s quotes nothing in USD: %s", self._who, said.text or "no cost")
            return None
        return VendorPrice(usd=said.cost_usd)

    def create(self, spec: JobSpec, files: Mapping[str, RemoteFile], marker: str) -> str:
        """Start a job, or with `auto_start=false` let it wait for its start; its suffix is ours.

        Raises:
            Unavailable: no readable answer; the job may exist.
            ProviderError: a definite no; it doesn't.
        """
        body = asking.request_of(spec, files) | {"suffix": marker[: asking.MAX_SUFFIX]}
        try:
            made = self._at.one("create a job", wire.Job, "POST", _JOBS, body=body)
        except InvalidRequest as error:
            # 409: a similar job is under way. It may be this one, whose first answer got lost.
            found = self.find(marker) if error.status == 409 else None
            if found is None:
                raise
            return found
        if made.suffix != body["suffix"]:
            _log.warning("%s keeps no suffix: %s can't be found by it", self._who, made.id)
        return made.id

    def find(self, marker: str) -> str | None:
        """The job whose suffix is our marker; a gateway that doesn't filter is read whole.

        Raises:
            InvalidRequest: it shows a job of our data without any suffix.
        """
        suffix, unmarked = marker[: asking.MAX_SUFFIX], []
        for page in self._jobs({"suffix": suffix}):
            for job in page:
                if job.suffix == suffix:
                    return job.id
                if not job.suffix:
                    unmarked.append(job)
        if unmarked:
            self._require_strangers(unmarked)
        return None

    def _require_strangers(self, jobs: Sequence[wire.Job]) -> None:
        """Refuse to call jobs other people's when they were made of a file that ftctl sent."""
        ours = {file.id for file in self._files(OURS)}
        doubtful = [job.id for job in jobs if ours.intersection(job.files)]
        if doubtful:
            raise may_be_ours(self._who, "suffix", doubtful)

    def poll(self, remote_id: str) -> Snapshot:
        """One look at a job."""
        return wire.snapshot_of(self._job(remote_id))

    def list_jobs(self) -> Iterator[Mapping[str, Snapshot]]:
        """Every job, a page at a time, in the vendor's order."""
        for page in self._jobs({}):
            yield {job.id: wire.snapshot_of(job) for job in page}

    def events(self, remote_id: str, after: int) -> Sequence[JobEvent]:
        """What the job said and measured, oldest first; nothing where there are `after` lines."""
        return untold(wire.events_of(self._job(remote_id)), after)

    def cancel(self, remote_id: str) -> None:
        """Stop a job; harmless when it has ended."""
        with harmless(lambda: self._job(remote_id).ended):
            self._at.ask(f"cancel {remote_id}", "POST", f"{_path(remote_id)}/cancel")

    def pause(self, remote_id: str) -> None:
        """Refuse: nothing there holds a job that runs."""
        raise Unsupported(
            f"{self._who} can't pause {remote_id}",
            hint=f"submit with --set {asking.AUTO_START}=false: it waits once it is validated",
        )

    def unpause(self, remote_id: str) -> None:
        """Start a job that was validated and waits; harmless when it has been started."""

        def started() -> bool:
            return self._job(remote_id).state is not JobState.PAUSED

        if not started():
            with harmless(started):  # somebody else was quicker
                self._at.ask(f"start {remote_id}", "POST", f"{_path(remote_id)}/start")

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

    def fetch(self, remote_id: str, folder: Path, progress: Progress | None = None) -> TunedModel:  # noqa: ARG002 - nothing large comes
        """Bring home a card, the settings, what the job said and measured; weights stay there."""
        job = self._job(remote_id)
        tuned = self._tuned(job)
        write_results(folder, files_of(job, wire.events_of(job), self._base_url))
        return tuned

    def forget(self, remote_id: str) -> None:
        """Delete the job's files that we sent and its model, and see that they're gone.

        A file that another job reads which hasn't ended is kept, and so is the job's own record:
        there is no way to delete it.

        Raises:
            IllegalMove: the job hasn't ended.
            Unavailable: something is still there.
        """
        job = self._job(remote_id)
        if not job.ended:
            raise IllegalMove(f"{remote_id} hasn't ended: {job.status}", hint="cancel it first")
        running = [other for page in self._jobs({}) for other in page if not other.ended]
        in_use = {file for other in running for file in other.files}
        for file in (file for file in self._files(OURS) if file.id in job.files):
            if file.id not in in_use:
                self._at.gone(file.id, f"/files/{segment(file.id)}")
        if job.tuned:
            self._at.gone(job.tuned, f"/models/{segment(job.tuned)}")

    def answering(self, model: str) -> MistralModel:
        """The model of that name there, ready to be asked."""
        return MistralModel(model, self._sdk, self._who)

    def kept_models(self) -> Sequence[KeptModel]:
        """Every tuned model of the account, the archived ones too."""
        return list(self._models.every())

    def kept_model(self, model: str) -> KeptModel:
        """One of them, by its id."""
        return self._models.show(model)

    def rename_model(self, model: str, name: str, description: str | None = None) -> KeptModel:
        """Give it another name to be shown by; it answers to its id as before."""
        return self._models.rename(model, name, description)

    def archive_model(self, model: str, *, archived: bool) -> KeptModel:
        """Put it aside, or bring it back."""
        return self._models.archive(model, archived=archived)

    def delete_model(self, model: str) -> None:
        """Delete it for good, and see that it is gone."""
        self._models.delete(model)

    def _tuned(self, job: wire.Job) -> TunedModel:
        if job.tuned is None:
            raise NotFound(f"{job.id}: there is no tuned model ({job.status})", hint="ftctl watch")
        return TunedModel(name=job.tuned, base_model=job.model, base_url=self._base_url)

    def _job(self, remote_id: str) -> wire.Job:
        return self._at.one(f"show job {remote_id}", wire.Job, "GET", _path(remote_id))

    def _jobs(self, query: Mapping[str, str]) -> Iterator[tuple[wire.Job, ...]]:
        yield from (page.data for page in self._pages("list jobs", wire.Jobs, _JOBS, query))

    def _files(self, beginning: str) -> Iterator[wire.File]:
        """The files that we sent whose name begins so."""
        query = {"search": beginning, "purpose": "fine-tune"}
        for page in self._pages("list files", wire.Files, "/files", query):
            yield from (file for file in page.data if file.filename.startswith(beginning))

    def _pages(
        self, doing: str, document: type[_Page], path: str, query: Mapping[str, str]
    ) -> Iterator[_Page]:
        """A list, page by page, however few rows a gateway puts on one.

        Raises:
            Unavailable: it turns no pages, and what it shows may be cut.
        """
        before, seen, number = None, 0, 0
        while True:
            asked: dict[str, str | int] = {**query, "page": number, "page_size": PAGE}
            page = self._at.one(doing, document, "GET", path, query=asked)
            rows, total = len(page.data), page.total or 0
            if not rows:
                return
            if page.data[0].id == before:
                if rows == PAGE or rows < total:
                    raise Unavailable(f"asked to {doing}, {self._who} sends the same page again")
                return
            yield page
            seen += rows
            if rows < PAGE and seen == total:
                return
            before, number = page.data[0].id, number + 1


def _path(remote_id: str) -> str:
    return f"{_JOBS}/{segment(remote_id)}"
