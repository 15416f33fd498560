"""The bytes of a job's file: here on disk, or raw at an https address; read, never run."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from ftctl.config import is_loopback, mask_url
from ftctl.errors import NotFound, Unavailable, UsageError
from ftctl.providers.transport.http_connection import open_client

_MOST_BYTES = 256_000  # a configuration is a page of text; anything larger is something else
_MOST_HOPS = 5
_MOST_S = 60.0  # for the whole file, however slowly it comes


@dataclass(frozen=True)
class Source:
    """What was read.

    Attributes:
        place: Where, as it may be shown and kept: a whole path, or the address without a key.
        name: The last part of it.
        text: The content.
        sha256: Of its bytes.
        remote: Whether somebody else wrote it.
    """

    place: str
    name: str
    text: str
    sha256: str
    remote: bool


def read_source(place: str) -> Source:
    """Read a file, or fetch an address.

    Raises:
        UsageError: it can't be read, is too large or no text, or isn't https all the way.
        NotFound: nothing is there.
        Unavailable: nobody answers.
    """
    remote = "://" in place
    content = _fetched(place) if remote else _read(place)
    shown = (
        mask_url(place).partition("?")[0] if remote else str(Path(place).expanduser().absolute())
    )
    if len(content) > _MOST_BYTES:
        raise UsageError(f"{shown}: more than {_MOST_BYTES:,} bytes, so no job's file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown}: not UTF-8 text ({error.reason})") from None
    if text.lstrip()[:200].lower().startswith(("<!doctype", "<html")):
        raise UsageError(f"{shown}: a web page, not a file", hint="use the link to the raw file")
    name = urlsplit(place).path.rpartition("/")[2] if remote else Path(place).name
    return Source(shown, name, text, hashlib.sha256(content).hexdigest(), remote)


def _read(place: str) -> bytes:
    try:
        with Path(place).expanduser().open("rb") as stream:
            return stream.read(_MOST_BYTES + 1)
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{place}: can't be read ({why})", hint="--spec FILE") from None


def _fetched(url: str) -> bytes:
    """The body at an address; https only, at every hop, or this very machine."""
    for _ in range(_MOST_HOPS):
        _require_https(url)
        content, onward = _asked(url)
        if onward is None:
            return content
        url = urljoin(url, onward)
    raise UsageError(f"{mask_url(url)}: more than {_MOST_HOPS} redirects")


def _require_https(url: str) -> None:
    try:
        parts = urlsplit(url)
        allowed = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(url))
        whole = allowed and bool(parts.hostname)
    except ValueError:
        whole = False
    if not whole:
        raise UsageError(
            f"{mask_url(url)}: a job's file is fetched over https only",
            hint="download it, look at it, and name the file",
        )


def _asked(url: str) -> tuple[bytes, str | None]:
    """One answer: its body, or where it sends us."""
    import httpx2

    shown = mask_url(url)
    client: Any = open_client(httpx2.Client, url)
    try:
        with client, client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer:
            if answer.is_redirect:
                return b"", answer.headers["location"]
            if answer.status_code in (404, 410):
                raise NotFound(f"{shown}: nothing is there", hint="check the address")
            if answer.status_code >= 500 or answer.status_code == 429:
                raise Unavailable(f"{shown}: answered {answer.status_code}", hint="run it again")
            if answer.status_code != 200:
                raise UsageError(
                    f"{shown}: answered {answer.status_code}", hint="download it yourself"
                )
            content, started = b"", time.monotonic()
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > _MOST_BYTES:
                    break
                if time.monotonic() - started > _MOST_S:
                    raise Unavailable(f"{shown}: comes too slowly", hint="download it yourself")
            return content, None
    except httpx2.InvalidURL as error:
        raise UsageError(f"{shown}: {error}") from None
    except httpx2.RequestError as error:
        why = str(error) or type(error).__name__
        raise Unavailable(f"{shown}: can't be fetched ({why})", hint="run it again") from None
