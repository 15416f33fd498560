"""`ftctl chat --web` over HTTP: who may ask, what streams, and how it ends."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import unescape
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from command_line import Cli
from tiny_adapter import write_adapter
from tiny_model import SYSTEM, write_model

from ftctl.cli.chat_server import About, ChatServer
from ftctl.local_backend.chat import LocalModel, load_model

pytestmark = [pytest.mark.medium, pytest.mark.timeout(300)]
HELLO = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "Item 1"}]
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter(base, tmp_path_factory.mktemp("models") / "adapter")


@pytest.fixture(scope="module")
def model(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load_model(adapter, tmp_path_factory.mktemp("home"), merge=False)


class Answering:
    """A model that a vendor serves: it does what it is told to."""

    def __init__(self, do: Callable[[Callable[[str], None]], None]) -> None:
        self._do = do

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        max_new_tokens: int = 512,
        on_text: Callable[[str], None] | None = None,
    ) -> str:
        assert on_text is not None
        self._do(on_text)
        return ""

    def answer(
        self, conversations: Sequence[Sequence[Mapping[str, Any]]], *, max_new_tokens: int = 256
    ) -> list[str]:
        raise NotImplementedError

    def count_tokens(self, text: str) -> int:
        raise NotImplementedError


@contextmanager
def served(model: LocalModel | Answering, *, trained: str | None = SYSTEM) -> Iterator[ChatServer]:
    has_base = isinstance(model, LocalModel)
    about = About(
        model="<b>&\"'tuned", system="", trained=trained, has_base=has_base, max_new_tokens=20
    )
    with ChatServer(0) as server:
        server.offer(model, about)
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextmanager
def streamed(
    server: ChatServer, method: str, path: str, body: object = None, **headers: str
) -> Iterator[HTTPResponse]:
    """An answer as it comes; left at the end, whatever is still to come."""
    client = HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    client.request(method, path, sent, headers)
    with client.getresponse() as response:
        client.close()  # the response holds the connection on
        yield response


def status(server: ChatServer, *request: Any, **headers: str) -> int:
    with streamed(server, *request, **headers) as response:
        response.read()
        return response.status


def answer(server: ChatServer, **question: Any) -> list[dict[str, Any]]:
    asked = {"messages": HELLO} | question
    with streamed(server, "POST", f"/{server.token}/answer", asked, **JSON) as response:
        return [json.loads(line) for line in response.read().splitlines()]


def test_the_page_is_whole_and_asks_nobody_else(model: LocalModel) -> None:
    with served(model) as server, streamed(server, "GET", f"/{server.token}/") as response:
        page = response.read().decode()
        policy = response.headers["Content-Security-Policy"]
        kept = response.headers["Cache-Control"]
        about = server.about
    (told,) = re.findall(r'data-about="([^"]*)"', page)
    assert json.loads(unescape(told)) == about.model_dump()
    assert "<b>" not in page
    assert "{{" not in page
    assert not re.findall(r"""https?:|\bsrc=|@import|url\(""", page)
    (nonce,) = set(re.findall(r'nonce="([^"]+)"', page))
    assert policy.startswith(f"default-src 'none'; style-src 'nonce-{nonce}'; script-src")
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert kept == "no-store"


def test_only_its_own_page_may_ask(model: LocalModel) -> None:
    with served(model) as server:
        port, question = server.server_port, {"messages": HELLO}
        own = {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"}
        others: list[dict[str, str]] = [
            {"Host": f"evil.example:{port}"},  # a name that was bound to 127.0.0.1 later
            {"Host": "127.0.0.1"},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            own | {"Origin": f"https://localhost:{port}"},
        ]
        for path in ("/", "/x/", f"/{server.token[:-1]}/", f"/{server.token}", "/favicon.ico"):
            assert status(server, "GET", path) == 404
        for headers in others:
            assert status(server, "GET", f"/{server.token}/", **headers) == 404
            told = status(server, "POST", f"/{server.token}/answer", question, **JSON, **headers)
            assert told == 404
        assert status(server, "POST", "/answer", question, **JSON) == 404
        assert status(server, "GET", f"/{server.token}/", **own) == 200


def test_the_way_that_a_browser_is_started_with_leads_in_once(model: LocalModel) -> None:
    with served(model) as server:
        way = server.link.removeprefix(f"http://127.0.0.1:{server.server_port}")
        assert server.token not in way
        with streamed(server, "GET", way) as response:
            assert response.status == 303
            assert response.headers["Location"] == f"/{server.token}/"
        assert status(server, "GET", way) == 404
        assert status(server, "GET", "/") == 404


@pytest.mark.parametrize(
    ("body", "headers", "refused"),
    [
        ({"messages": HELLO}, {"Content-Type": "text/plain"}, 415),
        (b"{", JSON, 400),
        ({"messages": []}, JSON, 400),
        ({"messages": [{"role": "tool", "content": "x"}]}, JSON, 400),
        ({"messages": HELLO, "tuned": False}, JSON, 400),
        (b"[", JSON | {"Content-Length": str(2**20 + 1)}, 413),
        (b"", JSON | {"Content-Length": "-1"}, 413),
    ],
)
def test_what_is_no_question_is_refused_in_words(
    body: object, headers: dict[str, str], refused: int
) -> None:
    with (
        served(Answering(lambda tell: tell("x"))) as server,
        streamed(server, "POST", f"/{server.token}/answer", body, **headers) as response,
    ):
        assert response.status == refused
        assert json.loads(response.read())["error"]["message"]


def test_the_tuned_model_and_its_base_answer_piece_by_piece(
    model: LocalModel, base: Path, adapter: Path, tmp_path: Path
) -> None:
    told: dict[bool, str] = {}
    with served(model) as server:
        for tuned in (True, False, True):
            *pieces, last = answer(server, tuned=tuned)
            assert last == {"ended": "length"}
            assert len(pieces) > 3
            text = "".join(piece["text"] for piece in pieces)
            assert told.setdefault(tuned, text) == text
    for tuned, folder in ((True, adapter), (False, base)):
        alone = load_model(folder, tmp_path / "home", merge=False).chat(HELLO, max_new_tokens=20)
        assert told[tuned] == alone
    assert told[True] != told[False]


def test_what_fails_is_told_in_the_stream(
    model: LocalModel, caplog: pytest.LogCaptureFixture
) -> None:
    long = [{"role": "user", "content": "x" * 600}]
    with served(model) as server:
        (said,) = answer(server, messages=long)
        assert "tokens" in said["error"]["message"]
        assert said["error"]["hint"] == "shorten the messages"
        assert answer(server)[-1] == {"ended": "length"}  # and it goes on

    def break_off(tell: Callable[[str], None]) -> None:
        tell("half")
        raise RuntimeError("out of memory")

    with served(Answering(break_off)) as server:
        first, last = answer(server)
    assert first == {"text": "half"}
    assert last["error"]["message"] == "the answer failed (RuntimeError: out of memory)"
    assert "out of memory" in caplog.text


def endless(tell: Callable[[str], None]) -> None:
    while True:
        tell("x")


def test_an_answer_that_nobody_reads_any_more_ends() -> None:
    asked_before = threading.Event()

    def endless_at_first(tell: Callable[[str], None]) -> None:
        if asked_before.is_set():
            tell("next")
            return
        asked_before.set()
        endless(tell)

    with served(Answering(endless_at_first)) as server:
        question = {"messages": HELLO}
        with streamed(server, "POST", f"/{server.token}/answer", question, **JSON) as response:
            assert response.readline() == b'{"text": "x"}\n'
        assert answer(server) == [{"text": "next"}, {"ended": "stop"}]


def test_the_server_ends_in_the_middle_of_an_answer() -> None:
    told: list[bytes] = []
    with served(Answering(endless)) as server:
        question = {"messages": HELLO}
        with streamed(server, "POST", f"/{server.token}/answer", question, **JSON) as response:
            told.append(response.readline())
            reader = threading.Thread(target=lambda: told.extend(response))
            reader.start()
            server.closing.set()
            reader.join(60)
            assert not reader.is_alive()
    assert set(told) == {b'{"text": "x"}\n'}
    assert not server.turn.locked()


def test_it_runs_until_ctrl_c(adapter: Path) -> None:
    command = [sys.executable, "-m", "ftctl.cli", "chat", str(adapter), "--web", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        said = json.loads(child.stdout.readline())
        assert said["schema"] == "ftctl.chat-web/1"
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)(/[\w-]{32}/)", said["url"])
        assert found is not None
        client = HTTPConnection("127.0.0.1", int(found[1]), timeout=60)
        client.request("GET", found[2])
        page = client.getresponse().read().decode()
        client.close()
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert b"Traceback" not in errors
    (told,) = re.findall(r'data-about="([^"]*)"', page)
    assert json.loads(unescape(told)) == {
        "model": str(adapter),
        "system": SYSTEM,
        "trained": SYSTEM,
        "has_base": True,
        "max_new_tokens": 512,
    }


def test_what_cant_be_served_is_refused(cli: Cli, adapter: Path, tmp_path: Path) -> None:
    asked = cli("chat", adapter, "hello", "--web")
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "--web takes no PROMPT" in asked.stderr
    missing = cli("chat", tmp_path, "--web")
    assert missing.returncode == 2
    assert "no config.json" in missing.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = cli("chat", adapter, "--web", "--port", str(port))
    assert refused.returncode == 3
    assert f"127.0.0.1:{port}" in refused.stderr
    assert "--port 0" in refused.stderr
