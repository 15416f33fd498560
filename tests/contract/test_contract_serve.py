"""`ftctl serve` keeps the contract, asked by the openai driver, with real workers on a model."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI
from preference_rows import write_pairs
from tiny_model import write_data, write_model
from typing_extensions import override

from ftctl.config import load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.job import Hyperparameters, JobSpec, JobState, Method
from ftctl.local_backend.executors import process
from ftctl.local_backend.run_folder import RunFolder
from ftctl.providers.base import PausingProvider, Provider
from ftctl.providers.registry import get_provider
from ftctl.testing.contract import ProviderContract
from ftctl.testing.under_test import start

pytestmark = [pytest.mark.slow, pytest.mark.real, pytest.mark.timeout(600)]
TOKEN = "a-token-of-the-contract"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


class ServeUnderTest:
    """A server of our own on loopback, with a home of its own."""

    def __init__(self, model: Path, folder: Path, method: Method) -> None:
        self._home = folder / "server-home"
        words = ["serve", "--port", "0", "--json", "--base", f"tiny={model}"]
        self._server = subprocess.Popen(
            [sys.executable, "-m", "ftctl.cli", *words],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "FTCTL_HOME": str(self._home), "FTCTL_SERVER_TOKEN": TOKEN},
        )
        assert self._server.stdout is not None
        self._url: str = json.loads(self._server.stdout.readline())["base_url"]
        write = write_pairs if method == "dpo" else write_data
        data = write(folder / "train.jsonl", 12)
        self.spec = JobSpec(
            provider="openai",
            model="tiny",
            data=data,
            data_sha256=file_sha256(data),
            name="n",
            method=method,
            options={"beta": "0.2"} if method == "dpo" else {},
            hyperparameters=Hyperparameters(epochs=1, batch_size=6),
            base_url=self._url,
        )

    def driver(self) -> Provider:
        return get_provider("openai", load_settings(), self._url)

    def finish(self, remote_id: str) -> None:
        self.await_state(remote_id, JobState.SUCCEEDED)

    def await_state(self, remote_id: str, wanted: JobState) -> None:
        for _ in range(1500):
            if self.driver().poll(remote_id).state is wanted:
                return
            time.sleep(0.2)
        raise AssertionError(self.driver().poll(remote_id))

    def made(self) -> int:
        client = OpenAI(api_key=TOKEN, base_url=self._url, max_retries=0)
        return len(list(client.fine_tuning.jobs.list()))

    def stop(self) -> None:
        self._server.terminate()
        self._server.communicate()
        for folder in (self._home / "runs").glob("*"):
            run = RunFolder(folder)
            run.cancel_file.touch()
            process.stop(run, grace_s=1)


@pytest.fixture
def served(
    request: pytest.FixtureRequest, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ServeUnderTest]:
    monkeypatch.setenv("OPENAI_API_KEY", TOKEN)
    prepared = ServeUnderTest(model, tmp_path, getattr(request, "param", "dpo"))
    yield prepared
    prepared.stop()


class TestServe(ProviderContract):
    @pytest.fixture
    @override
    def under_test(self, served: ServeUnderTest) -> ServeUnderTest:
        return served


@pytest.mark.parametrize("served", ["sft", "dpo"], indirect=True)
def test_a_job_is_held_and_goes_on(served: ServeUnderTest) -> None:
    remote_id = start(served)
    driver = served.driver()
    assert isinstance(driver, PausingProvider)
    while driver.poll(remote_id).state is JobState.VALIDATING:
        time.sleep(0.1)
    driver.pause(remote_id)
    assert driver.poll(remote_id).state is JobState.PAUSED
    driver.unpause(remote_id)
    served.finish(remote_id)
    assert driver.poll(remote_id).fine_tuned_model


def test_a_large_file_comes_in_parts(
    served: ServeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from ftctl.providers.openai.driver import OpenAIProvider

    small = replace(OpenAIProvider.profile, largest_file=100, part_bytes=500)
    monkeypatch.setattr(OpenAIProvider, "profile", small)
    remote_id = start(served)
    served.finish(remote_id)
    held = served.driver().upload(served.spec.data, served.spec.data_sha256)
    client = OpenAI(api_key=TOKEN, base_url=str(served.spec.base_url), max_retries=0)
    assert client.files.content(held.id).read() == served.spec.data.read_bytes()
