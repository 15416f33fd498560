"""Results come home whole or not at all, and a fetch that broke off goes on."""

import fcntl
import hashlib
import json
import os
import shutil
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from file_sender import WEIGHTS, Sender

from ftctl import __version__
from ftctl.errors import StoreError, Unavailable, UsageError
from ftctl.providers.artifacts.download import Download, Stream
from ftctl.providers.artifacts.notes import card
from ftctl.providers.artifacts.part_file import JOURNAL
from ftctl.providers.artifacts.result_folder import write_results
from ftctl.testing.under_test import Crash
from ftctl.testing.weights_contract import ADAPTER, make_safetensors

CARD = {"README.md": b"# of job-1\n"}


@pytest.fixture
def sender() -> Sender:
    return Sender()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "adapter"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def fetch(folder: Path, sender: Sender, **stated: object) -> None:
    write_results(folder, {**CARD, ADAPTER: sender.download(**stated)})  # type: ignore[arg-type]


def cut(folder: Path, sender: Sender, at: int = 4_500, **stated: object) -> None:
    """A fetch that breaks off."""
    sender.leaves_off_at = at
    with pytest.raises(Unavailable, match="broke off"):
        fetch(folder, sender, **stated)
    sender.leaves_off_at = None
    sender.asked.clear()
    assert not folder.exists()


def part_of(folder: Path) -> Path:
    return folder.with_name("adapter.part")


def test_the_manifest_says_what_is_there(folder: Path, sender: Sender) -> None:
    fetch(folder, sender)
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    manifest = json.loads(files.pop("manifest.json"))
    assert files == {**CARD, ADAPTER: WEIGHTS}
    assert manifest == {
        name: {"sha256": sha256(content), "bytes": len(content)} for name, content in files.items()
    }
    assert [path.name for path in folder.parent.iterdir()] == ["adapter"]


def test_what_is_here_is_not_asked_for_again(folder: Path, sender: Sender) -> None:
    fetch(folder, sender)
    fetch(folder, sender)
    fetch(folder, sender, size=len(WEIGHTS), sha256=sha256(WEIGHTS).upper())
    assert len(sender.asked) == 1


@pytest.mark.parametrize("damage", ["short", "changed", "gone", "other hash", "other card"])
def test_a_folder_of_something_else_is_left_alone(
    folder: Path, sender: Sender, damage: str
) -> None:
    fetch(folder, sender)
    stated = {}
    match damage:
        case "short":
            os.truncate(folder / ADAPTER, 5_000)
        case "changed":
            (folder / ADAPTER).write_bytes(WEIGHTS[:-1] + b"!")
        case "gone":
            (folder / ADAPTER).unlink()
        case "other hash":
            stated["sha256"] = sha256(b"other")
        case "other card":
            (folder / "README.md").write_bytes(b"# of job-2\n")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(UsageError, match="isn't this job's results"):
        fetch(folder, sender, **stated)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_what_broke_off_goes_on_there(folder: Path, sender: Sender) -> None:
    cut(folder, sender)
    fetch(folder, sender)
    assert sender.asked == [(4_500, '"1"')]
    assert (folder / ADAPTER).read_bytes() == WEIGHTS


def test_it_goes_on_as_often_as_it_breaks_off(folder: Path, sender: Sender) -> None:
    for at in (1, 2_000, 2_001, len(WEIGHTS) - 1):
        cut(folder, sender, at)
    fetch(folder, sender)
    assert sender.asked == [(len(WEIGHTS) - 1, '"1"')]
    assert (folder / ADAPTER).read_bytes() == WEIGHTS


def test_the_error_says_what_is_kept(folder: Path, sender: Sender) -> None:
    sender.leaves_off_at = 4_500
    with pytest.raises(Unavailable) as caught:
        fetch(folder, sender)
    assert "adapter_model.safetensors: it broke off; 4,500 bytes" in caught.value.message
    assert "goes on there" in caught.value.hint


def test_a_sender_that_leaves_off_without_a_word_is_noticed(folder: Path, sender: Sender) -> None:
    sender.content = WEIGHTS[:4_000]
    sender.says_total = False
    with pytest.raises(Unavailable, match="left off at 4,000 of"):
        fetch(folder, sender, size=len(WEIGHTS))
    assert not folder.exists()


@pytest.mark.parametrize("stated", [{}, {"sha256": sha256(make_safetensors(2, 10_000))}])
def test_another_version_begins_anew(
    folder: Path, sender: Sender, stated: dict[str, object]
) -> None:
    cut(folder, sender)
    sender.content, sender.version = make_safetensors(2, 10_000), '"2"'
    fetch(folder, sender, **stated)
    assert (folder / ADAPTER).read_bytes() == sender.content


