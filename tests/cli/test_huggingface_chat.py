"""`ftctl chat ID` of a job at Hugging Face: the adapter comes home and answers here."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Cli
from tiny_model import write_data, write_model

from ftctl.testing.hub import Hub

pytestmark = pytest.mark.medium
KEY = "hf_chat"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", KEY)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with Hub(KEY) as vendor:
        monkeypatch.setenv("HF_ENDPOINT", vendor.base_url)
        yield vendor


def write_adapter(base: Path, folder: Path) -> dict[str, bytes]:
    """A PEFT adapter of the base, with its tokenizer, as a job's script leaves it."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base)
    get_peft_model(model, LoraConfig(r=4, task_type="CAUSAL_LM")).save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_the_adapter_comes_home_once_and_answers_here(
    hub: Hub, cli: Cli, tmp_path: Path, clean_environment: Path
) -> None:
    submitted = cli(
        "submit", "--provider", "huggingface", "--model", "org/tiny", "--name", "colours",
        "--data", write_data(tmp_path / "train.jsonl"),
        "--set", "flavor=t4-small", "--set", "max_minutes=30",
    )  # fmt: skip
    assert submitted.returncode == 0, submitted.stderr
    job = submitted.stdout.strip()
    base = write_model(tmp_path / "base")
    (made,) = hub.jobs.values()
    order = json.loads(made["environment"]["FTCTL_ORDER"]) | {"base": str(base)}  # no hub has it
    made["environment"]["FTCTL_ORDER"] = json.dumps(order)
    hub.move(made["id"], "COMPLETED")
    repo = hub.repos.by_id["model", order["repo"]]
    repo.files.clear()
    repo.commit(write_adapter(base, tmp_path / "adapter"))

    for _ in range(2):
        answered = cli("chat", job, "Item 1: it looks red", "--max-new-tokens", "4", "--json")
        assert answered.returncode == 0, answered.stderr
    sent = [request.path.rpartition("/")[2] for request in hub.asked("GET */resolve/*")]
    assert sent.count("adapter_model.safetensors") == 1
    assert (clean_environment / "adapters" / job / "adapter_model.safetensors").is_file()
