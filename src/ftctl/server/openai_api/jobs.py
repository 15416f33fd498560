"""`/v1/fine_tuning/jobs`: create, list, look at, cancel, pause, resume, events, checkpoints."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ftctl.errors import StoreError
from ftctl.job import JobEvent, JobRecord, JobState
from ftctl.server.backend import Backend, backend_of
from ftctl.server.errors import ApiError
from ftctl.server.job_request import (
    CHECKPOINT_MARK,
    CreateJob,
    asked_for,
    matches,
    tuned_name,
    wire_id,
)
from ftctl.server.openai_api.bodies import Page, WireObject, answer, cut, limit_of, read_body
from ftctl.server.runs import Checkpoint

Status = Literal[
    "validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"
]

# OpenAI's word for each state of ours; it has none for a job out of sight, and `paused` stands in
# its API specification alone, not in its SDK.
STATUS: dict[JobState, Status] = {
    JobState.CREATED: "validating_files",
    JobState.UPLOADING: "validating_files",
    JobState.SUBMITTING: "validating_files",
    JobState.VALIDATING: "validating_files",
    JobState.NEEDS_ATTENTION: "queued",
    JobState.QUEUED: "queued",
    JobState.RUNNING: "running",
    JobState.PAUSED: "paused",
    JobState.CANCELLING: "running",
    JobState.LOST: "running",
    JobState.SUCCEEDED: "succeeded",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}
_LEVEL: dict[str, Literal["info", "warn", "error"]] = {"warning": "warn", "error": "error"}
_METADATA = re.compile(r"metadata\[(.{1,64})\]", re.DOTALL)
ORGANIZATION = "ftctl"


class ErrorObject(WireObject):
    """Why a job failed."""

    code: str
    message: str
    param: str | None


class MethodObject(WireObject):
    """How a job tunes; only the settings of that way are shown."""

    type: Literal["supervised", "dpo"]
    supervised: dict[str, dict[str, int | float | str]] | None = None
    dpo: dict[str, dict[str, int | float | str]] | None = None

    @model_serializer(mode="wrap")
    def _without_the_other(self, shown: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in shown(self).items() if value is not None}


class JobObject(WireObject):
    """A job; times are seconds since 1970."""

    id: str
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    created_at: int
    finished_at: int | None
    estimated_finish: int | None
    model: str
    fine_tuned_model: str | None
    organization_id: str = ORGANIZATION
    status: Status
    error: ErrorObject | None
    training_file: str
    validation_file: str | None
    result_files: list[str]
    trained_tokens: int | None
    seed: int
    hyperparameters: dict[str, int | float | str]
    method: MethodObject
    integrations: tuple[()] = ()
    metadata: dict[str, str] | None
    user_provided_suffix: str | None


class EventObject(WireObject):
    """Something that happened to a job."""

    id: str
    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    created_at: int
    level: Literal["info", "warn", "error"]
    message: str
    type: Literal["message", "metrics"]
    data: dict[str, Any]


class CheckpointMetrics(WireObject):
    """Losses in nats per token."""

    step: float
    train_loss: float | None
    valid_loss: float | None


class CheckpointObject(WireObject):
    """A saved state of a job's adapter."""

    id: str
    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    created_at: int
    fine_tuned_model_checkpoint: str
    fine_tuning_job_id: str
    metrics: CheckpointMetrics
    step_number: int


def shown(backend: Backend, record: JobRecord) -> JobObject:
    """A job as the wire shows it."""
    request = _request_of(record)
    hyperparameters: dict[str, int | float | str] = {**request.wire_hyperparameters().shown()}
    succeeded = record.state is JobState.SUCCEEDED
    result = backend.tuning.result_file(record)
    trained = (record.actual or {}).get("trained_tokens")
    return JobObject(
        id=wire_id(record),
        created_at=int(record.created_at.timestamp()),
        finished_at=_finished_at(backend, record),
        estimated_finish=_estimated_finish(record),
        model=request.model,
        fine_tuned_model=tuned_name(record, request) if succeeded else None,
        status=STATUS[record.state],
        error=_error(backend, record),
        training_file=request.training_file,
        validation_file=request.validation_file,
        result_files=[result] if succeeded and backend.files.has(result) else [],
        trained_tokens=None if trained is None else int(trained),
        seed=request.seed or 0,
        hyperparameters={n: v for n, v in hyperparameters.items() if n != "beta"},
        method=_method(request, hyperparameters),
        metadata=request.metadata,
        user_provided_suffix=request.suffix,
    )