def test_a_sender_that_goes_on_with_another_version_is_asked_for_the_whole(
    folder: Path, sender: Sender
) -> None:
    cut(folder, sender)
    sender.content, sender.version, sender.starts_at = make_safetensors(2, 10_000), '"2"', 4_500
    with pytest.raises(Unavailable, match="another part"):
        fetch(folder, sender)
    assert sender.asked == [(4_500, '"1"'), (0, None)]
    sender.starts_at = None
    fetch(folder, sender)
    assert (folder / ADAPTER).read_bytes() == sender.content


def test_a_sender_that_knows_no_parts_begins_anew(folder: Path, sender: Sender) -> None:
    cut(folder, sender)
    sender.starts_at = 0
    fetch(folder, sender)
    assert len(sender.asked) == 1
    assert (folder / ADAPTER).read_bytes() == WEIGHTS


def test_without_version_or_hash_nothing_is_gone_on_with(folder: Path) -> None:
    sender = Sender(version=None)
    cut(folder, sender)
    assert not part_of(folder).exists()
    fetch(folder, sender)
    assert sender.asked == [(0, None)]


def test_a_known_hash_is_as_good_as_a_version(folder: Path) -> None:
    sender = Sender(version=None)
    cut(folder, sender, sha256=sha256(WEIGHTS))
    fetch(folder, sender, sha256=sha256(WEIGHTS))
    assert sender.asked == [(4_500, None)]
    assert (folder / ADAPTER).read_bytes() == WEIGHTS


def test_another_hash_is_another_file(folder: Path) -> None:
    sender = Sender(version=None)
    cut(folder, sender, sha256=sha256(WEIGHTS))
    sender.content = make_safetensors(2, 10_000)
    fetch(folder, sender, sha256=sha256(sender.content))
    assert sender.asked == [(0, None)]


def test_pieces_that_changed_here_are_caught_by_the_hash(folder: Path, sender: Sender) -> None:
    cut(folder, sender, sha256=sha256(WEIGHTS))
    with (part_of(folder) / ADAPTER).open("r+b") as file:
        file.seek(3_000)
        file.write(b"spoilt")
    with pytest.raises(Unavailable, match=r"sha256 is .* instead of .*thrown away"):
        fetch(folder, sender, sha256=sha256(WEIGHTS))
    assert not folder.exists()
    fetch(folder, sender, sha256=sha256(WEIGHTS))
    assert (folder / ADAPTER).read_bytes() == WEIGHTS


@pytest.mark.parametrize("says_total", [True, False])
@pytest.mark.parametrize("stated", [{"size": 9_000}, {"sha256": sha256(b"other")}])
def test_what_isnt_what_the_vendor_said_is_thrown_away(
    folder: Path, sender: Sender, stated: dict[str, object], says_total: bool
) -> None:
    sender.says_total = says_total
    with pytest.raises(Unavailable, match="isn't what it should be"):
        fetch(folder, sender, **stated)
    assert list(folder.parent.iterdir()) == []


def test_no_half_of_safetensors_is_taken_for_whole_where_nobody_says_its_size(
    folder: Path,
) -> None:
    sender = Sender(WEIGHTS[:-1], version=None)
    sender.says_total = False
    with pytest.raises(Unavailable, match="no whole safetensors"):
        fetch(folder, sender)
    assert not folder.exists()


def test_only_what_is_missing_is_brought(folder: Path, sender: Sender) -> None:
    first = Sender(b"{}")
    files = {"adapter_config.json": first.download(2, sha256(b"{}")), ADAPTER: sender.download()}
    sender.leaves_off_at = 4_500
    with pytest.raises(Unavailable):
        write_results(folder, {**CARD, **files})
    sender.leaves_off_at = None
    write_results(folder, {**CARD, **files})
    assert len(first.asked) == 1


def test_pieces_of_another_job_are_not_used(folder: Path, sender: Sender) -> None:
    cut(folder, sender)
    other = Sender(b"step,loss\n", version='"9"')
    write_results(folder, {**CARD, "metrics.csv": other.download()})
    assert {file.name for file in folder.iterdir()} == {"README.md", "metrics.csv", "manifest.json"}


def test_a_folder_that_happens_to_be_called_part_is_left_alone(
    folder: Path, sender: Sender
) -> None:
    part_of(folder).mkdir(parents=True)
    (part_of(folder) / "mine").write_text("dear", "utf-8")
    with pytest.raises(UsageError, match="isn't an unfinished fetch"):
        fetch(folder, sender)
    assert (part_of(folder) / "mine").read_text("utf-8") == "dear"
    assert sender.asked == []


