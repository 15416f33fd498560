"""Files at a vendor of OpenAI's wire: sent once, whole or in parts, and found again by content."""

import contextlib
import hashlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from ftctl.errors import FtctlError, InvalidRequest, Unavailable, UsageError
from ftctl.providers.openai import wire as wire
from ftctl.providers.openai.connection import Connection
from ftctl.providers.openai.profiles import MB, Profile
from ftctl.providers.sending import OURS, name_of
from ftctl.providers.transport.documents import Item
from ftctl.providers.transport.http_connection import UPLOAD_TIMEOUT_S, timeout

_LARGEST_UPLOAD = 8 * 1024 * MB  # of all parts together
_IMPORT_S = 600.0  # how long to wait until a file may be used

_log = logging.getLogger(__name__)


class Files:
    """The files of an account.

    Args:
        at: Where they are.
        who: Whom messages name.
        profile: The vendor's dialect.
    """

    def __init__(self, at: Connection, who: str, profile: Profile) -> None:
        self._at, self._who, self._profile = at, who, profile

    def all(self) -> Iterator[wire.File]:
        """Every file, page by page."""
        return self._at.rows(
            "list files", wire.File, lambda c, q: c.files.with_raw_response.list(**q)
        )

    def ours(self) -> set[str]:
        """The ids of those that ftctl sent."""
        return {file.id for file in self.all() if file.filename.startswith(OURS)}

    def hold(self, file: Path, sha256: str) -> str:
        """The id of a file there, which is sent unless there is one of this content.

        Its name is its hash, so an upload that was cut short is found, or made anew.

        Raises:
            UsageError: it is larger than the vendor takes.
            InvalidRequest: the vendor can't use it.
            Unavailable: it isn't ready for use yet.
        """
        name = name_of(sha256)
        size = file.stat().st_size
        for held in self.all():
            if held.filename == name and held.bytes == size and held.status != "error":
                _log.info("%s: holds %s already, as %s", self._who, name, held.id)
                return self._usable(held).id
        if size <= self._profile.largest_file:
            return self._usable(self._send(file, name)).id
        if not self._profile.has_uploads or size > _LARGEST_UPLOAD:
            limit = _LARGEST_UPLOAD if self._profile.has_uploads else self._profile.largest_file
            raise UsageError(
                f"{file} has {size / MB:,.0f} MB; {self._who} takes {limit / MB:,.0f} MB",
                hint="ftctl data split",
            )
        return self._usable(self._send_parts(file, name, size)).id

    def _send(self, file: Path, name: str) -> wire.File:
        with file.open("rb") as stream:
            return self._at.one(
                "take a file",
                wire.File,
                lambda c: c.files.with_raw_response.create(
                    file=(name, stream, "application/jsonl"),
                    purpose="fine-tune",
                    timeout=timeout(UPLOAD_TIMEOUT_S),
                ),
            )

    def _send_parts(self, file: Path, name: str, size: int) -> wire.File:
        """Send a large file; what a crash leaves of it, the vendor drops within the hour."""
        upload = self._at.one(
            "begin an upload",
            wire.Upload,
            lambda c: c.uploads.with_raw_response.create(
                bytes=size, filename=name, mime_type="text/jsonl", purpose="fine-tune"
            ),
        )
        try:
            parts = []
            digest = hashlib.md5(usedforsecurity=False)  # what the vendor compares
            for chunk in _chunks(file, self._profile.part_bytes):
                digest.update(chunk)
                parts.append(self._send_part(upload.id, chunk))
                _log.info("%s: %s has %d parts of %s", self._who, upload.id, len(parts), name)
            done = self._at.one(
                "complete an upload",
                wire.Upload,
                lambda c: c.uploads.with_raw_response.complete(
                    upload.id, part_ids=parts, md5=digest.hexdigest()
                ),
            )
        except BaseException:
            with contextlib.suppress(FtctlError):
                self._at.ask(
                    f"cancel {upload.id}", lambda c: c.uploads.with_raw_response.cancel(upload.id)
                )
            raise
        if done.file is None:
            raise Unavailable(
                f"{self._who} completed {upload.id} and names no file",
                hint="run the same command again",
            )
        return done.file

    def _send_part(self, upload_id: str, chunk: bytes) -> str:
        return self._at.one(
            "take a part of a file",
            Item,
            lambda c: c.uploads.parts.with_raw_response.create(
                upload_id, data=chunk, timeout=timeout(UPLOAD_TIMEOUT_S)
            ),
        ).id

    def _usable(self, file: wire.File) -> wire.File:
        """The file once a job may be made of it: some vendors import it first."""
        if not self._profile.imports_files:
            return file
        began, wait = time.monotonic(), 0.1
        while file.status not in ("processed", "error", "deleted"):
            if time.monotonic() - began > _IMPORT_S:
                raise Unavailable(
                    f"{self._who} still imports {file.id} ({file.status})",
                    hint="run the same command again: the file isn't sent anew",
                )
            time.sleep(wait)
            wait = min(2 * wait, 5.0)
            file = self._at.one(
                f"show file {file.id}",
                wire.File,
                lambda c, held=file.id: c.files.with_raw_response.retrieve(held),  # type: ignore[misc]
            )
        if file.status != "processed":
            raise InvalidRequest(
                f"{self._who} can't use {file.id}: its import ended as {file.status}",
                hint="ftctl data check FILE --for openai",
            )
        return file

    def delete(self, file_id: str) -> None:
        """Delete a file and see that it is gone.

        Raises:
            Unavailable: it is still there.
        """
        self._at.delete(
            file_id,
            lambda c: c.files.with_raw_response.delete(file_id),
            lambda c: c.files.with_raw_response.retrieve(file_id),
        )


def _chunks(file: Path, size: int) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while chunk := stream.read(size):
            yield chunk
