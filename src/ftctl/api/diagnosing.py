"""What a job's curves show and what went wrong with it, from the store and the run folder.

No provider is asked.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ftctl.api.job_handle import open_store, provider_of
from ftctl.config import Settings, load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.datasets.read import LineReader
from ftctl.diagnosis.diagnose import diagnose
from ftctl.diagnosis.explanation import Explanation, explain_record
from ftctl.diagnosis.types import Finding, RunFacts
from ftctl.errors import FtctlError, StoreError
from ftctl.job import JobEvent, JobRecord, JobState
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.run_folder import RunFolder, WorkerConfig
from ftctl.providers.base import Capabilities

_TRAINS = (JobState.RUNNING, JobState.PAUSED, JobState.CANCELLING, JobState.SUCCEEDED)
_CUT_SHORT = (JobState.FAILED, JobState.CANCELLED, JobState.LOST)
_NOTHING_FOUND = ("healthy", "not_enough_metrics")
_LARGEST_COUNTED = 64 * 2**20  # bytes of a data file that is read for its number of examples


def explain(job_id: str, *, settings: Settings | None = None) -> Explanation:
    """What went wrong with a job, if anything did, and what to do.

    Args:
        job_id: Its id, an unambiguous beginning of it, or its name.
        settings: Where the store is.

    Raises:
        NotFoundHere: there is none, or more than one.
    """
    settings = settings or load_settings()
    with open_store(settings) as store:
        record = store.get_job(job_id)
        events = [event for _, event in store.events(record.id)]
    able = _capabilities(record, settings)
    findings = diagnose_job(record, events, settings=settings)
    can_resume = able is not None and able.can_resume
    return explain_record(record, findings, events, can_resume=can_resume)


def diagnose_job(
    record: JobRecord, events: Sequence[JobEvent], *, settings: Settings | None = None
) -> list[Finding]:
    """What a job's curves show, the most urgent first; empty before there can be any.

    Args:
        record: The job.
        events: What it said; a local job's metrics stand in its run folder instead.
        settings: Where run folders are.
    """
    settings = settings or load_settings()
    run = _run_folder(record, settings)
    rows: list[Mapping[str, object]] = [event.data for event in events if event.data]
    if run is not None:
        rows = list(run.rows(run.metrics_file))
    if record.state not in _TRAINS and not (rows and record.state in _CUT_SHORT):
        return []
    found = diagnose(rows, _facts(record, run, settings))
    if record.state in _CUT_SHORT:  # that nothing stands out is no comfort there
        found = [finding for finding in found if finding.name not in _NOTHING_FOUND]
    return found


def _facts(record: JobRecord, run: RunFolder | None, settings: Settings) -> RunFacts:
    asked, told = record.spec.hyperparameters, record.progress
    examples = _count_examples(record, run)
    plan = None if run is None else _read_plan(run)
    epochs = asked.epochs or told.get("epochs")
    if epochs is None and plan is not None and examples:
        epochs = max(1.0, round(plan.total_steps * plan.batch_size / examples))
    able = _capabilities(record, settings)
    return RunFacts(
        ended=record.state is JobState.SUCCEEDED,
        examples=examples,
        epochs=epochs,
        learning_rate=asked.learning_rate if plan is None else plan.learning_rate,
        learning_rate_multiplier=told.get("learning_rate_multiplier"),
        asked=asked,
        takes=frozenset() if able is None else able.hyperparameters,
    )


def _run_folder(record: JobRecord, settings: Settings) -> RunFolder | None:
    if record.provider != "local":
        return None
    return RunFolder(settings.home / "runs" / (record.remote_id or record.marker))


def _read_plan(run: RunFolder) -> Plan | None:
    try:
        return run.read(run.plan_file, Plan)
    except StoreError:  # damaged by hand: then its choices are unknown
        return None


def _capabilities(record: JobRecord, settings: Settings) -> Capabilities | None:
    """What the job's provider can do; None when its driver can't be made here."""
    try:
        return provider_of(record, settings).capabilities
    except FtctlError:
        return None


def _count_examples(record: JobRecord, run: RunFolder | None) -> int | None:
    """How many examples the job was given; None when the file is gone, changed or large."""
    for file in (record.spec.data, _kept_data(run)):
        try:
            if file is None or file.stat().st_size > _LARGEST_COUNTED:
                continue
            if file_sha256(file) == record.spec.data_sha256:
                with LineReader(file) as lines:
                    return sum(1 for line in lines if line.data.strip())
        except (OSError, FtctlError):
            continue
    return None


def _kept_data(run: RunFolder | None) -> Path | None:
    if run is None:
        return None
    try:
        config = run.read(run.config_file, WorkerConfig)
    except StoreError:
        return None
    return None if config is None else config.data