def test_a_link_in_the_part_folder_is_not_written_through(
    folder: Path, sender: Sender, tmp_path: Path
) -> None:
    cut(folder, sender)
    mine = tmp_path / "mine"
    mine.write_bytes(WEIGHTS[:4_500])
    (part_of(folder) / ADAPTER).unlink()
    (part_of(folder) / ADAPTER).symlink_to(mine)
    fetch(folder, sender)
    assert mine.read_bytes() == WEIGHTS[:4_500]
    assert (folder / ADAPTER).read_bytes() == WEIGHTS


def test_two_fetches_never_write_into_one_folder(folder: Path, sender: Sender) -> None:
    cut(folder, sender)
    other = os.open(part_of(folder), os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(StoreError, match="another fetch is writing there"):
        fetch(folder, sender)
    os.close(other)
    fetch(folder, sender)
    assert (folder / ADAPTER).read_bytes() == WEIGHTS


def test_a_fetch_that_begins_inside_another_is_refused_and_harms_nothing(
    folder: Path, sender: Sender
) -> None:
    refused = []

    def meddle(name: str, done: int, total: int | None) -> None:
        try:
            fetch(folder, Sender(make_safetensors(2, 10_000)))
        except StoreError as error:
            refused.append(error.message)

    write_results(folder, {**CARD, ADAPTER: sender.download()}, meddle)
    assert len(refused) == len(WEIGHTS) // 1000 + 1
    assert (folder / ADAPTER).read_bytes() == WEIGHTS


def test_what_the_disk_has_no_room_for_is_not_begun(folder: Path, sender: Sender) -> None:
    much = shutil.disk_usage(folder.parent.parent).total + 1
    with pytest.raises(StoreError, match="the disk has"):
        fetch(folder, sender, size=much)
    assert sender.asked == []
    assert list(folder.parent.iterdir()) == []


def test_one_that_was_killed_before_its_last_step_only_gets_its_name(
    folder: Path, sender: Sender
) -> None:
    fetch(folder, sender)
    folder.rename(part_of(folder))
    fetch(folder, sender)
    assert len(sender.asked) == 1
    assert (folder / ADAPTER).read_bytes() == WEIGHTS


@pytest.mark.parametrize("at", range(0, 11_000, 1000))
def test_death_at_any_piece_leaves_no_folder(folder: Path, sender: Sender, at: int) -> None:
    def die(name: str, done: int, total: int | None) -> None:
        if done > at:
            raise Crash

    with pytest.raises(Crash):
        write_results(folder, {**CARD, ADAPTER: sender.download()}, die)
    assert not folder.exists()
    fetch(folder, sender)
    assert (folder / ADAPTER).read_bytes() == WEIGHTS


@pytest.mark.parametrize("journal", [b"", b"{", b'{"files": {"' + ADAPTER.encode() + b'": 3}}'])
def test_a_journal_that_cant_be_read_means_beginning_anew(
    folder: Path, sender: Sender, journal: bytes
) -> None:
    cut(folder, sender)
    (part_of(folder) / JOURNAL).write_bytes(journal)
    fetch(folder, sender)
    assert sender.asked == [(0, None)]
    assert (folder / ADAPTER).read_bytes() == WEIGHTS


@pytest.mark.parametrize("name", ["../x.json", "manifest.json", "readme.md", "x.bin"])
def test_no_driver_can_write_what_has_no_safe_name_of_its_own(
    folder: Path, sender: Sender, name: str
) -> None:
    with pytest.raises(UsageError):
        write_results(folder, {**CARD, name: sender.download()})
    assert not folder.parent.exists()


def test_the_current_folder_can_be_named(
    folder: Path, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    write_results(Path(), {**CARD, ADAPTER: sender.download()})
    assert (folder / ADAPTER).read_bytes() == WEIGHTS


def test_memory_stays_flat_however_large_the_file_is(folder: Path) -> None:
    chunk = bytes(1 << 20)

    @contextmanager
    def opened(offset: int, version: str | None) -> Iterator[Stream]:
        yield Stream(chunk for _ in range(64))

    tracemalloc.start()
    write_results(folder, {**CARD, "metrics.csv": Download(opened)})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (folder / "metrics.csv").stat().st_size == 64 << 20
    assert peak < 8 << 20


def test_a_card_is_the_same_whatever_version_fetches() -> None:
    made = card("m", base="b", job="j", base_url="https://v.example", says="It is here.")
    assert __version__.encode() not in made
    assert made.decode().splitlines()[0] == "# m"
