"""Bringing an adapter home: whole or not at all, and nothing else is touched."""

import json
import shutil
import threading
from pathlib import Path

import pytest

from ftctl.datasets.digest import file_sha256
from ftctl.errors import UsageError
from ftctl.local_backend.output import MANIFEST, copy_output, is_whole, public_name


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "run" / "output"
    folder.mkdir(parents=True)
    rows = {}
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / name).write_text(name, encoding="utf-8")
        rows[name] = {"sha256": file_sha256(folder / name), "bytes": len(name)}
    (folder / MANIFEST).write_text(json.dumps(rows), encoding="utf-8")
    return folder


@pytest.mark.parametrize("made", [True, False])
def test_the_folder_is_new_or_empty(tmp_path: Path, source: Path, made: bool) -> None:
    target = tmp_path / "deep" / "adapter[/b]"
    if made:
        target.mkdir(parents=True)
    copy_output(source, target)
    assert is_whole(target)
    copy_output(source, target)
    assert [file.name for file in target.parent.iterdir()] == [target.name]


def test_the_current_folder_is_filled_and_stays_the_same(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    before = here.stat().st_ino
    monkeypatch.chdir(here)
    copy_output(source, Path())
    assert is_whole(here)
    assert Path.cwd().stat().st_ino == before


@pytest.mark.parametrize("target", ["/", "..", "."])
def test_a_folder_with_something_in_it_is_refused(
    tmp_path: Path, source: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UsageError, match="exists and isn't this job's adapter") as refused:
        copy_output(source, Path(target))
    assert "new folder" in refused.value.hint


def test_a_folder_of_the_user_s_that_looks_like_a_part_stays(tmp_path: Path, source: Path) -> None:
    mine = tmp_path / "adapter.part" / "thesis"
    mine.mkdir(parents=True)
    copy_output(source, tmp_path / "adapter")
    assert mine.exists()


def test_a_fetch_that_was_killed_is_finished_by_the_next(tmp_path: Path, source: Path) -> None:
    half = tmp_path / f"adapter.part-{source.parent.name}"
    half.mkdir()
    (half / "README.md").write_text("ha", "utf-8")
    (tmp_path / "adapter").mkdir()
    shutil.copy(source / "adapter_config.json", tmp_path / "adapter")
    copy_output(source, tmp_path / "adapter")
    assert is_whole(tmp_path / "adapter")
    assert not half.exists()


@pytest.mark.parametrize("there", [False, True])
def test_many_fetches_at_once_end_with_one_whole_adapter(
    tmp_path: Path, source: Path, there: bool
) -> None:
    if there:
        (tmp_path / "adapter").mkdir()
    failed: list[BaseException] = []

    def fetch() -> None:
        try:
            copy_output(source, tmp_path / "adapter")
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert is_whole(tmp_path / "adapter")
    assert list(tmp_path.glob("adapter.*")) == []


def test_a_card_names_the_base_as_others_know_it() -> None:
    here = Path("/models/converted")
    assert public_name("smollm2-135m-instruct", here) == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert public_name("./tiny", here) == "/models/converted"
