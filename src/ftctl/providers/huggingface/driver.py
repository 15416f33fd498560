"""Hugging Face: TRL on rented cards (Jobs), data and adapter in private repositories of the user.

A job that the hub calls completed has succeeded only when its repository holds an adapter.
"""

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftctl.catalog.load import load_catalog
from ftctl.catalog.types import Hardware
from ftctl.config import Settings, mask_url
from ftctl.datasets.read import LineReader
from ftctl.errors import (
    AuthError,
    IllegalMove,
    NotFound,
    OverMaxCost,
    ProviderError,
    Unsupported,
    UsageError,
)
from ftctl.job import JobEvent, JobSpec, JobState, Snapshot, TunedModel
from ftctl.policy import is_gateway
from ftctl.providers.artifacts.download import Progress
from ftctl.providers.artifacts.result_folder import write_results
from ftctl.providers.base import Capabilities, RemoteFile
from ftctl.providers.huggingface import wire as wire
from ftctl.providers.huggingface.connection import HubConnection
from ftctl.providers.huggingface.plan import PROVIDER, beta_of, plan_of
from ftctl.providers.huggingface.repos import Repos
from ftctl.providers.huggingface.space import PREFIX, Spaces
from ftctl.providers.transport.http_errors import harmless

if TYPE_CHECKING:
    from huggingface_hub import HfApi

BASE_URL = "https://huggingface.co"

_SPACE = "autotrain-space"
_ROUNDED = 1.01  # the hub tells prices in whole millionths of a dollar a minute
_log = logging.getLogger(__name__)


