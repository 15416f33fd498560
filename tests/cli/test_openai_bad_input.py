"""Whatever goes wrong on the way to OpenAI: one message, the right exit code, nothing lost."""

import http.server
import json
import select
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import Cli, Ran
from typing_extensions import override

from ftctl.config import load_settings
from ftctl.job import JobRecord, JobState
from ftctl.store import Store
from ftctl.testing.loopback import Fault, Json
from ftctl.testing.openai_vendor import OpenAIVendor

pytestmark = pytest.mark.medium
KEY = "sk-planted-0123456789abcdef"
MODEL = "gpt-4.1-mini"
CREATE = "POST /fine_tuning/jobs"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("FTCTL_SETTLE_S", "0.1")
    return KEY


@pytest.fixture
def vendor(key: str) -> Iterator[OpenAIVendor]:
    with OpenAIVendor(key) as running:
        yield running


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "train.jsonl", 12)


def write_rows(file: Path, count: int) -> Path:
    lines = []
    for n in range(count):
        asked = {"role": "user", "content": f"Which colour is item {n}?"}
        answer = {"role": "assistant", "content": "green" if n % 2 else "red"}
        lines.append(json.dumps({"messages": [asked, answer]}) + "\n")
    file.write_text("".join(lines), "utf-8")
    return file


@pytest.fixture
def submit(cli: Cli, data: Path) -> Callable[..., Ran]:
    """Submits the data at a base URL."""

    def run(base_url: str, *more: str | Path) -> Ran:
        words = ("--model", MODEL, "--base-url", base_url, "--name", "colours", "-vv")
        return cli("submit", "--provider", "openai", "--data", data, *words, *more)

    return run


def told(ran: Ran, code: int, *words: str) -> None:
    """One sentence on stderr (after notes and log), the exit code, no traceback and no key."""
    assert ran.returncode == code, ran.stderr
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
    assert ran.stderr.count("ftctl: ") == 1, ran.stderr
    assert KEY not in ran.stderr
    said = ran.stderr.partition("ftctl: ")[2]
    for word in words:
        assert word in said, said


def the_job() -> JobRecord | None:
    with Store(load_settings().database_url) as store:
        jobs = store.jobs()
    assert len(jobs) <= 1
    assert KEY not in repr(jobs)
    return jobs[0] if jobs else None


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stays_open(state: JobState = JobState.CREATED) -> JobRecord:
    """The intention is on disk; nothing was sent that could have made a job."""
    job = the_job()
    assert job is not None
    assert (job.state, job.remote_id, job.sent_at) == (state, None, None)
    return job


def goes_on(ran: Ran, vendor: OpenAIVendor) -> None:
    """The same command, once what was wrong is mended: one job, here and there."""
    assert ran.returncode == 0, ran.stderr
    job = the_job()
    assert job is not None
    assert [job.remote_id] == list(vendor.jobs)
    assert ran.stdout.strip() == job.id


@pytest.mark.parametrize("route", ["GET /files", "POST /files", CREATE])
@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (401, 3, "check OPENAI_API_KEY"),
        (402, 3, "set up billing"),
        (403, 3, "ask the organisation's owner"),
        (429, 5, "then run the same command again"),
    ],
)
def test_a_no_for_now_leaves_the_intention_open(
    submit: Callable[..., Ran], vendor: OpenAIVendor, route: str, status: int, code: int, says: str
) -> None:
    vendor.faults.append(Fault(route, status=status, message=f"not with {KEY}"))
    told(submit(vendor.base_url), code, f"answered {status}: not with ***", says)
    stays_open(JobState.SUBMITTING if route == CREATE else JobState.UPLOADING)
    goes_on(submit(vendor.base_url), vendor)


@pytest.mark.parametrize(
    ("status", "code", "word"),
    [
        (401, None, "auth"),
        (402, None, "balance"),
        (403, "content_policy_violation", "moderation"),
        (429, "insufficient_quota", "quota"),
        (429, "another_limit", "rate_limit"),
        (400, "invalid_training_file", "data"),
        (400, None, "contract"),
        (410, None, "retired"),
    ],
)
def test_the_error_and_the_job_say_the_same_word(
    submit: Callable[..., Ran],
    cli: Cli,
    vendor: OpenAIVendor,
    status: int,
    code: str | None,
    word: str,
) -> None:
    body = {"error": {"message": "no", "code": code}}
    vendor.faults.append(Fault(CREATE, status=status, body=body))
    told_error = submit(vendor.base_url, "--json").json()
    assert told_error["schema"] == "ftctl.error/1"
    assert told_error["error"]["word"] == word
    job = the_job()
    assert job is not None
    shown = cli("job", job.id, "--json").json()
    assert shown["error"]["word"] == word
    assert cli("explain", job.id, "--json").json()["fault"]["word"] == word
    listed = cli("jobs", "--json").json()["jobs"]
    assert [one["error"]["word"] for one in listed] == [word]


