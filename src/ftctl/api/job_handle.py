"""`Job`: the handle with the verbs, and the ways to get one."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ftctl.admission import quote_for, require_affordable, require_route, require_valid
from ftctl.api.converted_copies import drop_converted
from ftctl.api.model_handle import TunedModelHandle
from ftctl.api.nothing_made import telling_of
from ftctl.config import Settings, load_settings
from ftctl.errors import IllegalMove, JobFailed, NotFound, OverMaxCost, Unsupported
from ftctl.job import TERMINAL, JobEvent, JobRecord, JobSpec, JobState, TunedModel
from ftctl.notification import Notifier
from ftctl.providers.artifacts.download import Progress
from ftctl.providers.base import PausingProvider, Provider
from ftctl.providers.prices import QuotingProvider
from ftctl.providers.registry import get_provider
from ftctl.store import Store
from ftctl.store.rows import DamagedJob
from ftctl.submission import Patience, carry_on
from ftctl.watcher import Tell, refresh
from ftctl.watching import Pace, watch_jobs


class Job:
    """A job and the verbs that work on it; holds no connection between calls.

    Args:
        record: The job as it was last seen.
        settings: Where store and runs are.
    """

    def __init__(self, record: JobRecord, settings: Settings) -> None:
        self.record = record
        self._settings = settings

    @property
    def id(self) -> str:
        """The job's id."""
        return self.record.id

    @property
    def state(self) -> JobState:
        """Where the job stood when it was last looked at."""
        return self.record.state

    @property
    def model(self) -> "TunedModelHandle":
        """The tuned model, ready to be called.

        Raises:
            NotFound: there is none yet.
        """
        with telling_of(self.record):
            where = self._provider().tuned_model(self._remote_id())
        return TunedModelHandle(where, self._settings, self.record.provider)

    def refresh(self) -> "Job":
        """Look at the job once; its state is never changed by a look that fails."""
        with open_store(self._settings) as store:
            self.record = self._look(store, self._provider())
        return self

    def watch(self, every_s: float | None = None) -> Iterator[JobRecord]:
        """The job each time it has changed, until it has ended."""
        yield from watch([self.id], every_s=every_s, settings=self._settings)

    def wait(self) -> "Job":
        """Wait for the job to end.

        Raises:
            JobFailed: it ended otherwise than in success.
            IllegalMove: it isn't at its provider, or nobody knows: there is nothing to wait for.
        """
        for record in self.watch():
            self.record = record
        if not self.state.terminal:
            raise IllegalMove(
                f"{self.id} can't be waited for, it is {self.state}: {self.record.message}",
                hint=how_to_go_on(self.record),
            )
        if self.state is not JobState.SUCCEEDED:
            error = self.record.error or {}
            raise JobFailed(
                f"{self.id} {self.state}: {self.record.message}",
                hint=error.get("hint", "") or f"ftctl logs {self.id}",
            )
        return self

    def events(self, after: int = 0) -> list[tuple[int, JobEvent]]:
        """What the job said and went through, oldest first, with numbers to go on from."""
        with open_store(self._settings) as store:
            return store.events(self.id, after)

    def cancel(self) -> "Job":
        """Stop the job; what it has learned so far stays in its checkpoint.

        Raises:
            IllegalMove: it has ended.
            Unsupported: the provider can't stop a job that it has taken.
        """
        provider = self._provider()
        with open_store(self._settings) as store:
            record = self._look(store, provider)
            if record.state.terminal:
                raise IllegalMove(f"{self.id} has ended: {record.state}", hint="ftctl jobs")
            if record.state is JobState.NEEDS_ATTENTION:
                raise IllegalMove(
                    f"whether {record.provider} took {self.id} isn't known: a person must say",
                    hint=f"ftctl jobs resolve {self.id} --remote ID, or --none",
                )
            if record.sent_at is not None and provider.capabilities.lists_lag:
                raise IllegalMove(
                    f"whether {record.provider} took {self.id} isn't known yet, so it can't be "
                    "cancelled",
                    hint="ftctl jobs reconcile",
                )
            if record.state.open_intention:
                # Unless the command that submits it is ahead of us: then it is cancelled there.
                record = store.update(self.id, _never_submitted(record))
                if record.state.open_intention:
                    raise IllegalMove(f"{self.id} is being submitted", hint="cancel it again then")
            if not record.state.terminal:
                if not provider.capabilities.can_cancel:
                    raise Unsupported(
                        f"{record.provider} can't stop a job, so {self.id} runs to its end",
                        hint=f"ftctl watch {self.id}",
                    )
                store.update(self.id, _cancelling)
                record = self._cancel_there(store, provider, record)
            self.record = record
        return self

    def _cancel_there(self, store: Store, provider: Provider, record: JobRecord) -> JobRecord:
        try:
            provider.cancel(record.remote_id or "")
        except NotFound:
            if record.state is not JobState.LOST:
                raise
            gone = {"state": JobState.CANCELLED, "message": "gone at the provider"}
            return store.update(self.id, lambda now: {} if now.state.terminal else gone)
        return self._look(store, provider)

    def pause(self) -> "Job":
        """Hold the job where it is; `resume` lets it go on, in the same attempt.

        Raises:
            IllegalMove: it isn't under way.
            Unsupported: the provider can't hold a job.
        """
        provider = self._provider()
        if not (provider.capabilities.can_pause and isinstance(provider, PausingProvider)):
            raise Unsupported(
                f"{self.record.provider} can't pause a job", hint=f"ftctl cancel {self.id} stops it"
            )
        with open_store(self._settings) as store:
            record = self._look(store, provider)
            if record.state not in (JobState.VALIDATING, JobState.QUEUED, JobState.RUNNING):
                raise IllegalMove(
                    f"{self.id} is {record.state}; only a job under way can be paused",
                    hint=f"ftctl job {self.id}",
                )
            provider.pause(self._remote_id())
            self.record = self._look(store, provider)
        return self

    def resume(self) -> "Job":
        """Let a paused job go on; else the next attempt of a failed or cancelled one.

        That begins at its last checkpoint.

        Raises:
            IllegalMove: the job isn't paused, hasn't failed and wasn't cancelled.
            Unsupported: the provider can't go on with a job.
            OverMaxCost: what the provider quotes for the paused job is above its limit.
        """
        provider = self._provider()
        with open_store(self._settings) as store:
            record = self._look(store, provider)
            if record.state is JobState.PAUSED and isinstance(provider, PausingProvider):
                _require_within(record)
                provider.unpause(self._remote_id())
                self.record = self._look(store, provider)
                return self
            if not provider.capabilities.can_resume:
                raise Unsupported(
                    f"{self.record.provider} can't go on with a stopped job",
                    hint=f"submit it again: ftctl job {self.id} shows its settings",
                )
            if record.state.open_intention:
                require_still_allowed(record.spec, provider, datetime.now(UTC).date())
                patience = Patience(self._settings.settle_s)
                self.record = carry_on(store, provider, record, lambda _: None, patience)
                return self
            if record.state not in (JobState.FAILED, JobState.CANCELLED):
                raise IllegalMove(
                    f"{self.id} is {record.state}; only a failed or cancelled job can be resumed",
                    hint=f"ftctl watch {self.id}",
                )
            # The provider first: while it fails, the job stays what it was; and nobody looks at a
            # job that has ended, so no look can mistake the old attempt's end for the new one's.
            provider.resume(self._remote_id(), record.attempt + 1)
            self.record = store.update(self.id, _next_attempt(record.attempt + 1))
        return self

    def fetch(self, folder: Path | str, progress: Progress | None = None) -> TunedModel:
        """Bring home what the job made, whole or not at all; again without harm.

        Args:
            folder: A new or empty one; a download that broke off goes on in the next call.
            progress: Told of the bytes that come: a file's name, bytes here, bytes of the whole.

        Raises:
            NotFound: there is nothing yet.
            Unavailable: it broke off.
            StoreError: the disk won't take it, or another fetch is writing there.
        """
        with telling_of(self.record):
            return self._provider().fetch(self._remote_id(), Path(folder).expanduser(), progress)

    def forget(self) -> None:
        """Delete what the job left at its provider: files, and the tuned model.

        Copies of its data that were converted for that provider go too, unless another job uses
        them.

        Raises:
            IllegalMove: it hasn't ended.
        """
        if not self.refresh().state.terminal:
            raise IllegalMove(f"{self.id} is {self.state}", hint=f"ftctl cancel {self.id}")
        if self.record.remote_id is not None:
            self._provider().forget(self.record.remote_id)
        gone = {"provider": self.record.provider, "remote_id": self.record.remote_id}
        with open_store(self._settings) as store:
            drop_converted(store, self.record, self._settings.home)
            store.audit("forgotten", gone, job_id=self.id)

    def _look(self, store: Store, provider: Provider) -> JobRecord:
        return refresh(store, provider, store.get_job(self.id), tell=_teller(self._settings))

    def _provider(self) -> Provider:
        return provider_of(self.record, self._settings)

    def _remote_id(self) -> str:
        if self.record.remote_id is None:
            with open_store(self._settings) as store:
                self.record = store.get_job(self.id)
        if self.record.remote_id is None:
            raise NotFound(f"{self.id} isn't at its provider yet", hint=f"ftctl job {self.id}")
        return self.record.remote_id


