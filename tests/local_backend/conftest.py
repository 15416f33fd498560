"""The tiny model, made once per test process."""

from pathlib import Path

import pytest
from tiny_model import write_data, write_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder."""
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A training file of 24 examples."""
    return write_data(tmp_path / "train.jsonl")
