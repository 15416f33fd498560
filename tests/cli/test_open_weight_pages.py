"""The pages about Together and Fireworks: their commands run as they stand, on loopback."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats

from ftctl.testing.fireworks_vendor import FireworksVendor
from ftctl.testing.together_vendor import TogetherVendor

pytestmark = [
    pytest.mark.medium,
    pytest.mark.timeout(240),
    pytest.mark.skipif(shutil.which("bash") is None, reason="the pages are for a shell"),
]
PAGES = Path(__file__).resolve().parents[2] / "docs" / "vendors"
TOGETHER_KEY, FIREWORKS_KEY = "tgp_your_key", "fw_your_key"


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Iterator[TogetherVendor]:
    with TogetherVendor(TOGETHER_KEY) as vendor:
        monkeypatch.setenv("TOGETHER_BASE_URL", vendor.base_url)
        yield vendor


@pytest.fixture
def fireworks(monkeypatch: pytest.MonkeyPatch) -> Iterator[FireworksVendor]:
    with FireworksVendor(FIREWORKS_KEY) as vendor:
        monkeypatch.setenv("FIREWORKS_BASE_URL", vendor.base_url)
        yield vendor


def run_page(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything that the page's commands print, the key planted and looked for."""
    blocks = re.findall(r"```sh\n(.*?)```", (PAGES / f"{name}.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 6
    monkeypatch.setenv("FTCTL_POLL_S", "0.05")
    write_chats(folder / "train.jsonl")
    shell = f'set -eu\nftctl() {{ {sys.executable} -m ftctl.cli "$@" -vv; }}\n{"".join(blocks)}'
    ran = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, check=False, timeout=200
    )
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stdout + ran.stderr


def test_togethers_page_works_and_the_key_is_nowhere(
    together: TogetherVendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = run_page("together", tmp_path, monkeypatch)
    assert "together itself estimates 1.25 USD" in printed
    assert "succeeded" in printed
    assert "only on an endpoint of its own" in printed
    assert together.creates.total() == 1
    assert (together.files, together.jobs, together.models) == ({}, {}, set())
    assert (tmp_path / "my-adapter" / "adapter_model.safetensors").is_file()
    key = TOGETHER_KEY.encode()
    assert TOGETHER_KEY not in printed
    assert "signature=" not in printed
    assert [f for f in tmp_path.rglob("*") if f.is_file() and key in f.read_bytes()] == []


def test_fireworks_page_works_and_the_key_is_nowhere(
    fireworks: FireworksVendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = run_page("fireworks", tmp_path, monkeypatch)
    assert "succeeded" in printed
    assert "only on an endpoint of its own" in printed
    assert len(fireworks.asked("POST */supervisedFineTuningJobs")) == 1
    assert (fireworks.datasets, fireworks.jobs) == ({}, {})
    assert (tmp_path / "my-adapter" / "adapter_model.safetensors").is_file()
    key = FIREWORKS_KEY.encode()
    assert FIREWORKS_KEY not in printed
    assert "signature=" not in printed
    assert [f for f in tmp_path.rglob("*") if f.is_file() and key in f.read_bytes()] == []


def submit(cli: Cli, folder: Path, provider: str) -> str:
    """A job that has succeeded."""
    data = write_chats(folder / "train.jsonl")
    asked = ("submit", "--provider", provider, "--data", data, "--model", "qwen3-8b", "--name", "n")
    ran = cli(*asked)
    assert ran.returncode == 0, ran.stderr
    job = ran.stdout.strip()
    assert cli("watch", job, "--every", "0.05").returncode == 0
    return job


def test_a_model_without_an_endpoint_says_so_and_with_one_it_answers(
    together: TogetherVendor, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", TOGETHER_KEY)
    job = submit(cli, tmp_path, "together")
    silent = cli("chat", job, "Which colour?")
    assert silent.returncode == 1
    assert "only on an endpoint of its own, which you make there" in silent.stderr
    (row,) = cli("models", "--mine", "--json").json()["models"]
    assert "endpoint" in row["needed"]
    together.deploy(row["name"])
    assert cli("chat", job, "Which colour?").stdout.strip() == together.reply


def test_a_model_that_is_not_deployed_says_so_and_deployed_it_answers(
    fireworks: FireworksVendor, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIREWORKS_API_KEY", FIREWORKS_KEY)
    job = submit(cli, tmp_path, "fireworks")
    silent = cli("chat", job, "Which colour?")
    assert silent.returncode == 1
    assert "only on an endpoint of its own" in silent.stderr
    fireworks.deploy(str(cli("job", job, "--json").json()["fine_tuned_model"]))
    assert cli("chat", job, "Which colour?").stdout.strip() == fireworks.reply


def test_a_stopped_job_goes_on_from_the_command_line(
    fireworks: FireworksVendor, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIREWORKS_API_KEY", FIREWORKS_KEY)
    fireworks.by_polls = False
    data = write_chats(tmp_path / "train.jsonl")
    asked = ("submit", "--provider", "fireworks", "--data", data, "--model", "qwen3-8b")
    job = cli(*asked).stdout.strip()
    cli("cancel", job)
    resumed = cli("resume", job)
    assert resumed.returncode == 0, resumed.stderr
    fireworks.by_polls = True
    assert "succeeded" in cli("watch", job, "--every", "0.05").stdout
    assert cli("job", job, "--json").json()["attempt"] == 2
