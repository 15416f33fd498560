"""The page about Hugging Face: its commands run as they stand, against a hub on loopback."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ftctl.testing.hub import Hub

pytestmark = [
    pytest.mark.medium,
    pytest.mark.timeout(240),
    pytest.mark.skipif(shutil.which("bash") is None, reason="the page is for a shell"),
]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "vendors" / "huggingface.md"
KEY = "hf_your_token"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with Hub(KEY, by_polls=True) as vendor:
        monkeypatch.setenv("HF_ENDPOINT", vendor.base_url)
        monkeypatch.setattr(vendor, "organisations", ("my-org",))
        yield vendor


def write_rows(file: Path) -> None:
    row = (
        '{{"messages": [{{"role": "user", "content": "Which colour is item {n}?"}}, '
        '{{"role": "assistant", "content": "green"}}]}}\n'
    )
    file.write_text("".join(row.format(n=n) for n in range(20)), "utf-8")


def test_every_command_works_and_the_key_is_nowhere(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_environment: Path
) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 7
    # AutoTrain's file comes after `forget` on the page: it needs only what is kept here.
    commands = "".join(blocks)
    monkeypatch.setenv("FTCTL_POLL_S", "0.05")
    write_rows(tmp_path / "train.jsonl")
    shell = f'set -eu\nftctl() {{ {sys.executable} -m ftctl.cli "$@" -vv; }}\n{commands}'
    ran = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, check=False, timeout=200
    )
    assert ran.returncode == 0, ran.stderr
    assert not re.search("Traceback|Xet|No files have been modified|it/s", ran.stderr)
    assert "succeeded" in ran.stdout
    assert hub.creates.total() == 1
    left = [repo_id for _, repo_id in hub.repos.by_id]
    assert left == ["my-org/my-adapter"]
    assert "adapter_model.safetensors" in hub.repos.by_id["model", "my-org/my-adapter"].files
    assert KEY not in ran.stdout + ran.stderr
    written = [f for f in tmp_path.rglob("*") if f.is_file() and KEY.encode() in f.read_bytes()]
    assert written == []
    assert clean_environment.is_dir()
    assert {"train.jsonl", "my-adapter", "autotrain.yml"} < {f.name for f in tmp_path.iterdir()}
