"""`submit --from`: an earlier job once more, with changes, and never a third by accident."""

from pathlib import Path
from typing import Any

import pytest
from command_line import Cli
from specimens import write_chats

from ftctl.api.job_handle import get_job
from ftctl.api.resubmitting import spec_from
from ftctl.job import JobSpec


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_chats(tmp_path / "train.jsonl")


@pytest.fixture
def earlier(cli: Cli, data: Path) -> dict[str, Any]:
    """A job with a setting of every kind."""
    ran = cli(
        "submit", "--provider", "fake", "--data", data, "--model", "m-1", "--name", "mails",
        "--tuning", "full", "--privacy", "contractual", "--set", "epochs=3", "--set", "lora_r=8",
        "--json",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    document: dict[str, Any] = ran.json()
    return document


def again(cli: Cli, job: str, *more: str | Path) -> dict[str, Any]:
    ran = cli("submit", "--from", job, "--json", *more)
    assert ran.returncode == 0, ran.stderr
    document: dict[str, Any] = ran.json()
    return document


def test_everything_is_taken_and_what_is_given_wins(cli: Cli, earlier: dict[str, Any]) -> None:
    job = again(cli, earlier["id"], "--set", "epochs=2", "--set", "learning_rate=0.001")
    assert job["id"] != earlier["id"]
    assert job["name"] == "mails-2"
    before, after = earlier["spec"], job["spec"]
    differ = {key for key in before if before[key] != after[key]}
    assert differ == {"name", "hyperparameters"}
    given = {key: value for key, value in after["hyperparameters"].items() if value is not None}
    assert given == {"epochs": 2.0, "lora_r": 8, "learning_rate": 0.001}


def test_flags_win(cli: Cli, earlier: dict[str, Any]) -> None:
    words = ("--tuning", "lora", "--model", "m-2", "--name", "other", "--privacy", "public")
    after = again(cli, earlier["id"], *words)["spec"]
    assert [after[key] for key in ("tuning", "model", "name", "privacy")] == [*words[1::2]]


def test_the_same_words_again_make_no_third_job(cli: Cli, earlier: dict[str, Any]) -> None:
    first = again(cli, earlier["id"], "--set", "epochs=2")
    assert again(cli, "mails", "--set", "epochs=2")["id"] == first["id"]
    other = again(cli, earlier["id"], "--set", "epochs=1")
    assert (other["name"], other["id"] != first["id"]) == ("mails-3", True)
    fourth = again(cli, "mails-2")
    assert fourth["name"] == "mails-4"  # no mails-2-2
    assert again(cli, "mails-2")["id"] == fourth["id"]


def test_data_that_changed_since_is_told_in_one_line(
    cli: Cli, data: Path, earlier: dict[str, Any]
) -> None:
    with data.open("a", encoding="utf-8") as stream:
        stream.write(data.read_text("utf-8").splitlines()[0].replace("Is 0", "Is 99") + "\n")
    ran = cli("submit", "--from", earlier["id"], "--dry-run")
    assert ran.returncode == 0, ran.stderr
    told = [line for line in ran.stderr.splitlines() if "changed since" in line]
    assert len(told) == 1
    assert earlier["id"] in told[0]
    named = cli("submit", "--from", earlier["id"], "--data", data, "--dry-run")
    assert "changed since" not in named.stderr


def test_data_that_is_gone_is_named_with_the_way_out(
    cli: Cli, data: Path, earlier: dict[str, Any]
) -> None:
    data.rename(data.with_name("moved.jsonl"))
    ran = cli("submit", "--from", earlier["id"])
    assert ran.returncode == 2
    assert "--data FILE" in ran.stderr
    moved = again(cli, earlier["id"], "--data", data.with_name("moved.jsonl"))
    assert moved["spec"]["data_sha256"] == earlier["spec"]["data_sha256"]


def test_it_stays_at_its_base_url_whatever_the_environment_says(
    earlier: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = "http://127.0.0.1:9/v1"
    record = get_job(earlier["id"]).record
    at_the_vendor = record.spec.model_copy(update={"provider": "openai", "base_url": None})
    at_a_gateway = at_the_vendor.model_copy(update={"base_url": gateway})
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:10/v1")

    def base_url_of(spec: JobSpec, **given: Any) -> str | None:
        return spec_from(record.model_copy(update={"spec": spec}), [], **given)[0].base_url

    assert base_url_of(at_the_vendor) is None
    assert base_url_of(at_a_gateway) == gateway
    assert base_url_of(at_the_vendor, base_url=gateway) == gateway
    assert base_url_of(at_a_gateway, provider="fake") is None  # it was the other one's
    assert base_url_of(record.spec, provider="openai") == "http://127.0.0.1:10/v1"


def test_what_is_missing_without_an_earlier_job_is_named(cli: Cli, data: Path) -> None:
    ran = cli("submit", "--data", data)
    assert ran.returncode == 2
    assert "missing --provider, --model" in ran.stderr
    assert "--from" in ran.stderr


def test_an_unknown_setting_names_the_nearest(cli: Cli, earlier: dict[str, Any]) -> None:
    ran = cli("submit", "--from", earlier["id"], "--set", "epoch=2")
    assert ran.returncode == 2
    assert "did you mean epochs" in ran.stderr
