"""One job explained: where it stands, how fresh that is, what went wrong, and what to do."""

import shlex
from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from ftctl.diagnosis.faults import Fault, fault_of
from ftctl.diagnosis.types import Change, Finding
from ftctl.job import JobEvent, JobRecord, JobState

LOG_LINES = 5


class LogLine(BaseModel):
    """A line that the job said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: datetime
    level: str
    message: str


class Explanation(BaseModel):
    """The `ftctl.explanation/1` document without its `schema` key.

    Attributes:
        summary: The whole in a sentence.
        healthy: Whether nothing needs doing for the job itself; its findings may advise still.
        fault: What went wrong; None when nothing did.
        diagnosis: What its curves show.
        next: What to do, in order.
        log: The last lines that it said.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    name: str
    provider: str
    state: JobState
    provider_status: str | None
    summary: str
    healthy: bool
    message: str
    observed_at: datetime | None
    stale_because: str | None
    fault: Fault | None
    diagnosis: tuple[Finding, ...]
    next: tuple[str, ...]
    log: tuple[LogLine, ...]


def explain_record(
    record: JobRecord,
    findings: Sequence[Finding],
    events: Sequence[JobEvent],
    *,
    can_resume: bool = False,
) -> Explanation:
    """Explain a job as the store knows it.

    Args:
        record: The job.
        findings: Its diagnosis.
        events: What it said, oldest first.
        can_resume: Whether its provider goes on with a stopped job.
    """
    again = _again(record, can_resume=can_resume)
    fault = None
    if record.error is not None and (
        record.state is JobState.FAILED or record.state.open_intention
    ):
        fault = fault_of(
            record.error,
            job_id=record.id,
            provider=record.provider,
            data=shlex.quote(str(record.spec.data)),
            again=again,
        )
    steps = list(fault.next) if fault else _next(record, again)
    advised = submit_again(record.id, findings)
    if advised is not None:
        steps.append(advised)
    said = [event for event in events if event.kind == "message"][-LOG_LINES:]
    return Explanation(
        id=record.id,
        name=record.name,
        provider=record.provider,
        state=record.state,
        provider_status=record.provider_status,
        summary=_summary(record, fault),
        healthy=fault is None and record.stale_because is None and record.state not in _NOT_WELL,
        message=record.message,
        observed_at=record.observed_at,
        stale_because=record.stale_because,
        fault=fault,
        diagnosis=tuple(findings),
        next=tuple(dict.fromkeys(steps)),
        log=tuple(LogLine(at=e.at, level=e.level, message=e.message) for e in said),
    )


def submit_again(job_id: str, findings: Sequence[Finding]) -> str | None:
    """The command that makes the most urgent change; None when no finding names one."""
    changes: tuple[Change, ...] = next((found.change for found in findings if found.change), ())
    if not changes:
        return None
    return " ".join([f"ftctl submit --from {job_id}", *(change.flag for change in changes)])


def _again(record: JobRecord, *, can_resume: bool) -> str:
    """The command that tries once more, without a second job where one will do."""
    if record.state.open_intention:
        return "ftctl jobs reconcile"
    return f"ftctl resume {record.id}" if can_resume else f"ftctl submit --from {record.id}"


_NOT_WELL = (
    JobState.FAILED,
    JobState.CANCELLED,
    JobState.LOST,
    JobState.NEEDS_ATTENTION,
)


_NOT_THERE = "It isn't at {provider} yet."
_SAID: dict[JobState, str] = {
    JobState.CREATED: _NOT_THERE,
    JobState.UPLOADING: _NOT_THERE,
    JobState.SUBMITTING: _NOT_THERE,
    JobState.NEEDS_ATTENTION: "Whether {provider} took it isn't known; a person must decide.",
    JobState.LOST: "{provider} no longer knows it; it is still looked for.",
    JobState.FAILED: "It failed, and no reason is known.",
    JobState.CANCELLED: "It was cancelled.",
    JobState.SUCCEEDED: "It succeeded; nothing went wrong.",
}


def _summary(record: JobRecord, fault: Fault | None) -> str:
    if fault is not None:
        what = "It failed" if record.state is JobState.FAILED else f"Not at {record.provider} yet"
        return f"{what} ({fault.word or fault.kind}): {fault.meaning}"
    on_its_way = "It is {state}; nothing is wrong."
    if record.stale_because:
        on_its_way = "It was {state} when last seen; {provider} can't be asked now."
    said = _SAID.get(record.state, on_its_way)
    return said.format(provider=record.provider, state=record.state)


def _next(record: JobRecord, again: str) -> list[str]:
    """What to do with a job in which no error is known."""
    name = record.id
    if record.state is JobState.NEEDS_ATTENTION:
        resolve = f"ftctl jobs resolve {name}"
        return [
            f"look at the provider for {record.marker}",
            f"{resolve} --remote REMOTE_ID",
            f"{resolve} --none",
        ]
    if record.state.open_intention:
        return [again, f"ftctl cancel {name}"]
    if record.state is JobState.LOST or record.stale_because:
        return [f"ftctl job {name} --refresh", "ftctl doctor"]
    if record.state in (JobState.FAILED, JobState.CANCELLED):
        return [f"ftctl logs {name}", again]
    if record.state is JobState.SUCCEEDED:
        return [f"ftctl chat {name} PROMPT", f"ftctl fetch {name} -o DIR"]
    return [f"ftctl watch {name}"]
