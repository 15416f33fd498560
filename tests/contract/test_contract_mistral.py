"""The Mistral driver keeps the contract against a gateway on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typing_extensions import override

from ftctl.config import load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.job import JobSpec
from ftctl.providers.base import Provider
from ftctl.providers.mistral.driver import MistralProvider
from ftctl.testing import mistral_vendor
from ftctl.testing.http_contract import HttpContract, HttpUnderTest
from ftctl.testing.loopback import Json
from ftctl.testing.mistral_vendor import MistralVendor
from ftctl.testing.under_test import Verb

pytestmark = pytest.mark.medium

KEY = "mistral-contract"
ROUTES: dict[Verb, str] = {
    "upload": "* /files",
    "create": "POST /fine_tuning/jobs",
    "find": "GET /fine_tuning/jobs",
    "poll": "GET /fine_tuning/jobs/*",
    "events": "GET /fine_tuning/jobs/*",
    "cancel": "POST */cancel",
    "fetch": "GET /fine_tuning/jobs/*",
    "tuned_model": "GET /fine_tuning/jobs/*",
}


class MistralUnderTest(HttpUnderTest):
    def __init__(self, vendor: MistralVendor, folder: Path) -> None:
        super().__init__(vendor, ROUTES)
        data = folder / "train.jsonl"
        data.write_text('{"messages": []}\n' * 10, "utf-8")
        self._vendor = vendor
        self._spec = JobSpec(
            provider="mistral",
            model="open-mistral-7b",
            data=data,
            data_sha256=file_sha256(data),
            name="n",
            base_url=vendor.base_url,
        )

    @property
    @override
    def spec(self) -> JobSpec:
        return self._spec

    @override
    def driver(self) -> Provider:
        return MistralProvider(load_settings(), self._vendor.base_url)

    @override
    def finish(self, remote_id: str) -> None:
        self._vendor.move(remote_id, "SUCCESS")

    @override
    def made(self) -> int:
        return len(self._vendor.jobs)

    @override
    def with_status(self, document: Json, word: str) -> Json:
        return document | {"status": word}

    @override
    def without_model(self, document: Json) -> Json:
        return mistral_vendor.without_model(document)

    @override
    def troubled(self, document: Json) -> Json:
        return mistral_vendor.trouble_while_running(document)

    @override
    def succeeded_in_part(self, document: Json) -> Json:
        return mistral_vendor.succeeded_in_part(document)


class TestMistral(HttpContract):
    @pytest.fixture
    @override
    def under_test(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[MistralUnderTest]:
        monkeypatch.setenv("MISTRAL_API_KEY", KEY)
        with MistralVendor(KEY, by_polls=False) as vendor:
            yield MistralUnderTest(vendor, tmp_path)
