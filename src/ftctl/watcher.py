"""Look at a job, or at a page of them. Looking never changes what the provider does."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeGuard

from ftctl.errors import FtctlError, NotFound
from ftctl.estimation.quote import billed_usd
from ftctl.job import JobEvent, JobRecord, JobState, Snapshot
from ftctl.providers.base import Provider
from ftctl.store import Store
from ftctl.store.rows import Change

_MISSES_UNTIL_LOST = 3
_NUMBERS = ("step", "total_steps", "loss", "valid_loss")  # of an event, as of a progress
_log = logging.getLogger(__name__)

Clock = Callable[[], datetime]
Tell = Callable[[JobRecord], None]


def utc_now() -> datetime:
    """The clock that everybody uses who isn't given another."""
    return datetime.now(UTC)


def tell_nobody(_: JobRecord) -> None:
    """Who hears of a move, where nobody asked to."""


def refresh(
    store: Store,
    provider: Provider,
    record: JobRecord,
    clock: Clock = utc_now,
    tell: Tell = tell_nobody,
) -> JobRecord:
    """Look at one job once, and write down what was seen.

    A look that fails changes how fresh our knowledge is, never the job's state.

    Args:
        store: Where jobs are kept.
        provider: The job's driver.
        record: The job.
        clock: What time it is.
        tell: Told of a job that this look saw in another state.
    """
    try:
        return look(store, provider, record, clock, tell)
    except FtctlError as error:  # the vendor can't be asked, or a run folder is damaged
        return mark_stale(store, record, error)


def look(
    store: Store,
    provider: Provider,
    record: JobRecord,
    clock: Clock = utc_now,
    tell: Tell = tell_nobody,
) -> JobRecord:
    """Like `refresh`, for who does something about a look that fails.

    A job that the provider doesn't know is `lost` only after three such answers in a row.

    Raises:
        FtctlError: the look failed; nothing was written down.
    """
    if record.state.terminal or record.state is JobState.NEEDS_ATTENTION:
        return record
    if record.state.open_intention:
        return _adopt(store, provider, record)
    assert record.remote_id is not None  # noqa: S101 - every state past `submitting` has one
    # A look that began before the job was resumed tells of an attempt that is over.
    same = record.attempt
    before = record.state
    try:
        snapshot = provider.poll(record.remote_id)
    except NotFound as error:
        said = error.message
        after = store.update(
            record.id, lambda now: _missed(now, said) if now.attempt == same else {}
        )
        if after.state != before:
            tell(after)
        return after
    events: Sequence[JobEvent] = ()
    with contextlib.suppress(FtctlError):  # a gateway may have none; the state is known
        events = provider.events(record.remote_id, _seen(store, record.id))
    store.add_events(record.id, events)
    snapshot = snapshot.model_copy(update={"progress": snapshot.progress | _measured(events)})
    seen_at = clock()
    after = store.update(
        record.id, lambda now: _observed(now, snapshot, seen_at) if now.attempt == same else {}
    )
    _log.debug("%s: %s (%s)", record.id, snapshot.provider_status, snapshot.message)
    if after.state != before:
        tell(after)
    return after


def look_at_page(
    store: Store,
    provider: Provider,
    page: Mapping[str, Snapshot],
    attempts: dict[str, int],
    clock: Clock = utc_now,
    tell: Tell = tell_nobody,
) -> Iterator[JobRecord]:
    """Write down what one page of a provider's list showed of our jobs, by job id.

    What a job said is asked for when it has ended; while it runs `hear` is for one in turn: a
    question a job would undo what the list saved.

    Args:
        store: Where jobs are kept.
        provider: Whose list it is.
        page: What it showed, by job id.
        attempts: The attempt that each job was last seen in, kept from page to page: what a list
            says of a job that was resumed meanwhile may be of the attempt before.
        clock: What time it is.
        tell: Told of each job that is seen in another state.
    """
    seen_at = clock()
    before: dict[str, JobState] = {}

    def observing(snapshot: Snapshot) -> Change:
        def change(now: JobRecord) -> dict[str, Any]:
            before[now.id] = now.state
            last = attempts.setdefault(now.id, now.attempt)
            attempts[now.id] = now.attempt
            return _observed(now, snapshot, seen_at) if last == now.attempt else {}

        return change

    for after in store.update_many({job: observing(seen) for job, seen in page.items()}):
        if after.state != before[after.id]:
            if after.state.terminal and after.remote_id is not None:
                with contextlib.suppress(FtctlError):  # they are there still; the end is known
                    events = provider.events(after.remote_id, _seen(store, after.id))
                    store.add_events(after.id, events)
            tell(after)
        yield after


