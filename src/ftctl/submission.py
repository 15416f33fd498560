"""From a spec to a queued job: the one path on which money is spent and rows may leave."""

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from ftctl.account import ask_account
from ftctl.datasets.digest import file_sha256
from ftctl.errors import (
    FtctlError,
    IllegalMove,
    InvalidRequest,
    NoBalance,
    NotFound,
    OverMaxCost,
    RateLimited,
    Retired,
    Unavailable,
    UsageError,
)
from ftctl.estimation.quote import Quote
from ftctl.fault_words import as_kept
from ftctl.job import JobRecord, JobSpec, JobState
from ftctl.providers.base import Provider, RemoteFile
from ftctl.store import Store
from ftctl.store.rows import Change
from ftctl.vendor_price import ask_price, with_price
from ftctl.watcher import adopt, held, utc_now

OnStep = Callable[[str], None]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long an unanswered create is looked for, and how time passes.

    Attributes:
        settle_s: Seconds from when it was sent; the last look comes after them.
        clock: What time it is.
        sleep: How to wait, in seconds.
        as_of: The day to judge availability by; the clock's when None.
    """

    settle_s: float = 120.0
    clock: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] = time.sleep
    as_of: date | None = None


def submit(
    spec: JobSpec,
    *,
    store: Store,
    provider: Provider,
    quoted: Quote | None = None,
    new: bool = False,
    on_step: OnStep | None = None,
    patience: Patience | None = None,
) -> JobRecord:
    """Commit the intention, then bring the job to the provider; safe to run again after a crash.

    The same spec goes on with its open intention and never makes a second job.

    Raises: as `carry_on`.
    """
    estimate = None if quoted is None else quoted.model_dump(mode="json")
    record = store.add_job(spec, intention_of(spec), estimate, new=new)
    on_step = on_step or (lambda _: None)
    if record.spec != spec:
        before = record.spec.notify
        record = store.update(record.id, _asked_again(spec))
        if record.spec.notify != before:
            on_step(f"{record.id} is under way: its moves are told to this --notify from now on")
    return carry_on(store, provider, record, on_step, patience or Patience())


def _asked_again(spec: JobSpec) -> Change:
    """What the same request in other words changes: where its data are, and who is told."""

    def change(now: JobRecord) -> dict[str, Any]:
        told = {"notify": spec.notify or now.spec.notify}
        if now.state.open_intention:  # the same data, moved since
            return {"spec": spec.model_copy(update=told)}
        return {} if now.state.terminal else {"spec": now.spec.model_copy(update=told)}

    return change


def carry_on(
    store: Store, provider: Provider, record: JobRecord, on_step: OnStep, patience: Patience
) -> JobRecord:
    """Bring an open intention to the provider, and never a second time.

    A create that was sent and never answered is looked for until the settle window is over; only
    a provider that says all that time that it has no such job is asked to make it again. Before
    anything is uploaded the account is asked one free question.

    Raises:
        Unavailable: the provider can't be asked, or didn't answer; the intention stays open.
        ProviderError: the provider said no.
        OverMaxCost: its own price of the job, asked once it holds the data, is above the limit.
        UsageError: the data changed since the intention was made.
    """
    if record.state is JobState.SUBMITTING and record.sent_at is not None:
        record = _settle(store, provider, record, on_step, patience)
    if not record.state.open_intention:
        return record
    _ask(store, provider, record, on_step, patience.as_of or patience.clock().date())
    files = _upload(store, provider, record, on_step)
    _price(store, provider, record, files, on_step, patience.clock().date())
    sent_at = patience.clock()
    if not _claim(store, record, sent_at):  # another process sends it at this moment, or died
        record = _settle(store, provider, store.get_job(record.id), on_step, patience)
        if record.state.open_intention:  # nobody's to send now but the other's
            said = f"another process was submitting {record.id}, and it isn't at {record.provider}"
            raise Unavailable(said, hint="run the same command again")
        return record
    on_step("submitting")
    return _create(store, provider, record, files, sent_at)


def _ask(store: Store, provider: Provider, record: JobRecord, on_step: OnStep, day: date) -> None:
    """Ask the account before any row leaves; a no is written down."""
    if provider.capabilities.data_stays_here:
        return
    spec = record.spec
    try:
        may = ask_account(
            provider, spec.provider, model=spec.model, base_url=spec.base_url, as_of=day
        )
    except (Unavailable, RateLimited):
        raise
    except FtctlError as error:
        no = _refused(error)

        def change(now: JobRecord) -> dict[str, Any]:  # another process may be sending it
            return no if now.state.open_intention and now.sent_at is None else {}

        store.update(record.id, change)
        raise
    on_step(str(may))


def _refused(error: FtctlError) -> dict[str, Any]:
    """What to write down of a no: once for all, or for now (no credit, wrong key, too many)."""
    no: dict[str, Any] = {"message": error.message, "error": as_kept(error), "sent_at": None}
    if isinstance(error, InvalidRequest | NotFound | Retired):
        no["state"] = JobState.FAILED
    return no


def _upload(
    store: Store, provider: Provider, record: JobRecord, on_step: OnStep
) -> dict[str, RemoteFile]:
    spec = record.spec
    if record.state is JobState.CREATED:
        store.update(
            record.id,
            lambda now: {"state": JobState.UPLOADING} if now.state is JobState.CREATED else {},
        )
    on_step("uploading")
    wanted = [("training", spec.data, spec.data_sha256)]
    if spec.validation is not None and spec.validation_sha256 is not None:
        wanted.append(("validation", spec.validation, spec.validation_sha256))
    files = {}
    for role, file, sha256 in wanted:
        if file_sha256(file) != sha256:
            raise UsageError(
                f"{file} changed since {record.id} was made of it",
                hint=f"put it back and run this again, or ftctl cancel {record.id}",
            )
        try:
            files[role] = provider.upload(file, sha256)
        except FtctlError as error:
            _note_refusal(store, record, error)
            raise
    return files


def _note_refusal(store: Store, record: JobRecord, error: FtctlError) -> None:
    """Keep a definite no with the job; once it is mended, the same submit goes on."""
    if isinstance(error, Unavailable | RateLimited):
        return
    no = {"message": error.message, "error": as_kept(error)}
    store.update(record.id, lambda now: no if now.state.open_intention else {})


def _price(
    store: Store,
    provider: Provider,
    record: JobRecord,
    files: dict[str, RemoteFile],
    on_step: OnStep,
    day: date,
) -> None:
    """Hold the vendor's own price, where it says one, against the limit; a no is written down."""
    try:
        price = ask_price(provider, record, files)
    except (OverMaxCost, NoBalance) as error:
        _note_refusal(store, record, error)
        raise
    if price is None:
        return
    on_step(f"{record.provider} itself estimates {price.usd:.2f} USD")
    priced = with_price(record, price, day)
    store.update(record.id, lambda now: priced if now.state.open_intention else {})