def _method(request: CreateJob, settings: dict[str, int | float | str]) -> MethodObject:
    whole = {"hyperparameters": settings}
    if request.our_method == "dpo":
        return MethodObject(type="dpo", dpo=whole)
    return MethodObject(type="supervised", supervised=whole)


def _request_of(record: JobRecord) -> CreateJob:
    request = asked_for(record)
    assert request is not None  # noqa: S101 - the backend hands out no others
    return request


def _error(backend: Backend, record: JobRecord) -> ErrorObject | None:
    if record.state is not JobState.FAILED:
        return None
    said = record.error or {}
    message = said.get("message") or record.message
    hint = said.get("hint")
    return ErrorObject(
        code=said.get("kind") or "failed",
        message=_by_file_id(backend, record, f"{message} ({hint})" if hint else message),
        param=said.get("param"),
    )


def _by_file_id(backend: Backend, record: JobRecord, text: str) -> str:
    """A worker's words with its files and its base called as the client knows them."""
    request, spec = _request_of(record), record.spec
    pairs = [(spec.data_sha256, request.training_file)]
    if spec.validation_sha256 is not None and request.validation_file is not None:
        pairs.append((spec.validation_sha256, request.validation_file))
    for sha256, file_id in pairs:
        text = text.replace(str(backend.settings.home / "files" / f"{sha256}.jsonl"), file_id)
    return text.replace(spec.model, request.model) if Path(spec.model).is_absolute() else text


def _finished_at(backend: Backend, record: JobRecord) -> int | None:
    """The worker's own word, else when the end was seen."""
    if not record.state.terminal:
        return None
    try:
        ended = backend.tuning.facts(record).ended_at()
    except StoreError:  # a damaged run folder doesn't hide the job
        ended = None
    ended = ended or record.observed_at or record.created_at
    return int(ended.timestamp())


def _estimated_finish(record: JobRecord) -> int | None:
    left_s = record.progress.get("eta_s")
    if record.state is not JobState.RUNNING or left_s is None or record.observed_at is None:
        return None
    return int(record.observed_at.timestamp() + left_s)


async def create(request: Request) -> Response:
    """`POST /v1/fine_tuning/jobs`."""
    asked = await read_body(request, CreateJob)
    backend = backend_of(request)
    return answer(await run_in_threadpool(lambda: shown(backend, backend.tuning.create(asked))))


async def listing(request: Request) -> Response:
    """`GET /v1/fine_tuning/jobs`: newest first, filtered by `metadata[key]=value`."""
    limit = limit_of(request, 20, 100)
    backend = backend_of(request)
    wanted = _metadata_filter(request.query_params)

    def page() -> Page[JobObject]:
        jobs = [record for record in backend.tuning.jobs() if _matches(record, wanted)]
        rows, more = cut(request, jobs, wire_id, limit)
        data = [shown(backend, backend.tuning.look(record)) for record in rows]
        return Page[JobObject](data=data, has_more=more)

    return answer(await run_in_threadpool(page))


def _metadata_filter(query: Mapping[str, str]) -> dict[str, str] | None:
    """The pairs asked for; None is `metadata=null`, the jobs without any.

    Raises:
        ApiError: a filter that isn't understood; without it, every job would be an answer.
    """
    asked = {key: value for key, value in query.items() if key.startswith("metadata")}
    if asked == {"metadata": "null"}:
        return None
    wanted = {}
    for key, value in asked.items():
        match = _METADATA.fullmatch(key)
        if match is None:
            message = f"Invalid filter '{key[:80]}': use metadata[key]=value, or metadata=null."
            raise ApiError(400, message, code="invalid_value", param="metadata")
        wanted[match[1]] = value
    return wanted


def _matches(record: JobRecord, wanted: dict[str, str] | None) -> bool:
    request = _request_of(record)
    return not request.metadata if wanted is None else matches(request, wanted)


