"""The shipped fake provider keeps the contract."""

from pathlib import Path

import pytest
from typing_extensions import override

from ftctl.catalog.load import load_catalog
from ftctl.config import load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.job import JobSpec
from ftctl.providers.base import Provider
from ftctl.providers.fake import FakeProvider
from ftctl.providers.registry import get_provider
from ftctl.testing.contract import RemoteContract
from ftctl.testing.under_test import RETRY_AFTER_S, Refusal, Verb


class FakeUnderTest:
    """The fake provider, scripted."""

    def __init__(self, folder: Path) -> None:
        data = folder / "train.jsonl"
        data.write_text('{"messages": []}\n', "utf-8")
        self.spec = JobSpec(
            provider="fake", model="m", data=data, data_sha256=file_sha256(data), name="n"
        )
        self._fake = FakeProvider(folder / "fake")

    def driver(self) -> Provider:
        return FakeProvider(self._fake._folder)

    def _script(self, **change: object) -> None:
        self._fake.script = self._fake.script.model_copy(update=change)

    def finish(self, remote_id: str) -> None:
        self._script(words=("succeeded",))

    def made(self) -> int:
        return len(self._fake.jobs)

    def refuse(self, verb: Verb, how: Refusal) -> None:
        self._script(troubles={verb: (how,)}, retry_after_s=RETRY_AFTER_S)

    def lose_the_answer(self) -> None:
        self._script(troubles={"create": ("answer_lost",)})

    def hide(self, looks: int) -> None:
        self._script(hidden_looks=looks)

    def say(self, remote_id: str, word: str) -> None:
        self._script(words=(word,))

    def name_no_model(self, remote_id: str) -> None:
        self._script(words=("succeeded",), names_a_model=False)


class TestFake(RemoteContract):
    @pytest.fixture
    @override
    def under_test(self, tmp_path: Path) -> FakeUnderTest:
        return FakeUnderTest(tmp_path)


def test_the_fake_outlives_its_process(tmp_path: Path) -> None:
    under_test = FakeUnderTest(tmp_path)
    first = under_test.driver()
    held = {"training": first.upload(under_test.spec.data, under_test.spec.data_sha256)}
    job = first.create(under_test.spec, held, "job-1")
    words = [under_test.driver().poll(job).provider_status for _ in range(5)]
    assert words == ["validating", "queued", "running", "succeeded", "succeeded"]
    under_test.driver().resume(job, 2)
    assert under_test.driver().poll(job).provider_status == "validating"


def test_the_fake_is_there_for_who_asks_by_name(tmp_path: Path) -> None:
    settings = load_settings()
    assert isinstance(get_provider("fake", settings), FakeProvider)
    assert "fake" not in load_catalog().provider_names()
