"""A real HTTP server on 127.0.0.1 that is slow, fails and lies as a test tells it to.

A vendor is a subclass that answers requests; what goes wrong on the way is scripted here, once
for all vendors. Keys are never kept: a request remembers only whether its key was right.
"""

import fnmatch
import json
import re
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from typing_extensions import override

Json = dict[str, Any]
Moment = Literal["received", "worked", "answered"]


@dataclass(frozen=True)
class Request:
    """What was asked, without the key."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    authorised: bool
    host: str = ""

    @property
    def route(self) -> str:
        """`GET /files`, to be matched by the pattern of a fault."""
        return f"{self.method} {self.path}"

    def json(self) -> Json:
        """The body as a JSON object; empty when it isn't one."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    body: Json | bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The bytes of the body."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Fault:
    """What goes wrong with the next requests of a route.

    Attributes:
        route: Pattern of `METHOD /path`, such as `POST /fine_tuning/jobs` or `* *`.
        kind: `status`: another status; `cut`: a part of the body, then the end; `lost`: no byte
            of an answer; `not_json`: a page instead of a document; `changed`: the document after
            `change`.
        status: Status to answer with.
        headers: Headers to answer with.
        body: Body of a `status` answer; the vendor's own refusal when None.
        after_work: Whether the vendor does what was asked before a `status` answer; in every
            other kind it does.
        times: How many requests it meets; None is for ever.
        change: Turns the true answer's document into a false one.
        at: How many bytes of the body come before a `cut`; half of them when None.
    """

    route: str
    kind: Literal["status", "cut", "lost", "not_json", "changed"] = "status"
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json | bytes | None = None
    after_work: bool = False
    times: int | None = 1
    message: str = "scripted"
    change: Callable[[Json], Json] | None = None
    at: int | None = None

    def meets(self, request: Request) -> bool:
        """Whether this request is one that it spoils; counts down."""
        if self.times == 0 or not fnmatch.fnmatchcase(request.route, self.route):
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass(frozen=True)
class Latency:
    """Seconds for which requests of a route are held, before and after their work is done."""

    route: str
    before_s: float = 0.0
    after_s: float = 0.0


