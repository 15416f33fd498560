"""The service: OpenAI's wire on this machine, and how it is started."""

import contextlib
import errno
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import h11
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from ftctl.api.server_token import ServerToken, find_token, make_token
from ftctl.config import Settings
from ftctl.errors import CannotListen, FtctlError, StoreError
from ftctl.server.auth import BearerAuth
from ftctl.server.backend import MAX_UPLOAD_BYTES, Backend
from ftctl.server.bases import find_bases
from ftctl.server.errors import (
    ApiError,
    answer_api_error,
    answer_ftctl_error,
    answer_http_error,
)
from ftctl.server.guard import BodyLimit, Guard, new_request_id
from ftctl.server.openai_api import chat, files, jobs, models, uploads

_SHUTDOWN_S = 5
_HOST_HINT = "--host takes an address of this machine, such as 127.0.0.1 or 0.0.0.0"
_TOO_LARGE = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


async def health(_request: Request) -> Response:
    """`GET /healthz`: whether the server answers; says nothing else to anybody."""
    return JSONResponse({"status": "ok"})


def build_app(backend: Backend, *, token: str) -> Starlette:
    """The whole service as an ASGI application.

    Args:
        backend: What the routes stand on; closed when the application ends.
        token: What every request but the health check must bring.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.backend = backend
        backend.tuning.resume_starting()
        try:
            yield
        finally:
            backend.close()

    app = Starlette(
        routes=[
            Route("/healthz", health, methods=["GET"]),
            *files.ROUTES,
            *uploads.ROUTES,
            *jobs.ROUTES,
            *models.ROUTES,
            *chat.ROUTES,
        ],
        middleware=[
            Middleware(Guard),
            Middleware(BearerAuth, token=token),
            Middleware(BodyLimit, max_upload_bytes=backend.max_upload_bytes),
        ],
        exception_handlers={
            ApiError: answer_api_error,
            FtctlError: answer_ftctl_error,
            HTTPException: answer_http_error,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


class _Protocol(H11Protocol):
    """HTTP that answers what can't be parsed, or ends too soon, with an error object too."""

    _refused = False

    @override
    def eof_received(self) -> None:
        if (self.conn.their_state, self.conn.our_state) == (h11.SEND_BODY, h11.SEND_RESPONSE):
            self._refuse(400, "The body ends too soon.")

    @override
    def data_received(self, data: bytes) -> None:
        if not self._refused:  # else it is the rest of what was refused
            super().data_received(data)

    @override
    def send_400_response(self, msg: str) -> None:
        if getattr(sys.exception(), "error_status_hint", 400) == _TOO_LARGE:
            self._refuse(_TOO_LARGE, "The request's line and headers are too large.")
        else:
            self._refuse(400, msg)
        # Closed at once, with bytes on their way to us, the answer would be lost to a reset.
        self.transport.write_eof()
        self.loop.call_later(_SHUTDOWN_S, self.transport.close)

    def _refuse(self, status: HTTPStatus | int, message: str) -> None:
        self._refused = True
        body = bytes(ApiError(status, message, code="invalid_request").response().body)
        head = (
            f"HTTP/1.1 {int(status)} {HTTPStatus(status).phrase}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {new_request_id()}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)


@dataclass(frozen=True)
class Service:
    """A service that listens: what its owner must know.

    Attributes:
        base_url: What a client's base URL is set to.
        bases: Names of the base models.
        token: What a client's key is set to.
    """

    base_url: str
    bases: list[str]
    token: ServerToken


def serve(
    settings: Settings,
    *,
    host: str,
    port: int,
    bases: Sequence[str] = (),
    max_upload_bytes: int = MAX_UPLOAD_BYTES,
    on_ready: Callable[[Service], None],
) -> None:
    """Serve until the process is told to end; jobs' workers go on.

    Args:
        settings: Where store, files and runs are.
        host: Address to listen on.
        port: Port; 0 takes a free one.
        bases: Pairs NAME=PATH_OR_ID.
        max_upload_bytes: The largest file taken.
        on_ready: Told once, when connections are accepted.

    Raises:
        CannotListen: the address is taken, or isn't this machine's.
        UsageError: a base that isn't there, or a token that can't be sent.
        StoreError: the store, the token or the folder of uploads can't be read or written.
    """
    offered = find_bases(bases)
    with listen(host, port) as listener:
        # All that can fail comes before a token is made: one that is made is shown, and once.
        known, spool = find_token(settings), _spool(settings)
        backend = Backend.open(settings, offered, max_upload_bytes=max_upload_bytes)
        token = known or make_token(settings)
        tempfile.tempdir = str(spool)
        app = build_app(backend, token=token.value)
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{listener.getsockname()[1]}/v1"
        on_ready(Service(url, list(offered), token))
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_SHUTDOWN_S,
        )
        uvicorn.Server(config).run(sockets=[listener])


def _spool(settings: Settings) -> Path:
    """Where uploads pass through: where /tmp is memory, 512 MB don't belong there."""
    folder = settings.home / "server" / "uploads"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(f"{folder}: can't be made: {error.strerror}") from None
    return folder


def listen(host: str, port: int) -> socket.socket:
    """Take an address before anything else is done.

    Raises:
        CannotListen: it is taken, or isn't this machine's.
    """
    where = f"can't listen on {host}:{port}"
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=256)
    except UnicodeError:  # what the idna codec says of an empty label, or one that is too long
        raise CannotListen(f"{where}: not a host name", hint=_HOST_HINT) from None
    except OSError as error:
        # The socket module appends the address to the system's words; it stands here already.
        said = (error.strerror or str(error)).partition(" (while attempting")[0]
        hints = {
            errno.EADDRINUSE: "another ftctl serve may be running; --port 0 takes a free port",
            errno.EACCES: "ports below 1024 need special rights; --port 8321 doesn't",
        }
        hint = hints.get(error.errno or 0, _HOST_HINT)
        raise CannotListen(f"{where}: {said}", hint=hint) from None