def how_to_go_on(record: JobRecord) -> str:
    """What a person does with a job for which watching does nothing; "" for any other."""
    if record.state is JobState.NEEDS_ATTENTION:
        return f"ftctl jobs resolve {record.id} --remote ID, or --none"
    if record.state.open_intention:
        return "run the same submit again, or ftctl jobs reconcile: no second job is made"
    return ""


def _teller(settings: Settings) -> Tell:
    """Tells whom a job names in `notify` of its moves; once for each by this observer."""
    notifier = Notifier(settings)

    def tell(record: JobRecord) -> None:
        if record.spec.notify is not None:
            notifier.tell(record.spec.notify, record)

    return tell


def require_still_allowed(spec: JobSpec, provider: Provider, day: date) -> None:
    """Before an open intention is sent after all: prices, dates and data may have changed.

    Raises:
        Refused: by availability, privacy or cost.
        DataInvalid: the data breaks the provider's rules.
    """
    require_route(spec, as_of=day)
    report = require_valid(spec, provider.capabilities.dialect)
    vendor_says = isinstance(provider, QuotingProvider)
    require_affordable(spec, quote_for(spec, report, as_of=day), vendor_says=vendor_says)


def _require_within(record: JobRecord) -> None:
    """Hold what the provider says of a paused job's cost against the job's limit."""
    limit, cost = record.spec.max_cost_usd, record.progress.get("estimated_usd")
    if limit is not None and cost is not None and cost > limit:
        raise OverMaxCost(
            f"{record.provider} quotes {cost:.2f} USD for {record.id}; its limit is {limit:.2f}",
            hint=f"ftctl cancel {record.id}",
        )


