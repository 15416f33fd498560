"""The bearer token of `ftctl serve`: from the environment, or kept under the ftctl home."""

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from ftctl.config import Settings
from ftctl.errors import StoreError, UsageError

VARIABLE = "FTCTL_SERVER_TOKEN"


@dataclass(frozen=True)
class ServerToken:
    """The token and where it stands; the token is never part of the repr.

    Attributes:
        value: What clients send as their key.
        origin: The variable or the file it is from.
        made: Whether it was made by this call, so that its owner hasn't seen it yet.
    """

    value: str = field(repr=False)
    origin: str
    made: bool = False


def token_file(settings: Settings) -> Path:
    """Where the token is kept when the environment has none."""
    return settings.home / "server" / "token"


def find_token(settings: Settings) -> ServerToken | None:
    """The token that is set or was made before, or None.

    Raises:
        UsageError: it can't be sent in a header, or is too short to protect anything.
        StoreError: the file can't be read.
    """
    given = os.environ.get(VARIABLE, "").strip()
    if given:
        return ServerToken(_sendable(given, VARIABLE), VARIABLE)
    file = token_file(settings)
    try:
        return ServerToken(_sendable(file.read_text("ascii", "replace").strip(), file), str(file))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{file}: can't be read: {error.strerror}") from None


def make_token(settings: Settings) -> ServerToken:
    """Make a token and keep it in a file that only its owner can read; an older one is void.

    Raises:
        StoreError: the file can't be written.
    """
    file = token_file(settings)
    part = file.with_name(f"{file.name}.part-{os.getpid()}")
    value = "ftctl-" + secrets.token_urlsafe(32)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(value + "\n")
        part.replace(file)
    except OSError as error:
        raise StoreError(
            f"{file}: can't be written: {error.strerror}", hint=f"or set {VARIABLE}"
        ) from None
    return ServerToken(value, str(file), made=True)


def _sendable(value: str, origin: str | Path) -> str:
    if len(value) < 16 or not value.isascii() or not value.isprintable() or " " in value:
        raise UsageError(
            f"{origin}: a token has at least 16 printable ASCII characters and no space",
            hint="ftctl token --new makes one",
        )
    return value
