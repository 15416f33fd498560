"""Uploaded files on disk: the bytes, and beside them a JSON document that makes them exist."""

import contextlib
import hashlib
import os
import re
import secrets
import time
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from ftctl.errors import NotFoundHere, StoreError

Purpose = Literal["fine-tune", "fine-tune-results"]
_ID = re.compile(r"file-[A-Za-z0-9]{8,64}")
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_CHUNK = 2**20
_SWEPT_AFTER_S = 86_400


class Readable(Protocol):
    """What bytes come from."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, about so many; none at the end."""


class StoredFile(BaseModel):
    """What is known of a file; times are seconds since 1970."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    bytes: int
    created_at: float
    expires_at: int | None = None
    filename: str
    purpose: Purpose
    sha256: str


class FileStore:
    """Files under a folder, whole or not at all.

    Args:
        folder: Where they are; made at the first upload.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sweep(self) -> None:
        """Drop what uploads left that were cut short by a kill, a day ago or earlier."""
        for part in self._folder.glob("*.part-*"):
            if part.stat().st_mtime < time.time() - _SWEPT_AFTER_S:
                part.unlink(missing_ok=True)

    def add(
        self,
        stream: Readable,
        *,
        filename: str,
        purpose: Purpose,
        expires_at: int | None = None,
        file_id: str | None = None,
    ) -> StoredFile:
        """Keep what a stream holds.

        Args:
            stream: The bytes, from where it stands.
            filename: What its owner calls it.
            purpose: What it is for.
            expires_at: When it is gone, in seconds since 1970.
            file_id: Its id, where the caller must find it again; else one is made.

        Raises:
            StoreError: the disk won't take it.
        """
        file_id = file_id or "file-" + "".join(secrets.choice(ALPHABET) for _ in range(24))
        part = self._folder / f"{file_id}.part-{secrets.token_hex(4)}"
        digest = hashlib.sha256()
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with part.open("xb") as kept:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
                    kept.write(chunk)
                kept.flush()
                os.fsync(kept.fileno())
            file = StoredFile(
                id=file_id,
                bytes=part.stat().st_size,
                created_at=time.time(),
                expires_at=expires_at,
                filename=filename,
                purpose=purpose,
                sha256=digest.hexdigest(),
            )
            part.replace(self.path(file_id))
            part.write_text(file.model_dump_json(), encoding="utf-8")
            part.replace(self._document(file_id))
        except OSError as error:
            raise StoreError(f"the file could not be kept: {error.strerror}") from None
        finally:
            with contextlib.suppress(OSError):  # a disk that fails is already told
                part.unlink(missing_ok=True)
        return file

    def newest_first(self, purpose: str | None = None) -> list[StoredFile]:
        """Every file, newest first."""
        names = [document.stem for document in self._folder.glob("file-*.json")]
        files = [file for name in names if (file := self._find(name)) is not None]
        chosen = [file for file in files if purpose in (None, file.purpose)]
        return sorted(chosen, key=lambda file: (file.created_at, file.id), reverse=True)

    def get(self, file_id: str) -> StoredFile:
        """One file.

        Raises:
            NotFoundHere: there is none, or it has expired.
        """
        file = self._find(file_id)
        if file is None:
            raise NotFoundHere(f"No such File object: {file_id[:80]}")
        return file

    def has(self, file_id: str) -> bool:
        """Whether there is such a file."""
        return self._find(file_id) is not None

    def path(self, file_id: str) -> Path:
        """Where a file's bytes are; the name ends as fine-tuning files do."""
        return self._folder / f"{file_id}.jsonl"

    def delete(self, file_id: str) -> None:
        """Forget a file; a job that was made of it keeps its own copy.

        Raises:
            NotFoundHere: there is none.
        """
        self.get(file_id)
        self._remove(file_id)

    def _find(self, file_id: str) -> StoredFile | None:
        if not _ID.fullmatch(file_id):  # never a path
            return None
        try:
            file = StoredFile.model_validate_json(self._document(file_id).read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            raise StoreError(f"{self._document(file_id)}: damaged") from None
        if file.expires_at is not None and file.expires_at <= time.time():
            self._remove(file_id)
            return None
        return file

    def _remove(self, file_id: str) -> None:
        self._document(file_id).unlink(missing_ok=True)
        self.path(file_id).unlink(missing_ok=True)

    def _document(self, file_id: str) -> Path:
        return self._folder / f"{file_id}.json"