class HuggingFaceProvider:
    """Jobs at Hugging Face, or at a hub that speaks its wire.

    Args:
        settings: Adapters that are talked to are kept under their home.
        base_url: The job's own hub; Hugging Face's when None.
    """

    name = PROVIDER
    capabilities = Capabilities(
        methods=frozenset({"sft", "dpo"}),
        tunings=frozenset({"lora"}),
        hyperparameters=frozenset(
            {
                "epochs",
                "max_steps",
                "batch_size",
                "micro_batch_size",
                "learning_rate",
                "warmup_fraction",
                "weight_decay",
                "lora_r",
                "lora_alpha",
                "lora_dropout",
                "max_length",
                "max_minutes",
                "seed",
            }
        ),
        can_cancel=True,
        can_find=True,
        can_resume=False,
        returns_weights=True,
        data_stays_here=False,
        lists_lag=True,
        dialect="huggingface",
        engines=("jobs", _SPACE),
        options={
            "flavor": "the machine; the cheapest one that holds the model when left out",
            "namespace": "the organisation that pays and owns the model; yourself when left out",
            "beta": "for dpo: how closely it keeps to the base, up to 2; 0.1 when left out",
            "image": f"the container image; {wire.IMAGE} when left out",
        },
    )

    def __init__(self, settings: Settings, base_url: str | None = None) -> None:
        self._base_url = (base_url or BASE_URL).rstrip("/")
        self._who = "Hugging Face" if base_url is None else mask_url(base_url)
        self._home = settings.home
        self._at = HubConnection(self._who, self._base_url)
        self._repos = Repos(self._at, self._who, self._base_url)
        self._spaces = Spaces(self._at, self._repos)

    def check(self, spec: JobSpec) -> None:
        """Refuse what can be known to fail before anything is written or sent.

        Raises:
            ExtraMissing, CredentialsMissing: the hub can't be asked at all.
            Unsupported: an engine, a model or a file that no job can be made of.
            UsageError: a flavor that there isn't; a model of unknown size without a time limit.
            OverMaxCost: the machine costs more than when the quote's price was checked.
        """
        self._at.require()
        for file in filter(None, (spec.data, spec.validation)):
            with LineReader(file) as lines:
                if lines.packed:
                    raise Unsupported(
                        f"{file} is packed, and a job there reads plain lines",
                        hint=f"{'gunzip' if lines.packed == 'gzip' else 'unzstd'} -k {file}",
                    )
        plan = plan_of(spec)
        beta_of(spec)
        if spec.engine == _SPACE:
            self._spaces.check(spec, plan)
        if spec.max_cost_usd is not None:
            self._require_price(plan.machine)

    def _require_price(self, machine: Hardware) -> None:
        """Refuse to hold a limit against a lower price than the hub asks today."""
        if is_gateway(load_catalog().get_provider(self.name), self._base_url):
            return
        try:
            asks = self._at.ask("show its prices", partial(_usd_per_hour, machine.name))
        except ProviderError as error:  # whoever only asks for a quote may be offline
            _log.info("prices of today aren't known: %s", error.message)
            return
        if asks > machine.usd_per_hour * _ROUNDED:
            raise OverMaxCost(
                f"{self._who} asks {asks:.2f} USD an hour for {machine.name}, our catalog says "
                f"{machine.usd_per_hour:.2f}: a limit can't be held",
                hint="put today's price under [[hardware]] into your catalog file, or leave out "
                "--max-cost",
            )

    def upload(self, file: Path, sha256: str) -> RemoteFile:
        """Put a dataset into a private repository of its own, named by its hash."""
        return RemoteFile(self._repos.hold(file, sha256), sha256)

    def create(self, spec: JobSpec, files: Mapping[str, RemoteFile], marker: str) -> str:
        """Start a job whose label is our marker; the key goes along as its secret.

        Raises:
            Unavailable: no readable answer; the job may exist.
            ProviderError: a definite no; it doesn't.
        """
        plan = plan_of(spec)
        if spec.engine == _SPACE:
            return self._spaces.create(spec, plan, files, marker)
        namespace = spec.options.get("namespace") or self._repos.me
        arguments = wire.run_arguments(spec, plan, files, marker, namespace)
        _log.info(
            "%s on %s, stopped after %d s at the latest: %.2f USD at most",
            marker,
            plan.machine.name,
            plan.timeout_s,
            plan.most_usd,
        )
        secrets = {"HF_TOKEN": self._at.credential().key}
        made = self._at.ask(
            "run a job", lambda api: wire.job_of(api.run_job(secrets=secrets, **arguments))
        )
        return f"{namespace}/{made.id}"

    def find(self, marker: str) -> str | None:
        """The job whose label is the marker, ours or an organisation's; else the Space of it."""
        for namespace, jobs in self._pages({wire.MARKER: marker}):
            for job in jobs:
                if job.marker == marker:
                    return f"{namespace}/{job.id}"
        return self._spaces.find(marker)

    def poll(self, remote_id: str) -> Snapshot:
        """One look at a job; at its end also at what it pushed."""
        job = self._job(remote_id)
        model = None
        if job.state is JobState.SUCCEEDED and job.order is not None:
            model = self._repos.find_adapter(job.order.repo)
        return wire.snapshot_of(job, model, self._machine(job))

    def list_jobs(self) -> Iterator[Mapping[str, Snapshot]]:
        """Every job of ours but those that are completed: what they pushed is another question."""
        for namespace, jobs in self._pages(None):
            yield {
                f"{namespace}/{job.id}": wire.snapshot_of(job, None, self._machine(job))
                for job in jobs
                if job.marker and job.state is not JobState.SUCCEEDED
            }

    def events(self, remote_id: str, after: int) -> Sequence[JobEvent]:
        """What the job printed, oldest first, leaving out the first `after` lines."""
        place = "/".join(self._place(remote_id))
        path = f"spaces/{place}/logs/run" if _is_space(remote_id) else f"jobs/{place}/logs"
        lines = self._at.log_lines(f"show the log of {remote_id}", f"/api/{path}")
        return list(wire.events_of(lines))[after:]

    def cancel(self, remote_id: str) -> None:
        """Stop a job; harmless when it has ended."""
        namespace, job_id = self._place(remote_id)
        if _is_space(remote_id):
            self._spaces.cancel(remote_id)
            return
        with harmless(lambda: self._job(remote_id).ended):
            self._at.ask(
                f"cancel {remote_id}",
                lambda api: api.cancel_job(job_id=job_id, namespace=namespace),
            )

    def resume(self, remote_id: str, attempt: int) -> None:
        """Refuse: the machine is gone, and its disk with it."""
        raise Unsupported(
            f"{self._who} can't go on with {remote_id} (attempt {attempt}): a job's disk ends with "
            "it",
            hint="submit it again with --new",
        )

    def tuned_model(self, remote_id: str) -> TunedModel:
        """The adapter, brought home once: nothing at the hub answers with it.

        Raises:
            NotFound: there is none.
        """
        order = self._pushed(remote_id)
        return self._bring(order, self._adapter_folder(order), None)

    def fetch(self, remote_id: str, folder: Path, progress: Progress | None = None) -> TunedModel:
        """Bring home the adapter folder: safetensors and text, from one commit.

        Raises:
            NotFound: there is no adapter.
            Unsupported: what was pushed isn't in safetensors.
        """
        return self._bring(self._pushed(remote_id), folder, progress)

    def forget(self, remote_id: str) -> None:
        """Delete what the job made and what it was made of, and see that they are gone.

        Only repositories that carry our tag are touched, and no data that a job which hasn't
        ended still reads; a Space reads its data when it starts. A job's own record can't be
        deleted, a Space can.

        Raises:
            IllegalMove: the job hasn't ended.
            Unavailable: something is still there.
        """
        try:
            job = self._job(remote_id)
        except NotFound:
            if _is_space(remote_id):  # it goes last, so it was all forgotten before
                return
            raise
        order = wire.require_order(job, remote_id)
        if not job.ended:
            raise IllegalMove(f"{remote_id} hasn't ended: {job.status.stage}", hint="cancel it")
        running = [job for _, jobs in self._pages(None) for job in jobs if not job.ended]
        others = [other.order for other in running if other.order is not None]
        in_use = {repo for other in others for repo in (other.data, other.validation)}
        for repo in {order.data, order.validation} - in_use - {None}:
            self._repos.delete(str(repo), "dataset", tag=wire.MARKER)
        tag = f"{wire.MARKER}-{order.marker}"
        if _is_space(remote_id):
            self._repos.delete(order.repo, "model", tag=None)  # AutoTrain writes its own card
            self._repos.delete(remote_id.removeprefix(PREFIX), "space", tag=tag)
        else:
            self._repos.delete(order.repo, "model", tag=tag)
        shutil.rmtree(self._adapter_folder(order), ignore_errors=True)

    def _adapter_folder(self, order: wire.Order) -> Path:
        return self._home / "adapters" / wire.slug(order.marker)

    def _bring(self, order: wire.Order, folder: Path, progress: Progress | None) -> TunedModel:
        write_results(folder, self._repos.adapter_files(order), progress)
        return TunedModel(name=order.repo, base_model=order.base, folder=folder)

    def _pushed(self, remote_id: str) -> wire.Order:
        job = self._job(remote_id)
        order = wire.require_order(job, remote_id)
        if job.state is not JobState.SUCCEEDED:
            raise NotFound(
                f"{remote_id}: there is no adapter ({job.status.stage})", hint="ftctl watch"
            )
        return order

    def _job(self, remote_id: str) -> wire.Job:
        namespace, job_id = self._place(remote_id)
        if _is_space(remote_id):
            return self._spaces.look(remote_id)
        return self._at.ask(
            f"show job {remote_id}",
            lambda api: wire.job_of(api.inspect_job(job_id=job_id, namespace=namespace)),
        )

    def _pages(self, labels: dict[str, str] | None) -> Iterator[tuple[str, list[wire.Job]]]:
        """The jobs of every namespace that the key opens, newest first in each."""
        for number, namespace in enumerate((self._repos.me, *self._repos.organisations)):
            given: dict[str, Any] = {"labels": labels, "namespace": namespace}
            try:
                for page in self._at.pages("list jobs", partial(_list, given)):
                    yield namespace, page
            except (AuthError, NotFound):  # an organisation without Jobs, or not for this key
                if number == 0:
                    raise

    def _place(self, remote_id: str) -> tuple[str, str]:
        """Namespace and id, each one part of a path."""
        namespace, slash, job_id = remote_id.removeprefix(PREFIX).partition("/")
        parts = (namespace, job_id) if slash else (self._repos.me, namespace)
        for part in parts:
            if not wire.is_part(part):
                raise UsageError(
                    f"{remote_id!r} isn't the id of a job there", hint="NAMESPACE/ID, as in its URL"
                )
        return parts

    def _machine(self, job: wire.Job) -> Hardware | None:
        catalog = load_catalog()
        if is_gateway(catalog.get_provider(self.name), self._base_url):
            return None
        rows = catalog.hardware
        return next((r for r in rows if (r.provider, r.name) == (self.name, job.flavor)), None)


def _list(given: dict[str, Any], api: "HfApi") -> Iterator[wire.Job]:
    return map(wire.job_of, api.list_jobs(**given))


def _usd_per_hour(machine: str, api: "HfApi") -> float:
    """What the hub asks for a machine today; 0 where it doesn't say."""
    rows = api.list_jobs_hardware()
    minutes = (row for row in rows if (row.name, row.unit_label) == (machine, "minute"))
    return next((60.0 * row.unit_cost_usd for row in minutes), 0.0)


def _is_space(remote_id: str) -> bool:
    return remote_id.startswith(PREFIX)
