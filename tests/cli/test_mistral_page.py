"""The page about Mistral: its commands run as they stand, against a vendor on loopback."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats

from ftctl.testing.mistral_vendor import MistralVendor

pytestmark = [
    pytest.mark.medium,
    pytest.mark.timeout(240),
    pytest.mark.skipif(shutil.which("bash") is None, reason="the page is for a shell"),
]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "vendors" / "mistral.md"
KEY = "your_mistral_key"


def test_every_command_works_and_the_key_is_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 7
    write_chats(tmp_path / "train.jsonl")
    monkeypatch.setenv("FTCTL_POLL_S", "0.05")
    with MistralVendor(KEY) as vendor:
        monkeypatch.setenv("MISTRAL_BASE_URL", vendor.base_url)
        model = vendor.keep_model("open-mistral-7b", "colours")
        shell = f'set -eu\nftctl() {{ {sys.executable} -m ftctl.cli "$@" -vv; }}\n{"".join(blocks)}'
        ran = subprocess.run(
            ["bash", "-c", shell], capture_output=True, text=True, check=False, timeout=200
        )
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    assert model in ran.stdout
    assert ran.stdout.count("It is green.") == 2
    assert "succeeded" in ran.stdout
    assert (vendor.models, vendor.starts.total(), len(vendor.jobs)) == ({}, 0, 2)
    assert len(vendor.files) == 0
    assert KEY not in ran.stdout + ran.stderr
    written = [f for f in tmp_path.rglob("*") if f.is_file() and KEY.encode() in f.read_bytes()]
    assert written == []


def test_at_mistral_itself_it_is_refused_as_the_page_says(cli: Cli, tmp_path: Path) -> None:
    data = write_chats(tmp_path / "train.jsonl")
    words = ("--data", data, "--model", "open-mistral-7b", "--as-of", "2026-11-24")
    ran = cli("submit", "--provider", "mistral", *words)
    assert ran.returncode == 3
    shown = re.search(r"```text\n\$ .*\n(.*?)…", PAGE.read_text("utf-8"))
    assert shown is not None
    assert shown[1] in ran.stderr
    assert "client-ts#255" in ran.stderr
