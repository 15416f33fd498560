"""The Together driver keeps the contract, and brings whole weights home, against a vendor."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hosted import HostedUnderTest
from typing_extensions import override

from ftctl.testing import together_vendor
from ftctl.testing.http_contract import HttpContract
from ftctl.testing.small_adapter import pack
from ftctl.testing.together_vendor import TogetherVendor
from ftctl.testing.under_test import Verb
from ftctl.testing.weights_contract import WeightsContract

pytestmark = pytest.mark.medium

KEY = "tgp-contract"
ROUTES: dict[Verb, str] = {
    "upload": "* /files",
    "create": "POST /fine-tunes",
    "find": "GET /fine-tunes",
    "poll": "GET /fine-tunes/*",
    "events": "GET */events",
    "cancel": "POST */cancel",
    "fetch": "GET /finetune/download",
    "tuned_model": "GET /fine-tunes/*",
}


class TogetherUnderTest(HostedUnderTest):
    asked: Mapping[str, Any] = {"provider": "together", "model": "qwen3-8b"}
    verb_routes = ROUTES
    done = "completed"
    documents = together_vendor

    @property
    def weights_route(self) -> str:
        return ROUTES["fetch"]

    def offer(self, remote_id: str, files: Mapping[str, bytes]) -> None:
        self._holds.jobs[remote_id].archive = pack(files)

    def misstate(self, remote_id: str) -> bool:
        return False


class TestTogether(HttpContract):
    @pytest.fixture
    @override
    def under_test(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[TogetherUnderTest]:
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        with TogetherVendor(KEY, by_polls=False) as vendor:
            yield TogetherUnderTest(vendor, tmp_path)


class TestTogetherWeights(WeightsContract):
    @pytest.fixture
    @override
    def under_test(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[TogetherUnderTest]:
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        with TogetherVendor(KEY, by_polls=False) as vendor:
            yield TogetherUnderTest(vendor, tmp_path)
