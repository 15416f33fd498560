"""A loopback OpenAI, a key for it, and a driver that talks to it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ftctl.config import load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.job import Hyperparameters, JobSpec
from ftctl.providers.openai.driver import OpenAIProvider
from ftctl.testing.openai_vendor import OpenAIVendor

KEY = "sk-planted-0123456789abcdef"
MODEL = "gpt-4.1-mini-2025-04-14"


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return KEY


@pytest.fixture
def vendor(key: str) -> Iterator[OpenAIVendor]:
    with OpenAIVendor(key) as running:
        yield running


@pytest.fixture
def driver(vendor: OpenAIVendor) -> OpenAIProvider:
    return OpenAIProvider(load_settings(), vendor.base_url)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Which colour is item {n}? naïve ✓"},
                {"role": "assistant", "content": "green" if n % 2 else "red"},
            ]
        }
        for n in range(12)
    ]
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return file


@pytest.fixture
def spec(examples: Path) -> JobSpec:
    return JobSpec(
        provider="openai",
        model=MODEL,
        data=examples,
        data_sha256=file_sha256(examples),
        name="colours",
        hyperparameters=Hyperparameters(epochs=2, batch_size=4, seed=7),
    )


@pytest.fixture
def start(driver: OpenAIProvider, spec: JobSpec) -> Callable[[str], str]:
    """Upload and create; returns the remote id."""

    def run(marker: str = "job-1") -> str:
        held = driver.upload(spec.data, spec.data_sha256)
        return driver.create(spec, {"training": held}, marker)

    return run
