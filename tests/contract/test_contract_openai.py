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
from ftctl.testing.contract import RemoteContract
from ftctl.testing.loopback import Fault
from ftctl.testing.openai_vendor import OpenAIVendor, without_model
from ftctl.testing.under_test import RETRY_AFTER_S, Refusal, Verb

STATUS: dict[Refusal, int] = {
    "auth": 401,
    "invalid": 400,
    "not_found": 404,
    "retired": 410,
    "rate_limited": 429,
    "unavailable": 500,
}
ROUTE: dict[Verb, str] = {
    "upload": "* /files",
    "create": "POST /fine_tuning/jobs",
    "find": "GET /fine_tuning/jobs",
    "poll": "GET /fine_tuning/jobs/*",
    "events": "GET */events",
    "cancel": "POST */cancel",
    "fetch": "GET /fine_tuning/jobs/*",
    "tuned_model": "GET /fine_tuning/jobs/*",
}


class OpenAIUnderTest:
    """A vendor on loopback that does as it is told."""

    def __init__(self, vendor: OpenAIVendor, folder: Path) -> None:
        data = folder / "train.jsonl"
        data.write_text('{"messages": []}\n' * 10, "utf-8")
        self._vendor = vendor
        self.spec = JobSpec(
            provider="openai",
            model="gpt-4o-mini-2024-07-18",
            data=data,
            data_sha256=file_sha256(data),
            name="n",
            base_url=vendor.base_url,
        )

    def driver(self) -> Provider:
        return OpenAIProvider(load_settings(), self._vendor.base_url)

    def finish(self, remote_id: str) -> None:
        self._vendor.move(remote_id, "succeeded")

    def made(self) -> int:
        return len(self._vendor.jobs)

    def refuse(self, verb: Verb, how: Refusal) -> None:
        headers = {"Retry-After": str(RETRY_AFTER_S)} if how == "rate_limited" else {}
        self._vendor.faults.append(Fault(ROUTE[verb], status=STATUS[how], headers=headers))

    def lose_the_answer(self) -> None:
        self._vendor.faults.append(Fault("POST /fine_tuning/jobs", "lost"))

    def hide(self, looks: int) -> None:
        self._vendor.lists_lag_requests = looks

    def say(self, remote_id: str, word: str) -> None:
        fault = Fault(ROUTE["poll"], "changed", change=lambda d: d | {"status": word})
        self._vendor.faults.append(fault)

    def name_no_model(self, remote_id: str) -> None:
        changed = Fault(f"GET */{remote_id}", "changed", times=None, change=without_model)
        self._vendor.faults.append(changed)


class TestOpenAI(RemoteContract):
    @pytest.fixture
    @override
    def under_test(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[OpenAIUnderTest]:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-contract")
        with OpenAIVendor("sk-contract", by_polls=False) as vendor:
            yield OpenAIUnderTest(vendor, tmp_path)
