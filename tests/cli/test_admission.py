"""The account is asked one free question before a row leaves, and its no costs nothing."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pytest
from command_line import Cli, Ran
from specimens import write_chats

from ftctl.api.settling import reconcile
from ftctl.config import load_settings
from ftctl.errors import OverMaxCost, ProviderClosed, Unavailable
from ftctl.job import JobRecord, JobState
from ftctl.store import Store
from ftctl.testing.loopback import Fault
from ftctl.testing.openai_vendor import OpenAIVendor

pytestmark = pytest.mark.medium
KEY = "sk-planted-0123456789abcdef"
LIST = "GET /fine_tuning/jobs"
CREATE = "POST /fine_tuning/jobs"


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIVendor]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("FTCTL_SETTLE_S", "0.1")
    with OpenAIVendor(KEY) as running:
        yield running


@pytest.fixture
def submit(cli: Cli, tmp_path: Path, vendor: OpenAIVendor) -> Callable[..., Ran]:
    data = write_chats(tmp_path / "train.jsonl")

    def run(*more: str) -> Ran:
        where = ("--provider", "openai", "--base-url", vendor.base_url)
        return cli("submit", *where, "--model", "gpt-4.1-mini", "--data", data, *more)

    return run


def the_job() -> JobRecord:
    with Store(load_settings().database_url) as store:
        (job,) = store.jobs()
    return job


def test_one_question_is_asked_before_anything_is_sent(
    submit: Callable[..., Ran], vendor: OpenAIVendor
) -> None:
    ran = submit()
    assert ran.returncode == 0, ran.stderr
    assert vendor.requests[0].route == LIST
    assert len(vendor.asked(LIST)) == 1
    assert "may it create a job? unknown" in ran.stderr
    assert submit().returncode == 0  # it is under way: nobody needs to be asked
    assert len(vendor.asked(LIST)) == 1


@pytest.mark.parametrize(
    ("fault", "says", "state", "code"),
    [
        (Fault(LIST, status=401), "OPENAI_API_KEY", JobState.CREATED, 3),
        (Fault(LIST, status=402), "set up billing", JobState.CREATED, 3),
        (Fault(LIST, status=403, message="not in your region"), "region", JobState.CREATED, 3),
        (Fault(LIST, status=403, body=b""), "balance, key or region", JobState.CREATED, 3),
        (Fault(LIST, status=410), "ftctl providers", JobState.FAILED, 1),
    ],
    ids=["401", "402", "403", "403 empty", "410"],
)
def test_a_no_stops_it_before_a_row_leaves(
    submit: Callable[..., Ran],
    vendor: OpenAIVendor,
    fault: Fault,
    says: str,
    state: JobState,
    code: int,
) -> None:
    vendor.faults.append(replace(fault))
    ran = submit()
    assert ran.returncode == code, ran.stderr
    assert says in ran.stderr
    assert [request.route for request in vendor.requests] == [LIST]
    job = the_job()
    assert (job.state, job.sent_at) == (state, None)
    assert job.error is not None
    again = submit()
    assert again.returncode == 0, again.stderr  # what was wrong is mended
    assert len(vendor.jobs) == 1


@pytest.mark.parametrize(
    "fault", [Fault(LIST, status=429), Fault(LIST, status=503), Fault(LIST, "lost")]
)
def test_who_does_not_answer_now_gets_no_rows(
    submit: Callable[..., Ran], vendor: OpenAIVendor, fault: Fault
) -> None:
    vendor.faults.append(replace(fault))
    assert submit().returncode == 5
    assert vendor.asked("* /files") == []
    assert the_job().state is JobState.CREATED
    assert submit().returncode == 0
    assert len(vendor.jobs) == 1


def test_a_gateway_without_a_list_is_sent_the_job(
    submit: Callable[..., Ran], vendor: OpenAIVendor
) -> None:
    vendor.faults.append(Fault(LIST, status=404))
    assert submit().returncode == 0
    assert len(vendor.jobs) == 1


def test_a_dry_run_asks_the_same_question_and_sends_no_row(
    submit: Callable[..., Ran], vendor: OpenAIVendor
) -> None:
    told: dict[str, Any] = submit("--dry-run", "--json").json()["may_create"]
    assert set(told) == {"word", "until", "reason", "source"}
    assert (told["word"], told["until"]) == ("unknown", None)
    assert [request.route for request in vendor.requests] == [LIST]
    vendor.faults.append(Fault(LIST, status=503))
    assert submit("--dry-run", "--json").json()["may_create"]["word"] == "unknown"
    vendor.faults.append(Fault(LIST, status=401))
    assert submit("--dry-run").returncode == 3
    assert vendor.asked("* /files") == []
    with Store(load_settings().database_url) as store:
        assert store.jobs() == []


def test_an_intention_left_open_is_asked_about_before_it_is_sent(
    submit: Callable[..., Ran], cli: Cli, vendor: OpenAIVendor
) -> None:
    vendor.faults.append(Fault("POST /files", status=500))
    assert submit().returncode == 5
    for again in (("jobs", "reconcile"), ("resume", the_job().id)):
        vendor.faults.append(Fault(LIST, status=401, times=None))
        before = len(vendor.asked("* /files"))
        ran = cli(*again)
        vendor.faults.clear()
        assert ran.returncode == 3, ran.stderr
        assert len(vendor.asked("* /files")) == before
    assert cli("jobs", "reconcile").returncode == 0
    assert len(vendor.jobs) == 1


@pytest.mark.parametrize("kind", ["lost", "status"])
def test_after_the_last_day_a_job_is_adopted_and_none_is_made(
    submit: Callable[..., Ran], vendor: OpenAIVendor, kind: Literal["lost", "status"]
) -> None:
    ours = load_settings().catalog  # this machine is the vendor itself, whose dates apply
    ours.parent.mkdir(parents=True, exist_ok=True)
    row = ("name = 'openai'", "hosts = ['127.0.0.1']", "as_of = 2026-11-24", "source = 'test'")
    ours.write_text("[[providers]]\n" + "\n".join(row), "utf-8")
    vendor.faults.append(Fault(CREATE, kind, status=500))  # the job is made, or isn't
    assert submit("--as-of", "2027-01-05").returncode == 5
    (job,), refused = reconcile(as_of=date(2027, 1, 6))
    if kind == "lost":
        (made,) = vendor.jobs
        assert (job.state, job.remote_id, refused) == (JobState.QUEUED, made, [])
    else:
        assert job.state is JobState.SUBMITTING
        assert [type(error) for error in refused] == [ProviderClosed]
    assert len(vendor.asked(CREATE)) == 1


def test_a_limit_is_held_against_the_prices_of_the_day_asked_about(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nobody is there
    data = write_chats(tmp_path / "train.jsonl", "Yes, it is. " * 400)
    asked = ("submit", "--provider", "openai", "--model", "gpt-4.1-mini", "--data", data)
    new = ("--as-of", "2026-01-15")  # when the price was new; an old one may be twice as high
    quoted = cli(*asked, *new, "--dry-run", "--json").json()["estimate"]["cost"]["high"]
    assert cli(*asked, *new, "--max-cost", f"{1.2 * quoted:.2f}").returncode == 5
    _, (still,) = reconcile(as_of=date(2026, 1, 20))
    assert isinstance(still, Unavailable)
    _, (refused,) = reconcile(as_of=date(2026, 5, 6))
    assert isinstance(refused, OverMaxCost)


def test_the_doctor_asks_only_when_told_to(
    cli: Cli, vendor: OpenAIVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", vendor.base_url)
    monkeypatch.setenv("MISTRAL_API_KEY", KEY)
    cli("doctor", "--json")
    assert vendor.requests == []
    found = accounts(cli)
    assert set(found) == {"openai", "mistral"}
    assert found["openai"]["status"] == "missing"
    assert "may it create a job? unknown" in found["openai"]["says"]
    assert "2026-07-15" in found["mistral"]["says"]
    assert [request.route for request in vendor.requests] == [LIST]
    vendor.faults.append(Fault(LIST, status=401, message=f"not {KEY}"))
    refused = accounts(cli)["openai"]
    assert (refused["status"], KEY in str(refused)) == ("problem", False)
    assert "check OPENAI_API_KEY" in refused["fix"]


def accounts(cli: Cli) -> dict[str, dict[str, Any]]:
    ran = cli("doctor", "--probe", "--json")
    assert ran.returncode == 0, ran.stderr
    return {row["name"]: row for row in ran.json()["findings"] if row["area"] == "account"}