async def retrieve(request: Request) -> Response:
    """`GET /v1/fine_tuning/jobs/{id}`."""
    backend = backend_of(request)
    job_id = request.path_params["job_id"]
    return answer(await run_in_threadpool(lambda: shown(backend, backend.tuning.get(job_id))))


async def move(request: Request) -> Response:
    """`POST /v1/fine_tuning/jobs/{id}/cancel`, `/pause`: answer when the worker has ended.

    And `/resume`, which answers when another one has begun.
    """
    backend = backend_of(request)
    job_id, verb = request.path_params["job_id"], request.url.path.rpartition("/")[2]
    tuning = backend.tuning
    moves = {"cancel": tuning.cancel, "pause": tuning.pause, "resume": tuning.resume}
    moved = await run_in_threadpool(lambda: shown(backend, moves[verb](tuning.get(job_id))))
    return answer(moved)


async def events(request: Request) -> Response:
    """`GET /v1/fine_tuning/jobs/{id}/events`: newest first."""
    limit = limit_of(request, 20, 100)
    backend = backend_of(request)

    def page() -> Page[EventObject]:
        record = backend.tuning.get(request.path_params["job_id"])
        found = backend.tuning.events(record)[::-1]
        rows, more = cut(request, found, lambda row: _event_id(record, row[0]), limit)
        data = [_event(backend, record, number, event) for number, event in rows]
        return Page[EventObject](data=data, has_more=more)

    return answer(await run_in_threadpool(page))


def _event_id(record: JobRecord, number: int) -> str:
    return f"ftevent-{record.id.removeprefix('job-')}{number:08d}"


def _said(event: JobEvent) -> str:
    return f"The job {event.message}" if event.message.startswith("failed: ") else event.message


def _event(backend: Backend, record: JobRecord, number: int, event: JobEvent) -> EventObject:
    return EventObject(
        id=_event_id(record, number),
        created_at=int(event.at.timestamp()),
        level=_LEVEL.get(event.level, "info"),
        message=_by_file_id(backend, record, _said(event)),
        type="metrics" if "step" in event.data else "message",
        data=event.data,
    )


async def checkpoints(request: Request) -> Response:
    """`GET /v1/fine_tuning/jobs/{id}/checkpoints`: newest first."""
    limit = limit_of(request, 10, 100)
    backend = backend_of(request)

    def page() -> Page[CheckpointObject]:
        record = backend.tuning.get(request.path_params["job_id"])
        found = [_checkpoint(record, each) for each in backend.tuning.facts(record).checkpoints()]
        rows, more = cut(request, found, lambda each: each.id, limit)
        ends = {"first_id": rows[0].id, "last_id": rows[-1].id} if rows else {}
        return Page[CheckpointObject](data=list(rows), has_more=more, **ends)

    return answer(await run_in_threadpool(page))


def _checkpoint(record: JobRecord, checkpoint: Checkpoint) -> CheckpointObject:
    name = tuned_name(record, _request_of(record))
    return CheckpointObject(
        id=f"ftckpt-{record.id.removeprefix('job-')}{checkpoint.step:08d}",
        created_at=int(checkpoint.saved_at),
        fine_tuned_model_checkpoint=f"{name}{CHECKPOINT_MARK}{checkpoint.step}",
        fine_tuning_job_id=wire_id(record),
        metrics=CheckpointMetrics(
            step=checkpoint.step,
            train_loss=checkpoint.metrics.train_loss,
            valid_loss=checkpoint.metrics.valid_loss,
        ),
        step_number=checkpoint.step,
    )


_ONE = "/v1/fine_tuning/jobs/{job_id}"
ROUTES = [
    Route("/v1/fine_tuning/jobs", create, methods=["POST"]),
    Route("/v1/fine_tuning/jobs", listing, methods=["GET"]),
    Route(_ONE, retrieve, methods=["GET"]),
    *(Route(f"{_ONE}/{verb}", move, methods=["POST"]) for verb in ("cancel", "pause", "resume")),
    Route(f"{_ONE}/events", events, methods=["GET"]),
    Route(f"{_ONE}/checkpoints", checkpoints, methods=["GET"]),
]
