"""The contract of a vendor that returns weights: whole safetensors come home, or nothing does.

class TestMineWeights(WeightsContract):
    @pytest.fixture
    def under_test(self, tmp_path):
        with MyLoopback() as vendor:  # whose files are answered by `loopback.ranged`
            yield MineUnderTest(vendor, tmp_path)  # with what `WeightsUnderTest` asks for
"""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest

from ftctl.errors import FtctlError, Unavailable, Unsupported
from ftctl.testing.loopback import Fault, Loopback
from ftctl.testing.under_test import Crash, ProviderUnderTest, start

ADAPTER = "adapter_model.safetensors"
_CUT_AT = 70_001  # bytes


class WeightsUnderTest(ProviderUnderTest, Protocol):
    """What a vendor that returns weights needs besides; an `HttpUnderTest` has `vendor` already."""

    vendor: Loopback

    @property
    def weights_route(self) -> str:
        """Pattern of the requests that a job's files are sent for."""

    def offer(self, remote_id: str, files: Mapping[str, bytes]) -> None:
        """Let a job that succeeded offer these files alone, under these names, from now on."""

    def misstate(self, remote_id: str) -> bool:
        """Let the vendor state a wrong sha256, or else a wrong size, of every file that it offers.

        False where it states neither.
        """


def make_safetensors(seed: int, size: int = 200_000) -> bytes:
    """A file of weights: one tensor of random bytes.

    Args:
        seed: Other weights for another one.
        size: Bytes of the tensor.
    """
    tensor = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    header = json.dumps({"lora_A.weight": tensor}).encode()
    numbers = random.Random(seed)  # noqa: S311 - to be the same again
    return len(header).to_bytes(8, "little") + header + numbers.randbytes(size)


