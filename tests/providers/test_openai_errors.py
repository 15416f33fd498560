"""What goes wrong on the wire: the right class, one clear sentence, never a key, never twice."""

import logging
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from ftctl.config import Credential, load_settings
from ftctl.errors import (
    AuthError,
    InvalidRequest,
    NoBalance,
    NotFound,
    ProviderError,
    RateLimited,
    Refused,
    Retired,
    Unavailable,
    UsageError,
)
from ftctl.job import JobSpec
from ftctl.providers.base import RemoteFile
from ftctl.providers.openai.driver import OpenAIProvider
from ftctl.providers.transport.http_errors import connection_error, retry_after_s, status_error
from ftctl.testing.loopback import Fault
from ftctl.testing.openai_vendor import OpenAIVendor

STATUSES: dict[int, type[ProviderError]] = {
    400: InvalidRequest,
    401: AuthError,
    402: NoBalance,
    403: AuthError,
    404: NotFound,
    408: Unavailable,
    409: InvalidRequest,
    410: Retired,
    413: InvalidRequest,
    422: InvalidRequest,
    429: RateLimited,
    500: Unavailable,
    503: Unavailable,
}


def everything(driver: OpenAIProvider, spec: JobSpec, folder: Path) -> list[Callable[[], object]]:
    """Each verb, ready to be asked."""
    held = {"training": RemoteFile("file-1", spec.data_sha256)}
    return [
        lambda: driver.upload(spec.data, spec.data_sha256),
        lambda: driver.create(spec, held, "job-1"),
        lambda: driver.find("job-1"),
        lambda: driver.poll("ftjob-1"),
        lambda: driver.events("ftjob-1", 0),
        lambda: driver.cancel("ftjob-1"),
        lambda: driver.fetch("ftjob-1", folder / "out"),
        lambda: driver.tuned_model("ftjob-1"),
        lambda: driver.forget("ftjob-1"),
    ]


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_has_its_class_on_every_verb(
    status: int,
    vendor: OpenAIVendor,
    driver: OpenAIProvider,
    spec: JobSpec,
    key: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    echo = f"you sent {key}, which is wrong"  # some servers do
    vendor.faults.append(Fault("* *", status=status, times=None, message=echo))
    for call in everything(driver, spec, tmp_path):
        with pytest.raises(STATUSES[status]) as caught:
            call()
        assert type(caught.value) is STATUSES[status]
        assert f"answered {status}: you sent ***" in caught.value.message
        assert caught.value.hint or status in (400, 409, 422)
        assert key not in caught.value.message + caught.value.hint
    assert key not in caplog.text
    assert "naïve" not in caplog.text  # no row either


def test_nothing_is_repeated_on_a_create(
    vendor: OpenAIVendor, driver: OpenAIProvider, spec: JobSpec
) -> None:
    held = {"training": driver.upload(spec.data, spec.data_sha256)}
    for fault in (
        Fault("POST /fine_tuning/jobs", status=500, after_work=True),
        Fault("POST /fine_tuning/jobs", status=429, headers={"Retry-After": "0"}),
        Fault("POST /fine_tuning/jobs", "lost"),
        Fault("POST /fine_tuning/jobs", "cut"),
    ):
        before = len(vendor.asked("POST /fine_tuning/jobs"))
        with vendor.fault(fault), pytest.raises(ProviderError):
            driver.create(spec, held, "job-1")
        assert len(vendor.asked("POST /fine_tuning/jobs")) == before + 1


@pytest.mark.parametrize("kind", ["lost", "cut", "not_json"])
def test_a_create_whose_answer_is_spoilt_is_unclear_and_found_afterwards(
    kind: str, vendor: OpenAIVendor, driver: OpenAIProvider, spec: JobSpec
) -> None:
    held = {"training": driver.upload(spec.data, spec.data_sha256)}
    vendor.faults.append(Fault("POST /fine_tuning/jobs", kind))  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        driver.create(spec, held, "job-1")
    assert driver.find("job-1") == next(iter(vendor.jobs))


@pytest.mark.parametrize("kind", ["lost", "cut", "not_json"])
def test_a_spoilt_answer_is_never_a_traceback(
    kind: str, vendor: OpenAIVendor, driver: OpenAIProvider, spec: JobSpec, tmp_path: Path
) -> None:
    vendor.faults.append(Fault("* *", kind, times=None))  # type: ignore[arg-type]
    for call in everything(driver, spec, tmp_path):
        with pytest.raises((Unavailable, NotFound)):
            call()


def test_a_document_of_the_wrong_shape_is_no_answer(
    vendor: OpenAIVendor, driver: OpenAIProvider, spec: JobSpec, tmp_path: Path
) -> None:
    for nonsense in ({}, {"id": "", "status": "running"}, {"data": [{"id": 3}]}, {"data": None}):
        shape = Fault("* *", "changed", times=None, change=lambda _, n=nonsense: n)  # type: ignore[misc]
        with vendor.fault(shape):
            for call in everything(driver, spec, tmp_path):
                with pytest.raises((Unavailable, NotFound)):
                    call()


def test_how_long_to_wait_is_kept(vendor: OpenAIVendor, driver: OpenAIProvider) -> None:
    vendor.faults.append(Fault("GET *", status=429, headers={"Retry-After": "300"}))
    with pytest.raises(RateLimited) as caught:
        driver.poll("ftjob-1")
    assert caught.value.retry_after_s == 300
    assert "Retry-After: 300" in caught.value.hint


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("7", 7.0), ("-1", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None)],
)
def test_retry_after_says_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value) == seconds


