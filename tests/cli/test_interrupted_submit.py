"""Who leaves off a submission hears which job that leaves and how to go on: exit 130."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats

from ftctl.config import load_settings
from ftctl.job import JobRecord
from ftctl.store import Store
from ftctl.testing.loopback import Moment, Request
from ftctl.testing.openai_vendor import OpenAIVendor

pytestmark = pytest.mark.medium
KEY = "sk-planted-0123456789abcdef"
CREATE = "POST /fine_tuning/jobs"


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIVendor]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("FTCTL_SETTLE_S", "0.1")
    with OpenAIVendor(KEY) as running:
        yield running


def words(vendor: OpenAIVendor, data: Path) -> list[str]:
    named = ("--provider", "openai", "--model", "gpt-4.1-mini", "--name", "colours")
    return ["submit", *named, "--data", str(data), "--base-url", vendor.base_url]


def interrupted_at(vendor: OpenAIVendor, route: str, data: Path, *more: str) -> tuple[str, str]:
    """Interrupt a submission that waits for the answer of a route; what it prints."""
    worked, over = threading.Event(), threading.Event()

    def hold(moment: Moment, request: Request) -> None:
        if moment == "worked" and request.route == route:
            worked.set()
            over.wait(50)

    vendor.on_moment = hold
    process = subprocess.Popen(
        [sys.executable, "-m", "ftctl.cli", *words(vendor, data), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert worked.wait(50)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=50)
    finally:
        over.set()
        process.kill()
        vendor.on_moment = None
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert KEY not in err
    return out, err


def the_job() -> JobRecord:
    with Store(load_settings().database_url) as store:
        (job,) = store.jobs()
    return job


@pytest.mark.parametrize(
    ("route", "says"),
    [
        (CREATE, "was being submitted; whether openai took it isn't known yet"),
        ("POST /files", "isn't at openai yet"),
    ],
)
def test_the_job_is_named_and_the_same_command_goes_on(
    vendor: OpenAIVendor, cli: Cli, tmp_path: Path, route: str, says: str
) -> None:
    data = write_chats(tmp_path / "train.jsonl")
    out, err = interrupted_at(vendor, route, data)
    job = the_job()
    assert out == ""
    assert f"ftctl: interrupted; {job.id} {says}" in err
    assert "→ run the same submit again, or ftctl jobs reconcile" in err
    ran = cli(*words(vendor, data))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == job.id
    assert list(vendor.jobs) == [the_job().remote_id]


def test_json_says_the_same(vendor: OpenAIVendor, tmp_path: Path) -> None:
    out, _ = interrupted_at(vendor, CREATE, write_chats(tmp_path / "train.jsonl"), "--json")
    error = json.loads(out)["error"]
    assert (error["kind"], error["exit_code"], error["word"]) == ("interrupted", 130, None)
    assert the_job().id in error["message"]
