"""Tests of the vendors themselves, for who has a key and a limit: nothing else may reach out."""

import pytest


@pytest.fixture(autouse=True)
def loopback_only() -> None:
    """These tests may reach the world."""
