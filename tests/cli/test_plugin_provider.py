"""A provider from another package goes the same way as ours."""

import json
import sys
from pathlib import Path

import pytest
from command_line import Cli

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
    file = tmp_path / "train.jsonl"
    rows = [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": "Yes."}]}
        for q in (f"Is {n} a number?" for n in range(12))
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of somebody else's, installed."""
    site = tmp_path / "site"
    dist = site / "acme_ftctl-1.0.dist-info"
    dist.mkdir(parents=True)
    (site / "acme_ftctl.py").write_text(PLUGIN, "utf-8")
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-ftctl\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text("[ftctl.providers]\nacme = acme_ftctl:make\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "acme_ftctl", raising=False)


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
