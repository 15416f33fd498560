"""What crashes left open, settled: by asking the provider, or by a person's word."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime

from ftctl.api.job_handle import open_store, provider_of, require_still_allowed
from ftctl.config import Settings, load_settings
from ftctl.errors import FtctlError
from ftctl.job import OPEN, JobRecord, JobState
from ftctl.submission import Patience, carry_on, resolve
from ftctl.watcher import refresh


def reconcile(
    *,
    on_step: Callable[[str], None] | None = None,
    patience: Patience | None = None,
    as_of: date | None = None,
    settings: Settings | None = None,
) -> tuple[list[JobRecord], list[FtctlError]]:
    """Settle what crashes left open: adopt what providers hold, send again what they don't.

    Args:
        on_step: Told what is being done.
        patience: How long to look before sending again; `FTCTL_SETTLE_S` when not given.
        as_of: The day to judge availability by; today when not given.
        settings: Where the store is.

    Returns:
        The jobs that were open, as they are now, and why those that still are could not be settled.
    """
    settings = settings or load_settings()
    patience = replace(patience or Patience(settings.settle_s), as_of=as_of)
    settled: list[JobRecord] = []
    unsettled: list[FtctlError] = []
    with open_store(settings) as store:
        waiting, damaged = store.survey(states=OPEN)
        unsettled += [job.error for job in damaged]
        attention = store.jobs(states={JobState.NEEDS_ATTENTION})
        for record in reversed(waiting):
            try:
                day = as_of or datetime.now(UTC).date()
                provider = provider_of(record, settings)
                record = refresh(store, provider, record)  # adopted, also from a closed route
                if record.state.open_intention:
                    require_still_allowed(record.spec, provider, day)
                tell = on_step or (lambda _: None)
                settled.append(carry_on(store, provider, record, tell, patience))
            except FtctlError as error:
                unsettled.append(error)
                settled.append(store.get_job(record.id))
    return [*settled, *attention], unsettled


def resolve_job(
    job_id: str, remote_id: str | None, *, settings: Settings | None = None
) -> JobRecord:
    """Say what a job of which nobody knows is at its provider; None is nothing.

    Raises:
        IllegalMove: the job needs nobody's word, or not before its settle window is over.
    """
    settings = settings or load_settings()
    with open_store(settings) as store:
        patience = Patience(settings.settle_s)
        record = resolve(store, store.get_job(job_id), remote_id, patience)
        store.audit("resolved", {"remote_id": remote_id}, job_id=record.id)
        return record