def _claim(store: Store, record: JobRecord, sent_at: datetime) -> bool:
    """Write down that we send it now, before we do; False when somebody else has."""
    before = record.sent_at

    def change(now: JobRecord) -> dict[str, Any]:
        mine = now.state in (JobState.UPLOADING, JobState.SUBMITTING) and now.sent_at == before
        return {"state": JobState.SUBMITTING, "sent_at": sent_at} if mine else {}

    after = store.update(record.id, change)
    return after.state is JobState.SUBMITTING and after.sent_at == sent_at


def _create(
    store: Store,
    provider: Provider,
    record: JobRecord,
    files: dict[str, RemoteFile],
    sent_at: datetime,
) -> JobRecord:
    try:
        remote_id = provider.create(record.spec, files, record.marker)
    except Unavailable as error:
        _log.info("%s: %s didn't answer: %s", record.id, record.provider, error.message)
        raise Unavailable(
            f"{record.id}: {error.message}; whether the job was made is not known yet",
            hint="run the same submit again, or ftctl jobs reconcile: it is looked for first",
        ) from None
    except FtctlError as error:
        no = _refused(error)
        # Of what another process has sent meanwhile, our no says nothing.
        store.update(record.id, lambda now: no if now.sent_at == sent_at else {})
        raise
    _log.info("%s: created at %s as %s", record.id, record.provider, remote_id)
    after = adopt(store, record.id, remote_id)
    if after.remote_id != remote_id:  # cancelled, or made by another process, meanwhile
        _cancel_surplus(provider, record, remote_id)
    return after


def _cancel_surplus(provider: Provider, record: JobRecord, remote_id: str) -> None:
    said = f"{record.id}: {remote_id} at {record.provider} is one too many"
    _log.warning("%s: it is cancelled", said)
    try:
        provider.cancel(remote_id)
    except FtctlError as error:
        message = f"{said}, and can't be cancelled: {error.message}"
        raise Unavailable(message, hint="cancel it there: nothing here knows of it") from None


