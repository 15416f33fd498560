"""Vendors on loopback, each with its key in the variable that its driver reads."""

from collections.abc import Iterator

import pytest

from ftctl.testing.fireworks_vendor import FireworksVendor
from ftctl.testing.mistral_vendor import MistralVendor
from ftctl.testing.openai_vendor import OpenAIVendor
from ftctl.testing.together_vendor import TogetherVendor


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIVendor]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    with OpenAIVendor("sk-1") as vendor:
        yield vendor


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Iterator[TogetherVendor]:
    monkeypatch.setenv("TOGETHER_API_KEY", "tgp-1")
    with TogetherVendor("tgp-1") as vendor:
        yield vendor


@pytest.fixture
def fireworks(monkeypatch: pytest.MonkeyPatch) -> Iterator[FireworksVendor]:
    monkeypatch.setenv("FIREWORKS_API_KEY", "fw-1")
    with FireworksVendor("fw-1") as vendor:
        yield vendor


@pytest.fixture
def mistral(monkeypatch: pytest.MonkeyPatch) -> Iterator[MistralVendor]:
    monkeypatch.setenv("MISTRAL_API_KEY", "m-1")
    with MistralVendor("m-1") as vendor:
        yield vendor
