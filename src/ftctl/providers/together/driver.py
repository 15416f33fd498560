"""Together's fine-tuning, over plain HTTP."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from ftctl.config import Settings, mask_url
from ftctl.errors import IllegalMove, InvalidRequest, NotFound, Unavailable, Unsupported
from ftctl.job import JobEvent, JobSpec, Snapshot, TunedModel
from ftctl.providers.artifacts.archive import write_unpacked
from ftctl.providers.artifacts.download import Progress, http_download
from ftctl.providers.base import Capabilities, Probe, RemoteFile
from ftctl.providers.prices import VendorPrice
from ftctl.providers.sending import OURS
from ftctl.providers.together import request as asking
from ftctl.providers.together import results as results
from ftctl.providers.together import wire as wire
from ftctl.providers.together.files import TogetherFiles
from ftctl.providers.transport.documents import Document, lines_of, moment, untold
from ftctl.providers.transport.http_connection import HttpConnection, require_key, segment
from ftctl.providers.transport.http_errors import harmless

BASE_URL = "https://api.together.ai/v1"

_Doc = TypeVar("_Doc", bound=Document)
_log = logging.getLogger(__name__)


class TogetherProvider:
    """Jobs at Together.

    Args:
        settings: Not used; every driver is made with them.
        base_url: The job's own; Together's when None.
        sleep: How to wait, in seconds, while a file is being checked there.
    """

    name = "together"
    capabilities = Capabilities(
        methods=frozenset({"sft", "dpo"}),
        tunings=frozenset({"lora", "full"}),
        hyperparameters=frozenset(
            {
                "epochs",
                "batch_size",
                "learning_rate",
                "warmup_fraction",
                "weight_decay",
                "lora_r",
                "lora_alpha",
                "lora_dropout",
                "max_length",
                "seed",
            }
        ),
        can_cancel=True,
        can_find=True,
        can_resume=False,
        returns_weights=True,
        data_stays_here=False,
        lists_lag=True,
        dialect="together",
        options=asking.OPTIONS,
    )

    def __init__(
        self,
        settings: Settings,  # noqa: ARG002 - every driver is made so
        base_url: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base_url = base_url or BASE_URL
        self._who = "Together" if base_url is None else mask_url(base_url)
        self._at = HttpConnection(self._who, self._base_url, self.name)
        self._known: dict[str, asking.Limits] = {}
        self._files = TogetherFiles(self._at, self._who, self._base_url, sleep)

    def check(self, spec: JobSpec) -> None:
        """Refuse what no model there takes, and what this one doesn't, which is asked for nothing.

        Raises:
            CredentialsMissing, AuthError: no key that it takes.
            UsageError: a base URL or a setting out of its range.
            Unsupported: a model that it doesn't tune, or not so.
        """
        self._at.require()
        asking.require_settings(spec)
        if "from_checkpoint" in spec.options:
            return
        try:
            asking.require_limits(spec, self._limits(spec.model))
        except Unavailable as error:  # whoever only asks for a quote may be offline
            _log.info("the limits of %s aren't known: %s", spec.model, error.message)

    def probe(self, model: str | None) -> Probe:
        """Whether the account made any job, and whether the model is tuned there.

        Raises:
            Unsupported: it isn't.
        """
        if model is not None:
            self._limits(model)
        made = [moment(job.created_at).date() for job in self._jobs()]
        return Probe(has_jobs=bool(made), last_job=max(made, default=None))

    def upload(self, file: Path, sha256: str) -> RemoteFile:
        """Send a file, unless it is held, and wait for what the vendor's own check says of it.

        Raises:
            DataInvalid: that check refuses it.
            Unavailable: it gives no verdict, or can't be asked.
        """
        return RemoteFile(id=self._files.bring(file, sha256), sha256=sha256)

    def price(self, spec: JobSpec, files: Mapping[str, RemoteFile]) -> VendorPrice | None:
        """What the vendor says that the job will cost, of files that it holds; None: it won't say.

        Evaluations are in it. Nothing is spent or made.
        """
        body = asking.request_of(spec, files, self._limits(spec.model))
        asked = {name: value for name, value in body.items() if name in asking.PRICED}
        said = self._at.one(
            "estimate a price", wire.Price, "POST", "/fine-tunes/estimate-price", body=asked
        )
        if said.estimated_total_price is None:
            _log.info("%s estimates no price: %s", self._who, said.unavailable_reason)
            return None
        return VendorPrice(usd=said.estimated_total_price, allowed=said.allowed_to_proceed)

    def create(self, spec: JobSpec, files: Mapping[str, RemoteFile], marker: str) -> str:
        """Start a job; its suffix ends with our marker.

        Raises:
            Unavailable: no readable answer; the job may exist.
            ProviderError: a definite no; it doesn't.
        """
        body = asking.request_of(spec, files, self._limits(spec.model))
        body["suffix"] = asking.suffix_of(spec.name, marker)
        return self._at.one("create a job", wire.Job, "POST", "/fine-tunes", body=body).id

    def find(self, marker: str) -> str | None:
        """The job whose suffix ends with the marker: the whole list is read, it has no filter."""
        return next((job.id for job in self._jobs() if job.carries(marker)), None)

    def poll(self, remote_id: str) -> Snapshot:
        """One look at a job."""
        return wire.snapshot_of(self._job(remote_id))

    def list_jobs(self) -> Iterator[Mapping[str, Snapshot]]:
        """Every job, newest first, at once: the list has one page."""
        newest_first = sorted(self._jobs(), key=lambda j: moment(j.created_at), reverse=True)
        yield {job.id: wire.snapshot_of(job) for job in newest_first}

    def events(self, remote_id: str, after: int) -> Sequence[JobEvent]:
        """What the job said and measured, oldest first; nothing where there are `after` lines."""
        path = _path(remote_id)
        said = self._at.one(f"list the events of {remote_id}", wire.Events, "GET", f"{path}/events")
        return untold(wire.events_of(said.data, self._metrics(remote_id)), after)

    def cancel(self, remote_id: str) -> None:
        """Stop a job; harmless when it has ended. What was trained until then is billed."""
        with harmless(lambda: self._job(remote_id).ended):
            self._at.ask(f"cancel {remote_id}", "POST", f"{_path(remote_id)}/cancel")

    def resume(self, remote_id: str, attempt: int) -> None:
        """Refuse: a stopped job can't go on there, another one can from its checkpoint."""
        raise Unsupported(
            f"{self._who} can't go on with {remote_id} (attempt {attempt})",
            hint=f"submit it again with --new --set from_checkpoint={remote_id}",
        )

    def tuned_model(self, remote_id: str) -> TunedModel:
        """The name under which the tuned model answers, once somebody makes an endpoint for it.

        Raises:
            NotFound: there is none.
        """
        return self._tuned(self._job(remote_id))

    def fetch(self, remote_id: str, folder: Path, progress: Progress | None = None) -> TunedModel:
        """Bring home the adapter, or all weights where all were tuned, and what the job said."""
        job = self._job(remote_id)
        tuned = self._tuned(job)
        events = self.events(remote_id, 0)
        part = "model_output_path" if job.is_full else "adapter"
        link = f"{self._base_url.rstrip('/')}/finetune/download?ft_id={segment(job.id)}"
        archive = http_download(
            f"the weights of {job.id}",
            lambda: f"{link}&checkpoint={part}",
            who=self._who,
            base_url=self._base_url,
            credential=require_key(self.name, self._who),
        )
        ours = {
            "README.md": results.card_of(job, self._base_url),
            "job.json": results.record_of(job, self._checkpoints(remote_id)),
            "events.jsonl": lines_of(e for e in events if e.kind != "metrics"),
            "metrics.jsonl": lines_of(e for e in events if e.kind == "metrics"),
        }
        write_unpacked(folder, ours, archive, who=self._who, extra=self.name, progress=progress)
        return tuned.model_copy(update={"folder": folder})

    def forget(self, remote_id: str) -> None:
        """Delete the job's files that we sent, its record and its model, and see that they're gone.

        A file that a job which hasn't ended still reads is kept, and so is one that wasn't ours.
        The record goes last: when it is gone, a forget that was cut short had done the rest.

        Raises:
            IllegalMove: the job hasn't ended.
            Unavailable: something is still there.
        """
        try:
            job = self._job(remote_id)
        except NotFound:
            return
        if not job.ended:
            raise IllegalMove(f"{remote_id} hasn't ended: {job.status}", hint="cancel it first")
        others = [other for other in self._jobs() if not other.ended]
        in_use = {file for other in others for file in (other.training_file, other.validation_file)}
        for file in (job.training_file, job.validation_file):
            if file and file not in in_use:
                self._forget_file(file)
        self._at.gone(job.id, _path(job.id))
        if job.tuned and job.tuned in self._models():
            raise Unavailable(
                f"{self._who} still lists {job.tuned} after deleting its job",
                hint="delete the model in the vendor's console, then run the same command again",
            )

    def _forget_file(self, file_id: str) -> None:
        try:
            held = self._files.show(file_id)
        except NotFound:
            return
        if held.filename.startswith(OURS):
            self._at.gone(file_id, f"/files/{segment(file_id)}")

    def _tuned(self, job: wire.Job) -> TunedModel:
        if job.tuned is None:
            raise NotFound(f"{job.id}: there is no tuned model ({job.status})", hint="ftctl watch")
        return TunedModel(name=job.tuned, base_model=job.model, base_url=self._base_url)

    def _job(self, remote_id: str) -> wire.Job:
        return self._at.one(f"show job {remote_id}", wire.Job, "GET", _path(remote_id))

    def _jobs(self) -> Sequence[wire.Job]:
        return self._at.one("list jobs", wire.Jobs, "GET", "/fine-tunes").data

    def _models(self) -> set[str]:
        return {
            model.id for model in results.models_in(self._at.ask("list models", "GET", "/models"))
        }

    def _metrics(self, remote_id: str) -> Sequence[Mapping[str, float | None]]:
        return self._lenient(remote_id, "metrics", wire.Metrics()).metrics or ()

    def _checkpoints(self, remote_id: str) -> wire.Checkpoints:
        return self._lenient(remote_id, "checkpoints", wire.Checkpoints())

    def _lenient(self, remote_id: str, what: str, nothing: _Doc) -> _Doc:
        """A list of a job; nothing where the vendor has none."""
        try:
            doing = f"list the {what} of {remote_id}"
            return self._at.one(doing, type(nothing), "GET", f"{_path(remote_id)}/{what}")
        except NotFound:
            return nothing

    def _limits(self, model: str) -> asking.Limits:
        """What the vendor takes for a model; asked once.

        Raises:
            Unsupported: it doesn't tune it.
        """
        name = asking.model_of(model)
        if name in self._known:
            return self._known[name]
        try:
            self._known[name] = self._at.one(
                f"say what it takes for {name}",
                asking.Limits,
                "GET",
                "/fine-tunes/models/limits",
                query={"model_name": name},
            )
        except (NotFound, InvalidRequest) as error:
            raise Unsupported(
                f"{self._who} doesn't tune {name}: {error.message}",
                hint="ftctl models, or the vendor's list of models; it takes its own names, too",
            ) from None
        return self._known[name]


def _path(remote_id: str) -> str:
    return f"/fine-tunes/{segment(remote_id)}"
