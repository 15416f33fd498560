"""Look at jobs: refresh one, watch many. Looking never changes what the provider does."""

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from ftctl.errors import FtctlError, NotFound
from ftctl.job import JobEvent, JobRecord, JobState, Snapshot
from ftctl.providers.base import Provider
from ftctl.store import Store

_MISSES_UNTIL_LOST = 3
_log = logging.getLogger(__name__)
_LONGEST_DELAY_S = 30.0

GetProvider = Callable[[JobRecord], Provider]
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock that everybody uses who isn't given another."""
    return datetime.now(UTC)


def refresh(
    store: Store, provider: Provider, record: JobRecord, clock: Clock = utc_now
) -> JobRecord:
    """Look at one job once, and write down what was seen.

    A look that fails changes how fresh our knowledge is, never the job's state; a job that the
    provider doesn't know is `lost` only after three such answers in a row.
    """
    if record.state.terminal or record.state is JobState.NEEDS_ATTENTION:
        return record
    if record.state.open_intention:
        return _adopt(store, provider, record)
    assert record.remote_id is not None  # noqa: S101 - every state past `submitting` has one
    try:
        snapshot = provider.poll(record.remote_id)
        events = provider.events(record.remote_id, _seen(store, record.id))
    except NotFound as error:
        said = error.message
        return store.update(record.id, lambda now: _missed(now, said))
    except FtctlError as error:  # the vendor can't be asked, or a run folder is damaged
        return _stale(store, record, error)
    store.add_events(record.id, events)
    seen_at = clock()
    before = record.state
    # A look that began before the job was resumed tells of an attempt that is over.
    same = record.attempt
    after = store.update(
        record.id, lambda now: _observed(now, snapshot, seen_at) if now.attempt == same else {}
    )
    _log.debug("%s: %s (%s)", record.id, snapshot.provider_status, snapshot.message)
    if after.state != before:
        store.add_events(record.id, [_state_event(after, seen_at)])
    return after


def watch_jobs(
    store: Store,
    get_provider: GetProvider,
    ids: Sequence[str],
    *,
    every_s: float,
    sleep: Callable[[float], None],
    clock: Clock = utc_now,
) -> Iterator[JobRecord]:
    """Yield a job each time it has changed, until all have ended.

    Args:
        store: Where jobs are kept.
        get_provider: The driver for a job.
        ids: Whole job ids.
        every_s: Shortest time between two looks; grows while nothing is heard from a provider.
        sleep: How to wait, in seconds.
        clock: What time it is.
    """
    told: dict[str, JobRecord] = {}
    live = list(ids)
    delay = every_s
    while live:
        for job_id in list(live):
            record = store.get_job(job_id)
            try:
                after = refresh(store, get_provider(record), record, clock)
            except FtctlError as error:  # no driver, no key: the other jobs are still watched
                if len(ids) == 1:
                    raise
                after = _stale(store, record, error)
                live.remove(job_id)
            if after.state.terminal or after.state is JobState.NEEDS_ATTENTION:
                live.remove(job_id)
            elif after.state.open_intention and job_id in live:
                live.remove(job_id)  # nobody here knows whether anybody still submits it
            if _worth_telling(told.get(job_id), after):
                told[job_id] = after
                yield after
        if live:
            delay = min(delay * 2, _LONGEST_DELAY_S) if _all_stale(told, live) else every_s
            sleep(delay)


def _all_stale(told: dict[str, JobRecord], live: Sequence[str]) -> bool:
    return all(told[job_id].stale_because for job_id in live if job_id in told)


def _worth_telling(before: JobRecord | None, after: JobRecord) -> bool:
    """Whether anything but the time of the look has changed."""
    if before is None:
        return True
    same = {"observed_at": None}
    return before.model_copy(update=same) != after.model_copy(update=same)


def _adopt(store: Store, provider: Provider, record: JobRecord) -> JobRecord:
    """A crash cut a submission short: take over what the provider has of it."""
    message = "not submitted yet: the command that began it was cut short; run it again"
    if record.state is not JobState.SUBMITTING:
        return store.update(
            record.id, lambda now: {"message": message} if now.state.open_intention else {}
        )
    try:
        remote_id = provider.find(record.marker)
    except FtctlError as error:
        return _stale(store, record, error)
    if remote_id is None:
        return store.update(
            record.id, lambda now: {"message": message} if now.state.open_intention else {}
        )
    return adopt(store, record.id, remote_id)


def adopt(store: Store, job_id: str, remote_id: str) -> JobRecord:
    """Write down that the provider holds the job."""

    def change(now: JobRecord) -> dict[str, Any]:
        if now.state not in (JobState.SUBMITTING, JobState.NEEDS_ATTENTION):
            return {}  # another process adopted it first
        fields: dict[str, Any] = {"remote_id": remote_id, "sent_at": None, "message": "submitted"}
        return fields | {"state": JobState.QUEUED}

    return store.update(job_id, change)


def _stale(store: Store, record: JobRecord, error: FtctlError) -> JobRecord:
    said = error.message
    _log.info("%s: can't be looked at: %s", record.id, said)
    return store.update(record.id, lambda _: {"stale_because": said})


def _seen(store: Store, job_id: str) -> int:
    return sum(event.kind != "state" for _, event in store.events(job_id))


def _observed(now: JobRecord, snapshot: Snapshot, at: datetime) -> dict[str, Any]:
    if now.state.terminal:
        return {}  # somebody else saw the end first
    fields: dict[str, Any] = {
        "provider_status": snapshot.provider_status,
        "observed_at": at,
        "stale_because": None,
        "misses": 0,
    }
    if snapshot.state is None:
        return fields | {
            "stale_because": snapshot.message or "the provider said a word we don't know"
        }
    fields |= {"state": snapshot.state, "message": snapshot.message, "error": snapshot.error}
    fields["progress"] = now.progress | snapshot.progress
    if snapshot.state.terminal:
        fields["actual"] = {
            name: snapshot.progress[name]
            for name in ("trained_tokens", "seconds", "cost_usd")
            if name in snapshot.progress
        }
    if snapshot.fine_tuned_model is not None:
        fields["fine_tuned_model"] = snapshot.fine_tuned_model
    if snapshot.state is JobState.SUCCEEDED and snapshot.fine_tuned_model is None:
        # Without a usable model it has not succeeded, whatever the provider says.
        message = "the provider says it succeeded, but names no model"
        error = {"kind": "no_model", "message": message, "hint": f"ftctl logs {now.id}"}
        fields |= {"state": JobState.FAILED, "message": message, "error": error}
    return fields


def _missed(now: JobRecord, said: str) -> dict[str, Any]:
    if now.state.terminal:
        return {}
    fields: dict[str, Any] = {"misses": now.misses + 1, "stale_because": said}
    if fields["misses"] >= _MISSES_UNTIL_LOST and now.state is not JobState.LOST:
        fields |= {"state": JobState.LOST, "message": said}
    return fields


def _state_event(record: JobRecord, at: datetime) -> JobEvent:
    return JobEvent(
        source_id=f"state-{record.attempt}-{record.state}-{at.isoformat()}",
        at=at,
        level="error" if record.state is JobState.FAILED else "info",
        kind="state",
        message=f"{record.state}: {record.message}" if record.message else str(record.state),
    )