def _settle(
    store: Store, provider: Provider, record: JobRecord, on_step: OnStep, patience: Patience
) -> JobRecord:
    """Look for a create that nobody answered: adopt it, or be sure that there is none.

    Returns:
        The job: at its provider, `needs_attention`, or still open and free to be sent.
    """
    if not provider.capabilities.can_find:
        return _needs_attention(store, record, f"{record.provider} can't be asked for it")
    window = timedelta(seconds=patience.settle_s if provider.capabilities.lists_lag else 0.0)
    sent_at, since = None, patience.clock()
    while record.state.open_intention and record.sent_at is not None:
        looked_at = patience.clock()
        if record.sent_at != sent_at:  # sent anew by another process: its window, not ours
            sent_at = record.sent_at
            since = min(sent_at, looked_at)  # a clock set back must not make it longer
        try:
            found = provider.find(record.marker)
        except (InvalidRequest, NotFound) as error:
            return _needs_attention(store, record, error.message)
        _log.info("%s: asked %s for it: %s", record.id, record.provider, found or "unknown there")
        if found is not None:
            on_step("found it at the provider")
            return adopt(store, record.id, found)
        left = (since + window - looked_at).total_seconds()
        if left <= 0:
            return record
        on_step(f"looking for the job at {record.provider}, for another {left:.0f} s")
        patience.sleep(min(left, 5.0))
        record = store.get_job(record.id)
    return record


def _needs_attention(store: Store, record: JobRecord, why: str) -> JobRecord:
    message = (
        f"whether {record.provider} took the job isn't known ({why}); look there for "
        f"{record.marker}, then: ftctl jobs resolve {record.id} --remote ID, or --none"
    )
    return store.update(
        record.id,
        lambda now: (
            {"state": JobState.NEEDS_ATTENTION, "message": message}
            if now.state is JobState.SUBMITTING
            else {}
        ),
    )


def resolve(
    store: Store, record: JobRecord, remote_id: str | None, patience: Patience | None = None
) -> JobRecord:
    """A person's word on what a job is at the provider, or that it is nothing there.

    Asked for where a job `needs_attention`; taken, too, of a create that nobody answered once its
    settle window is over, and not before: it may still be on its way.

    Raises:
        IllegalMove: the job needs nobody's word, or not yet.
        UsageError: the id is empty.
    """
    _require_doubt(record, patience or Patience())
    remote_id = remote_id if remote_id is None else remote_id.strip()
    if remote_id == "":
        raise UsageError("an empty id names no job", hint="--remote ID, or --none")
    message = "not at the provider, a person says; it may be sent again"
    said: dict[str, Any] = {"state": JobState.SUBMITTING, "sent_at": None, "message": message}
    if remote_id is not None:
        said = held(remote_id)
    judged = (record.state, record.sent_at)
    after = store.update(record.id, lambda now: said if (now.state, now.sent_at) == judged else {})
    told = (after.state, after.remote_id, after.sent_at)
    if told != (said["state"], remote_id, None):  # another process was quicker
        raise IllegalMove(
            f"{record.id} changed meanwhile: it is {after.state}", hint=f"ftctl job {record.id}"
        )
    return after


def _require_doubt(record: JobRecord, patience: Patience) -> None:
    if record.state is JobState.NEEDS_ATTENTION:
        return
    if record.state is not JobState.SUBMITTING or record.sent_at is None:
        raise IllegalMove(
            f"{record.id} is {record.state}; only a job of which nobody knows whether "
            f"{record.provider} took it is resolved",
            hint=f"ftctl job {record.id}",
        )
    left = patience.settle_s - (patience.clock() - record.sent_at).total_seconds()
    if left > 0:
        raise IllegalMove(
            f"{record.id} may still show up at {record.provider}, for another {left:.0f} s",
            hint="ftctl jobs reconcile looks for it that long",
        )


def intention_of(spec: JobSpec) -> str:
    """Equal for equal requests: the spec with the data's content instead of its place."""
    # Fields that came later stand in it only when they are set: older intentions stay the same.
    later = {name for name in ("engine", "options") if not getattr(spec, name)}
    same = spec.model_dump_json(exclude={"data", "validation", "max_cost_usd", "notify", *later})
    return hashlib.sha256(same.encode()).hexdigest()
