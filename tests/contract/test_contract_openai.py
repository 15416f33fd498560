"""The OpenAI driver keeps the contract, against a vendor on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typing_extensions import override

from ftctl.config import load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.job import JobSpec
from ftctl.providers.base import Provider
from ftctl.providers.openai import OpenAIProvider
from ftctl.testing import openai_vendor
from ftctl.testing.http_contract import HttpContract, HttpUnderTest
from ftctl.testing.loopback import Json
from ftctl.testing.openai_vendor import OpenAIVendor
from ftctl.testing.under_test import Verb

pytestmark = pytest.mark.medium

ROUTES: dict[Verb, str] = {
    "upload": "* /files",
    "create": "POST /fine_tuning/jobs",
    "find": "GET /fine_tuning/jobs",
    "poll": "GET /fine_tuning/jobs/*",
    "events": "GET */events",
    "cancel": "POST */cancel",
    "fetch": "GET /fine_tuning/jobs/*",
    "tuned_model": "GET /fine_tuning/jobs/*",
}


class OpenAIUnderTest(HttpUnderTest):
    def __init__(self, vendor: OpenAIVendor, folder: Path) -> None:
        super().__init__(vendor, ROUTES)
        data = folder / "train.jsonl"
        data.write_text('{"messages": []}\n' * 10, "utf-8")
        self._vendor = vendor
        self._spec = JobSpec(
            provider="openai",
            model="gpt-4o-mini-2024-07-18",
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
        return OpenAIProvider(load_settings(), self._vendor.base_url)

    @override
    def finish(self, remote_id: str) -> None:
        self._vendor.move(remote_id, "succeeded")

    @override
    def made(self) -> int:
        return len(self._vendor.jobs)

    @override
    def with_status(self, document: Json, word: str) -> Json:
        return document | {"status": word}

    @override
    def without_model(self, document: Json) -> Json:
        return openai_vendor.without_model(document)

    @override
    def troubled(self, document: Json) -> Json:
        return openai_vendor.trouble_while_running(document)

    @override
    def succeeded_in_part(self, document: Json) -> Json:
        return openai_vendor.succeeded_in_part(document)


class TestOpenAI(HttpContract):
    @pytest.fixture
    @override
    def under_test(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[OpenAIUnderTest]:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-contract")
        with OpenAIVendor("sk-contract", by_polls=False) as vendor:
            yield OpenAIUnderTest(vendor, tmp_path)