def test_a_vendor_s_code_is_kept_and_a_key_it_repeats_is_not() -> None:
    said = {
        "message": "Incorrect API key: sk-pl******cdef. No credit.",
        "code": "insufficient_quota",
    }
    error = status_error(
        who="V",
        doing="x",
        status=429,
        headers={},
        body={"error": said},
        credential=Credential("openai", "sk-planted-abcdef", "OPENAI_API_KEY"),
    )
    assert error.code == "insufficient_quota"
    assert error.message == "asked to x, V answered 429: Incorrect API key: ***. No credit."
    odd = {"error": {"message": "m", "code": "\x1b[2J"}}
    error = status_error(
        who="V",
        doing="x",
        status=400,
        headers={},
        body=odd,
        credential=Credential("openai", "k", "OPENAI_API_KEY"),
    )
    assert error.code is None


def test_a_gateway_of_another_error_shape_is_quoted() -> None:
    error = status_error(
        who="g",
        doing="create a job",
        status=422,
        headers={},
        body={"detail": [{"loc": ["model"], "msg": "unknown"}]},
        credential=Credential("openai", "sk-x", "OPENAI_API_KEY"),
    )
    assert "unknown" in error.message
    assert isinstance(error, InvalidRequest)


def test_no_redirect_is_followed(
    vendor: OpenAIVendor, driver: OpenAIProvider, spec: JobSpec, key: str
) -> None:
    with OpenAIVendor() as other:
        away = {"Location": f"{other.base_url}/fine_tuning/jobs"}
        vendor.faults.append(Fault("POST *", status=307, headers=away, times=None))
        with pytest.raises(InvalidRequest, match="answered 307") as caught:
            driver.create(spec, {"training": RemoteFile("f", "0")}, "job-1")
        assert other.base_url in caught.value.hint
        assert not other.requests


def test_the_environments_base_url_never_wins_over_the_jobs_own(
    vendor: OpenAIVendor, driver: OpenAIProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OpenAIVendor() as other:
        monkeypatch.setenv("OPENAI_BASE_URL", other.base_url)
        assert driver.find("job-1") is None
        assert not other.requests
    assert len(vendor.requests) == 1


def test_no_key_goes_to_another_machine_in_the_clear(
    vendor: OpenAIVendor, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", vendor.base_url.removesuffix("/v1"))
    with pytest.raises(Refused, match="http to another machine"):
        OpenAIProvider(load_settings(), "http://vendor.invalid/v1").find("job-1")
    assert vendor.requests == []


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_server_that_is_down(key: str) -> None:
    driver = OpenAIProvider(load_settings(), f"http://127.0.0.1:{closed_port()}/v1")
    with pytest.raises(Unavailable, match="nothing listens at 127") as caught:
        driver.find("job-1")
    assert "start the server" in caught.value.hint


def test_a_proxy_that_is_down_is_named(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = f"http://me:secret@127.0.0.1:{closed_port()}"
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(Unavailable, match=r"HTTPS_PROXY=http://\*\*\*@127") as caught:
        OpenAIProvider(load_settings(), "https://vendor.invalid/v1").find("job-1")
    assert "secret" not in caught.value.message


def test_tls_with_a_server_that_speaks_none(vendor: OpenAIVendor) -> None:
    url = vendor.base_url.replace("http:", "https:")
    with pytest.raises(Unavailable, match="TLS with") as caught:
        OpenAIProvider(load_settings(), url).find("job-1")
    assert "http://" in caught.value.hint


def test_network_variables_that_cant_be_used(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "carrier-pigeon://loft")
    with pytest.raises(UsageError, match="proxy or certificate"):
        OpenAIProvider(load_settings(), "https://vendor.invalid/v1").find("job-1")


@pytest.mark.parametrize(
    ("cause", "says", "hint"),
    [
        (socket.gaierror(-2, "unknown"), "the name vendor.example isn't known (DNS)", "network"),
        (ssl.SSLCertVerificationError("no"), "isn't trusted", "SSL_CERT_FILE"),
        (TimeoutError("slow"), "it took too long", "again"),
        (EOFError(), "the connection broke (EOFError)", "again"),
    ],
)
def test_what_broke_and_what_to_do(cause: Exception, says: str, hint: str) -> None:
    if isinstance(cause, ssl.SSLCertVerificationError):
        cause.verify_message = "self-signed certificate"
    outer = ConnectionError("outer")
    outer.__cause__ = cause
    told = connection_error(who="V", doing="ask", url="https://vendor.example/v1", error=outer)
    assert says in told.message
    assert hint in told.hint