def _never_submitted(looked: JobRecord) -> Callable[[JobRecord], dict[str, Any]]:
    """Cancelled, unless another process has begun to send it since we looked."""
    never = {"state": JobState.CANCELLED, "message": "never submitted", "sent_at": None}
    return lambda now: never if now.state.open_intention and now.sent_at == looked.sent_at else {}


def _cancelling(now: JobRecord) -> dict[str, Any]:
    quiet = now.state.terminal or now.state in (JobState.CANCELLING, JobState.LOST)
    return {} if quiet else {"state": JobState.CANCELLING}


def _next_attempt(attempt: int) -> Callable[[JobRecord], dict[str, Any]]:
    fields = {
        "state": JobState.QUEUED,
        "attempt": attempt,
        "message": f"attempt {attempt}",
        "error": None,
        "actual": None,
    }
    return lambda now: fields if now.attempt < attempt else {}


def open_store(settings: Settings) -> Store:
    """The store that the settings name; close it, or use it in a `with`."""
    return Store(settings.database_url)


def provider_of(record: JobRecord, settings: Settings) -> Provider:
    """The driver of a job, at the job's own base URL."""
    return get_provider(record.provider, settings, record.base_url)


def jobs(*, limit: int | None = None, settings: Settings | None = None) -> list[Job]:
    """Every job, newest first, as the store knows them; no provider is asked."""
    settings = settings or load_settings()
    with open_store(settings) as store:
        return [Job(record, settings) for record in store.jobs(limit)]


def survey_jobs(*, settings: Settings | None = None) -> tuple[list[JobRecord], list[DamagedJob]]:
    """Every job, newest first, and those whose record is damaged: they hide no other."""
    with open_store(settings or load_settings()) as store:
        return store.survey()


def get_job(job_id: str, *, settings: Settings | None = None) -> Job:
    """One job by its id, an unambiguous beginning of it, or its name.

    Raises:
        NotFoundHere: there is none, or more than one.
    """
    settings = settings or load_settings()
    with open_store(settings) as store:
        return Job(store.get_job(job_id), settings)


def watch(
    ids: Sequence[str] | None = None,
    *,
    every_s: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
    settings: Settings | None = None,
) -> Iterator[JobRecord]:
    """Yield a job each time it has changed, until all have ended.

    Args:
        ids: Whole job ids; every live job when not given.
        every_s: Seconds between two looks; `FTCTL_POLL_S` when not given.
        sleep: How to wait.
        settings: Where the store is.
    """
    settings = settings or load_settings()
    drivers: dict[tuple[str, str | None], Provider] = {}  # kept: each holds its connection

    def get_driver(record: JobRecord) -> Provider:
        where = (record.provider, record.base_url)
        if where not in drivers:
            drivers[where] = provider_of(record, settings)
        return drivers[where]

    with open_store(settings) as store:
        if ids is None:
            live = store.jobs(states=frozenset(JobState) - TERMINAL)
        else:
            live = [store.get_job(job_id) for job_id in ids]
        yield from watch_jobs(
            store,
            get_driver,
            live,
            Pace(
                settings.poll_s if every_s is None else every_s,
                sleep=sleep,
                tell=_teller(settings),
            ),
        )
