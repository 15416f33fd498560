"""The pages about the vendors of OpenAI's wire: their commands run as they stand, on loopback."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from specimens import write_chats

from ftctl.testing import openai_dialects as dialects
from ftctl.testing.openai_vendor import OpenAIVendor

pytestmark = [
    pytest.mark.medium,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("bash") is None, reason="the pages are for a shell"),
]
PAGES = Path(__file__).resolve().parents[2] / "docs" / "vendors"
ASKED = {"role": "user", "content": "2 + 2?"}


def write_data(folder: Path) -> None:
    write_chats(folder / "train.jsonl")
    answers = [[{"role": "assistant", "content": said}] for said in ("4", "5")]
    pair = {
        "input": {"messages": [ASKED]},
        "preferred_output": answers[0],
        "non_preferred_output": answers[1],
    }
    task = {"messages": [ASKED], "answer": "4"}
    for name, row in (("pairs", pair), ("tasks", task)):
        (folder / f"{name}.jsonl").write_text(f"{json.dumps(row)}\n" * 12, "utf-8")


def run(page: str, vendor: OpenAIVendor) -> str:
    """Everything that the page's commands print; a submit is sent to the vendor on loopback."""
    text = (PAGES / f"{page}.md").read_text("utf-8")
    commands = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    ftctl = f'{sys.executable} -m ftctl.cli "$@" -vv'
    shell = (
        "set -eu\n"
        f'ftctl() {{ if [ "$1" = submit ]; then set -- "$@" --base-url {vendor.base_url}; fi; '
        f"{ftctl}; }}\n{commands}"
    )
    ran = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, check=False, timeout=280
    )
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stdout + ran.stderr


def answered(vendor: OpenAIVendor, folder: Path) -> None:
    assert vendor.asked("POST /chat/completions")
    assert (folder / "results" / "metrics.csv").is_file()


def deployed_elsewhere(vendor: OpenAIVendor, folder: Path) -> None:
    (create,) = vendor.asked("POST /fine_tuning/jobs")
    assert create.json()["trainingType"] == "GlobalStandard"
    assert (folder / "results" / "metrics.csv").is_file()


def at_home(vendor: OpenAIVendor, folder: Path) -> None:
    (create,) = vendor.asked("POST /fine_tuning/jobs")
    assert create.json()["hyperparameters"] == {"n_epochs": 2, "lora": True}
    assert (folder / "my-adapter" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(
    ("dialect", "key", "jobs", "look"),
    [
        (dialects.OPENAI, "sk-your-key", 2, answered),
        (dialects.NEBIUS, "your-nebius-key", 1, at_home),
        (dialects.AZURE, "your-azure-key", 1, deployed_elsewhere),
        (dialects.BEDROCK, "your-bedrock-key", 1, answered),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_every_command_works_and_the_key_is_nowhere(
    dialect: dialects.Dialect,
    key: str,
    jobs: int,
    look: Callable[[OpenAIVendor, Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FTCTL_POLL_S", "0.05")
    write_data(tmp_path)
    with OpenAIVendor(key, dialect=dialect) as vendor:
        printed = run(dialect.name, vendor)
        assert "succeeded" in printed
        assert len(vendor.jobs) == jobs
        look(vendor, tmp_path)
        first = next(iter(vendor.jobs.values())).document
        assert first["training_file"] not in vendor.files
    assert key not in printed
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert [file for file in written if key.encode() in file.read_bytes()] == []
