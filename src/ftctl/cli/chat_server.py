"""The server of `ftctl chat --web`: a chat box for one person, on loopback alone.

Other users of this machine don't know the token in its address; other pages in the same browser
neither know it nor pass as this one: Host and Origin have to be its own.
"""

import contextlib
import errno
import importlib.resources
import json
import logging
import secrets
import select
import socket
import sys
import threading
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import override

from ftctl.errors import CannotListen, FtctlError
from ftctl.local_backend.chat import LocalModel

if TYPE_CHECKING:
    from ftctl.providers.base import AnsweringModel

_log = logging.getLogger(__name__)
_HOST = "127.0.0.1"
_BODY_BYTES = 2**20
_PATIENCE_S = 30  # for a client that sends or takes nothing
_LAST_TOKEN_S = 5  # for the answer that is under way when we end
_HEADERS = {
    "Cache-Control": "no-store",
    "Connection": "close",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_POLICY = (
    "default-src 'none'; style-src 'nonce-{0}'; script-src 'nonce-{0}'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class About(BaseModel):
    """What the page has to know of the model.

    Attributes:
        model: What it is called.
        system: What the field of the system message begins with.
        trained: The system message it was tuned with, "" for none; None where nobody knows.
        has_base: Whether its base can answer beside it.
        max_new_tokens: Where an answer is cut off.
    """

    model: str
    system: str
    trained: str | None
    has_base: bool
    max_new_tokens: int


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["system", "user", "assistant"]
    content: str


class _Asked(BaseModel):
    """A question: the whole conversation, for nothing of it is kept here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    messages: list[_Message] = Field(min_length=1)
    tuned: bool = True


class _Left(Exception):
    """Nobody waits for this answer any more."""


class ChatServer(ThreadingHTTPServer):
    """The chat box of one model.

    Args:
        port: 0 takes a free one.

    Attributes:
        link: The address that opens it, once: a program that is started with it shows it to
            every user of this machine.

    Raises:
        CannotListen: the port is taken, or isn't ours to take.
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        self.turn = threading.Lock()  # one answer at a time
        self.closing = threading.Event()
        try:
            super().__init__((_HOST, port), _Handler)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            raise CannotListen(
                f"can't listen on {_HOST}:{port}: {error.strerror}",
                hint="--port 0 takes a free one" if taken else "take a port from 1024 on",
            ) from None
        self.token, self.once = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self.hosts = {f"{name}:{self.server_port}" for name in (_HOST, "localhost")}
        self.url = f"http://{_HOST}:{self.server_port}/{self.token}/"
        self.link = f"http://{_HOST}:{self.server_port}/{self.once}"
        self.model: AnsweringModel
        self.about: About

    def offer(self, model: "AnsweringModel", about: About) -> None:
        """Take a model, before anything is answered."""
        self.model, self.about = model, about

    @override
    def server_close(self) -> None:
        """Listen no more, and let the answer under way end at its next token."""
        self.closing.set()
        super().server_close()
        if self.turn.acquire(timeout=_LAST_TOKEN_S):
            self.turn.release()

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves is no error; the rest is for the log."""
        if not isinstance(sys.exception(), OSError):
            _log.exception("a bug in ftctl")


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE_S

    def do_GET(self) -> None:
        """The page, and once the way to it."""
        server = self.server
        if self._is_ours() and self._at(f"/{server.token}/"):
            nonce = secrets.token_urlsafe(16)
            page = importlib.resources.files("ftctl.pages").joinpath("chat.html").read_text("utf-8")
            page = page.replace("{{nonce}}", nonce)
            page = page.replace("{{about}}", escape(server.about.model_dump_json()))
            policy = {"Content-Security-Policy": _POLICY.format(nonce)}
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", page.encode(), policy)
        elif self._is_ours() and server.once and self._at(f"/{server.once}"):
            server.once = ""
            self._send(HTTPStatus.SEE_OTHER, "text/plain", b"", {"Location": f"/{server.token}/"})
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "nothing here: open the address that ftctl printed")

    def do_POST(self) -> None:
        """A question; its answer is a line of JSON for each piece, and one for how it ended."""
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = _BODY_BYTES + 1
        if not (self._is_ours() and self._at(f"/{self.server.token}/answer")):
            self._refuse(HTTPStatus.NOT_FOUND, "nothing here: open the address that ftctl printed")
        elif self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a question is JSON")
        elif not 0 <= length <= _BODY_BYTES:
            said = f"the conversation is too long: {_BODY_BYTES:,} bytes are taken"
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, said)
        else:
            try:
                asked = _Asked.model_validate_json(self.rfile.read(length))
            except ValidationError as error:
                self._refuse(HTTPStatus.BAD_REQUEST, error.errors()[0]["msg"])
                return
            if not asked.tuned and not self.server.about.has_base:
                self._refuse(HTTPStatus.BAD_REQUEST, "this model has no base beside it")
                return
            self._head(HTTPStatus.OK, "application/x-ndjson", {})
            with contextlib.suppress(_Left):
                self._answer(asked)

    def _answer(self, asked: _Asked) -> None:
        try:
            with self.server.turn:
                self._tell("")  # whoever asked may have left while another was answered
                ended = self._ended(asked)
        except FtctlError as error:
            self._line({"error": {"message": error.message, "hint": error.hint}})
        except _Left:
            raise
        except Exception as error:  # noqa: BLE001 - out of memory, a vendor's nonsense: the page says it
            _log.exception("the answer failed")
            said = f"the answer failed ({type(error).__name__}: {error})"
            self._line({"error": {"message": said, "hint": "the terminal says more"}})
        else:
            self._line({"ended": ended})

    def _ended(self, asked: _Asked) -> Literal["stop", "length"]:
        """Answer, and how that ended."""
        model, most = self.server.model, self.server.about.max_new_tokens
        messages = [message.model_dump() for message in asked.messages]
        if isinstance(model, LocalModel):
            return model.complete(
                messages, max_new_tokens=most, on_text=self._tell, tuned=asked.tuned
            ).ended
        model.chat(messages, max_new_tokens=most, on_text=self._tell)
        return "stop"

    def _tell(self, piece: str) -> None:
        """Send a piece of an answer.

        Raises:
            _Left: nobody takes it.
        """
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            left = bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            left = True
        if left or self.server.closing.is_set():
            raise _Left
        if piece:
            self._line({"text": piece})

    def _line(self, said: dict[str, Any]) -> None:
        try:
            self.wfile.write(json.dumps(said).encode() + b"\n")
        except OSError:
            raise _Left from None

    def _is_ours(self) -> bool:
        """Whether the request came to our own address, and from our own page if from any."""
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        return host in self.server.hosts and origin in (None, f"http://{host}")

    def _at(self, path: str) -> bool:
        """Whether this path was asked for; says nothing of a token by the time it takes."""
        return secrets.compare_digest(self.path.partition("?")[0].encode(), path.encode())

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        body = json.dumps({"error": {"message": message, "hint": ""}}).encode() + b"\n"
        self._send(status, "application/json", body, {})

    def _send(self, status: HTTPStatus, kind: str, body: bytes, more: dict[str, str]) -> None:
        self._head(status, kind, {"Content-Length": str(len(body)), **more})
        self.wfile.write(body)

    def _head(self, status: HTTPStatus, kind: str, more: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **_HEADERS, **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True

    @override
    def version_string(self) -> str:
        return "ftctl"

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the token stands in every path."""
