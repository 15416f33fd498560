"""What a crash left open is settled by one command; what can't be, by a person."""

from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats

from ftctl.config import load_settings
from ftctl.providers.fake import FakeProvider, FakeScript


@pytest.fixture(autouse=True)
def short_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTCTL_SETTLE_S", "0.1")


@pytest.fixture
def fake() -> FakeProvider:
    return FakeProvider(load_settings().home / "fake")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_chats(tmp_path / "train.jsonl")


def cut(cli: Cli, data: Path, fake: FakeProvider, trouble: str) -> None:
    """A submission whose create got no answer."""
    fake.script = FakeScript.model_validate({"troubles": {"create": [trouble]}})
    ran = cli("submit", "--provider", "fake", "--data", data, "--model", "m")
    assert ran.returncode == 5, ran.stderr
    assert "ftctl jobs reconcile" in ran.stderr


@pytest.mark.parametrize("trouble", ["answer_lost", "unavailable"])
def test_a_job_is_adopted_or_sent_again_and_made_once(
    cli: Cli, data: Path, fake: FakeProvider, trouble: str
) -> None:
    cut(cli, data, fake, trouble)
    ran = cli("jobs", "reconcile", "--json")
    assert ran.returncode == 0, ran.stderr
    (job,) = ran.json()["jobs"]
    assert job["state"] == "queued"
    assert [made.id for made in fake.jobs] == [job["remote_id"]]
    assert cli("jobs", "reconcile", "--json").json()["jobs"] == []


def test_who_cannot_be_asked_leaves_it_open(cli: Cli, data: Path, fake: FakeProvider) -> None:
    cut(cli, data, fake, "unavailable")
    fake.script = FakeScript(troubles={"find": ("unavailable",) * 3})
    ran = cli("jobs", "reconcile")
    assert ran.returncode == 5, ran.stdout
    assert fake.jobs == []


def test_data_that_would_be_refused_now_is_not_sent(
    cli: Cli, data: Path, fake: FakeProvider
) -> None:
    cut(cli, data, fake, "unavailable")
    data.write_text("nothing to train on\n", "utf-8")
    ran = cli("jobs", "reconcile")
    assert ran.returncode != 0
    assert "train.jsonl" in ran.stderr + ran.stdout
    assert fake.jobs == []


def test_a_person_settles_what_nobody_can_tell(cli: Cli, data: Path, fake: FakeProvider) -> None:
    cut(cli, data, fake, "answer_lost")
    fake.script = FakeScript(troubles={"find": ("invalid",) * 3})
    ran = cli("jobs", "reconcile", "--json")
    assert ran.returncode == 1
    (job,) = ran.json()["jobs"]
    assert job["state"] == "needs_attention"
    assert job["marker"] in job["message"]
    cancelled = cli("cancel", job["id"])
    assert cancelled.returncode == 1
    assert f"ftctl jobs resolve {job['id']}" in cancelled.stderr
    assert cli("jobs", "resolve", job["id"], "--remote", " ").returncode == 2
    (made,) = fake.jobs
    assert cli("jobs", "resolve", job["id"], "--remote", made.id).returncode == 0
    assert cli("watch", job["id"], "--every", "0.05", "--quiet").returncode == 0
