"""Large files come in parts, whole or not at all, and are found again by their content."""

from dataclasses import replace
from pathlib import Path

import pytest

from ftctl.config import load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.errors import NotFound, Unavailable, UsageError
from ftctl.providers.openai.driver import NebiusProvider, OpenAIProvider
from ftctl.providers.openai.profiles import NEBIUS, OPENAI
from ftctl.testing.loopback import Fault, Request
from ftctl.testing.openai_vendor import OpenAIVendor

pytestmark = pytest.mark.medium


class Small(OpenAIProvider):
    profile = replace(OPENAI, largest_file=100, part_bytes=64)


class SmallNebius(NebiusProvider):
    profile = replace(NEBIUS, largest_file=100)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    file = tmp_path / "large.jsonl"
    file.write_bytes(bytes(range(256)))
    return file


@pytest.fixture
def small(vendor: OpenAIVendor) -> Small:
    return Small(load_settings(), vendor.base_url)


def test_a_large_file_comes_in_parts_and_once(
    vendor: OpenAIVendor, small: Small, large: Path
) -> None:
    sha256 = file_sha256(large)
    held = small.upload(large, sha256)
    assert vendor.files[held.id].content == large.read_bytes()
    assert vendor.files[held.id].document["filename"] == f"ftctl-{sha256}.jsonl"
    assert len(vendor.asked("POST /uploads/*/parts")) == 4
    assert not vendor.asked("POST /files")
    assert small.upload(large, sha256) == held
    assert len(vendor.parts.begun) == 1


@pytest.mark.parametrize("broken", ["POST /uploads/*/parts", "POST /uploads/*/complete"])
def test_what_is_cut_short_is_cancelled_and_sent_anew(
    vendor: OpenAIVendor, small: Small, large: Path, broken: str
) -> None:
    vendor.faults.append(Fault(broken, status=500))
    with pytest.raises(Unavailable):
        small.upload(large, file_sha256(large))
    assert [begun.document["status"] for begun in vendor.parts.begun.values()] == ["cancelled"]
    assert not vendor.files
    held = small.upload(large, file_sha256(large))
    assert list(vendor.files) == [held.id]


def test_a_lost_answer_to_the_last_step_sends_nothing_twice(
    vendor: OpenAIVendor, small: Small, large: Path
) -> None:
    vendor.faults.append(Fault("POST /uploads/*/complete", "lost"))
    with pytest.raises(Unavailable):
        small.upload(large, file_sha256(large))
    held = small.upload(large, file_sha256(large))
    assert list(vendor.files) == [held.id]
    assert len(vendor.parts.begun) == 1


def test_a_part_that_was_changed_on_the_way_makes_no_file(
    vendor: OpenAIVendor, small: Small, large: Path
) -> None:
    def spoil(moment: str, request: Request) -> None:
        if moment == "received" and request.path.endswith("/complete"):
            for upload in vendor.parts.begun.values():
                upload.parts = {name: b"x" * len(part) for name, part in upload.parts.items()}

    vendor.on_moment = spoil
    with pytest.raises(NotFound, match="complete an upload"):
        small.upload(large, file_sha256(large))
    assert not vendor.files


def test_what_no_part_helps_is_refused_before_it_is_sent(
    vendor: OpenAIVendor, large: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEBIUS_API_KEY", key)
    driver = SmallNebius(load_settings(), vendor.base_url)
    with pytest.raises(UsageError, match="takes 0 MB"):
        driver.upload(large, file_sha256(large))
    assert not vendor.asked("POST *")


def test_checkpoints_are_shared_and_taken_back(
    vendor: OpenAIVendor, driver: OpenAIProvider
) -> None:
    name = "ft:gpt-4.1-mini-2025-04-14:org:colours:abc:ckpt-step-2"
    assert driver.models.shared_with(name) == []
    made = driver.models.share(name, ["proj_a", "proj_b"])
    assert [row.project_id for row in made] == ["proj_a", "proj_b"]
    assert {row.id for row in driver.models.shared_with(name)} == {row.id for row in made}
    driver.models.unshare(name, made[0].id)
    driver.models.unshare(name, made[0].id)
    assert [row.project_id for row in driver.models.shared_with(name)] == ["proj_b"]
