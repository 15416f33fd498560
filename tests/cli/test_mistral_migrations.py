"""A job leaves a gateway of Mistral's wire for another vendor, and comes to one from elsewhere."""

from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats

from ftctl.testing.mistral_vendor import MistralVendor
from ftctl.testing.together_vendor import TogetherVendor

pytestmark = pytest.mark.medium
DAY = ("--as-of", "2026-11-24")


def test_rate_and_epochs_move_both_ways_and_what_isnt_taken_is_dropped(
    cli: Cli, mistral: MistralVendor, together: TogetherVendor, tmp_path: Path
) -> None:
    data = write_chats(tmp_path / "train.jsonl")
    old = cli(
        *("submit", "--provider", "mistral", "--base-url", mistral.base_url, "--data", data, *DAY),
        *("--model", "open-mistral-7b", "--set", "epochs=2", "--set", "learning_rate=1e-5"),
        *("--set", "auto_start=false"),
    )
    assert old.returncode == 0, old.stderr
    move = ("migrate", old.stdout.strip(), "--to", "together", "--model", "qwen3-8b", *DAY)
    moved = cli(*move, "--base-url", together.base_url, "--yes", "--json")
    assert moved.returncode == 0, moved.stderr
    kinds = {row["setting"]: row["after"] for row in moved.json()["differences"]}
    assert kinds["auto_start"] is None  # Together has no such setting
    body = together.asked("POST /fine-tunes")[0].json()
    assert (body["learning_rate"], body["n_epochs"]) == (1e-5, 2)
    job = moved.json()["job"]["id"]
    back = ("migrate", job, "--to", "mistral", "--model", "open-mistral-nemo", *DAY)
    returned = cli(*back, "--base-url", mistral.base_url, "--yes", "--json")
    assert returned.returncode == 0, returned.stderr
    body = mistral.asked("POST /fine_tuning/jobs")[-1].json()
    assert body["hyperparameters"] == {"epochs": 2.0, "learning_rate": 1e-5}
    assert (body["model"], body["auto_start"]) == ("open-mistral-nemo", True)
    assert len(mistral.jobs) == 2


def test_to_mistral_itself_nothing_moves(cli: Cli, mistral: MistralVendor, tmp_path: Path) -> None:
    data = write_chats(tmp_path / "train.jsonl")
    old = cli(
        *("submit", "--provider", "mistral", "--base-url", mistral.base_url, "--data", data, *DAY),
        *("--model", "open-mistral-7b"),
    )
    ran = cli("migrate", old.stdout.strip(), "--to", "mistral", "--yes", *DAY)
    assert ran.returncode == 3
    assert "client-ts#255" in ran.stderr
    assert len(mistral.jobs) == 1
