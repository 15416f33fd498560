"""What stands around every route: a request id, a log line, a size limit, no traceback."""

import logging
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ftctl.server.errors import ApiError
from ftctl.server.uploads import PART_BYTES

_log = logging.getLogger("ftctl.server")
_FORM_BYTES = 64 * 1024  # a multipart body's boundaries and small fields, beside the file
_JSON_BYTES = 10 * 2**20


def new_request_id() -> str:
    """An id that an answer carries and that the log knows."""
    return "req_" + secrets.token_hex(12)


class Guard:
    """Gives every request an id, and turns what nobody caught into a 500 that names it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and watch what becomes of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_request_id()
        started, status = time.monotonic(), 0

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except ClientDisconnect:
            status = status or 499  # nginx's word for it: nobody is there to be answered
        except Exception:  # noqa: BLE001 - whatever it is, a client never sees a traceback
            _log.exception("%s: a bug in ftctl", request_id)
            if not status:  # else the connection is cut, which is all that can still be said
                message = f"The server failed. Its log says why, at request {request_id}."
                response = ApiError(500, message, code="internal_error").response()
                await response(scope, receive, send_named)
        took_ms = (time.monotonic() - started) * 1000
        path = scope["raw_path"].decode("ascii", "replace")[:200]
        _log.info("%s %s %s %d %.0f ms", request_id, scope["method"], path, status, took_ms)


def body_too_large(limit: int) -> ApiError:
    """The 413 of a body or a file above a limit in bytes."""
    message = f"The body is too large; {limit:,} bytes are taken."
    return ApiError(413, message, code="request_too_large")


class BodyLimit:
    """Refuses a body that is too large: by its declared length, else as soon as it is.

    Args:
        app: What stands behind it.
        max_upload_bytes: The largest file.
    """

    def __init__(self, app: ASGIApp, max_upload_bytes: int) -> None:
        self._app, self._max_upload_bytes = app, max_upload_bytes

    def _largest_file(self, path: str) -> int | None:
        """How large a file this route takes; None where it takes none."""
        if path == "/v1/files":
            return self._max_upload_bytes
        is_part = path.startswith("/v1/uploads/") and path.endswith("/parts")
        return PART_BYTES if is_part else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, counting what is read of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = self._largest_file(scope["path"])
        limit = _JSON_BYTES if said is None else said + _FORM_BYTES
        too_large = body_too_large(said or limit)
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > limit:
            await too_large.response()(scope, receive, send)
            return
        seen = 0

        async def receive_counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise too_large
            return message

        await self._app(scope, receive_counted, send)
