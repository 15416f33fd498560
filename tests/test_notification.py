"""A command and a webhook are told of a job's state, signed and once, and never harm the job."""

import base64
import hashlib
import hmac
import json
import logging
import shlex
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from ftctl import notification
from ftctl.config import load_settings
from ftctl.errors import FtctlError, Refused, UsageError
from ftctl.job import JobRecord, JobSpec, JobState
from ftctl.notification import Notifier, check_target, load_webhook_secret, notify

SECRET = "whsec_" + base64.b64encode(b"planted-secret-of-24-byte").decode()


def record(state: JobState = JobState.RUNNING, attempt: int = 1) -> JobRecord:
    spec = JobSpec(
        provider="local", model="m", data=Path("train.jsonl"), data_sha256="0" * 64, name="näme"
    )
    return JobRecord(
        id="job-7f3k2m9xab",
        name=spec.name,
        provider="local",
        base_url=None,
        remote_id="run-1",
        marker="ftctl-1",
        state=state,
        provider_status="running",
        message="step 3",
        model="m",
        method="sft",
        fine_tuned_model=None,
        attempt=attempt,
        created_at=datetime(2026, 11, 24, tzinfo=UTC),
        observed_at=None,
        stale_because=None,
        estimate=None,
        actual=None,
        progress={},
        error=None,
        spec=spec,
    )


