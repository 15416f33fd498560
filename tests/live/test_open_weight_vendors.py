"""A small job at Together or Fireworks themselves: for somebody with a key and a spending limit.

    TOGETHER_API_KEY=… FTCTL_LIVE_MAX_USD=5 pytest -m live tests/live/test_open_weight_vendors.py
    FIREWORKS_API_KEY=… FIREWORKS_ACCOUNT_ID=… FTCTL_LIVE_MAX_USD=5 pytest -m live …

They have never been run so far. The limit covers training; nothing is deployed.
"""

import os
from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats

# Read before the environment is cleaned.
LIMIT = os.environ.get("FTCTL_LIVE_MAX_USD")
KEPT = {
    name: os.environ.get(name)
    for name in ("TOGETHER_API_KEY", "FIREWORKS_API_KEY", "FIREWORKS_ACCOUNT_ID")
}

pytestmark = [
    pytest.mark.live,
    pytest.mark.real,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(not LIMIT, reason="set FTCTL_LIVE_MAX_USD"),
]


@pytest.mark.parametrize("provider", ["together", "fireworks"])
def test_from_key_to_adapter_and_nothing_left(
    provider: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not KEPT[f"{provider.upper()}_API_KEY"]:
        pytest.skip(f"set {provider.upper()}_API_KEY")
    for name, value in KEPT.items():
        if value:
            monkeypatch.setenv(name, value)
    data = write_chats(tmp_path / "train.jsonl")
    asked = (
        "submit", "--provider", provider, "--data", data, "--model", "qwen3-8b",
        "--set", "epochs=1", "--max-cost", LIMIT or "0",
    )  # fmt: skip
    submitted = cli(*asked)
    assert submitted.returncode == 0, submitted.stderr
    job = submitted.stdout.strip()
    try:
        assert cli(*asked).stdout.strip() == job  # the same again is the same job
        watched = cli("watch", job)
        assert "succeeded" in watched.stdout, watched.stdout + cli("logs", job).stdout
        fetched = cli("fetch", job, "-o", tmp_path / "out")
        assert fetched.returncode == 0, fetched.stderr
        assert list((tmp_path / "out").glob("*.safetensors"))
        assert "endpoint" in cli("chat", job, "Is 3 a number?").stderr
    finally:
        cli("cancel", job)
        forgotten = cli("forget", job)
    assert forgotten.returncode == 0, forgotten.stderr
