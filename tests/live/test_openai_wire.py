"""A small job at OpenAI, Azure, Nebius or Bedrock themselves: for who has a key and a limit.

    NEBIUS_API_KEY=… FTCTL_LIVE_MAX_USD=2 pytest -m live tests/live/test_openai_wire.py
    OPENAI_API_KEY=… FTCTL_LIVE_MAX_USD=2 pytest -m live …
    AZURE_OPENAI_API_KEY=… AZURE_OPENAI_BASE_URL=… FTCTL_LIVE_UNPRICED=1 pytest -m live …
    AWS_BEARER_TOKEN_BEDROCK=… AWS_REGION=… FTCTL_LIVE_GRADER=arn:… FTCTL_LIVE_UNPRICED=1 pytest …

They have never been run so far. The limit covers training; nothing is deployed. No price of Azure
and Bedrock is known, so no limit can be held there: whoever runs those says so.
"""

import json
import os
from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats

# Read before the environment is cleaned.
LIMIT = os.environ.get("FTCTL_LIVE_MAX_USD")
UNPRICED = os.environ.get("FTCTL_LIVE_UNPRICED")
GRADER = os.environ.get("FTCTL_LIVE_GRADER")
KEYS = {
    "openai": "OPENAI_API_KEY",
    "nebius": "NEBIUS_API_KEY",
    "azure": "AZURE_OPENAI_API_KEY",
    "bedrock": "AWS_BEARER_TOKEN_BEDROCK",
}
KEPT = {
    name: value
    for name in (*KEYS.values(), "AZURE_OPENAI_BASE_URL", "AWS_BEDROCK_BASE_URL", "AWS_REGION")
    if (value := os.environ.get(name))
}
ASKED = {
    "openai": ("--model", "gpt-4o-mini", "--set", "epochs=1"),
    "nebius": ("--model", "llama-3.1-8b-instruct", "--set", "epochs=1"),
    "azure": ("--model", "gpt-4.1-mini", "--set", "epochs=1", "--set", "tier=developer"),
    "bedrock": ("--model", "gpt-oss-20b", "--method", "rft", "--set", f"grader={GRADER}"),
}

pytestmark = [pytest.mark.live, pytest.mark.real, pytest.mark.timeout(14_400)]


def write_tasks(file: Path) -> Path:
    rows = [
        {"messages": [{"role": "user", "content": f"{n} + {n}?"}], "answer": f"{2 * n}"}
        for n in range(100)
    ]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return file


@pytest.mark.parametrize("provider", KEYS)
def test_from_key_to_result_and_nothing_left(
    provider: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    priced = provider in ("openai", "nebius")
    if KEYS[provider] not in KEPT or not (LIMIT if priced else UNPRICED):
        pytest.skip(f"set {KEYS[provider]}, and a limit or FTCTL_LIVE_UNPRICED")
    if provider == "bedrock" and not GRADER:
        pytest.skip("set FTCTL_LIVE_GRADER to a Lambda function's ARN")
    for name, value in KEPT.items():
        monkeypatch.setenv(name, value)
    rft = provider == "bedrock"
    data = (write_tasks if rft else write_chats)(tmp_path / "train.jsonl")
    limit = ("--max-cost", LIMIT or "0") if priced else ()
    asked = ("submit", "--provider", provider, "--data", data, *ASKED[provider], *limit)
    submitted = cli(*asked)
    assert submitted.returncode == 0, submitted.stderr
    job = submitted.stdout.strip()
    try:
        assert cli(*asked).stdout.strip() == job  # the same again is the same job
        watched = cli("watch", job)
        assert "succeeded" in watched.stdout, watched.stdout + cli("logs", job).stdout
        fetched = cli("fetch", job, "-o", tmp_path / "out")
        assert fetched.returncode == 0, fetched.stderr
        if provider == "nebius":
            assert list((tmp_path / "out").glob("*.safetensors"))
        if provider in ("openai", "bedrock"):
            assert cli("chat", job, "Is 3 a number?").stdout.strip()
    finally:
        cli("cancel", job)
        forgotten = cli("forget", job)
    assert forgotten.returncode == 0, forgotten.stderr
