"""A file that comes home in pieces: what is here is never taken for the whole, whatever is killed.

Beside the pieces stands `.fetch.json`: of which version of a file they are. It is written before
the first byte, so bytes without it, or of another version, are never gone on with.
"""

import contextlib
import hashlib
import os
import shutil
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ValidationError

from ftctl.errors import StoreError, Unavailable
from ftctl.providers.artifacts.download import Download, Progress, Stream
from ftctl.providers.artifacts.safe_names import WEIGHTS
from ftctl.providers.artifacts.safetensors_header import find_fault

JOURNAL = ".fetch.json"
_AGAIN = "run the same command again"
_BLOCK = 1 << 20  # bytes that are read or written at once


class Held(BaseModel):
    """Which version of a file its pieces are of: what the sender said when they began to come."""

    version: str | None
    total: int | None
    sha256: str | None

    @property
    def can_go_on(self) -> bool:
        """Whether pieces of another version would be known for such."""
        return self.version is not None or self.sha256 is not None


class Journal(BaseModel):
    """What the files of a part folder are pieces of."""

    files: dict[str, Held] = {}

    @classmethod
    def load(cls, folder: Path) -> "Journal":
        """That of a folder; an empty one where it can't be read."""
        try:
            return cls.model_validate_json((folder / JOURNAL).read_bytes())
        except (OSError, ValidationError):
            return cls()

    def save(self, folder: Path) -> None:
        """Write it whole or not at all."""
        new = folder / f"{JOURNAL}.new"
        with new.open("wb") as stream:
            stream.write(self.model_dump_json().encode())
            sync(stream.fileno())
        new.replace(folder / JOURNAL)

    def worth_keeping(self, folder: Path) -> bool:
        """Whether a later fetch can go on with anything in the folder."""
        return any(held.can_go_on and bytes_of(folder / name) for name, held in self.files.items())


