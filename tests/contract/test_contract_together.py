"""The Together driver keeps the contract, and brings whole weights home, against a vendor."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from typing_extensions import override

from ftctl.config import load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.job import JobSpec
from ftctl.providers.base import Provider
from ftctl.providers.together.driver import TogetherProvider
from ftctl.testing import together_vendor
from ftctl.testing.http_contract import HttpContract, HttpUnderTest
from ftctl.testing.loopback import Json
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


class TogetherUnderTest(HttpUnderTest):
    def __init__(self, vendor: TogetherVendor, folder: Path) -> None:
        super().__init__(vendor, ROUTES)
        data = folder / "train.jsonl"
        data.write_text('{"messages": []}\n' * 10, "utf-8")
        self._vendor = vendor
        self._spec = JobSpec(
            provider="together",
            model="qwen3-8b",
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
        return ROUTES["fetch"]

    @override
    def driver(self) -> Provider:
        return TogetherProvider(load_settings(), self._vendor.base_url)

    @override
    def finish(self, remote_id: str) -> None:
        self._vendor.move(remote_id, "completed")

    @override
    def made(self) -> int:
        return len(self._vendor.jobs)

    def offer(self, remote_id: str, files: Mapping[str, bytes]) -> None:
        self._vendor.jobs[remote_id].archive = pack(files)

    def misstate(self, remote_id: str) -> bool:
        return False

    @override
    def with_status(self, document: Json, word: str) -> Json:
        return document | {"status": word}

    @override
    def without_model(self, document: Json) -> Json:
        return together_vendor.without_model(document)

    @override
    def troubled(self, document: Json) -> Json:
        return together_vendor.trouble_while_running(document)

    @override
    def succeeded_in_part(self, document: Json) -> Json:
        return together_vendor.succeeded_in_part(document)


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