class WeightsContract:
    """What is fetched is whole, safetensors, and where it belongs."""

    @pytest.fixture
    def under_test(self) -> WeightsUnderTest:
        """The provider to test; a subclass gives it."""
        raise NotImplementedError

    @pytest.fixture
    def remote_id(self, under_test: WeightsUnderTest) -> str:
        """A job that succeeded and offers an adapter."""
        remote_id = start(under_test)
        under_test.finish(remote_id)
        under_test.offer(remote_id, {ADAPTER: make_safetensors(1)})
        return remote_id

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Where results are to come."""
        return tmp_path / "home" / "adapter"

    def test_weights_come_home_whole(
        self, under_test: WeightsUnderTest, remote_id: str, folder: Path
    ) -> None:
        """With a manifest; how much has come is told on the way."""
        told: list[tuple[str, int]] = []
        driver = under_test.driver()
        tuned = driver.fetch(remote_id, folder, lambda name, done, _: told.append((name, done)))
        assert driver.capabilities.returns_weights
        assert tuned.folder == folder
        assert (folder / ADAPTER).read_bytes() == make_safetensors(1)
        assert ADAPTER in json.loads((folder / "manifest.json").read_bytes())
        assert told[-1] == (ADAPTER, len(make_safetensors(1)))
        assert [path.name for path in folder.parent.iterdir()] == [folder.name]

    def test_what_broke_off_goes_on_there(
        self, under_test: WeightsUnderTest, remote_id: str, folder: Path
    ) -> None:
        """Half is no folder; the second request asks for the other half."""
        self._cut(under_test, remote_id, folder)
        asked = len(under_test.vendor.asked(under_test.weights_route))
        under_test.driver().fetch(remote_id, folder)
        assert (folder / ADAPTER).read_bytes() == make_safetensors(1)
        second = under_test.vendor.asked(under_test.weights_route)[asked:]
        assert [r.headers.get("range") for r in second] == [f"bytes={_CUT_AT}-"]

    def test_half_of_one_file_never_meets_half_of_another(
        self, under_test: WeightsUnderTest, remote_id: str, folder: Path
    ) -> None:
        """The vendor's file has changed since it broke off: it begins anew."""
        self._cut(under_test, remote_id, folder)
        under_test.offer(remote_id, {ADAPTER: make_safetensors(2)})
        under_test.driver().fetch(remote_id, folder)
        assert (folder / ADAPTER).read_bytes() == make_safetensors(2)

    def test_a_fetch_that_dies_leaves_no_folder(
        self, under_test: WeightsUnderTest, remote_id: str, folder: Path
    ) -> None:
        """The next one brings the whole."""

        def die(name: str, done: int, total: int | None) -> None:
            raise Crash(f"{name} at {done} of {total}")

        with pytest.raises(Crash):
            under_test.driver().fetch(remote_id, folder, die)
        assert not folder.exists()
        under_test.driver().fetch(remote_id, folder)
        assert (folder / ADAPTER).read_bytes() == make_safetensors(1)

    @pytest.mark.parametrize(
        "name",
        ["../../x.safetensors", "/x.safetensors", "a/../../x.json", "..\\x.json", ".x.json"],
    )
    def test_a_vendors_name_never_becomes_a_path(
        self, under_test: WeightsUnderTest, remote_id: str, folder: Path, tmp_path: Path, name: str
    ) -> None:
        """It is left out, and nothing is written elsewhere."""
        before = {path for path in tmp_path.rglob("*") if folder.parent not in path.parents}
        under_test.offer(remote_id, {name: make_safetensors(3), ADAPTER: make_safetensors(1)})
        under_test.driver().fetch(remote_id, folder)
        here = {path for path in tmp_path.rglob("*") if folder.parent not in path.parents}
        assert here - before <= {folder.parent}
        assert (folder / ADAPTER).read_bytes() == make_safetensors(1)
        contents = [path.read_bytes() for path in folder.iterdir()]
        assert make_safetensors(3) not in contents

    def test_a_pickle_stays_there(
        self, under_test: WeightsUnderTest, remote_id: str, folder: Path
    ) -> None:
        """Beside safetensors it is left out; alone it is refused."""
        pickle = b"\x80\x04cos\nsystem\n"
        under_test.offer(remote_id, {"adapter_model.bin": pickle})
        with pytest.raises(Unsupported) as caught:
            under_test.driver().fetch(remote_id, folder)
        assert "pickle" in caught.value.message
        assert not folder.exists()
        offered = {"adapter_model.bin": pickle, ADAPTER: make_safetensors(1)}
        under_test.offer(remote_id, offered)
        under_test.driver().fetch(remote_id, folder)
        assert not (folder / "adapter_model.bin").exists()

    def test_what_only_calls_itself_safetensors_is_thrown_away(
        self, under_test: WeightsUnderTest, remote_id: str, folder: Path
    ) -> None:
        """Neither under its name nor as a part."""
        under_test.offer(remote_id, {ADAPTER: b"\x80\x04cos\nsystem\n"})
        with pytest.raises(FtctlError, match="safetensors"):
            under_test.driver().fetch(remote_id, folder)
        assert list(folder.parent.iterdir()) == []

    def test_a_wrong_hash_or_size_is_refused(
        self, under_test: WeightsUnderTest, remote_id: str, folder: Path
    ) -> None:
        """What came is thrown away."""
        if not under_test.misstate(remote_id):
            pytest.skip("the vendor states neither hash nor size")
        with pytest.raises(Unavailable, match="instead of"):
            under_test.driver().fetch(remote_id, folder)
        assert list(folder.parent.iterdir()) == []

    def _cut(self, under_test: WeightsUnderTest, remote_id: str, folder: Path) -> None:
        """A fetch whose weights break off."""
        under_test.vendor.faults.append(Fault(under_test.weights_route, "cut", at=_CUT_AT))
        with pytest.raises(Unavailable, match="kept"):
            under_test.driver().fetch(remote_id, folder)
        assert not folder.exists()
