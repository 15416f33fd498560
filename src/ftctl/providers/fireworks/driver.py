"""Fireworks' fine-tuning, over plain HTTP."""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from ftctl.config import Settings, mask_url
from ftctl.errors import (
    FtctlError,
    IllegalMove,
    InvalidRequest,
    NotFound,
    Unavailable,
    Unsupported,
)
from ftctl.job import JobEvent, JobSpec, Snapshot, TunedModel
from ftctl.providers.artifacts.download import Download, Progress, http_download
from ftctl.providers.artifacts.result_folder import write_results
from ftctl.providers.artifacts.safe_names import choose
from ftctl.providers.base import Capabilities, Probe, RemoteFile
from ftctl.providers.fireworks import request as asking
from ftctl.providers.fireworks import wire as wire
from ftctl.providers.fireworks.connection import PAGE, Fireworks
from ftctl.providers.fireworks.files import FireworksDatasets
from ftctl.providers.fireworks.results import card_of, record_of, without_folder
from ftctl.providers.sending import OURS
from ftctl.providers.transport.documents import moment, untold
from ftctl.providers.transport.http_errors import harmless

BASE_URL = "https://api.fireworks.ai"
_MOST_METRICS = 16 << 20  # bytes
_ID_OF = {wire.SFT: "supervisedFineTuningJobId", wire.DPO: "dpoJobId"}
_log = logging.getLogger(__name__)


