"""What a hosted job leaves at home: files and a manifest, whole or not at all.

Everything comes into `DIR.part` first, which one fetch at a time owns; where it breaks off, the
next fetch goes on. `DIR` appears when every file has been checked.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from ftctl.datasets.digest import file_sha256
from ftctl.errors import FtctlError, StoreError, UsageError
from ftctl.providers.artifacts.download import Download, Progress
from ftctl.providers.artifacts.part_file import (
    JOURNAL,
    Journal,
    PartFile,
    bytes_of,
    require_space,
    sync,
)
from ftctl.providers.artifacts.safe_names import MANIFEST, safe_name

_Rows = dict[str, dict[str, str | int]]


def write_results(
    folder: Path, files: Mapping[str, bytes | Download], progress: Progress | None = None
) -> None:
    """Bring files and their manifest into `folder`; the same again is harmless.

    Args:
        folder: A new or empty one.
        files: By name: what is written as it is, and what is brought from the vendor.
        progress: Told of each download's bytes.

    Raises:
        UsageError: the folder holds something else, or a name isn't safe.
        Unavailable: a download broke off, and the next call goes on; or it isn't what the vendor
            said, and is thrown away.
        StoreError: the disk won't take them, or another fetch is writing there.
    """
    folder = folder.resolve()  # `.` and `..` have no name to put a part beside
    _require_names(files)
    if _holds(folder, files):
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder}: exists and isn't this job's results", hint="name an empty or new folder"
        )
    try:
        with _owned(folder.with_name(f"{folder.name}.part"), folder) as part:
            if _holds(folder, files):  # another fetch has just ended
                shutil.rmtree(part)
                return
            if not _holds(part, files):  # one that was killed before its last step has it all
                _bring(part, files, progress)
            _put(part, folder)
    except OSError as error:
        raise StoreError(
            f"{folder}: could not be written ({error.strerror or error}); the job is untouched",
            hint="free space or choose another folder, then run the same command again",
        ) from None


def _require_names(files: Mapping[str, object]) -> None:
    used = {MANIFEST}
    for name in files:
        if safe_name(name).casefold() in used:
            raise UsageError(f"two files would be called {name}")
        used.add(name.casefold())


def _bring(part: Path, files: Mapping[str, bytes | Download], progress: Progress | None) -> None:
    """Fill a part folder; what can't be gone on with is gone when it fails."""
    journal = Journal.load(part)
    try:
        _tidy(part, files)
        journal.save(part)  # the folder is known for ours from here on
        downloads = {n: f for n, f in files.items() if isinstance(f, Download)}
        sizes = {n: max(0, (f.size or 0) - bytes_of(part / n)) for n, f in downloads.items()}
        require_space(part, sum(sizes.values()))
        rows: _Rows = {}
        for name, content in files.items():
            if isinstance(content, Download):
                rows[name] = PartFile(part, name, content, journal, progress).complete()
            else:
                (part / name).write_bytes(content)
                rows[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    except BaseException:
        if not journal.worth_keeping(part):
            shutil.rmtree(part, ignore_errors=True)
        raise
    # Written over the journal, so that at every moment one of the two says whose folder it is.
    (part / JOURNAL).write_text(json.dumps(rows, indent=1, sort_keys=True), "utf-8")
    (part / JOURNAL).replace(part / MANIFEST)


def _tidy(part: Path, files: Mapping[str, object]) -> None:
    """Leave only pieces of what is to come: another job's aren't, nor is a link."""
    for entry in part.iterdir():
        if entry.is_symlink() or not entry.is_file() or entry.name not in {*files, JOURNAL}:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _put(part: Path, folder: Path) -> None:
    if folder.exists():
        folder.rmdir()  # empty, as seen before; Windows can't rename over a folder
    part.rename(folder)
    with contextlib.suppress(OSError):  # Windows opens no folders
        handle = os.open(folder.parent, os.O_RDONLY)
        sync(handle)
        os.close(handle)


@contextlib.contextmanager
def _owned(part: Path, folder: Path) -> Iterator[Path]:
    """The part folder, for this fetch alone until it ends or is killed."""
    part.mkdir(parents=True, exist_ok=True)
    if part.is_symlink() or not _is_ours(part):
        raise UsageError(
            f"{part}: exists and isn't an unfinished fetch; what comes home is gathered there",
            hint="move it away, or name another folder",
        )
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        yield part
        return
    handle = os.open(part, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy(folder) from None
        except OSError:  # some network file systems lock no folders
            pass
        if not _is_at(handle, part):  # another fetch has just given it its name, or dropped it
            raise _busy(folder)
        yield part
    finally:
        os.close(handle)


def _busy(folder: Path) -> FtctlError:
    return StoreError(
        f"{folder}: another fetch is writing there just now",
        hint="wait for its end, then run the same command again",
    )


def _is_ours(part: Path) -> bool:
    """Whether a folder is empty, or says that a fetch made it; it may have been about to."""
    if (part / JOURNAL).exists() or {entry.name for entry in part.iterdir()} <= {f"{JOURNAL}.new"}:
        return True
    rows = _manifest(part)
    return bool(rows) and {MANIFEST, *rows} == {entry.name for entry in part.iterdir()}


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _manifest(folder: Path) -> _Rows:
    """What a folder's manifest says; nothing where there is none."""
    try:
        rows = json.loads((folder / MANIFEST).read_bytes())
        return {name: {k: row[k] for k in ("sha256", "bytes")} for name, row in rows.items()}
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return {}


def _holds(folder: Path, files: Mapping[str, bytes | Download]) -> bool:
    """Whether a folder is whole, and of these files, as far as the vendor says what they are."""
    rows = _manifest(folder)
    return set(rows) == set(files) and all(
        _is_promised(rows[name], wanted) and _is_there(folder / name, rows[name])
        for name, wanted in files.items()
    )


def _is_promised(row: Mapping[str, str | int], wanted: bytes | Download) -> bool:
    if isinstance(wanted, Download):
        sha256 = None if wanted.sha256 is None else wanted.sha256.lower()
        return sha256 in (None, row["sha256"]) and wanted.size in (None, row["bytes"])
    return row["sha256"] == hashlib.sha256(wanted).hexdigest()


def _is_there(file: Path, row: Mapping[str, str | int]) -> bool:
    if bytes_of(file) != row["bytes"]:
        return False
    with contextlib.suppress(FtctlError, OSError):
        return file_sha256(file) == row["sha256"]
    return False
