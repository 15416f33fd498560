"""The Fireworks driver keeps the contract, and brings whole weights home, against a vendor."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hosted import HostedUnderTest
from typing_extensions import override

from ftctl.testing import fireworks_vendor
from ftctl.testing.fireworks_vendor import FireworksVendor
from ftctl.testing.http_contract import HttpContract
from ftctl.testing.under_test import Verb
from ftctl.testing.weights_contract import WeightsContract

pytestmark = pytest.mark.medium

KEY = "fw-contract"
ROUTES: dict[Verb, str] = {
    "upload": "GET */datasets",
    "create": "POST */supervisedFineTuningJobs",
    "find": "GET */supervisedFineTuningJobs",
    "poll": "GET /v1/*",
    "events": "GET */supervisedFineTuningJobs/*",
    "cancel": "POST *:cancel",
    "fetch": "GET *:getDownloadEndpoint",
    "tuned_model": "GET */supervisedFineTuningJobs/*",
}


class FireworksUnderTest(HostedUnderTest):
    asked: Mapping[str, Any] = {"provider": "fireworks", "model": "llama-3.1-8b-instruct"}
    verb_routes = ROUTES
    done = "COMPLETED"
    documents = fireworks_vendor
    status = "state"

    @property
    def weights_route(self) -> str:
        return "GET /weights/*"

    def offer(self, remote_id: str, files: Mapping[str, bytes]) -> None:
        self._holds.jobs[remote_id].files = dict(files)

    def misstate(self, remote_id: str) -> bool:
        return False


class TestFireworks(HttpContract):
    @pytest.fixture
    @override
    def under_test(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[FireworksUnderTest]:
        monkeypatch.setenv("FIREWORKS_API_KEY", KEY)
        monkeypatch.setenv("FIREWORKS_ACCOUNT_ID", "me")
        with FireworksVendor(KEY, by_polls=False) as vendor:
            yield FireworksUnderTest(vendor, tmp_path)


class FromTheBucket(FireworksUnderTest):
    """Weights come by signed links: what goes wrong on their way goes wrong there."""

    def __init__(self, vendor: FireworksVendor, folder: Path) -> None:
        super().__init__(vendor, folder)
        self.vendor = vendor.storage


class TestFireworksWeights(WeightsContract):
    @pytest.fixture
    @override
    def under_test(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[FromTheBucket]:
        monkeypatch.setenv("FIREWORKS_API_KEY", KEY)
        monkeypatch.setenv("FIREWORKS_ACCOUNT_ID", "me")
        with FireworksVendor(KEY, by_polls=False) as vendor:
            yield FromTheBucket(vendor, tmp_path)
