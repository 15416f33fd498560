"""A provider from another package goes the same way as ours."""

from pathlib import Path

import pytest
from command_line import Cli
from specimens import install_provider, write_chats

PLUGIN = """
from dataclasses import replace
from ftctl.providers.fake import FakeProvider

class Acme(FakeProvider):
    name = "acme"
    capabilities = replace(FakeProvider.capabilities, data_stays_here=False, lists_lag=False)

def make(settings, base_url):
    return Acme(settings.home / "acme")
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_chats(tmp_path / "train.jsonl")


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of somebody else's, installed."""
    install_provider(tmp_path / "site", "acme", PLUGIN, monkeypatch)


def submit(cli: Cli, provider: str, data: Path, *more: str) -> dict[str, object]:
    ran = cli("submit", "--provider", provider, "--data", data, "--model", "m-1", "--json", *more)
    assert ran.returncode == 0, ran.stderr
    document: dict[str, object] = ran.json()
    return document


@pytest.mark.parametrize("provider", ["acme", "fake"])
@pytest.mark.usefixtures("acme")
def test_it_is_submitted_to_and_watched_by_its_name(cli: Cli, data: Path, provider: str) -> None:
    job = submit(cli, provider, data)
    assert (job["provider"], job["state"]) == (provider, "queued")
    assert job["estimate"]["cost"] is None  # type: ignore[index]  # unknown, which isn't zero
    assert submit(cli, provider, data)["id"] == job["id"]
    ran = cli("watch", str(job["id"]), "--every", "0.05", "--quiet")
    assert ran.returncode == 0, ran.stderr


def test_one_that_cannot_stop_a_job_is_not_asked_to(
    cli: Cli, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = PLUGIN.replace("lists_lag=False", "lists_lag=False, can_cancel=False")
    install_provider(tmp_path / "site", "acme", plugin, monkeypatch)
    job = str(submit(cli, "acme", data)["id"])
    ran = cli("cancel", job)
    assert ran.returncode != 0
    assert f"acme can't stop a job, so {job} runs to its end" in ran.stderr
    assert cli("watch", job, "--every", "0.05", "--quiet").returncode == 0


@pytest.mark.usefixtures("acme")
def test_that_nothing_is_known_of_it_is_said(cli: Cli, data: Path) -> None:
    ran = cli("submit", "--provider", "acme", "--data", data, "--model", "m-1")
    assert "acme stands in no catalog" in ran.stderr


@pytest.mark.parametrize("more", [("--privacy", "stays_inside"), ("--max-cost", "5")])
@pytest.mark.usefixtures("acme")
def test_what_is_not_known_to_be_safe_or_cheap_is_refused(
    cli: Cli, data: Path, more: tuple[str, str]
) -> None:
    ran = cli("submit", "--provider", "acme", "--data", data, "--model", "m-1", *more)
    assert ran.returncode == 3, ran.stderr


def test_a_mistyped_provider_is_not_taken_for_one(cli: Cli, data: Path) -> None:
    ran = cli("submit", "--provider", "opnai", "--data", data, "--model", "m-1")
    assert ran.returncode == 2
    assert "did you mean openai?" in ran.stderr