@dataclass
class Receiver:
    """What a webhook's server got, and what it answers: the statuses in turn, then 204."""

    url: str
    statuses: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def verified(self, key: bytes) -> list[dict[str, Any]]:
        """Every body, after its signature was checked as Standard Webhooks describe it."""
        for headers, body in self.got:
            text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body.decode()}"
            expected = hmac.new(key, text.encode(), hashlib.sha256).digest()
            version, _, signature = headers["webhook-signature"].partition(",")
            assert version == "v1"
            assert hmac.compare_digest(base64.b64decode(signature), expected)
            assert headers["content-type"] == "application/json"
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
            status = got.statuses.pop(0) if got.statuses else 204
            if status == 0:  # no answer at all
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("location", f"{got.url}/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        @override
        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        got = Receiver(f"http://127.0.0.1:{server.server_port}/hook")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield got
        server.shutdown()
        thread.join()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    monkeypatch.setenv("FTCTL_WEBHOOK_SECRET", SECRET)
    return []


def test_a_webhook_is_signed_and_holds_the_job(receiver: Receiver, waits: list[float]) -> None:
    notify(receiver.url, record(), settings=load_settings(), sleep=waits.append)
    (body,) = receiver.verified(b"planted-secret-of-24-byte")
    assert body["schema"] == "ftctl.job/1"
    assert (body["id"], body["state"], body["name"]) == ("job-7f3k2m9xab", "running", "näme")
    ((headers, _),) = receiver.got
    assert body["event_id"] == headers["webhook-id"] == "job-7f3k2m9xab-1-running"
    assert waits == []


def test_a_secret_of_ones_own_signs_as_it_is(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FTCTL_WEBHOOK_SECRET", "a sentence of my own")
    notify(receiver.url, record(), settings=load_settings())
    assert len(receiver.verified(b"a sentence of my own")) == 1


def test_a_secret_is_made_once_and_kept_to_its_owner(
    receiver: Receiver, clean_environment: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = load_settings()
    notify(receiver.url, record(), settings=settings)
    notify(receiver.url, record(JobState.SUCCEEDED), settings=settings)
    file = clean_environment / "webhook_secret"
    assert file.stat().st_mode & 0o777 == 0o600
    secret = file.read_text().strip()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert len(key) == 32
    assert len(receiver.verified(key)) == 2
    assert str(file) in caplog.text
    assert secret not in caplog.text
    assert load_webhook_secret(settings) == secret


def test_a_secret_that_others_can_read_signs_nothing(
    receiver: Receiver, clean_environment: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clean_environment.mkdir()
    (clean_environment / "webhook_secret").write_text(SECRET)
    (clean_environment / "webhook_secret").chmod(0o644)
    notify(receiver.url, record(), settings=load_settings())
    assert receiver.got == []
    assert "can be read or written by others" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("status", [500, 503, 429, 408, 0])
def test_a_passing_failure_is_tried_again_under_the_same_id(
    receiver: Receiver, waits: list[float], status: int
) -> None:
    receiver.statuses = [status, status]
    notify(receiver.url, record(), settings=load_settings(), sleep=waits.append)
    assert len(receiver.verified(b"planted-secret-of-24-byte")) == 3
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert len(waits) == 2
    assert all(0 < wait <= 10 for wait in waits)


@pytest.mark.parametrize(("status", "posts"), [(500, 4), (400, 1), (404, 1), (410, 1), (307, 1)])
def test_it_gives_up_and_says_so_and_follows_no_redirect(
    receiver: Receiver,
    waits: list[float],
    caplog: pytest.LogCaptureFixture,
    status: int,
    posts: int,
) -> None:
    receiver.statuses = [status] * 10
    notify(receiver.url, record(), settings=load_settings(), sleep=waits.append)
    assert len(receiver.got) == posts
    assert f"the webhook failed: it answered {status}" in caplog.text
    assert "/hook" not in "".join(r.getMessage() for r in caplog.records if "failed" in r.msg)


def test_a_loopback_webhook_is_not_sent_through_a_proxy(
    receiver: Receiver, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    notify(receiver.url, record(), settings=load_settings(), sleep=waits.append)
    assert len(receiver.got) == 1


def test_nobody_listening_is_only_logged(
    waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    notify("http://127.0.0.1:9/", record(), settings=load_settings(), sleep=waits.append)
    assert "the webhook failed: no answer (ConnectError)" in caplog.text
    assert len(waits) == 3


def test_one_observer_tells_each_state_of_an_attempt_once(
    receiver: Receiver, waits: list[float]
) -> None:
    notifier = Notifier(load_settings(), waits.append)
    for told in (
        record(),
        record(),
        record(JobState.FAILED),
        record(),
        record(attempt=2),
        record(attempt=2),
    ):
        notifier.tell(receiver.url, told)
    ids = [headers["webhook-id"].removeprefix("job-7f3k2m9xab-") for headers, _ in receiver.got]
    assert ids == ["1-running", "1-failed", "2-running"]


def python(code: str, *args: str | Path) -> str:
    return shlex.join([sys.executable, "-c", code, *map(str, args)])


def test_a_command_gets_the_job_and_no_shell(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told = tmp_path / "told.json"
    code = (
        "import json, os, sys; print('not for stdout'); print('for stderr', file=sys.stderr)\n"
        "named = [os.environ['FTCTL_JOB_ID'], os.environ['FTCTL_JOB_STATE']]\n"
        "json.dump([json.load(sys.stdin), named, sys.argv[2:]], open(sys.argv[1], 'w'))"
    )
    command = python(code, told, "$HOME", "; touch x", "a b")
    check_target(command)
    notify(command, record(JobState.SUCCEEDED), settings=load_settings())
    document, named, args = json.loads(told.read_text())
    assert (document["schema"], document["state"]) == ("ftctl.job/1", "succeeded")
    assert document["name"] == "näme"
    assert named == ["job-7f3k2m9xab", "succeeded"]
    assert args == ["$HOME", "; touch x", "a b"]
    assert capfd.readouterr() == ("", "for stderr\n")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (python("raise SystemExit(3)"), "the command failed: it ended with 3"),
        (python("import time; time.sleep(600)"), "the command failed: it took longer than 0.5 s"),
        ("/nowhere/tell", "/nowhere/tell isn't a program"),
        ("", "the command failed: --notify: no command"),
        ("'", "the command failed: --notify: not a command line"),
        ("https://[::1/", "the webhook failed"),
        ("http://example.org/hook", "the webhook failed"),
    ],
)
def test_a_failure_is_logged_and_harms_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, command: str, says: str
) -> None:
    if "sleep" in command:
        monkeypatch.setattr(notification, "COMMAND_TIMEOUT_S", 0.5)
    notify(command, record(), settings=load_settings())
    (line,) = [r.getMessage() for r in caplog.records if r.name == "ftctl.notification"]
    assert line.startswith("job-7f3k2m9xab is running: ")
    assert says in line


@pytest.mark.parametrize(
    ("target", "error", "says"),
    [
        ("http://example.org/hook", Refused, "another machine"),
        ("https://me:pw@example.org/hook", UsageError, "user or password"),
        ("https://example.org/hook?token=pw", UsageError, "query"),
        ("ftp://example.org/hook", UsageError, "isn't a base URL"),
        ("no-such-program-here", UsageError, "isn't a program"),
        ("./tell.sh", UsageError, "depends on the folder"),
        ("echo 'a", UsageError, "no closing quotation"),
        ("  ", UsageError, "no command"),
    ],
)
def test_a_target_that_can_not_be_told_is_refused(
    target: str, error: type[FtctlError], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        check_target(target)
    assert "pw" not in str(caught.value)


def test_targets_that_can_be_told_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    for target in ("https://example.org/hook", "http://localhost:1/", f"{sys.executable} -c 'x'"):
        check_target(target)
    monkeypatch.setenv("FTCTL_WEBHOOK_SECRET", "whsec_not base64!")
    with pytest.raises(UsageError, match="FTCTL_WEBHOOK_SECRET: no secret") as caught:
        check_target("https://example.org/hook")
    assert "not base64" not in str(caught.value)