def test_a_word_is_null_where_none_applies(cli: Cli) -> None:
    assert cli("job", "job-nothing", "--json").json()["error"]["word"] is None


def test_a_wrong_key(
    submit: Callable[..., Ran], vendor: OpenAIVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another")
    told(submit(vendor.base_url), 3, "Incorrect API key", "OPENAI_API_KEY")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    goes_on(submit(vendor.base_url), vendor)


@pytest.mark.parametrize("given", ["", "sk-planted with a blank", "“sk-planted”"])
def test_no_usable_key(
    submit: Callable[..., Ran],
    vendor: OpenAIVendor,
    monkeypatch: pytest.MonkeyPatch,
    given: str,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", given)
    ran = submit(vendor.base_url)
    told(ran, 3, "OPENAI_API_KEY")
    assert "planted" not in ran.stderr
    assert the_job() is None
    assert not vendor.requests


def test_a_server_that_is_down(submit: Callable[..., Ran]) -> None:
    told(submit(f"http://127.0.0.1:{closed_port()}/v1"), 5, "nothing listens at 127.0.0.1")
    stays_open()


def test_a_name_that_nobody_knows(submit: Callable[..., Ran]) -> None:
    told(submit("https://nope.invalid/v1"), 5, "nope.invalid isn't known (DNS)")
    stays_open()


def test_a_server_without_tls(submit: Callable[..., Ran], vendor: OpenAIVendor) -> None:
    told(submit(vendor.base_url.replace("http:", "https:")), 5, "TLS with 127.0.0.1", "http://?")
    stays_open()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate of 127.0.0.1 and vendor.invalid, with its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here to make a certificate with")
    made = tmp_path / "certificate.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500"
    about = ["-subj", "/CN=loopback", "-addext", "subjectAltName=IP:127.0.0.1,DNS:vendor.invalid"]
    where = ["-keyout", str(made.with_suffix(".key")), "-out", str(made)]
    subprocess.run([openssl, *words.split(), *about, *where], check=True, capture_output=True)
    return made


@pytest.fixture
def tls_vendor(key: str, certificate: Path) -> Iterator[OpenAIVendor]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    with OpenAIVendor(key, tls=context) as running:
        yield running


def test_a_certificate_that_nobody_trusts_until_it_is_named(
    submit: Callable[..., Ran],
    tls_vendor: OpenAIVendor,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told(submit(tls_vendor.base_url), 5, "certificate of 127.0.0.1 isn't trusted", "SSL_CERT_FILE")
    stays_open()
    assert not tls_vendor.requests
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    goes_on(submit(tls_vendor.base_url), tls_vendor)


def test_a_certificate_of_another_host(
    submit: Callable[..., Ran],
    tls_vendor: OpenAIVendor,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    told(submit(tls_vendor.base_url.replace("127.0.0.1", "localhost")), 5, "isn't trusted")
    assert not tls_vendor.requests


def test_a_certificate_file_that_isnt_there(
    submit: Callable[..., Ran], vendor: OpenAIVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    told(submit(vendor.base_url.replace("http:", "https:")), 2, "certificate variable", "doctor")
    stays_open()


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_that_is_down_is_named(
    submit: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, f"http://me:secret@127.0.0.1:{closed_port()}")
    ran = submit("https://vendor.invalid/v1")
    told(ran, 5, f"{variable}=http://***@127.0.0.1")
    assert "secret" not in ran.stderr
    stays_open()


def test_no_proxy_is_honoured(submit: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed_port()}")
    told(submit("https://vendor.invalid/v1"), 5, "or at the proxy (HTTPS_PROXY=")
    monkeypatch.setenv("NO_PROXY", "vendor.invalid")
    told(submit("https://vendor.invalid/v1"), 5, "vendor.invalid isn't known (DNS)")


def test_no_row_goes_unencrypted_to_another_machine(submit: Callable[..., Ran]) -> None:
    told(submit("http://vendor.invalid/v1"), 3, "http to another machine", "use https")


def test_what_is_on_this_machine_is_asked_without_a_proxy(
    submit: Callable[..., Ran], vendor: OpenAIVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{closed_port()}")
    goes_on(submit(vendor.base_url), vendor)


class Tunnel(http.server.BaseHTTPRequestHandler):
    """A proxy that opens a tunnel to whatever is asked for, on this machine."""

    opened: list[str]

    def do_CONNECT(self) -> None:
        self.opened.append(self.path)
        port = int(self.path.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as there:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: there, there: self.connection}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    piece = end.recv(65536)
                    if not piece:
                        return
                    ends[end].sendall(piece)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def tunnel(handler: type[Tunnel] = Tunnel) -> Iterator[tuple[str, list[str]]]:
    opened: list[str] = []
    made = type("Opened", (handler,), {"opened": opened})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), made) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", opened
        server.shutdown()


def test_a_proxy_tunnels_tls(
    submit: Callable[..., Ran],
    tls_vendor: OpenAIVendor,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with tunnel() as (proxy, opened):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        there = tls_vendor.base_url.replace("127.0.0.1", "vendor.invalid")
        goes_on(submit(there), tls_vendor)
    assert opened
    assert all(target in there for target in opened)


class Guard(Tunnel):
    """A proxy that wants a password."""

    @override
    def do_CONNECT(self) -> None:
        self.send_error(407)


def test_a_proxy_that_wants_a_password(
    submit: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    with tunnel(Guard) as (proxy, _):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        told(submit("https://vendor.invalid/v1"), 5, "the proxy refused", "check HTTPS_PROXY")
    stays_open()


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (400, 1, "answered 400: not a file for us"),
        (413, 1, "ftctl data split"),
        (404, 1, "check the id, the model and the base URL"),
        (500, 5, "run the same command again"),
    ],
)
def test_an_upload_that_is_refused(
    submit: Callable[..., Ran], vendor: OpenAIVendor, status: int, code: int, says: str
) -> None:
    vendor.faults.append(Fault("POST /files", status=status, message="not a file for us"))
    told(submit(vendor.base_url), code, says)
    stays_open(JobState.UPLOADING)
    goes_on(submit(vendor.base_url), vendor)


@pytest.mark.parametrize(("status", "code"), [(400, 1), (404, 1), (409, 1), (410, 1), (422, 1)])
def test_a_create_that_is_refused_has_failed_and_says_why(
    submit: Callable[..., Ran], vendor: OpenAIVendor, status: int, code: int
) -> None:
    vendor.faults.append(Fault(CREATE, status=status, message="no such tuning"))
    told(submit(vendor.base_url), code, f"answered {status}: no such tuning")
    job = the_job()
    assert job is not None
    assert (job.state, job.remote_id) == (JobState.FAILED, None)
    assert "no such tuning" in job.message


def test_a_model_that_the_vendor_doesnt_know(
    submit: Callable[..., Ran], vendor: OpenAIVendor
) -> None:
    told(submit(vendor.base_url, "--model", "house-model"), 1, "`house-model` does not exist")
    assert not vendor.jobs


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--model", "gpt-4.1-mimi"), 2, "did you mean gpt-4.1-mini"),
        (("--model", "smollm2-135m-instruct"), 3, "doesn't tune"),
        (("--name", "n" * 65), 2, "65 characters"),
        (("--tuning", "full"), 3, "tuning full"),
        (("--set", "epochs=2.5"), 2, "whole numbers"),
        (("--base-url", "127.0.0.1/v1"), 2, "isn't a base URL"),
    ],
)
def test_what_is_known_to_fail_is_refused_before_anything_is_written(
    cli: Cli, data: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    asked = ("--model", MODEL, "--as-of", "2026-11-24", *words)
    told(cli("submit", "--provider", "openai", "--data", data, *asked), code, says)
    assert the_job() is None


def test_a_file_that_the_vendors_own_checks_refuse(
    cli: Cli, submit: Callable[..., Ran], vendor: OpenAIVendor
) -> None:
    vendor.statuses = ("validating_files", "failed")
    goes_on(submit(vendor.base_url), vendor)
    watched = cli("watch", "colours", "--every", "0.05")
    assert watched.returncode == 1
    for words in ("7 example(s)", "at least 10", "(training_file)", "ftctl data check"):
        assert words in watched.stdout
    job = the_job()
    assert job is not None
    assert (job.state, job.fine_tuned_model) == (JobState.FAILED, None)


@pytest.mark.parametrize("route", ["GET /files", "POST /files"])
@pytest.mark.parametrize("kind", ["lost", "cut", "not_json"])
def test_an_answer_that_is_no_answer(
    submit: Callable[..., Ran], vendor: OpenAIVendor, route: str, kind: str
) -> None:
    vendor.faults.append(Fault(route, kind))  # type: ignore[arg-type]
    told(submit(vendor.base_url), 5)
    stays_open(JobState.UPLOADING)
    goes_on(submit(vendor.base_url), vendor)
    assert len(vendor.files) == 1


@pytest.mark.parametrize("kind", ["lost", "cut", "not_json"])
def test_a_create_without_an_answer_is_found_and_not_sent_again(
    submit: Callable[..., Ran], vendor: OpenAIVendor, kind: str
) -> None:
    vendor.faults.append(Fault(CREATE, kind))  # type: ignore[arg-type]
    told(submit(vendor.base_url), 5, "is not known yet", "ftctl jobs reconcile")
    job = the_job()
    assert job is not None
    assert (job.state, job.remote_id) == (JobState.SUBMITTING, None)
    assert job.sent_at is not None
    goes_on(submit(vendor.base_url), vendor)
    assert len(vendor.asked(CREATE)) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("route", ["GET /files", "POST /files", CREATE])
def test_no_redirect_is_followed(
    submit: Callable[..., Ran], vendor: OpenAIVendor, route: str, status: int
) -> None:
    with OpenAIVendor() as other:
        away = {"Location": f"{other.base_url}/elsewhere"}
        vendor.faults.append(Fault(route, status=status, headers=away))
        told(submit(vendor.base_url), 1, f"answered {status}", f"{other.base_url}/elsewhere")
        assert not other.requests
    assert not vendor.jobs


def test_a_gateway_that_drops_metadata_is_not_paid_twice(
    cli: Cli, submit: Callable[..., Ran], vendor: OpenAIVendor
) -> None:
    vendor.metadata = "dropped"
    vendor.faults.append(Fault(CREATE, "lost"))
    told(submit(vendor.base_url), 5, "is not known yet")
    ran = submit(vendor.base_url)
    assert ran.returncode == 1
    (made,) = vendor.jobs
    assert f"keeps no metadata, so any of its jobs {made}" in ran.stderr
    job = the_job()
    assert job is not None
    assert (job.state, job.remote_id) == (JobState.NEEDS_ATTENTION, None)
    assert f"ftctl jobs resolve {job.id} --remote" in job.message
    assert submit(vendor.base_url).returncode == 1
    assert len(vendor.asked(CREATE)) == 1
    assert cli("jobs", "resolve", job.id, "--remote", made).returncode == 0
    goes_on(submit(vendor.base_url), vendor)


def named(strange: str) -> Callable[[Json], Json]:
    return lambda document: document | {"id": strange}


@pytest.mark.parametrize("strange", ["../../files", "..", "a/../b", "%2e%2e", "x?limit=1#y"])
def test_an_id_that_the_vendor_makes_up_stays_inside_its_path(
    cli: Cli, submit: Callable[..., Ran], vendor: OpenAIVendor, strange: str, tmp_path: Path
) -> None:
    vendor.faults.append(Fault(CREATE, "changed", change=named(strange)))
    assert submit(vendor.base_url).returncode == 0
    before = len(vendor.requests)
    job = the_job()
    assert job is not None
    assert job.remote_id == strange
    for words in (("job", "colours", "--refresh"), ("fetch", "colours", "-o", tmp_path / "out")):
        ran = cli(*words)
        assert "Traceback" not in ran.stderr
        assert KEY not in ran.stdout + ran.stderr
    assert not (tmp_path / "out").exists()
    later = vendor.requests[before:]
    assert all(request.path.startswith("/fine_tuning/jobs/") for request in later)


@pytest.mark.parametrize("strange", ["a\nb", "ftjob\x1b[2J", "two words", "é", "x" * 600])
def test_an_id_that_is_none_is_no_answer(
    submit: Callable[..., Ran], vendor: OpenAIVendor, strange: str
) -> None:
    vendor.faults.append(Fault(CREATE, "changed", change=named(strange)))
    told(submit(vendor.base_url), 5, "isn't the API's answer")
    goes_on(submit(vendor.base_url), vendor)


def test_a_vendors_words_move_no_cursor(submit: Callable[..., Ran], vendor: OpenAIVendor) -> None:
    vendor.faults.append(Fault(CREATE, status=400, message="no\x1b[2J\x07\nway\u202e"))
    ran = submit(vendor.base_url)
    told(ran, 1, "answered 400: no[2J way")
    assert "\x1b" not in ran.stderr
