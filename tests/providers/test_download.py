"""Files over HTTP: parts of them, redirects, keys, and links that run out; a real server sends."""

import gzip
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typing_extensions import override

from ftctl.config import Credential
from ftctl.errors import AuthError, FtctlError, NotFound, RateLimited, Unavailable
from ftctl.providers.artifacts.download import Download, http_download
from ftctl.providers.artifacts.result_folder import write_results
from ftctl.testing.loopback import Answer, Fault, Loopback, Request, ranged
from ftctl.testing.weights_contract import ADAPTER, make_safetensors

pytestmark = pytest.mark.medium

KEY = Credential("acme", "sk-planted-in-tests", "ACME_API_KEY")
WEIGHTS = make_safetensors(1)
CUT_AT = 70_001


class FileServer(Loopback):
    """Sends one file at any path, and remembers the keys that it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str] = []
        self.content = WEIGHTS
        self.send: Callable[[Request], Answer] = lambda r: ranged(r, self.content)

    @override
    def right_key(self, authorization: str) -> bool:
        self.keys.append(authorization)
        return True

    @override
    def answer(self, request: Request) -> Answer:
        return self.send(request)

    @property
    def ranges(self) -> list[tuple[str | None, str | None]]:
        """Range and If-Range of every request."""
        headers = [request.headers for request in self.requests]
        return [(h.get("range"), h.get("if-range")) for h in headers]


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


@pytest.fixture
def elsewhere() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "adapter"


def download(server: FileServer, link: str | None = None, base_url: str | None = None) -> Download:
    return http_download(
        ADAPTER,
        lambda: link or f"{server.base_url}/file?signature=planted-signature",
        who="Acme",
        base_url=base_url or server.base_url,
        credential=KEY,
    )


def cut(folder: Path, server: FileServer) -> None:
    """A fetch that breaks off."""
    server.faults.append(Fault("GET *", "cut", at=CUT_AT))
    with pytest.raises(Unavailable, match="70,001 bytes are here and kept"):
        write_results(folder, {ADAPTER: download(server)})
    server.requests.clear()


def fetched(folder: Path, *downloads: Download) -> bytes:
    for each in downloads:
        write_results(folder, {ADAPTER: each})
    return (folder / ADAPTER).read_bytes()


def test_the_rest_is_asked_for_if_the_file_is_still_the_same(
    server: FileServer, folder: Path
) -> None:
    cut(folder, server)
    assert fetched(folder, download(server)) == WEIGHTS
    assert server.ranges == [(f"bytes={CUT_AT}-", '"1"')]


def test_a_server_that_knows_no_ranges_sends_it_all_again(server: FileServer, folder: Path) -> None:
    cut(folder, server)
    server.send = lambda _: Answer(WEIGHTS)
    assert fetched(folder, download(server)) == WEIGHTS
    assert len(server.requests) == 1


def test_a_server_that_tells_versions_by_their_day(server: FileServer, folder: Path) -> None:
    day = "Sun, 01 Nov 2026 10:00:00 GMT"

    def send(request: Request) -> Answer:
        part = ranged(request, WEIGHTS, day)
        return Answer(
            part.body, part.status, dict(part.headers) | {"ETag": 'W/"1"', "Last-Modified": day}
        )

    server.send = send
    cut(folder, server)
    assert fetched(folder, download(server)) == WEIGHTS
    assert server.ranges == [(f"bytes={CUT_AT}-", day)]


def test_a_changed_file_begins_anew(server: FileServer, folder: Path) -> None:
    cut(folder, server)
    other = make_safetensors(2)
    server.send = lambda request: ranged(request, other, '"2"')
    assert fetched(folder, download(server)) == other


def test_a_changed_file_of_a_server_that_reads_no_if_range_begins_anew(
    server: FileServer, folder: Path
) -> None:
    cut(folder, server)
    other = make_safetensors(2)

    def send(request: Request) -> Answer:
        asked = {"range": request.headers["range"]} if "range" in request.headers else {}
        return ranged(Request("GET", "/", {}, asked, b"", True), other, '"2"')

    server.send = send
    assert fetched(folder, download(server)) == other
    assert [bool(asked) for asked, _ in server.ranges] == [True, False]


@pytest.mark.parametrize(
    "content_range", [f"bytes 0-9/{len(WEIGHTS)}", f"bytes 5-9/{len(WEIGHTS)}"]
)
def test_a_part_from_another_place_is_thrown_away(
    server: FileServer, folder: Path, content_range: str
) -> None:
    cut(folder, server)
    headers = {"Content-Range": content_range, "ETag": '"1"'}
    server.send = lambda _: Answer(WEIGHTS[:10], 206, headers)
    with pytest.raises(Unavailable, match=r"thrown away|left off"):
        fetched(folder, download(server))
    assert not folder.exists()
    server.send = lambda request: ranged(request, WEIGHTS)
    assert fetched(folder, download(server)) == WEIGHTS


@pytest.mark.parametrize("content_range", ["", "bytes 70001-", "bytes=70001-200143/200144", "x"])
def test_a_part_that_doesnt_say_where_it_is_from_isnt_used(
    server: FileServer, folder: Path, content_range: str
) -> None:
    cut(folder, server)

    def send(request: Request) -> Answer:
        part = ranged(request, WEIGHTS)
        changed = dict(part.headers) | {"Content-Range": content_range}
        return Answer(part.body, part.status, changed) if part.status == 206 else part

    server.send = send
    assert fetched(folder, download(server)) == WEIGHTS
    assert [bool(asked) for asked, _ in server.ranges] == [True, False]


@pytest.mark.parametrize("version", ['"1"', None])
def test_all_bytes_are_here_but_for_the_name(
    server: FileServer, folder: Path, version: str | None
) -> None:
    cut(folder, server)
    part = folder.with_name("adapter.part") / ADAPTER
    part.write_bytes(WEIGHTS)

    def send(request: Request) -> Answer:
        answer = ranged(request, WEIGHTS)
        kept = {k: v for k, v in answer.headers.items() if k != "ETag" or version}
        return Answer(answer.body, answer.status, kept)

    server.send = send
    assert fetched(folder, download(server)) == WEIGHTS
    assert server.ranges == [(f"bytes={len(WEIGHTS)}-", '"1"')]


def test_a_file_that_is_sent_packed_is_unpacked(server: FileServer, folder: Path) -> None:
    server.send = lambda _: Answer(gzip.compress(WEIGHTS), 200, {"Content-Encoding": "gzip"})
    assert fetched(folder, download(server)) == WEIGHTS
    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_the_key_goes_to_the_base_url_alone(
    server: FileServer, elsewhere: FileServer, tmp_path: Path
) -> None:
    here = download(server)
    there = download(server, f"{elsewhere.base_url}/file")
    assert fetched(tmp_path / "a", here) == fetched(tmp_path / "b", there) == WEIGHTS
    assert server.keys == [f"Bearer {KEY.key}"]
    assert elsewhere.keys == [""]


def test_a_redirect_is_followed_without_the_key(
    server: FileServer, elsewhere: FileServer, folder: Path
) -> None:
    elsewhere.send = lambda r: (
        Answer(b"", 302, {"Location": f"{server.base_url}/file"})
        if r.path == "/back"
        else ranged(r, WEIGHTS)
    )
    server.send = lambda r: (
        Answer(b"", 307, {"Location": f"{elsewhere.base_url}/back"})
        if r.path == "/start"
        else ranged(r, WEIGHTS)
    )
    assert fetched(folder, download(server, f"{server.base_url}/start")) == WEIGHTS
    assert server.keys == [f"Bearer {KEY.key}", ""]
    assert elsewhere.keys == [""]


def test_redirects_have_an_end(server: FileServer, folder: Path) -> None:
    server.send = lambda _: Answer(b"", 302, {"Location": "/again"})
    with pytest.raises(Unavailable, match="from one place to the next"):
        fetched(folder, download(server))
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("link", "base_url"),
    [
        ("http://files.example/x", "https://api.example"),
        ("ftp://files.example/x", "https://api.example"),
        ("file:///etc/passwd", "https://api.example"),
        ("//x", "https://api.example"),
        ("", "https://api.example"),
        ("http://files.example/x", None),
        ("HERE", "https://api.example"),
    ],
)
def test_only_safe_addresses_are_asked(
    server: FileServer, folder: Path, link: str, base_url: str | None
) -> None:
    link = link.replace("HERE", f"{server.base_url}/file")
    source = http_download(
        ADAPTER, lambda: link, who="Acme", base_url=base_url or server.base_url, credential=KEY
    )
    with pytest.raises(Unavailable, match=r"not used|not asked for"):
        fetched(folder, source)
    assert server.requests == []


def test_no_redirect_leads_to_an_unsafe_address(server: FileServer, folder: Path) -> None:
    server.send = lambda _: Answer(b"", 302, {"Location": "http://files.example/x"})
    with pytest.raises(Unavailable, match=r"isn't https \(files.example\)"):
        fetched(folder, download(server))


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, AuthError), (404, NotFound), (429, RateLimited), (500, Unavailable), (204, FtctlError)],
)
def test_a_refusal_has_its_class_and_never_shows_key_or_signature(
    server: FileServer, folder: Path, status: int, expected: type[FtctlError]
) -> None:
    said = {"error": {"message": f"you sent {KEY.key}"}}
    server.send = lambda _: Answer(said if status != 204 else b"", status)
    with pytest.raises(expected) as caught:
        fetched(folder, download(server))
    assert KEY.key not in caught.value.message + caught.value.hint
    assert "planted-signature" not in caught.value.message + caught.value.hint
    assert not folder.exists()


def test_a_link_that_has_run_out_is_asked_for_anew(
    server: FileServer, elsewhere: FileServer, folder: Path
) -> None:
    links = iter([f"{elsewhere.base_url}/old", f"{elsewhere.base_url}/new"])
    elsewhere.send = lambda r: (
        Answer(b"<Error>Request has expired</Error>", 403)
        if r.path == "/old"
        else ranged(r, WEIGHTS)
    )
    source = http_download(ADAPTER, lambda: next(links), who="Acme", base_url=server.base_url)
    with pytest.raises(Unavailable, match="may have run out") as caught:
        fetched(folder, source)
    assert "a new link" in caught.value.hint
    assert fetched(folder, source) == WEIGHTS


@pytest.mark.parametrize("what", ["nobody listens", "it breaks off"])
def test_a_broken_connection_keeps_the_signature_to_itself(
    server: FileServer, folder: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    link = "http://127.0.0.1:9/file?signature=planted-signature"
    if what == "it breaks off":
        link = f"{server.base_url}/file?signature=planted-signature"
        server.faults.append(Fault("GET *", "cut", times=None))
    with caplog.at_level(logging.INFO), pytest.raises(Unavailable) as caught:
        fetched(folder, download(server, link))
    assert "planted-signature" not in caught.value.message + caught.value.hint + caplog.text
    assert ("/file" in caplog.text) == (what == "it breaks off")  # the client does log


def test_a_cut_before_the_first_byte_leaves_nothing(server: FileServer, folder: Path) -> None:
    server.faults.append(Fault("GET *", "lost"))
    with pytest.raises(Unavailable):
        fetched(folder, download(server))
    assert list(folder.parent.iterdir()) == []
