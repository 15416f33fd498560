"""What identifies a file: the hash of its bytes."""

import hashlib
from pathlib import Path

from ftctl.errors import UsageError


def file_sha256(file: Path) -> str:
    """The sha256 of a file, in hexadecimal.

    Raises:
        UsageError: it can't be read.
    """
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(
            f"{file}: {error.strerror or error}", hint="name a JSONL file that can be read"
        ) from None
