"""`/v1/files`: upload, list, look at, read and delete."""

import contextlib
import re
import time
from collections.abc import AsyncIterator
from typing import Literal

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from ftctl.errors import NotFoundHere
from ftctl.server.backend import backend_of
from ftctl.server.errors import ApiError
from ftctl.server.files import Purpose, StoredFile
from ftctl.server.guard import body_too_large
from ftctl.server.openai_api.bodies import Deleted, Page, WireObject, answer, cut, limit_of

LONGEST_NAME = 255
LONGEST_S = 2_592_000  # 30 days; source: OpenAI's API specification, read 2026-08


class FileObject(WireObject):
    """A file; whether its content is any good is told by the job that uses it."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: Purpose
    status: Literal["processed"] = "processed"
    status_details: str | None = None


def shown(file: StoredFile) -> FileObject:
    """A file as the wire shows it."""
    return FileObject(
        id=file.id,
        bytes=file.bytes,
        created_at=int(file.created_at),
        expires_at=file.expires_at,
        filename=file.filename,
        purpose=file.purpose,
    )


async def upload(request: Request) -> Response:
    """`POST /v1/files`: a form with `file` and `purpose`; the bytes go through the disk."""
    async with file_form(request, "A file", "the fields file and purpose") as form:
        return answer(shown(await _keep(request, form)))


@contextlib.asynccontextmanager
async def file_form(request: Request, what: str, fields: str) -> AsyncIterator[FormData]:
    """A form with a file in it, whose bytes are on the disk.

    Args:
        request: It brings the form.
        what: What is uploaded.
        fields: What the form must have, in words.

    Raises:
        ApiError: the body is no form, or the disk won't take it.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        message = f"{what} is uploaded as multipart/form-data with {fields}."
        raise ApiError(400, message, code="invalid_request")
    try:
        async with request.form(max_files=1, max_fields=10) as form:
            yield form
    except OSError as error:
        message = f"The server's disk won't take the file: {error.strerror}."
        raise ApiError(500, message, code="storage_error") from None


async def _keep(request: Request, form: FormData) -> StoredFile:
    sent = form.get("file")
    if not isinstance(sent, UploadFile):
        raise ApiError(
            400,
            "Missing required parameter: 'file'.",
            code="missing_required_parameter",
            param="file",
        )
    if form.get("purpose") != "fine-tune":
        message = "Invalid value for 'purpose': this server keeps files for 'fine-tune' only."
        raise ApiError(400, message, code="invalid_value", param="purpose")
    backend = backend_of(request)
    if (sent.size or 0) > backend.max_upload_bytes:
        raise body_too_large(backend.max_upload_bytes)
    return await run_in_threadpool(
        backend.files.add,
        sent.file,
        filename=(sent.filename or "upload.jsonl")[-LONGEST_NAME:],
        purpose="fine-tune",
        expires_at=_expiry(form),
    )


def _expiry(form: FormData) -> int | None:
    """`expires_after`, counted from now; None when there is no such field."""
    anchor, given = form.get("expires_after[anchor]"), form.get("expires_after[seconds]")
    if anchor is None and given is None:
        return None
    seconds = int(given) if isinstance(given, str) and re.fullmatch("[0-9]{1,7}", given) else 0
    if anchor != "created_at" or not 3600 <= seconds <= LONGEST_S:
        message = (
            "Invalid value for 'expires_after': the anchor is 'created_at', seconds are from 3600 "
            f"to {LONGEST_S}."
        )
        raise ApiError(400, message, code="invalid_value", param="expires_after")
    return int(time.time()) + seconds


async def listing(request: Request) -> Response:
    """`GET /v1/files`: newest first, or `order=asc`."""
    limit = limit_of(request, 10_000, 10_000)
    order = request.query_params.get("order", "desc")
    if order not in ("asc", "desc"):
        message = "Invalid value for 'order': 'asc' or 'desc'."
        raise ApiError(400, message, code="invalid_value", param="order")
    purpose = request.query_params.get("purpose")
    files = await run_in_threadpool(backend_of(request).files.newest_first, purpose)
    if order == "asc":
        files.reverse()
    rows, more = cut(request, files, lambda file: file.id, limit)
    data = [shown(file) for file in rows]
    ends = {"first_id": data[0].id, "last_id": data[-1].id} if data else {}
    return answer(Page[FileObject](data=data, has_more=more, **ends))


async def retrieve(request: Request) -> Response:
    """`GET /v1/files/{id}`."""
    return answer(shown(await _get(request)))


async def content(request: Request) -> Response:
    """`GET /v1/files/{id}/content`: the bytes as they came."""
    file = await _get(request)
    path = backend_of(request).files.path(file.id)
    return FileResponse(path, media_type="application/octet-stream")


async def delete(request: Request) -> Response:
    """`DELETE /v1/files/{id}`."""
    file = await _get(request)
    await run_in_threadpool(backend_of(request).files.delete, file.id)
    return answer(Deleted(id=file.id, object="file"))


async def _get(request: Request) -> StoredFile:
    file_id = request.path_params["file_id"]
    try:
        return await run_in_threadpool(backend_of(request).files.get, file_id)
    except NotFoundHere as error:
        raise ApiError(404, error.message, code="not_found", param="id") from None


ROUTES = [
    Route("/v1/files", upload, methods=["POST"]),
    Route("/v1/files", listing, methods=["GET"]),
    Route("/v1/files/{file_id}", retrieve, methods=["GET"]),
    Route("/v1/files/{file_id}", delete, methods=["DELETE"]),
    Route("/v1/files/{file_id}/content", content, methods=["GET"]),
]
