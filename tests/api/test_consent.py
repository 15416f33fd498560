"""Rows with personal data leave only when somebody said so for those very bytes."""

from pathlib import Path

import pytest
from command_line import Cli
from specimens import install_provider, write_chats

from ftctl.admission import ScanHits
from ftctl.api.submitting import submit
from ftctl.config import load_settings
from ftctl.errors import PrivacyForbids
from ftctl.store import Store
from ftctl.store.audit_entry import AuditEntry

PLUGIN = """
from dataclasses import replace
from ftctl.providers.fake import FakeProvider

class Far(FakeProvider):
    name = "far"
    capabilities = replace(FakeProvider.capabilities, data_stays_here=False)

def make(settings, base_url):
    return Far(settings.home / "far")
"""


@pytest.fixture(autouse=True)
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider to which rows leave."""
    install_provider(tmp_path / "site", "far", PLUGIN, monkeypatch)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_chats(tmp_path / "train.jsonl", "Write to anna.berg@example.org.")


def audits() -> list[AuditEntry]:
    with Store(load_settings().database_url) as store:
        return store.audits()


def sent(home: Path) -> bool:
    return (home / "far").exists()


def test_without_a_word_nothing_leaves(data: Path, clean_environment: Path) -> None:
    with pytest.raises(PrivacyForbids, match=r"e-mail.*would leave") as refused:
        submit(provider="far", data=data, model="m")
    assert "--allow-scan-hits" in refused.value.hint
    assert "anna.berg" not in refused.value.message
    assert not sent(clean_environment)
    assert audits() == []


def test_a_person_is_asked_once_for_the_very_bytes(data: Path, tmp_path: Path) -> None:
    asked: list[ScanHits] = []

    def say_yes(hits: ScanHits) -> bool:
        asked.append(hits)
        return True

    submit(provider="far", data=data, model="m", on_scan_hits=say_yes)
    submit(provider="far", data=data, model="m", new=True)  # nobody need say it again
    assert [hits.file.name for hits in asked] == ["train.jsonl"]
    other = write_chats(tmp_path / "other.jsonl", "Write to otto.lang@example.org.")
    with pytest.raises(PrivacyForbids):
        submit(provider="far", data=other, model="m")


def test_a_no_is_a_no(data: Path, clean_environment: Path) -> None:
    with pytest.raises(PrivacyForbids):
        submit(provider="far", data=data, model="m", on_scan_hits=lambda _: False)
    assert not sent(clean_environment)


def test_what_left_and_who_said_so_is_in_the_audit_log(data: Path) -> None:
    job = submit(provider="far", data=data, model="m", privacy="contractual", allow_scan_hits=True)
    allowed, left = audits()
    assert (allowed.action, allowed.detail["by"]) == ("scan_hits_allowed", "flag")
    assert (left.action, left.detail["provider"]) == ("rows_leave", "far")
    assert left.detail["privacy"] == "contractual"
    assert left.detail["data_sha256"] == allowed.detail["sha256"] == job.record.spec.data_sha256
    assert "anna.berg" not in repr(audits())


def test_a_dry_run_gives_no_consent(data: Path, cli: Cli) -> None:
    words = ("submit", "--provider", "far", "--data", data, "--model", "m")
    assert cli(*words, "--allow-scan-hits", "--dry-run").returncode == 0
    refused = cli(*words)
    assert refused.returncode == 3
    assert "--allow-scan-hits" in refused.stderr


def test_consent_is_for_one_place(data: Path) -> None:
    submit(provider="far", data=data, model="m", allow_scan_hits=True)
    with pytest.raises(PrivacyForbids):
        submit(provider="far", data=data, model="m", base_url="https://far.example/v1")
