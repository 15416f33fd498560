"""The Mistral driver keeps the contract against a gateway on loopback."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hosted import HostedUnderTest
from typing_extensions import override

from ftctl.testing import mistral_vendor
from ftctl.testing.http_contract import HttpContract
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


class MistralUnderTest(HostedUnderTest):
    asked: Mapping[str, Any] = {"provider": "mistral", "model": "open-mistral-7b"}
    verb_routes = ROUTES
    done = "SUCCESS"
    documents = mistral_vendor


class TestMistral(HttpContract):
    @pytest.fixture
    @override
    def under_test(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[MistralUnderTest]:
        monkeypatch.setenv("MISTRAL_API_KEY", KEY)
        with MistralVendor(KEY, by_polls=False) as vendor:
            yield MistralUnderTest(vendor, tmp_path)
