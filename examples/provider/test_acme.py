"""Acme's driver keeps ftctl's contract, installed and found by its name."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from acme_vendor import AcmeVendor
from typing_extensions import override

from ftctl.config import keep_key, load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.job import JobSpec
from ftctl.providers.base import Provider
from ftctl.providers.registry import get_provider
from ftctl.testing.http_contract import HttpContract, HttpUnderTest
from ftctl.testing.loopback import Json
from ftctl.testing.under_test import TROUBLE, Verb

KEY = "acme-key-of-the-test"
ROUTES: dict[Verb, str] = {
    "upload": "GET /datasets",
    "create": "POST /jobs",
    "find": "GET /jobs",
    "poll": "GET /jobs/*",
    "events": "GET /jobs/*/log",
    "cancel": "POST /jobs/*/stop",
    "fetch": "GET /jobs/*",
    "tuned_model": "GET /jobs/*",
}


class AcmeUnderTest(HttpUnderTest):
    """Acme on loopback, and how its documents look in odd moments."""

    def __init__(self, acme: AcmeVendor, folder: Path) -> None:
        super().__init__(acme, ROUTES)
        self._acme = acme
        self._settings = load_settings(home=folder / "home")
        keep_key("acme", KEY, home=self._settings.home)
        data = folder / "train.jsonl"
        data.write_text('{"messages": []}\n', "utf-8")
        self._spec = JobSpec(
            provider="acme",
            model="acme-small",
            data=data,
            data_sha256=file_sha256(data),
            name="contract",
            base_url=acme.base_url,
        )

    @property
    @override
    def spec(self) -> JobSpec:
        return self._spec

    @override
    def driver(self) -> Provider:
        return get_provider("acme", self._settings, self._acme.base_url)

    @override
    def finish(self, remote_id: str) -> None:
        self._acme.move(remote_id, "done")

    @override
    def made(self) -> int:
        return len(self._acme.jobs)

    @override
    def with_status(self, document: Json, word: str) -> Json:
        return document | {"state": word}

    @override
    def without_model(self, document: Json) -> Json:
        return document | {"state": "done", "tuned_model": None}

    @override
    def troubled(self, document: Json) -> Json:
        return document | {"state": "working", "problem": TROUBLE}

    @override
    def succeeded_in_part(self, document: Json) -> Json:
        return document | {"state": "done", "tuned_model": "part", "problem": TROUBLE}


class TestAcme(HttpContract):
    """Everything else is inherited."""

    @pytest.fixture
    @override
    def under_test(self, tmp_path: Path) -> Iterator[AcmeUnderTest]:
        with AcmeVendor(KEY) as acme:
            yield AcmeUnderTest(acme, tmp_path)
