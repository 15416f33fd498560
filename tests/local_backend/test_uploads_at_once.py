"""Threads that upload the same file, or write the same record, at the same time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ftctl.datasets.digest import file_sha256
from ftctl.local_backend.run_folder import RunFolder
from ftctl.providers.local import LocalProvider

THREADS = 8


def at_once(act: Callable[[int], object]) -> None:
    """Every thread's exception is raised here."""
    start = threading.Barrier(THREADS)

    def wait_and_act(number: int) -> None:
        start.wait()
        for _ in range(20):
            act(number)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(wait_and_act, range(THREADS)))


def test_threads_that_upload_the_same_file_do_not_meet(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(b"0123456789" * 200_000)
    sha256 = file_sha256(file)
    provider = LocalProvider(tmp_path / "home")
    kept = tmp_path / "home" / "files" / f"{sha256}.jsonl"

    def upload(number: int) -> None:
        if number == 0:  # so that the others have to copy
            kept.unlink(missing_ok=True)
        else:
            provider.upload(file, sha256)

    at_once(upload)
    assert file_sha256(Path(provider.upload(file, sha256).id)) == sha256
    assert list(kept.parent.iterdir()) == [kept]


def test_threads_that_write_the_same_record_do_not_meet(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    at_once(lambda number: run.write(run.plan_file, {"by": number}))
    assert list(tmp_path.iterdir()) == [run.plan_file]
