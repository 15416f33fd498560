"""A small job at Hugging Face itself: for somebody with a key and a spending limit.

    HF_TOKEN=… FTCTL_LIVE_MAX_USD=1 pytest -m live tests/live/test_huggingface.py

It has never been run so far.
"""

import json
import os
from pathlib import Path

import pytest
from command_line import Cli

# Read before the environment is cleaned.
KEY, LIMIT = os.environ.get("HF_TOKEN"), os.environ.get("FTCTL_LIVE_MAX_USD")

pytestmark = [
    pytest.mark.live,
    pytest.mark.real,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not (KEY and LIMIT), reason="set HF_TOKEN and FTCTL_LIVE_MAX_USD"),
]


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", KEY or "")
    monkeypatch.delenv("HF_HUB_OFFLINE")


def test_from_key_to_adapter_and_nothing_left(key: None, cli: Cli, tmp_path: Path) -> None:
    rows = [
        [
            {"role": "user", "content": f"Which colour is item {n}?"},
            {"role": "assistant", "content": "green" if n % 2 else "red"},
        ]
        for n in range(40)
    ]
    data = tmp_path / "train.jsonl"
    data.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows), "utf-8")
    asked = (
        "submit", "--provider", "huggingface", "--data", data, "--model", "smollm2-135m-instruct",
        "--set", "epochs=1", "--max-cost", LIMIT or "0",
    )  # fmt: skip
    submitted = cli(*asked)
    assert submitted.returncode == 0, submitted.stderr
    job = submitted.stdout.strip()
    try:
        assert cli(*asked).stdout.strip() == job  # the same again is the same job
        watched = cli("watch", job)
        assert "succeeded" in watched.stdout, watched.stdout + cli("logs", job).stdout
        assert "loss" in cli("job", job, "--json").json()["progress"]
        fetched = cli("fetch", job, "-o", tmp_path / "out")
        assert fetched.returncode == 0, fetched.stderr
        assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
    finally:
        cli("cancel", job)
        forgotten = cli("forget", job)
    assert forgotten.returncode == 0, forgotten.stderr
