"""Uploads in parts, as the loopback vendor takes them: OpenAI's Uploads API."""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ftctl.testing.loopback import Answer, Json, Request, form_fields

LARGEST_PART = 64 * 2**20  # bytes


@dataclass
class _Upload:
    document: Json
    parts: dict[str, bytes] = field(default_factory=dict)


class Parts:
    """The uploads that were begun.

    Args:
        keep: Makes a file of name, purpose and content; what the API says of it.
    """

    def __init__(self, keep: Callable[[str, str, bytes], Json]) -> None:
        self._keep = keep
        self.begun: dict[str, _Upload] = {}

    def answer(self, rest: list[str], request: Request) -> Answer | None:
        """What a POST below `/uploads` gets; None where there is no such thing."""
        if not rest:
            return Answer(self._begin(request.json()))
        upload = self.begun.get(rest[0])
        if upload is None or upload.document["status"] != "pending":
            return None
        match rest[1:]:
            case ["parts"]:
                return self._part(upload, request)
            case ["complete"]:
                return self._complete(upload, request.json())
            case ["cancel"]:
                upload.document["status"] = "cancelled"
                return Answer(upload.document)
        return None

    def _begin(self, asked: Json) -> Json:
        now = int(time.time())
        document = {
            "id": f"upload_{secrets.token_hex(6)}",
            "object": "upload",
            "bytes": asked["bytes"],
            "created_at": now,
            "expires_at": now + 3600,
            "filename": asked["filename"],
            "purpose": asked["purpose"],
            "status": "pending",
            "file": None,
        }
        self.begun[document["id"]] = _Upload(document)
        return document

    @staticmethod
    def _part(upload: _Upload, request: Request) -> Answer | None:
        _, content = form_fields(request)["data"]
        if len(content) > LARGEST_PART:
            return None
        part = f"part_{secrets.token_hex(6)}"
        upload.parts[part] = content
        made = {"id": part, "object": "upload.part", "created_at": int(time.time())}
        return Answer(made | {"upload_id": upload.document["id"]})

    def _complete(self, upload: _Upload, asked: Json) -> Answer | None:
        content = b"".join(upload.parts[part] for part in asked["part_ids"])
        right = asked.get("md5") in (None, hashlib.md5(content, usedforsecurity=False).hexdigest())
        if len(content) != upload.document["bytes"] or not right:
            return None
        upload.document["status"] = "completed"
        named, purpose = upload.document["filename"], upload.document["purpose"]
        upload.document["file"] = self._keep(named, purpose, content)
        return Answer(upload.document)