class PartFile:
    """One download on its way into a part folder.

    Args:
        folder: The part folder, owned by the caller.
        name: Safe, and the caller's.
        download: What is to come.
        journal: Of the folder.
        progress: Told after each piece.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        download: Download,
        journal: Journal,
        progress: Progress | None,
    ) -> None:
        self._folder = folder
        self._file = folder / name
        self._name = name
        self._download = download
        self._journal = journal
        self._progress = progress
        self._sha256 = hashlib.sha256()

    def complete(self) -> dict[str, str | int]:
        """Bring what is missing and check the whole; its sha256 and bytes, as manifests say them.

        Raises:
            Unavailable: it broke off, and what came is kept; or it isn't what the vendor said,
                and is thrown away.
            StoreError: the disk hasn't room for it.
            OSError: the disk won't take it.
        """
        try:
            offset = self._offset()
            if offset != self._download.size or self._download.sha256 is None:
                self._bring(offset)
            else:  # as many bytes as promised, and a hash to check: nobody has to be asked
                self._hash(offset)
            return self._checked()
        except Unavailable as error:
            raise self._broken_off(error) from None
        except _Wrong as wrong:
            self._file.unlink(missing_ok=True)
            self._journal.files.pop(self._name, None)
            raise Unavailable(
                f"{self._name} isn't what it should be: {wrong}; it was thrown away",
                hint=f"{_AGAIN}; if it says the same, ask the vendor",
            ) from None

    def _offset(self) -> int:
        """How many bytes are here that can be gone on with."""
        held = self._journal.files.get(self._name)
        wanted = self._download
        if held is None or held.sha256 != wanted.sha256 or not held.can_go_on:
            return 0
        size = bytes_of(self._file)
        limits = (wanted.size, held.total)
        return 0 if any(limit is not None and size > limit for limit in limits) else size

    def _bring(self, offset: int) -> None:
        """Go on at an offset; from 0 where the sender holds another version by now."""
        held = self._journal.files.get(self._name)
        if offset and held is not None:
            with self._download.open(offset, held.version) as stream:
                same = (stream.version, stream.total) == (held.version, held.total)
                if same or stream.start == 0:
                    self._receive(stream, offset if stream.start else 0)
                    return
        with self._download.open(0, None) as stream:
            self._receive(stream, 0)

    def _receive(self, stream: Stream, offset: int) -> None:
        wanted, total = self._download.size, stream.total
        if stream.start != offset:
            raise _Wrong("another part of it came than was asked for")
        if wanted is not None and total is not None and wanted != total:
            raise _Wrong(f"it has {total:,} bytes instead of {wanted:,}")
        size = total if wanted is None else wanted
        require_space(self._folder, (size or 0) - offset)
        if offset:
            self._hash(offset)
        with self._file.open("ab" if offset else "wb", buffering=_BLOCK) as file:
            if not offset:  # the old pieces are gone before the journal names the new version
                self._begin(stream)
            done = self._write(file, stream, offset, size)
            file.flush()
            sync(file.fileno())
        if size is not None and done < size:
            raise Unavailable(f"the sender left off at {done:,} of {size:,} bytes", hint=_AGAIN)

    def _begin(self, stream: Stream) -> None:
        self._sha256 = hashlib.sha256()
        self._journal.files[self._name] = Held(
            version=stream.version, total=stream.total, sha256=self._download.sha256
        )
        self._journal.save(self._folder)

    def _write(self, file: BinaryIO, stream: Stream, done: int, size: int | None) -> int:
        for chunk in stream.chunks:
            file.write(chunk)
            self._sha256.update(chunk)
            done += len(chunk)
            if size is not None and done > size:
                raise _Wrong(f"more than its {size:,} bytes came")
            self._tell(done, size)
        return done

    def _broken_off(self, error: Unavailable) -> Unavailable:
        """What happened, and what is kept of the file."""
        held, size = self._journal.files.get(self._name), bytes_of(self._file)
        if held is None or not held.can_go_on or not size:
            return Unavailable(f"{self._name}: {error.message}", hint=error.hint)
        kept = f"{self._name}: {error.message}; {size:,} bytes are here and kept"
        hint = error.hint if error.hint not in ("", _AGAIN) else f"{_AGAIN}: it goes on there"
        return Unavailable(kept, hint=hint)

    def _hash(self, size: int) -> None:
        """Take the bytes that are here into the hash."""
        self._sha256 = hashlib.sha256()
        done = 0
        with self._file.open("rb") as file:
            while block := file.read(_BLOCK):
                self._sha256.update(block)
                done += len(block)
                self._tell(done, self._download.size)
        if done != size:
            raise _Wrong("something else writes to it")

    def _checked(self) -> dict[str, str | int]:
        wanted, came = self._download.sha256, self._sha256.hexdigest()
        if wanted is not None and came != wanted.lower():
            raise _Wrong(f"its sha256 is {came} instead of {wanted.lower()}")
        fault = find_fault(self._file) if self._name.endswith(WEIGHTS) else None
        if fault is not None:
            raise _Wrong(f"no whole safetensors: {fault}")
        return {"sha256": came, "bytes": bytes_of(self._file)}

    def _tell(self, done: int, total: int | None) -> None:
        if self._progress is not None:
            self._progress(self._name, done, total)


class _Wrong(Exception):
    """What came isn't the file."""


def require_space(folder: Path, size: int) -> None:
    """Refuse to begin what the disk has no room for.

    Args:
        folder: Where it is to go.
        size: Bytes.

    Raises:
        StoreError: there is less.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise StoreError(
            f"{folder}: {size:,} bytes are to come and the disk has {free:,} left",
            hint="free space or choose a folder on another disk, then run the same command again",
        )


def sync(handle: int) -> None:
    """See what was written onto the disk, where the file system can do that."""
    with contextlib.suppress(OSError):
        os.fsync(handle)


def bytes_of(file: Path) -> int:
    """A file's size; 0 where there is none."""
    try:
        return file.stat().st_size
    except OSError:
        return 0
