"""`/v1/uploads`: a file that comes in parts; begin, add parts, complete or cancel."""

import time
from collections.abc import Callable
from typing import Annotated, Literal, ParamSpec, TypeVar

from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ftctl.errors import NotFoundHere, UsageError
from ftctl.server.backend import Backend, backend_of
from ftctl.server.errors import ApiError
from ftctl.server.guard import body_too_large
from ftctl.server.job_request import Wire
from ftctl.server.openai_api.bodies import WireObject, answer, read_body
from ftctl.server.openai_api.files import LONGEST_NAME, LONGEST_S, FileObject, file_form, shown
from ftctl.server.uploads import PART_BYTES, Asked, StoredUpload

# OpenAI takes 512 MB in one request and 8 GB in parts: here, too, it is sixteen times as much.
_TIMES = 16
_MOST_PARTS = 10_000
P = ParamSpec("P")
T = TypeVar("T")


class ExpiresAfter(Wire):
    """How long the file is kept."""

    anchor: Literal["created_at"]
    seconds: int = Field(ge=3600, le=LONGEST_S)


class CreateUpload(Wire):
    """The body of `POST /v1/uploads`."""

    bytes: int = Field(ge=1)
    filename: str = Field(min_length=1, max_length=LONGEST_NAME)
    mime_type: str = Field(min_length=1, max_length=LONGEST_NAME)
    purpose: Literal["fine-tune"]
    expires_after: ExpiresAfter | None = None


class CompleteUpload(Wire):
    """The body of `POST /v1/uploads/{id}/complete`."""

    part_ids: Annotated[list[str], Field(min_length=1, max_length=_MOST_PARTS)]
    md5: str | None = None


class UploadObject(WireObject):
    """An upload; `file` is there once it is complete."""

    id: str
    object: Literal["upload"] = "upload"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: Literal["fine-tune"] = "fine-tune"
    status: Literal["pending", "completed", "cancelled", "expired"]
    file: FileObject | None


class PartObject(WireObject):
    """A part that has come."""

    id: str
    object: Literal["upload.part"] = "upload.part"
    created_at: int
    upload_id: str


async def create(request: Request) -> Response:
    """`POST /v1/uploads`."""
    asked = await read_body(request, CreateUpload)
    backend = backend_of(request)
    if asked.bytes > _TIMES * backend.max_upload_bytes:
        raise body_too_large(_TIMES * backend.max_upload_bytes)
    after = asked.expires_after
    kept = Asked(
        bytes=asked.bytes,
        filename=asked.filename,
        expires_after_s=None if after is None else after.seconds,
    )
    return _answer(backend, await run_in_threadpool(backend.uploads.begin, kept))


async def add_part(request: Request) -> Response:
    """`POST /v1/uploads/{id}/parts`: a form with `data`; the bytes go through the disk."""
    backend, upload_id = backend_of(request), request.path_params["upload_id"]
    await _tried(backend.uploads.get, upload_id)  # before 64 MB are read for nothing
    async with file_form(request, "A part", "the field data") as form:
        sent = form.get("data")
        if not isinstance(sent, UploadFile):
            message = "Missing required parameter: 'data'."
            code = "missing_required_parameter"
            raise ApiError(400, message, code=code, param="data")
        if (sent.size or 0) > PART_BYTES:
            raise body_too_large(PART_BYTES)
        part_id = await _tried(backend.uploads.add_part, upload_id, sent.file)
    return answer(PartObject(id=part_id, created_at=int(time.time()), upload_id=upload_id))


async def complete(request: Request) -> Response:
    """`POST /v1/uploads/{id}/complete`."""
    asked = await read_body(request, CompleteUpload)
    backend, upload_id = backend_of(request), request.path_params["upload_id"]
    complete = backend.uploads.complete
    return _answer(backend, await _tried(complete, upload_id, asked.part_ids, asked.md5))


async def cancel(request: Request) -> Response:
    """`POST /v1/uploads/{id}/cancel`."""
    backend, upload_id = backend_of(request), request.path_params["upload_id"]
    return _answer(backend, await _tried(backend.uploads.cancel, upload_id))


async def _tried(verb: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
    try:
        return await run_in_threadpool(verb, *args, **more)
    except NotFoundHere as error:
        raise ApiError(404, error.message, code="not_found", param="id") from None
    except UsageError as error:
        raise ApiError(400, error.message, code="invalid_value") from None


def _answer(backend: Backend, upload: StoredUpload) -> Response:
    file = backend.uploads.file(upload)
    return answer(
        UploadObject(
            id=upload.id,
            bytes=upload.asked.bytes,
            created_at=int(upload.created_at),
            expires_at=int(upload.expires_at),
            filename=upload.asked.filename,
            status=upload.status,
            file=None if file is None else shown(file),
        )
    )


ROUTES = [
    Route("/v1/uploads", create, methods=["POST"]),
    Route("/v1/uploads/{upload_id}/parts", add_part, methods=["POST"]),
    Route("/v1/uploads/{upload_id}/complete", complete, methods=["POST"]),
    Route("/v1/uploads/{upload_id}/cancel", cancel, methods=["POST"]),
]
