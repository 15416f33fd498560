"""A job is held and goes on, where its vendor can do that."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats

from ftctl.testing.openai_dialects import NEBIUS
from ftctl.testing.openai_vendor import OpenAIVendor

pytestmark = pytest.mark.medium
KEY = "sk-planted-0123456789abcdef"


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIVendor]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NEBIUS_API_KEY", KEY)
    with OpenAIVendor(KEY, by_polls=False) as running:
        yield running


@pytest.fixture
def submit(cli: Cli, tmp_path: Path) -> Callable[..., str]:
    def run(provider: str, model: str, base_url: str) -> str:
        data = write_chats(tmp_path / "train.jsonl")
        where = ("--provider", provider, "--base-url", base_url)
        ran = cli("submit", *where, "--data", data, "--model", model)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    return run


def test_a_job_is_held_and_goes_on_in_the_same_attempt(
    cli: Cli, vendor: OpenAIVendor, submit: Callable[..., str]
) -> None:
    job = submit("openai", "gpt-4.1-mini", vendor.base_url)
    (remote,) = vendor.jobs
    vendor.move(remote, "running")
    held = json.loads(cli("pause", job, "--json").stdout)
    assert (held["state"], held["provider_status"]) == ("paused", "paused")
    assert cli("pause", job).returncode == 1  # it is held already
    assert f"{job} running" in cli("resume", job).stdout
    assert len(vendor.jobs) == 1
    assert json.loads(cli("job", job, "--json").stdout)["attempt"] == 1
    vendor.move(remote, "failed")
    stopped = cli("resume", job)
    assert stopped.returncode == 3
    assert "can't go on with a stopped job" in stopped.stderr


def test_a_job_that_has_ended_is_not_held(
    cli: Cli, vendor: OpenAIVendor, submit: Callable[..., str]
) -> None:
    job = submit("openai", "gpt-4.1-mini", vendor.base_url)
    vendor.move(next(iter(vendor.jobs)), "succeeded")
    ran = cli("pause", job)
    assert ran.returncode == 1
    assert "only a job under way" in ran.stderr


def test_a_vendor_that_cant_says_so(cli: Cli, submit: Callable[..., str], vendor: object) -> None:
    with OpenAIVendor(KEY, dialect=NEBIUS) as nebius:
        job = submit("nebius", "llama-3.1-8b-instruct", nebius.base_url)
        ran = cli("pause", job)
    assert ran.returncode == 3
    assert f"ftctl cancel {job}" in ran.stderr
