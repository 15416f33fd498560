"""One command moves a job to another provider, after showing what changes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Cli
from preference_rows import write_pairs
from specimens import write_chats

from ftctl.testing.openai_vendor import OpenAIVendor

DAY = "2026-11-24"  # the models that these jobs name are closed later


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIVendor]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
    with OpenAIVendor("sk-right") as opened:
        yield opened


@pytest.fixture
def old(cli: Cli, tmp_path: Path) -> str:
    """A job at the fake provider."""
    file = write_chats(tmp_path / "train.jsonl")
    ran = cli(
        *("submit", "--provider", "fake", "--data", file, "--model", "gpt-4.1-mini", "--json"),
        *("--name", "n", "--set", "epochs=2", "--set", "lora_r=8"),
    )
    return str(ran.json()["id"])


def migrate(old: str, vendor: OpenAIVendor) -> tuple[str, ...]:
    at = ("--to", "openai", "--base-url", vendor.base_url, "--as-of", DAY)
    return ("migrate", old, *at)


def test_the_difference_is_shown_and_the_job_made_once(
    cli: Cli, old: str, vendor: OpenAIVendor
) -> None:
    ran = cli(*migrate(old, vendor), "--yes", "--json")
    assert ran.returncode == 0, ran.stderr
    shown = ran.json()
    assert (shown["schema"], shown["source"]) == ("ftctl.migration/1", old)
    kinds = {row["setting"]: row["kind"] for row in shown["differences"]}
    assert (kinds["epochs"], kinds["lora_r"], kinds["provider"]) == ("kept", "dropped", "changed")
    (made,) = vendor.jobs.values()
    assert made.document["model"] == "gpt-4.1-mini-2025-04-14"
    assert made.document["hyperparameters"]["n_epochs"] == 2
    assert cli(*migrate(old, vendor), "--yes", "--json").json()["job"]["id"] == shown["job"]["id"]
    assert len(vendor.jobs) == 1


def test_nothing_is_submitted_unasked(cli: Cli, old: str, vendor: OpenAIVendor) -> None:
    dry = cli(*migrate(old, vendor), "--dry-run")
    assert dry.returncode == 0
    assert "(dropped)" in dry.stdout
    assert "may it create a job? unknown" in dry.stdout
    assert [request.route for request in vendor.requests] == ["GET /fine_tuning/jobs"]
    unasked = cli(*migrate(old, vendor))
    assert unasked.returncode == 2
    assert "--yes" in unasked.stderr
    assert not vendor.jobs
    assert not vendor.files


def test_a_closed_door_is_closed_to_what_moves(cli: Cli, old: str) -> None:
    ran = cli("migrate", old, "--to", "mistral", "--yes")
    assert ran.returncode == 3
    assert "mistral is closed" in ran.stderr


def test_data_that_changed_since_is_not_sent(
    cli: Cli, old: str, vendor: OpenAIVendor, tmp_path: Path
) -> None:
    with (tmp_path / "train.jsonl").open("a") as file:
        file.write("\n")
    ran = cli(*migrate(old, vendor), "--yes")
    assert ran.returncode == 2
    assert "changed since" in ran.stderr
    assert not vendor.jobs


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("--base-url", "http://bob:s3cret@127.0.0.1:1/v1"), 2),
        (("--base-url", "http://gateway.example/v1"), 3),
        (("--max-cost", "nan"), 2),
        (("--set", "learning_rate_multiplier=-1"), 2),
    ],
)
def test_what_submit_refuses_migrate_refuses(
    cli: Cli, old: str, vendor: OpenAIVendor, more: tuple[str, str], code: int
) -> None:
    ran = cli("migrate", old, "--to", "openai", *more, "--dry-run", "--as-of", DAY)
    assert ran.returncode == code, ran.stderr
    assert "s3cret" not in ran.stderr + ran.stdout
    assert not vendor.requests


def test_the_environments_gateway_is_where_it_moves(
    cli: Cli, old: str, vendor: OpenAIVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", vendor.base_url)
    shown = cli("migrate", old, "--to", "openai", "--dry-run", "--json", "--as-of", DAY).json()
    assert shown["spec"]["base_url"] == vendor.base_url
    assert shown["lifetime"] == f"as long as {vendor.base_url} serves it"


def test_a_setting_that_only_the_new_provider_has_is_set(
    cli: Cli, vendor: OpenAIVendor, tmp_path: Path
) -> None:
    file = write_pairs(tmp_path / "pairs.jsonl", 12)
    ran = cli(
        *("submit", "--provider", "fake", "--data", file, "--model", "gpt-4.1-mini", "--json"),
        *("--method", "dpo"),
    )
    at = migrate(ran.json()["id"], vendor)
    shown = cli(*at, "--set", "beta=0.3", "--dry-run", "--json")
    assert shown.returncode == 0, shown.stdout
    assert shown.json()["spec"]["options"] == {"beta": "0.3"}
    (said,) = [row for row in shown.json()["differences"] if row["setting"] == "beta"]
    assert (said["after"], said["why"]) == ("beta=0.3", "--set")


def test_a_setting_out_of_range_points_to_this_command(cli: Cli, old: str) -> None:
    ran = cli("migrate", old, "--to", "openai", "--set", "epochs=-1", "--as-of", DAY)
    assert ran.returncode == 2
    assert "→ ftctl migrate --help" in ran.stderr
