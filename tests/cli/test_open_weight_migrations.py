"""A job moves to an open-weight vendor: its rate in absolute terms, its rows and adapter kept."""

from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats

from ftctl.config import load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.job import DEFAULT_LEARNING_RATE, Hyperparameters, JobSpec, JobState
from ftctl.store import Store
from ftctl.testing.fireworks_vendor import FireworksVendor
from ftctl.testing.openai_vendor import OpenAIVendor
from ftctl.testing.together_vendor import TogetherVendor

pytestmark = pytest.mark.medium
DAY = ("--as-of", "2026-11-24")


def test_openais_multiplier_becomes_togethers_absolute_rate(
    cli: Cli, openai: OpenAIVendor, together: TogetherVendor, tmp_path: Path
) -> None:
    data = write_chats(tmp_path / "train.jsonl")
    old = cli(
        *("submit", "--provider", "openai", "--base-url", openai.base_url, "--data", data, *DAY),
        *("--model", "gpt-4.1-mini", "--name", "colours", "--set", "epochs=2"),
        *("--set", "learning_rate_multiplier=0.5", "--set", "seed=7", "--set", "batch_size=8"),
    )
    assert old.returncode == 0, old.stderr
    move = ("migrate", old.stdout.strip(), "--to", "together", "--model", "qwen3-8b", *DAY)
    moved = cli(*move, "--base-url", together.base_url, "--yes", "--json")
    assert moved.returncode == 0, moved.stderr
    kinds = {row["setting"]: row["after"] for row in moved.json()["differences"]}
    assert kinds["learning_rate_multiplier"] == f"learning_rate={DEFAULT_LEARNING_RATE / 2:g}"
    (asked,) = together.asked("POST /fine-tunes")
    body = asked.json()
    assert body["learning_rate"] == pytest.approx(DEFAULT_LEARNING_RATE / 2)
    assert (body["n_epochs"], body["batch_size"], body["random_seed"]) == (2, 8, 7)
    assert body["model"] == "Qwen/Qwen3-8B"
    (held,) = together.storage.held.values()
    assert held == data.read_bytes()


def add_local(folder: Path) -> str:
    """A job that was trained here."""
    data = write_chats(folder / "train.jsonl")
    spec = JobSpec(
        provider="local",
        model="llama-3.1-8b-instruct",
        data=data,
        data_sha256=file_sha256(data),
        name="colours",
        hyperparameters=Hyperparameters(epochs=2, learning_rate=2e-4, lora_r=16, lora_alpha=32),
    )
    with Store(load_settings().database_url) as store:
        job = store.add_job(spec, "local", new=True)
        store.update(job.id, lambda _: {"state": JobState.CANCELLED})
    return job.id


def test_a_local_job_goes_to_fireworks_with_what_it_takes(
    cli: Cli, fireworks: FireworksVendor, tmp_path: Path
) -> None:
    job = add_local(tmp_path)
    move = ("migrate", job, "--to", "fireworks", "--base-url", fireworks.base_url, *DAY)
    moved = cli(*move, "--model", "llama-3.1-8b-instruct", "--yes", "--json")
    assert moved.returncode == 0, moved.stderr
    kinds = {row["setting"]: row["kind"] for row in moved.json()["differences"]}
    assert (kinds["lora_r"], kinds["learning_rate"], kinds["lora_alpha"]) == (
        "kept",
        "kept",
        "dropped",
    )
    (asked,) = fireworks.asked("POST */supervisedFineTuningJobs")
    body = asked.json()
    assert body["baseModel"] == "accounts/fireworks/models/llama-v3p1-8b-instruct"
    assert (body["loraRank"], body["learningRate"], body["epochs"]) == (16, 2e-4, 2)
    again = cli(*move, "--model", "llama-3.1-8b-instruct", "--yes", "--json").json()
    assert again["job"]["id"] == moved.json()["job"]["id"]
    assert len(fireworks.jobs) == 1


@pytest.mark.parametrize(("provider", "hour"), [("together", "6.49"), ("fireworks", "8")])
def test_a_quote_without_key_or_network_tells_serving_from_training(
    cli: Cli, tmp_path: Path, provider: str, hour: str
) -> None:
    data = write_chats(tmp_path / "train.jsonl")
    asked = ("estimate", "--provider", provider, "--data", data, "--model", "llama-3.1-8b-instruct")
    ran = cli(*asked, *DAY)
    assert ran.returncode == 0, ran.stderr
    assert f"always on at {hour} USD an hour" in " ".join(ran.stdout.split())


def test_a_vendor_is_asked_for_its_limits_once_a_submit(
    cli: Cli, together: TogetherVendor, tmp_path: Path
) -> None:
    data = write_chats(tmp_path / "train.jsonl")
    ran = cli(
        *("submit", "--provider", "together", "--base-url", together.base_url, "--data", data),
        *("--model", "qwen3-8b", *DAY),
    )
    assert ran.returncode == 0, ran.stderr
    assert len(together.asked("GET */models/limits")) == 1