def hear(store: Store, provider: Provider, record: JobRecord) -> JobRecord:
    """Ask a job that a list showed what it said: its numbers stand in no list.

    Raises:
        FtctlError: the provider doesn't say; nothing was written down.
    """
    assert record.remote_id is not None  # noqa: S101 - it stood in a list
    events = provider.events(record.remote_id, _seen(store, record.id))
    if not events:
        return record
    store.add_events(record.id, events)
    measured, same = _measured(events), record.attempt

    def change(now: JobRecord) -> dict[str, Any]:
        over = now.state.terminal or now.attempt != same
        return {} if over else {"progress": now.progress | measured}

    return store.update(record.id, change)


def _adopt(store: Store, provider: Provider, record: JobRecord) -> JobRecord:
    """A crash cut a submission short: take over what the provider has of it."""
    message = "not submitted yet: the command that began it was cut short; run it again"
    if record.state is not JobState.SUBMITTING:
        return store.update(
            record.id, lambda now: {"message": message} if now.state.open_intention else {}
        )
    remote_id = provider.find(record.marker)
    if remote_id is None:
        return store.update(
            record.id, lambda now: {"message": message} if now.state.open_intention else {}
        )
    return adopt(store, record.id, remote_id)


def adopt(store: Store, job_id: str, remote_id: str) -> JobRecord:
    """Write down that the provider holds the job."""

    def change(now: JobRecord) -> dict[str, Any]:
        doubt = now.state in (JobState.SUBMITTING, JobState.NEEDS_ATTENTION)
        return held(remote_id) if doubt else {}  # another process adopted it first

    return store.update(job_id, change)


def held(remote_id: str) -> dict[str, Any]:
    """What changes of a job when it is known under which id the provider holds it."""
    fields: dict[str, Any] = {"remote_id": remote_id, "sent_at": None, "error": None}
    return fields | {"state": JobState.QUEUED, "message": "submitted"}


def mark_stale(store: Store, record: JobRecord, error: FtctlError) -> JobRecord:
    """Write down that the job couldn't be looked at, and why."""
    _log.info("%s: can't be looked at: %s", record.id, error.message)
    return store.update(record.id, unseen(error))


def unseen(error: FtctlError) -> Change:
    """The change that says why a job wasn't seen; one that has ended meanwhile needs no look."""
    said = error.message

    def change(now: JobRecord) -> dict[str, Any]:
        known = now.state.terminal or now.state is JobState.NEEDS_ATTENTION
        return {} if known or now.stale_because == said else {"stale_because": said}

    return change


def _seen(store: Store, job_id: str) -> int:
    return sum(event.kind != "state" for _, event in store.events(job_id))


def _measured(events: Sequence[JobEvent]) -> dict[str, float]:
    """The newest numbers that metrics events told, where the look itself shows none."""
    told: dict[str, float] = {}
    for event in events:
        if event.kind == "metrics":
            known = {name: event.data.get(name) for name in _NUMBERS}
            told |= {name: float(n) for name, n in known.items() if _finite(n)}
    return told


def _finite(value: object) -> TypeGuard[float]:
    """Whether it is a number that JSON can hold: a loss that blew up isn't."""
    return isinstance(value, int | float) and abs(value) < 1e18


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
    progress = {name: value for name, value in snapshot.progress.items() if _finite(value)}
    fields["progress"] = now.progress | progress
    if snapshot.state.terminal:
        fields["actual"] = _actual(now, progress)
    if snapshot.fine_tuned_model is not None:
        fields["fine_tuned_model"] = snapshot.fine_tuned_model
    if snapshot.state is JobState.SUCCEEDED and snapshot.fine_tuned_model is None:
        # Without a usable model it has not succeeded, whatever the provider says.
        message = "the provider says it succeeded, but names no model"
        error = {"kind": "no_model", "message": message, "hint": f"ftctl logs {now.id}"}
        fields |= {"state": JobState.FAILED, "message": message, "error": error}
    return fields


def _actual(now: JobRecord, progress: Mapping[str, float]) -> dict[str, float]:
    """What the job took, to stand beside its quote; the price of what was trained where known."""
    took = {
        name: progress[name]
        for name in ("trained_tokens", "seconds", "memory_gib", "cost_usd")
        if name in progress
    }
    if "trained_tokens" in took and "cost_usd" not in took:
        cost = billed_usd(now.spec, took["trained_tokens"])
        took |= {} if cost is None else {"cost_usd": cost}
    return took


def _missed(now: JobRecord, said: str) -> dict[str, Any]:
    if now.state.terminal:
        return {}
    fields: dict[str, Any] = {"misses": now.misses + 1, "stale_because": said}
    if fields["misses"] >= _MISSES_UNTIL_LOST and now.state is not JobState.LOST:
        fields |= {"state": JobState.LOST, "message": said}
    return fields
