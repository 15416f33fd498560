"""Files that come in parts: each part a file of its own, until all of them become one.

What a kill cuts short is a part that was never named, or a completion that is asked for again: the
file has the upload's own id, so it can't come twice.
"""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ftctl.errors import NotFoundHere, StoreError, UsageError
from ftctl.server.files import ALPHABET, FileStore, StoredFile

PART_BYTES = 64 * 2**20  # source: OpenAI's API specification, read 2026-08; so is the hour
_LASTS_S = 3600
_CHUNK = 2**20
_KEPT_S = 86_400  # how long it is known what became of an upload
_SLACK = 2  # a part whose answer was lost is sent again, so there may be twice as much
_UPLOAD = re.compile(r"upload_[a-z0-9]{24}")
_PART = re.compile(r"part_[a-z0-9]{24}")


class Asked(BaseModel):
    """What an upload was begun for; `expires_after_s` is the file's, None for never."""

    model_config = ConfigDict(frozen=True)

    bytes: int
    filename: str
    expires_after_s: int | None = None


class StoredUpload(BaseModel):
    """What is known of an upload; times are seconds since 1970."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    asked: Asked
    created_at: float
    ended: Literal["completed", "cancelled"] | None = None

    @property
    def expires_at(self) -> float:
        """When it takes no more parts, unless it has ended before."""
        return self.created_at + _LASTS_S

    @property
    def status(self) -> Literal["pending", "completed", "cancelled", "expired"]:
        """The word on the wire."""
        if self.ended is not None:
            return self.ended
        return "pending" if time.time() < self.expires_at else "expired"

    @property
    def file_id(self) -> str:
        """What the file is called once it is complete."""
        return f"file-{self.id.removeprefix('upload_')}"


class UploadStore:
    """Uploads under a folder.

    Args:
        folder: Where they are; made at the first one.
        files: Where a complete one becomes a file.
    """

    def __init__(self, folder: Path, files: FileStore) -> None:
        self._folder, self._files = folder, files

    def sweep(self) -> None:
        """Drop the parts of uploads that expired, and after a day what is known of any."""
        for place in self._folder.glob("upload_*"):
            try:
                upload = self._find(place.name)
            except StoreError:  # whoever asks for it is told
                upload = None
            began = place.stat().st_mtime if upload is None else upload.created_at
            if began < time.time() - _KEPT_S:
                shutil.rmtree(place, ignore_errors=True)
            elif upload is not None and upload.status != "pending":
                self._drop_parts(upload)

    def begin(self, asked: Asked) -> StoredUpload:
        """Make an upload.

        Raises:
            StoreError: the disk won't take it.
        """
        self.sweep()
        upload = StoredUpload(id=_made_id("upload_"), asked=asked, created_at=time.time())
        with _told():
            self._place(upload.id).mkdir(parents=True, mode=0o700)
            self._write(upload)
        return upload

    def get(self, upload_id: str) -> StoredUpload:
        """One upload.

        Raises:
            NotFoundHere: there is none.
        """
        upload = self._find(upload_id)
        if upload is None:
            raise NotFoundHere(f"No such Upload object: {upload_id[:80]}")
        return upload

    def add_part(self, upload_id: str, data: BinaryIO) -> str:
        """Keep a part; returns its id.

        Raises:
            NotFoundHere: there is no such upload.
            UsageError: it takes no more, or not so much.
            StoreError: the disk won't take it.
        """
        upload = self._pending(upload_id)
        place, part_id = self._place(upload_id), _made_id("part_")
        part = place / f"{part_id}.coming"
        with _told():
            held = sum(file.stat().st_size for file in place.glob("part_*"))
            try:
                with part.open("xb") as kept:
                    shutil.copyfileobj(data, kept, _CHUNK)
                    kept.flush()
                    os.fsync(kept.fileno())
                size = part.stat().st_size
                if held + size > _SLACK * upload.asked.bytes:
                    raise UsageError(
                        f"The upload is of {upload.asked.bytes:,} bytes; its parts have "
                        f"{held + size:,} with this one."
                    )
                self._pending(upload_id)  # it may have ended meanwhile
                part.replace(place / part_id)
            finally:
                part.unlink(missing_ok=True)
        return part_id

    def complete(self, upload_id: str, part_ids: Sequence[str], md5: str | None) -> StoredUpload:
        """Make the file of its parts, in this order; again, it is the same file.

        Raises:
            NotFoundHere: there is no such upload.
            UsageError: a part isn't there, or the bytes aren't those that were announced.
            StoreError: the disk won't take it.
        """
        upload = self.get(upload_id)
        if upload.ended == "completed":
            return upload
        upload = self._pending(upload_id)
        parts = [self._part(upload, part_id) for part_id in part_ids]
        with _told():
            size = sum(part.stat().st_size for part in parts)
            if size != upload.asked.bytes:
                raise UsageError(
                    f"The parts have {size:,} bytes; the upload is of {upload.asked.bytes:,}."
                )
            if md5 is not None and _md5_of(parts) != md5.lower():
                raise UsageError("The parts' md5 isn't the one that was given.")
            lasts_s = upload.asked.expires_after_s
            self._files.add(
                _Joined(parts),
                filename=upload.asked.filename,
                purpose="fine-tune",
                expires_at=None if lasts_s is None else int(time.time()) + lasts_s,
                file_id=upload.file_id,
            )
            return self._end(upload, "completed")

    def cancel(self, upload_id: str) -> StoredUpload:
        """Forget its parts; it takes no more.

        Raises:
            NotFoundHere, UsageError: there is no such upload, or it has ended.
        """
        with _told():
            return self._end(self._pending(upload_id), "cancelled")

    def file(self, upload: StoredUpload) -> StoredFile | None:
        """The file that it became, while that is there."""
        done = upload.ended == "completed" and self._files.has(upload.file_id)
        return self._files.get(upload.file_id) if done else None

    def _pending(self, upload_id: str) -> StoredUpload:
        upload = self.get(upload_id)
        if upload.status != "pending":
            raise UsageError(f"The upload is {upload.status}; begin another one.")
        return upload

    def _part(self, upload: StoredUpload, part_id: str) -> Path:
        part = self._place(upload.id) / part_id
        if not _PART.fullmatch(part_id) or not part.exists():  # never a path
            raise UsageError(f"The upload has no part {part_id[:80]}.")
        return part

    def _end(self, upload: StoredUpload, how: Literal["completed", "cancelled"]) -> StoredUpload:
        ended = upload.model_copy(update={"ended": how})
        self._write(ended)
        self._drop_parts(ended)
        return ended

    def _drop_parts(self, upload: StoredUpload) -> None:
        for part in self._place(upload.id).glob("part_*"):
            part.unlink(missing_ok=True)

    def _find(self, upload_id: str) -> StoredUpload | None:
        if not _UPLOAD.fullmatch(upload_id):
            return None
        document = self._place(upload_id) / "upload.json"
        try:
            return StoredUpload.model_validate_json(document.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            raise StoreError(f"{document}: damaged") from None

    def _write(self, upload: StoredUpload) -> None:
        document = self._place(upload.id) / "upload.json"
        half = document.with_name(f"upload.json.{secrets.token_hex(4)}")
        half.write_text(upload.model_dump_json(), encoding="utf-8")
        half.replace(document)

    def _place(self, upload_id: str) -> Path:
        return self._folder / upload_id


class _Joined:
    """Files read as one, a chunk at a time."""

    def __init__(self, parts: Sequence[Path]) -> None:
        self._chunks = _chunks(parts)

    def read(self, _size: int, /) -> bytes:
        """The next chunk; empty at the end."""
        return next(self._chunks, b"")


def _chunks(parts: Sequence[Path]) -> Iterator[bytes]:
    for part in parts:
        with part.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk


def _md5_of(parts: Sequence[Path]) -> str:
    digest = hashlib.md5(usedforsecurity=False)  # what the wire compares
    for chunk in _chunks(parts):
        digest.update(chunk)
    return digest.hexdigest()


def _made_id(begins: str) -> str:
    return begins + "".join(secrets.choice(ALPHABET) for _ in range(24))


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Say plainly what the disk won't do."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"the upload could not be kept: {error.strerror}") from None