class Loopback:
    """A vendor on this machine; use it in a `with`.

    Args:
        key: The key that is right; None takes any.
        prefix: What the base URL's path is.
        tls: What it speaks TLS with; plain HTTP when None.

    Attributes:
        lists_lag_requests: Lists that don't show a new job.
    """

    def __init__(
        self, key: str | None = None, prefix: str = "/v1", tls: ssl.SSLContext | None = None
    ) -> None:
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.latency: list[Latency] = []
        self.lists_lag_requests = 0
        self.on_moment: Callable[[Moment, Request], None] | None = None
        self._lists: Counter[str] = Counter()
        self.key = key
        self._prefix = prefix
        self._lock = threading.RLock()
        self._scheme = "http" if tls is None else "https"
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        if tls is not None:  # the handshake is the handler's: no client holds up the others
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(
            target=lambda: self._server.serve_forever(poll_interval=0.02), daemon=True
        )

    @property
    def base_url(self) -> str:
        """Where it answers."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}{self._prefix}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: Request) -> Answer:
        """What a vendor says when nothing goes wrong; called by one thread at a time."""
        raise NotImplementedError

    def refusal(self, status: int, message: str, code: str | None = None) -> Answer:
        """An error in the vendor's own shape."""
        return Answer({"message": message, "code": code}, status)

    def listed(self, job_id: str) -> bool:
        """Whether the list that is made now shows a job: lists lag. To be asked once a list."""
        self._lists[job_id] += 1
        return self._lists[job_id] > self.lists_lag_requests

    def asked(self, route: str) -> list[Request]:
        """The requests so far whose `METHOD /path` fits a pattern, oldest first."""
        with self._lock:
            return [r for r in self.requests if fnmatch.fnmatchcase(r.route, route)]

    @contextmanager
    def fault(self, fault: Fault) -> Iterator[Fault]:
        """A fault for the length of a `with`."""
        self.faults.append(fault)
        try:
            yield fault
        finally:
            self.faults.remove(fault)

    def right_key(self, authorization: str) -> bool:
        """Whether a request brought the right key."""
        return self.key is None or authorization == f"Bearer {self.key}"

    def serve(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        """Answer one request, or spoil it."""
        request = replace(request, path=request.path.removeprefix(self._prefix))
        with self._lock:
            self.requests.append(request)
            fault = next((fault for fault in self.faults if fault.meets(request)), None)
        self._tell("received", request)
        self._hold(request, "before_s")
        answer = self._work(request, fault)
        self._tell("worked", request)
        self._hold(request, "after_s")
        whole = _on_the_wire(answer, request)
        if fault is not None and fault.kind in ("lost", "cut"):
            handler.wfile.write(_cut(whole, answer, fault) if fault.kind == "cut" else b"")
            handler.close_connection = True
            return
        handler.wfile.write(whole)
        handler.wfile.flush()
        self._tell("answered", request)

    def _work(self, request: Request, fault: Fault | None) -> Answer:
        instead = fault is not None and fault.kind == "status"
        with self._lock:
            if not request.authorised:
                answer = self.refusal(401, "Incorrect API key provided.", "invalid_api_key")
            elif fault is not None and instead and not fault.after_work:
                answer = self.refusal(fault.status, fault.message)
            else:
                answer = self.answer(request)
        if fault is None:
            return answer
        if instead:
            spoilt = self.refusal(fault.status, fault.message)
            body = spoilt.body if fault.body is None else fault.body
            return Answer(body, spoilt.status, fault.headers)
        if fault.kind == "not_json":
            return Answer(b"<html>Service page</html>", 200)
        if fault.change is not None and not isinstance(answer.body, bytes):
            return Answer(fault.change(answer.body))
        return answer

    def _tell(self, moment: Moment, request: Request) -> None:
        if self.on_moment is not None:
            self.on_moment(moment, request)

    def _hold(self, request: Request, when: Literal["before_s", "after_s"]) -> None:
        for latency in self.latency:
            if fnmatch.fnmatchcase(request.route, latency.route):
                time.sleep(getattr(latency, when))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed, or left a handshake, is part of the game; the rest is told."""
        if not isinstance(sys.exception(), ConnectionError | ssl.SSLError):
            super().handle_error(request, client_address)


def form_fields(request: Request) -> dict[str, tuple[str | None, bytes]]:
    """A multipart body's parts: name → (file name, content)."""
    match = re.search(r'boundary="?([^";]+)', request.headers.get("content-type", ""))
    if match is None:
        return {}
    parts: dict[str, tuple[str | None, bytes]] = {}
    for part in request.body.split(b"--" + match[1].encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'[; ]name="([^"]*)"', head)
        file_name = re.search(rb'filename="([^"]*)"', head)
        if name is not None:
            shown = file_name[1].decode() if file_name else None
            parts[name[1].decode()] = (shown, content.removesuffix(b"\r\n"))
    return parts


def ranged(request: Request, content: bytes, version: str | None = '"1"') -> Answer:
    """A file as a server of files sends it: whole, or the part that Range asks for (RFC 9110).

    Args:
        request: Range and If-Range are read.
        content: The whole file.
        version: Its ETag; None for a server that gives none.
    """
    headers = {"Accept-Ranges": "bytes"} | ({} if version is None else {"ETag": version})
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if asked is None or request.headers.get("if-range", version) != version:
        return Answer(content, 200, headers)
    start, size = int(asked[1]), len(content)
    stop = min(int(asked[2] or size - 1), size - 1) + 1
    if start >= size:
        return Answer(b"", 416, headers | {"Content-Range": f"bytes */{size}"})
    headers |= {"Content-Range": f"bytes {start}-{stop - 1}/{size}"}
    return Answer(content[start:stop], 206, headers)


def _cut(whole: bytes, answer: Answer, fault: Fault) -> bytes:
    """What comes of an answer before the connection ends: never all of it."""
    size = len(answer.encoded())
    sent = size // 2 if fault.at is None else fault.at
    return whole[: len(whole) - max(1, size - sent)]


def _on_the_wire(answer: Answer, request: Request) -> bytes:
    body = answer.encoded()
    kind = "application/octet-stream" if isinstance(answer.body, bytes) else "application/json"
    headers = {"Content-Type": kind, "Content-Length": str(len(body)), **answer.headers}
    lines = [f"HTTP/1.1 {answer.status} Scripted"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([*lines, "", ""]).encode()
    return head if request.method == "HEAD" else head + body


def _handler(vendor: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 60

        def _any(self) -> None:
            url = urlsplit(self.path)  # a whole URL where we are asked as a proxy
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kept = {k.lower(): v for k, v in self.headers.items() if k.lower() != "authorization"}
            request = Request(
                method=self.command,
                path=url.path,
                query=dict(parse_qsl(url.query, keep_blank_values=True)),
                headers=kept,
                body=body,
                authorised=vendor.right_key(self.headers.get("Authorization", "")),
                host=self.headers.get("Host", ""),
            )
            try:
                vendor.serve(self, request)
            except (BrokenPipeError, ConnectionResetError):  # the client was killed
                self.close_connection = True

        # The names that http.server looks for.
        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the requests are kept."""

    return Handler
