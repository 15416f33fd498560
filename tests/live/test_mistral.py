"""The models of an account at Mistral itself, listed and shown: nothing is changed or spent.

    MISTRAL_API_KEY=… pytest -m live tests/live/test_mistral.py

It has never been run so far.
"""

import os

import pytest
from command_line import Cli

from ftctl.config import load_settings
from ftctl.errors import ProviderError, Retired
from ftctl.providers.mistral.driver import MistralProvider

KEY = os.environ.get("MISTRAL_API_KEY")  # read before the environment is cleaned

pytestmark = [
    pytest.mark.live,
    pytest.mark.real,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not KEY, reason="set MISTRAL_API_KEY"),
]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", KEY or "")


def test_every_kept_model_can_be_shown(cli: Cli) -> None:
    listed = cli("models", "--mine", "--provider", "mistral", "--json")
    assert listed.returncode == 0, listed.stderr
    for row in listed.json()["models"]:
        shown = cli("models", "show", row["id"], "--provider", "mistral", "--json")
        assert shown.json()["base"] == row["base"]


def test_the_job_list_is_retired_as_the_catalog_says() -> None:
    with pytest.raises(ProviderError) as caught:
        next(MistralProvider(load_settings()).list_jobs(), None)
    assert isinstance(caught.value, Retired)
