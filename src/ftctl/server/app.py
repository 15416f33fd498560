"""The service: OpenAI's wire on this machine, and how it is started."""

import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

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
from ftctl.errors import CannotListen, FtctlError
from ftctl.server.auth import BearerAuth
from ftctl.server.backend import Backend
from ftctl.server.bases import find_bases
from ftctl.server.errors import (
    ApiError,
    answer_api_error,
    answer_ftctl_error,
    answer_http_error,
)
from ftctl.server.guard import BodyLimit, Guard
from ftctl.server.openai_api import chat, files, jobs, models

MAX_UPLOAD_BYTES = 512 * 2**20  # source: OpenAI's limit of a file, SDK docstring, read 2026-11
_SHUTDOWN_S = 5


async def health(_request: Request) -> Response:
    """`GET /healthz`: whether the server answers; says nothing else to anybody."""
    return JSONResponse({"status": "ok"})


def build_app(
    settings: Settings,
    *,
    token: str,
    bases: dict[str, str],
    max_upload_bytes: int = MAX_UPLOAD_BYTES,
) -> Starlette:
    """The whole service as an ASGI application.

    Args:
        settings: Where store, files and runs are.
        token: What every request but the health check must bring.
        bases: Base models by their names on the wire.
        max_upload_bytes: The largest file taken.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        backend = Backend.open(settings, bases)
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
            *jobs.ROUTES,
            *models.ROUTES,
            *chat.ROUTES,
        ],
        middleware=[
            Middleware(Guard),
            Middleware(BearerAuth, token=token),
            Middleware(BodyLimit, max_upload_bytes=max_upload_bytes),
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
    """HTTP that answers what can't be parsed with an error object too."""

    _refused = False

    @override
    def data_received(self, data: bytes) -> None:
        if not self._refused:  # else it is the rest of what was refused
            super().data_received(data)

    @override
    def send_400_response(self, msg: str) -> None:
        self._refused = True
        body = bytes(ApiError(400, msg, code="invalid_request").response().body)
        head = (
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        )
        self.transport.write(head + body)
        # Closed at once, with bytes on their way to us, the answer would be lost to a reset.
        self.transport.write_eof()
        self.loop.call_later(_SHUTDOWN_S, self.transport.close)


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
        StoreError: the store or the token can't be read or written.
    """
    offered = find_bases(bases)
    with listen(host, port) as listener:
        token = find_token(settings) or make_token(settings)
        # Uploads pass through temporary files; where /tmp is memory, 512 MB don't belong there.
        spool = settings.home / "server" / "uploads"
        spool.mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = str(spool)
        app = build_app(
            settings, token=token.value, bases=offered, max_upload_bytes=max_upload_bytes
        )
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


def listen(host: str, port: int) -> socket.socket:
    """Take an address before anything else is done.

    Raises:
        CannotListen: it is taken, or isn't this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise CannotListen(
            f"can't listen on {host}:{port}: {error.strerror or error}",
            hint="--port 0 takes a free port; is another ftctl serve running already?",
        ) from None
