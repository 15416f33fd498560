"""Weights that come packed: what is in an archive never decides where anything is written."""

import contextlib
import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ftctl.errors import ExtraMissing, FtctlError, Unavailable, UsageError
from ftctl.providers.artifacts.archive import write_unpacked
from ftctl.providers.artifacts.download import Download, Stream
from ftctl.testing.small_adapter import pack, small_adapter

OURS = {"job.json": b'{"job": 1}'}
WEIGHTS = "adapter_model.safetensors"


class Sender:
    """Sends bytes, and counts how often it was asked."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked = 0

    @contextlib.contextmanager
    def open(self, offset: int, _version: str | None) -> Iterator[Stream]:
        self.asked += 1
        yield Stream(iter([self.content[offset:]]), offset, len(self.content), '"1"')

    def bring(self, folder: Path, ours: dict[str, bytes] = OURS) -> None:
        write_unpacked(folder, ours, Download(self.open), who="Together", extra="together")


def tar_of(mode: str, *members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=f"w{mode}") as tar:  # type: ignore[call-overload]
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("mode", ["", ":gz"])
def test_a_tar_packed_otherwise_or_not_at_all_is_read_too(tmp_path: Path, mode: str) -> None:
    packed = tar_of(mode, *((tarfile.TarInfo(n), c) for n, c in small_adapter().items()))
    Sender(packed).bring(tmp_path / "out")
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == small_adapter()[WEIGHTS]
    assert names(tmp_path) == {"out"}


@pytest.mark.parametrize("prefix", ["./", "model-1/", "./model-1/"])
def test_the_one_folder_before_every_name_is_taken_off(tmp_path: Path, prefix: str) -> None:
    packed = pack({prefix + name: content for name, content in small_adapter().items()})
    Sender(packed).bring(tmp_path / "out")
    assert names(tmp_path / "out") == {*small_adapter(), *OURS, "manifest.json"}


def test_two_folders_are_nobodys_prefix(tmp_path: Path) -> None:
    inner = {f"a/{name}": content for name, content in small_adapter().items()}
    Sender(pack({**small_adapter(), **inner, "b/x.json": b"{}"})).bring(tmp_path / "out")
    assert names(tmp_path / "out") == {*small_adapter(), *OURS, "manifest.json"}


def test_links_and_devices_are_passed_over(tmp_path: Path) -> None:
    link, device = tarfile.TarInfo("config.json"), tarfile.TarInfo("x.json")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device.type = tarfile.CHRTYPE
    files = [(tarfile.TarInfo(n), c) for n, c in small_adapter().items()]
    Sender(tar_of("", (link, b""), (device, b""), *files)).bring(tmp_path / "out")
    assert names(tmp_path / "out") == {*small_adapter(), *OURS, "manifest.json"}


def test_what_is_whole_is_not_asked_for_again(tmp_path: Path) -> None:
    sender = Sender(pack(small_adapter()))
    sender.bring(tmp_path / "out")
    sender.bring(tmp_path / "out")
    assert sender.asked == 1


def test_an_archive_that_is_here_is_not_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = Sender(pack(small_adapter()))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError):
        sender.bring(tmp_path / "out")
    (tmp_path / "out" / "mine.txt").unlink()
    sender.bring(tmp_path / "out")
    assert sender.asked == 1


def test_anothers_results_are_left_alone(tmp_path: Path) -> None:
    sender = Sender(pack(small_adapter()))
    sender.bring(tmp_path / "out")
    with pytest.raises(UsageError, match="isn't this job's"):
        sender.bring(tmp_path / "out", {"job.json": b'{"job": 2}'})
    assert (tmp_path / "out" / "job.json").read_bytes() == OURS["job.json"]


@pytest.mark.parametrize("damage", ["cut", "zeros", "text"])
def test_a_damaged_archive_leaves_nothing(tmp_path: Path, damage: str) -> None:
    whole = pack({"pad.txt": bytes(range(256)) * 4_000, **small_adapter()})
    broken = {
        "cut": whole[: len(whole) // 2],
        "zeros": whole[:8] + bytes(200),
        "text": b"<html>" * 99,
    }
    with pytest.raises(FtctlError):
        Sender(broken[damage]).bring(tmp_path / "out")
    assert names(tmp_path) == set()
    Sender(whole).bring(tmp_path / "out")
    assert (tmp_path / "out" / WEIGHTS).is_file()


def test_without_what_unpacks_it_nothing_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    sender = Sender(b"")
    with pytest.raises(ExtraMissing, match="together"):
        sender.bring(tmp_path / "out")
    assert sender.asked == 0


def test_a_folder_that_was_changed_is_said_so(tmp_path: Path) -> None:
    sender = Sender(pack(small_adapter()))
    sender.bring(tmp_path / "out")
    (tmp_path / "out" / WEIGHTS).write_bytes(b"other")
    with pytest.raises((UsageError, Unavailable)):
        sender.bring(tmp_path / "out")
