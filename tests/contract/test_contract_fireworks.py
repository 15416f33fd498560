"""The Fireworks driver keeps the contract, and brings whole weights home, against a vendor."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from typing_extensions import override

from ftctl.config import load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.job import JobSpec
from ftctl.providers.base import Provider
from ftctl.providers.fireworks.driver import FireworksProvider
from ftctl.testing import fireworks_vendor
from ftctl.testing.fireworks_vendor import FireworksVendor
from ftctl.testing.http_contract import HttpContract, HttpUnderTest
from ftctl.testing.loopback import Json
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


class FireworksUnderTest(HttpUnderTest):
    def __init__(self, vendor: FireworksVendor, folder: Path) -> None:
        super().__init__(vendor, ROUTES)
        data = folder / "train.jsonl"
        data.write_text('{"messages": []}\n' * 10, "utf-8")
        self._vendor = vendor
        self._spec = JobSpec(
            provider="fireworks",
            model="llama-3.1-8b-instruct",
            data=data,
            data_sha256=file_sha256(data),
            name="n",
            base_url=vendor.base_url,
        )

    @property
    @override
    def spec(self) -> JobSpec:
        return self._spec

    @property
    def weights_route(self) -> str:
        return "GET /weights/*"

    @override
    def driver(self) -> Provider:
        return FireworksProvider(load_settings(), self._vendor.base_url)

    @override
    def finish(self, remote_id: str) -> None:
        self._vendor.move(remote_id, "COMPLETED")

    @override
    def made(self) -> int:
        return len(self._vendor.jobs)

    def offer(self, remote_id: str, files: Mapping[str, bytes]) -> None:
        self._vendor.jobs[remote_id].files = dict(files)

    def misstate(self, remote_id: str) -> bool:
        return False

    @override
    def with_status(self, document: Json, word: str) -> Json:
        return document | {"state": word}

    @override
    def without_model(self, document: Json) -> Json:
        return fireworks_vendor.without_model(document)

    @override
    def troubled(self, document: Json) -> Json:
        return fireworks_vendor.trouble_while_running(document)

    @override
    def succeeded_in_part(self, document: Json) -> Json:
        return fireworks_vendor.succeeded_in_part(document)


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
