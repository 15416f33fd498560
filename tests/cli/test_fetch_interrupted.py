"""Ctrl-C in the middle of `ftctl fetch`: no folder, and a sentence that says how to go on."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from command_line import Cli

from ftctl.testing.loopback import Request
from ftctl.testing.openai_vendor import OpenAIVendor

pytestmark = pytest.mark.medium
ROW = (
    '{"messages": [{"role": "user", "content": "Item %d?"}, '
    '{"role": "assistant", "content": "Red."}]}\n'
)


def test_ctrl_c_leaves_no_folder_and_says_how_to_go_on(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-interrupted")
    over = threading.Event()
    data, home = tmp_path / "train.jsonl", tmp_path / "home"
    data.write_text("".join(ROW % n for n in range(12)), "utf-8")
    with OpenAIVendor("sk-interrupted", by_polls=False) as vendor:
        where = ("--provider", "openai", "--base-url", vendor.base_url, "--model", "gpt-4.1-mini")
        job = cli("submit", *where, "--data", data, "--name", "colours").stdout.strip()
        for remote_id in vendor.jobs:
            vendor.move(remote_id, "succeeded")
        argv = [sys.executable, "-m", "ftctl.cli", "fetch", job, "-o", str(home)]
        with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, encoding="utf-8") as child:

            def interrupt(moment: str, request: Request) -> None:
                if moment == "worked" and request.path.endswith("/content"):
                    child.send_signal(signal.SIGINT)
                    over.wait(50)  # no answer that could come first

            vendor.on_moment = interrupt
            _, said = child.communicate(timeout=50)
        over.set()
        vendor.on_moment = None
        assert child.returncode == 130
        assert "left off" in said
        assert f"→ ftctl fetch {job} -o {home}" in said
        assert "Traceback" not in said
        assert not home.exists()
        assert cli("fetch", job, "-o", home).returncode == 0
    assert (home / "metrics.csv").exists()
