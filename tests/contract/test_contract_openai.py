"""Everybody who speaks OpenAI's wire keeps the contract, each in its dialect, on loopback."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hosted import HostedUnderTest
from openai.types.fine_tuning.job_create_params import JobCreateParams
from pydantic import TypeAdapter
from typing_extensions import override

from ftctl.config import CREDENTIAL_VARIABLES
from ftctl.providers.openai.driver import (
    AzureProvider,
    BedrockProvider,
    NebiusProvider,
    OpenAIProvider,
)
from ftctl.testing import openai_dialects as dialects
from ftctl.testing import openai_documents as documents
from ftctl.testing.http_contract import HttpContract
from ftctl.testing.loopback import Json
from ftctl.testing.openai_vendor import OpenAIVendor
from ftctl.testing.under_test import Verb
from ftctl.testing.weights_contract import WeightsContract

pytestmark = pytest.mark.medium

KEY = "sk-contract"
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
_REQUEST: TypeAdapter[Any] = TypeAdapter(JobCreateParams)


def require_sdks_own(asked: Json) -> None:
    """Fail where a create says what the SDK's types don't know."""
    taken = _REQUEST.validate_python(asked, strict=True)
    assert json.loads(_REQUEST.dump_json(taken)) == asked


class OpenAIUnderTest(HostedUnderTest):
    asked: Mapping[str, Any] = {"provider": "openai", "model": "gpt-4o-mini-2024-07-18"}
    verb_routes = ROUTES
    done = "succeeded"
    documents = documents

    @override
    def without_model(self, document: Json) -> Json:
        self._holds.jobs[document["id"]].checkpoints.clear()
        return super().without_model(document)


class AzureUnderTest(OpenAIUnderTest):
    asked: Mapping[str, Any] = {
        "provider": "azure",
        "model": "gpt-4.1-mini",
        "method": "dpo",
        "options": {"tier": "developer", "beta": "0.1"},
    }


class BedrockUnderTest(OpenAIUnderTest):
    asked: Mapping[str, Any] = {
        "provider": "bedrock",
        "model": "gpt-oss-20b",
        "method": "rft",
        "options": {"grader": "arn:aws:lambda:us-west-2:123456789012:function:reward"},
    }


class NebiusUnderTest(OpenAIUnderTest):
    vendor: OpenAIVendor
    asked: Mapping[str, Any] = {
        "provider": "nebius",
        "model": "llama-3.1-8b-instruct",
        "options": {"packing": "false"},
    }

    @property
    def weights_route(self) -> str:
        return "GET /files/*/content"

    def offer(self, remote_id: str, files: Mapping[str, bytes]) -> None:
        self.vendor.offer(remote_id, files)

    def misstate(self, remote_id: str) -> bool:
        for checkpoint in self.vendor.jobs[remote_id].checkpoints:
            for file_id in checkpoint["result_files"]:
                self.vendor.files[file_id].document["bytes"] += 1
        return True


class TestOpenAI(HttpContract):
    @pytest.fixture
    @override
    def under_test(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[OpenAIUnderTest]:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        with OpenAIVendor(KEY, by_polls=False) as vendor:
            yield OpenAIUnderTest(vendor, tmp_path)
            for request in vendor.asked("POST /fine_tuning/jobs"):
                require_sdks_own(request.json())


class TestAzure(HttpContract):
    @pytest.fixture
    @override
    def under_test(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[OpenAIUnderTest]:
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
        vendor = OpenAIVendor(KEY, by_polls=False, metadata="kept", dialect=dialects.AZURE)
        with vendor:
            yield AzureUnderTest(vendor, tmp_path)
            for request in vendor.asked("POST /fine_tuning/jobs"):
                asked = request.json()
                assert asked.pop("trainingType") == "developerTier"
                require_sdks_own(asked)


class TestBedrock(HttpContract):
    @pytest.fixture
    @override
    def under_test(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[OpenAIUnderTest]:
        monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", KEY)
        vendor = OpenAIVendor(KEY, by_polls=False, metadata="kept", dialect=dialects.BEDROCK)
        with vendor:
            yield BedrockUnderTest(vendor, tmp_path)


class NebiusFixture:
    @pytest.fixture
    def under_test(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[NebiusUnderTest]:
        monkeypatch.setenv("NEBIUS_API_KEY", KEY)
        with OpenAIVendor(KEY, by_polls=False, dialect=dialects.NEBIUS) as vendor:
            yield NebiusUnderTest(vendor, tmp_path)


class TestNebius(NebiusFixture, HttpContract):
    pass


class TestNebiusWeights(NebiusFixture, WeightsContract):
    pass


def test_each_has_a_key_of_its_own() -> None:
    for driver in (OpenAIProvider, AzureProvider, BedrockProvider, NebiusProvider):
        assert CREDENTIAL_VARIABLES[driver.name]
