"""Files at Together: reserved, put to a signed link, checked there.

The order is the official SDK's, together 3.1.1: the vendor answers the first question with the
link as `Location` and the file's id as `X-Together-File-Id`.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from ftctl.errors import DataInvalid, Unavailable
from ftctl.providers.sending import name_of
from ftctl.providers.together.wire import File, Files
from ftctl.providers.transport.http_connection import HttpConnection, require_key, segment
from ftctl.providers.transport.http_errors import parsed, status_error
from ftctl.providers.transport.signed_links import hide_signatures, send_to_link

LOOK_EVERY_S = 2.0
LOOKS = 300  # ten minutes: a check of 5 GB takes its time
_CHECKING = frozenset({"PENDING", "QUEUED", "RUNNING"})
_log = logging.getLogger(__name__)


class TogetherFiles:
    """The account's files.

    Args:
        at: Where to ask.
        who: Whom messages name.
        base_url: Of the vendor's API.
        sleep: How to wait, in seconds.
    """

    def __init__(
        self, at: HttpConnection, who: str, base_url: str, sleep: Callable[[float], None]
    ) -> None:
        self._at = at
        self._who = who
        self._base_url = base_url
        self._sleep = sleep

    def bring(self, file: Path, sha256: str) -> str:
        """The id of a file of this content there, sent if need be, once its check has passed.

        Raises:
            DataInvalid: the check refuses it.
            Unavailable: no verdict came.
        """
        name = name_of(sha256)
        for held in self._at.one("list files", Files, "GET", "/files").data:
            # What is only reserved has never come: it is sent anew.
            if held.filename == name and held.processing_status not in (None, "PENDING", "FAILED"):
                _log.info("%s: holds %s already, as %s", self._who, name, held.id)
                return self._checked(file, held)
        return self._checked(file, self._send(file, name, sha256))

    def show(self, file_id: str) -> File:
        """What is said of a file."""
        return self._at.one(f"show file {file_id}", File, "GET", f"/files/{segment(file_id)}")

    def _send(self, file: Path, name: str, sha256: str) -> File:
        file_id, link = self._reserve(name, sha256)
        if link is None:
            return self.show(file_id)
        send_to_link(file, link, who=self._who, base_url=self._base_url)
        path = f"/files/{segment(file_id)}/preprocess"
        return self._at.one(f"check file {file_id}", File, "POST", path)

    def _reserve(self, name: str, sha256: str) -> tuple[str, str | None]:
        """The id of a file that is to come and the link that takes it; no link: it is there."""
        doing = "take a file"
        fields = {"purpose": "fine-tune", "file_name": name, "file_type": "jsonl"}
        fields["checksum"] = sha256
        form = {field: (None, value) for field, value in fields.items()}
        hide_signatures()
        with self._at.asking(doing) as client:
            answer = client.post("/files", files=form)
        said = parsed(answer.content)
        link, file_id = answer.headers.get("location"), answer.headers.get("x-together-file-id")
        if (answer.status_code == 302 or answer.is_success) and link and file_id:
            return file_id, link
        known = said.get("file_id") if isinstance(said, dict) else None
        if answer.status_code == 409 and isinstance(known, str) and known:
            return known, None  # the same content, under any name
        raise status_error(
            who=self._who,
            doing=doing,
            status=answer.status_code,
            headers=answer.headers,
            body=said,
            credential=require_key("together", self._who),
        )

    def _checked(self, file: Path, held: File) -> str:
        for _ in range(LOOKS):
            if held.processing_status not in _CHECKING:
                break
            self._sleep(LOOK_EVERY_S)
            held = self.show(held.id)
        report = held.validation_report
        if held.processing_status == "INVALID_FORMAT" or (report and report.valid is False):
            said = (report and report.error_message) or "it gives no reason"
            raise DataInvalid(
                f"{file}: {self._who} refuses it: {said}", hint=f"ftctl data check {file}"
            )
        if held.processing_status in (*_CHECKING, "FAILED"):
            raise Unavailable(
                f"{self._who} has not checked {file.name} ({held.processing_status}, {held.id})",
                hint="run the same command again",
            )
        return held.id