class FireworksProvider:
    """Jobs at Fireworks; a job's remote id is its whole name, with the account in it.

    Args:
        settings: Not used; every driver is made with them.
        base_url: The job's own; Fireworks' when None. Its `/v1`, if any, is taken off.
        sleep: How to wait, in seconds, while a dataset is being read there.
    """

    name = "fireworks"
    capabilities = Capabilities(
        methods=frozenset({"sft", "dpo"}),
        tunings=frozenset({"lora"}),  # its wire has no word for all weights
        hyperparameters=frozenset(
            {
                "epochs",
                "batch_size",
                "learning_rate",
                "weight_decay",
                "lora_r",
                "max_length",
                "checkpoint_steps",
            }
        ),
        can_cancel=True,
        can_find=True,
        can_resume=True,
        returns_weights=True,
        data_stays_here=False,
        lists_lag=True,
        dialect="fireworks",
        options=asking.OPTIONS,
    )

    def __init__(
        self,
        settings: Settings,  # noqa: ARG002 - every driver is made so
        base_url: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        given = (base_url or BASE_URL).rstrip("/")
        self._base_url = given.removesuffix("/v1").removesuffix("/inference")
        self._who = "Fireworks" if base_url is None else mask_url(base_url)
        self._at = Fireworks(self._who, self._base_url)
        self._datasets = FireworksDatasets(self._at, self._who, self._base_url, sleep)

    def check(self, spec: JobSpec) -> None:
        """Refuse what no model there takes, and what this one doesn't, which is asked for nothing.

        Raises:
            CredentialsMissing, AuthError: no key that it takes.
            UsageError: a base URL, an account or a setting that it can't be.
            Unsupported: a model that it doesn't tune.
        """
        self._at.require()
        asking.require_settings(spec)
        try:
            asking.require_model(spec, self._model(spec.model))
        except Unavailable as error:  # whoever only asks for a quote may be offline
            _log.info("what %s takes isn't known: %s", spec.model, error.message)

    def probe(self, model: str | None) -> Probe:
        """Whether the account made any job, and whether the model is tuned there.

        Raises:
            Unsupported: it isn't.
        """
        if model is not None:
            self._model(model)
        made = [moment(job.create_time).date() for job in islice(self._jobs(), PAGE)]
        return Probe(has_jobs=bool(made), last_job=max(made, default=None))

    def upload(self, file: Path, sha256: str) -> RemoteFile:
        """Send a file, unless a dataset of this content is held, and wait until it is ready.

        Raises:
            DataInvalid: the vendor refuses it.
            Unavailable: it doesn't become ready, or can't be asked.
        """
        return RemoteFile(id=self._datasets.bring(file, sha256), sha256=sha256)

    def create(self, spec: JobSpec, files: Mapping[str, RemoteFile], marker: str) -> str:
        """Start a job whose id is our marker, so that the vendor itself makes no second one.

        Raises:
            Unavailable: no readable answer; the job may exist.
            ProviderError: a definite no; it doesn't.
        """
        kind = wire.DPO if spec.method == "dpo" else wire.SFT
        path = f"{self._at.account()}/{kind}"
        body = asking.request_of(spec, files, marker)
        try:
            made = self._at.one(
                "create a job", wire.Job, "POST", path, query={_ID_OF[kind]: marker}, body=body
            )
        except InvalidRequest as error:
            if error.status != 409:
                raise
            try:  # one of that id is there: it was made before, and nobody said so
                made = self._job(f"{path}/{marker}")
            except FtctlError:
                raise error from None
        return made.name

    def find(self, marker: str) -> str | None:
        """The job that carries the marker, as its id or at the end of its display name."""
        return next((job.name for job in self._jobs() if job.carries(marker)), None)

    def poll(self, remote_id: str) -> Snapshot:
        """One look at a job."""
        return wire.snapshot_of(self._job(remote_id))

    def list_jobs(self) -> Iterator[Mapping[str, Snapshot]]:
        """Every job, as many at a time as one answer holds; first those that learn from answers."""
        jobs = self._jobs()
        while page := list(islice(jobs, PAGE)):
            yield {job.name: wire.snapshot_of(job) for job in page}

    def events(self, remote_id: str, after: int) -> Sequence[JobEvent]:
        """When it began, what it measured, how it ended; nothing where there are `after` lines."""
        job = self._job(remote_id)
        return untold(wire.events_of(job, wire.metrics_in(self._metrics(job))), after)

    def cancel(self, remote_id: str) -> None:
        """Stop a job; harmless when it has ended."""
        with harmless(lambda: self._job(remote_id).ended):
            self._at.ask(f"cancel {remote_id}", "POST", f"{remote_id}:cancel", body={})

    def resume(self, remote_id: str, attempt: int) -> None:
        """Let a stopped job go on from its last checkpoint, which the vendor keeps."""
        doing = f"go on with {remote_id} (attempt {attempt})"
        self._at.ask(doing, "POST", f"{remote_id}:resume", body={})

    def tuned_model(self, remote_id: str) -> TunedModel:
        """The name under which the tuned model answers, once somebody deploys it.

        Raises:
            NotFound: there is none.
        """
        return self._tuned(self._job(remote_id))

    def fetch(self, remote_id: str, folder: Path, progress: Progress | None = None) -> TunedModel:
        """Bring home the adapter, by links that the vendor signs, and what the job measured."""
        job = self._job(remote_id)
        tuned = self._tuned(job)
        metrics = self._metrics(job)
        ours = {
            "README.md": card_of(job, tuned, self._base_url),
            "job.json": record_of(job),
            "metrics.jsonl": b"".join(
                json.dumps(row).encode() + b"\n" for row in wire.metrics_in(metrics)
            ),
        }
        names = list(self._links(tuned.name))
        offered = [
            (shown, self._download(shown, partial(self._fresh_link, tuned.name, name)))
            for name, shown in zip(names, without_folder(names), strict=True)
        ]
        chosen = choose(self._who, offered, taken=ours)
        write_results(folder, {**ours, **chosen.files}, progress)
        return tuned.model_copy(update={"folder": folder})

    def forget(self, remote_id: str) -> None:
        """Delete the datasets that we made, the model and the job, and see that they are gone.

        A dataset that a job which hasn't ended still reads is kept, and so is one that wasn't ours.
        The job goes last: when it is gone, a forget that was cut short had done the rest.

        Raises:
            IllegalMove: the job hasn't ended.
            InvalidRequest: the model is still deployed.
            Unavailable: something is still there.
        """
        try:
            job = self._job(remote_id)
        except NotFound:
            return
        if not job.ended:
            raise IllegalMove(f"{remote_id} hasn't ended: {job.state}", hint="cancel it first")
        others = [other for other in self._jobs() if not other.ended]
        in_use = {data for other in others for data in (other.dataset, other.evaluation_dataset)}
        for dataset in (job.dataset, job.evaluation_dataset):
            if dataset and dataset not in in_use and f"/datasets/{OURS}" in dataset:
                self._at.gone(dataset)
        if job.tuned:
            self._at.gone(job.tuned)
        self._at.gone(job.name)

    def _tuned(self, job: wire.Job) -> TunedModel:
        if job.tuned is None:
            raise NotFound(f"{job.id}: there is no tuned model ({job.state})", hint="ftctl watch")
        return TunedModel(
            name=job.tuned, base_model=job.base, base_url=f"{self._base_url}/inference/v1"
        )

    def _job(self, remote_id: str) -> wire.Job:
        return self._at.one(f"show job {remote_id}", wire.Job, "GET", remote_id)

    def _jobs(self) -> Iterator[wire.Job]:
        for kind in (wire.SFT, wire.DPO):
            yield from self._at.rows("list jobs", wire.Job, f"{self._at.account()}/{kind}", kind)

    def _model(self, model: str) -> wire.Model:
        name = asking.model_of(model)
        try:
            found = self._at.one(f"show {name}", wire.Model, "GET", name)
        except (NotFound, InvalidRequest) as error:
            raise Unsupported(
                f"{self._who} has no {name}: {error.message}",
                hint="its model library, ftctl models",
            ) from None
        if found.tunable is False:
            raise Unsupported(f"{self._who} doesn't tune {name}", hint="its model library")
        return found

    def _metrics(self, job: wire.Job) -> bytes:
        """The job's metrics file; nothing where there is none, or its link is no use."""
        try:
            link = job.metrics_file_signed_url
            if job.is_dpo:
                path = f"{job.name}:getMetricsFileEndpoint"
                link = self._at.one("show metrics", wire.Link, "GET", path).signed_url
            return self._read("the metrics", link) if link else b""
        except (NotFound, InvalidRequest, Unavailable) as error:
            _log.info("%s has no metrics: %s", job.name, error.message)
            return b""

    def _read(self, what: str, link: str) -> bytes:
        content = b""
        with self._download(what, lambda: link).open(0, None) as stream:
            for chunk in stream.chunks:
                content += chunk
                if len(content) > _MOST_METRICS:
                    raise Unavailable(f"{what} of {self._who} are longer than anybody reads")
        return content

    def _download(self, what: str, link: Callable[[], str]) -> Download:
        return http_download(what, link, who=self._who, base_url=self._base_url)

    def _links(self, model: str) -> Mapping[str, str]:
        path = f"{model}:getDownloadEndpoint"
        return self._at.one(f"send {model}", wire.Links, "GET", path).filename_to_signed_urls

    def _fresh_link(self, model: str, name: str) -> str:
        link = self._links(model).get(name)
        if link is None:
            raise Unavailable(f"{self._who} offers {name} of {model} no longer")
        return link
