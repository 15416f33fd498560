"""This machine as a provider keeps the contract, with real workers on a tiny model."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_model import write_data, write_model
from typing_extensions import override

from ftctl.datasets.digest import file_sha256
from ftctl.job import Hyperparameters, JobSpec, JobState
from ftctl.local_backend.executors import process
from ftctl.local_backend.run_folder import RunFolder
from ftctl.providers.base import Provider
from ftctl.providers.local import LocalProvider
from ftctl.testing.contract import ProviderContract

pytestmark = [pytest.mark.slow, pytest.mark.real]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


class LocalUnderTest:
    """A home in which runs take a few steps."""

    def __init__(self, model: Path, home: Path, data: Path) -> None:
        self._home = home
        self.spec = JobSpec(
            provider="local",
            model=str(model),
            data=data,
            data_sha256=file_sha256(data),
            name="n",
            hyperparameters=Hyperparameters(max_steps=2, batch_size=4, learning_rate=0.01),
        )

    def driver(self) -> Provider:
        return LocalProvider(self._home)

    def finish(self, remote_id: str) -> None:
        for _ in range(600):
            if self.driver().poll(remote_id).state is JobState.SUCCEEDED:
                return
            time.sleep(0.2)
        raise AssertionError(self.driver().poll(remote_id))

    def made(self) -> int:
        return len(list((self._home / "runs").glob("*/config.json")))

    def stop(self) -> None:
        for folder in (self._home / "runs").glob("*"):
            run = RunFolder(folder)
            run.cancel_file.touch()
            process.stop(run, grace_s=1)


class TestLocal(ProviderContract):
    @pytest.fixture
    @override
    def under_test(
        self, model: Path, tmp_path: Path, clean_environment: Path
    ) -> Iterator[LocalUnderTest]:
        prepared = LocalUnderTest(model, clean_environment, write_data(tmp_path / "train.jsonl"))
        yield prepared
        prepared.stop()
