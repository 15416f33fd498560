"""What a job at Hugging Face runs: one file that stands alone."""

import ast
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_model import write_data, write_model

from ftctl.config import load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.datasets.render import load_tokenizer
from ftctl.datasets.render import render as ours
from ftctl.job import Hyperparameters, JobSpec, JobState, Method
from ftctl.providers.huggingface import train as job_script
from ftctl.providers.huggingface.driver import HuggingFaceProvider
from ftctl.providers.huggingface.wire import script
from ftctl.testing.hub import Hub

CHATS: dict[str, dict[str, Any]] = {
    "one answer": {
        "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    },
    "two answers": {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
            {"role": "assistant", "content": "d"},
        ]
    },
    "the first not learnt": {
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b", "weight": 0},
            {"role": "user", "content": "c"},
            {"role": "assistant", "content": "d", "weight": 1},
        ]
    },
    "developer, parts, null": {
        "messages": [
            {"role": "developer", "content": [{"type": "text", "text": "s"}]},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": None, "refusal": "no"},
            {"role": "user", "content": "b"},
            {"role": "assistant", "content": "c"},
        ]
    },
}


def test_it_is_what_a_job_is_given() -> None:
    assert script() == Path(job_script.__file__).read_text("utf-8")


def test_it_stands_alone() -> None:
    tree = ast.parse(script())
    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    there = {"torch", "transformers", "peft", "trl", "datasets", "huggingface_hub"}
    assert names - set(sys.stdlib_module_names) == there


def test_it_fits_in_a_command() -> None:
    assert len(script().encode()) < 16_000


def test_it_asks_for_nothing_that_isnt_safetensors_or_text() -> None:
    assert "trust_remote_code" not in script()
    assert "*.bin" not in script()


@pytest.mark.medium
@pytest.mark.parametrize("chat", CHATS)
def test_a_chat_is_rendered_as_at_home(chat: str, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write_model(tmp_path / "base"))
    wanted = ours(tokenizer, CHATS[chat]["messages"])
    row = job_script.render(tokenizer, CHATS[chat], 10_000)
    assert (row["input_ids"], row["completion_mask"]) == (wanted.ids, wanted.mask)
    cut = job_script.render(tokenizer, CHATS[chat], 7)
    assert cut == {name: values[:7] for name, values in row.items()}


def write_pairs(file: Path) -> None:
    """The chats of a file as preferences: their answer, and a wrong one."""
    wrong = [{"role": "assistant", "content": "purple"}]
    rows = [json.loads(line)["messages"] for line in file.read_text("utf-8").splitlines()]
    pairs = [
        {
            "input": {"messages": row[:-1]},
            "preferred_output": row[-1:],
            "non_preferred_output": wrong,
        }
        for row in rows
    ]
    file.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), "utf-8")


@pytest.mark.medium
def test_both_answers_follow_the_same_prompt(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write_model(tmp_path / "base"))
    pair = {
        "input": {"messages": [{"role": "user", "content": "a"}]},
        "preferred_output": [{"role": "assistant", "content": "b"}],
        "non_preferred_output": [{"role": "assistant", "content": "c"}],
    }
    assert job_script.preference(tokenizer, pair) == {
        "prompt": "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n",
        "chosen": "b<|im_end|>",
        "rejected": "c<|im_end|>",
    }


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", "hf_script")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with Hub("hf_script") as vendor:
        vendor.pushes = False  # the script does
        yield vendor


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="TRL isn't installed")
@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_the_script_trains_with_trl_and_pushes_an_adapter(
    hub: Hub, tmp_path: Path, method: Method
) -> None:
    base = write_model(tmp_path / "base")
    data = write_data(tmp_path / "train.jsonl")
    if method == "dpo":
        write_pairs(data)
    spec = JobSpec(
        provider="huggingface",
        model="org/tiny",
        data=data,
        data_sha256=file_sha256(data),
        name="colours",
        method=method,
        base_url=hub.base_url,
        options={"flavor": "t4-small"},
        hyperparameters=Hyperparameters(max_minutes=5, max_steps=3, batch_size=4, max_length=256),
    )
    driver = HuggingFaceProvider(load_settings(), hub.base_url)
    file = driver.upload(data, spec.data_sha256)
    remote_id = driver.create(spec, {"training": file, "validation": file}, "job-1")
    job = hub.jobs[remote_id.partition("/")[2]]
    order = json.loads(job["environment"]["FTCTL_ORDER"]) | {"base": str(base)}
    environment = {
        **os.environ,
        "FTCTL_ORDER": json.dumps(order),
        "HF_ENDPOINT": hub.base_url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "hf"),
    }
    ran = subprocess.run(
        [sys.executable, *job["command"][1:]],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    hub.say_lines(remote_id, ran.stdout.splitlines())
    hub.move(remote_id, "COMPLETED")
    assert driver.poll(remote_id).state is JobState.SUCCEEDED
    metrics = [event.data for event in driver.events(remote_id, 0) if event.kind == "metrics"]
    assert [row["step"] for row in metrics if "loss" in row] == [1, 2, 3]
    assert any("valid_loss" in row for row in metrics)
    driver.fetch(remote_id, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))
    assert record["steps"] == 3
    driver.forget(remote_id)
    assert hub.repos.by_id == {}
