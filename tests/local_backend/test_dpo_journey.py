"""Preferences from file to answer on this machine, through the command line, with real workers."""

import json
from pathlib import Path

import pytest
from command_line import Cli
from preference_rows import write_pairs
from tiny_model import SYSTEM

import ftctl

pytestmark = [pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(600)]


def test_from_pairs_to_an_answer(
    cli: Cli, tiny_model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FTCTL_POLL_S", "0.2")
    pairs = write_pairs(tmp_path / "pairs.jsonl")
    held_out = write_pairs(tmp_path / "held-out.jsonl", 16, first=100)
    words: list[str | Path] = ["submit", "--provider", "local", "--method", "dpo"]
    words += ["--model", tiny_model, "--data", pairs, "--validation", held_out]
    for setting in ("max_steps=20", "batch_size=8", "learning_rate=0.01", "beta=0.2"):
        words += ["--set", setting]
    asked = cli(*words, "--name", "colours", "--json")
    assert asked.returncode == 0, asked.stderr
    job = asked.json()
    assert (job["method"], job["spec"]["options"]) == ("dpo", {"beta": "0.2"})
    assert job["estimate"]["cost"]["high"] == 0

    watched = cli("watch", "colours", "--json")
    assert watched.returncode == 0, watched.stderr + watched.stdout
    last = json.loads(watched.stdout.splitlines()[-1])
    assert last["state"] == "succeeded"
    assert last["actual"]["trained_tokens"] > 0
    said = cli("logs", job["id"]).stdout
    assert "dpo with beta 0.2" in said
    assert "of 16 preferences right" in said
    assert cli("explain", job["id"]).returncode == 0

    adapter = tmp_path / "adapter"
    assert cli("fetch", "colours", "-o", adapter).returncode == 0
    figures = (adapter / "metrics.jsonl").read_text("utf-8").splitlines()
    learnt = [row for row in map(json.loads, figures) if row["kind"] == "step"][-1]
    assert learnt["reward_accuracy"] > 0.5
    assert learnt["reward_margin"] > 0
    words = ["eval", adapter, "--against", tiny_model, "--data", data, "--json", "--quiet"]
    scored = cli(*words).json()
    tuned = next(row for row in scored["targets"] if row["name"].endswith("adapter"))
    assert tuned["n"] == 24
    question = ["Item 1: it looks green", "--system", SYSTEM]
    answer = cli("chat", "colours", *question, "--json").json()["answer"]
    assert cli("chat", adapter, *question).stdout.strip() == answer.strip()
    messages = [{"role": "user", "content": "Item 2: it looks blue"}]
    assert isinstance(ftctl.chat(str(adapter), messages, max_new_tokens=4), str)
