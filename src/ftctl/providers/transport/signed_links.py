"""Addresses that a vendor signed: the link is the key, and ours goes nowhere near it."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from typing_extensions import override

from ftctl.config import direct_mounts, is_loopback
from ftctl.errors import PrivacyForbids, Unavailable
from ftctl.providers.transport.http_connection import UPLOAD_TIMEOUT_S, timeout
from ftctl.providers.transport.http_errors import connection_error

_BLOCK = 1 << 20  # bytes
_LOGGERS = ("httpx2", "httpcore2.http11", "httpcore2.http2")
_QUERY = re.compile(r"(?<=[^\s'\"?])\?[^\s'\"]+")


def require_safe_link(what: str, url: str, *, who: str, base_url: str) -> None:
    """Refuse an address that isn't https, or that is on this machine when the vendor isn't.

    Args:
        what: What messages call the file.
        url: The whole address.
        who: Whom messages name.
        base_url: Of the vendor's API.

    Raises:
        Unavailable: it isn't used; no message holds its signature.
    """
    parts = urlsplit(url)
    here = is_loopback(url)
    if here and not is_loopback(base_url):
        raise Unavailable(f"{who} says that {what} is on this machine: not asked for")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and here)):
        where = parts.hostname or "no host"
        raise Unavailable(f"{who} gives an address for {what} that isn't https ({where}): not used")


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port: a key goes nowhere else."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def require_rows_stay(what: str, url: str, *, who: str, base_url: str) -> None:
    """Refuse to send elsewhere what was let go because the vendor is this machine.

    Args: as of `require_safe_link`.

    Raises:
        PrivacyForbids: the vendor is this machine, and the address isn't.
    """
    if is_loopback(base_url) and not is_loopback(url):
        raise PrivacyForbids(
            f"{who} is this machine, and wants {what} at {urlsplit(url).hostname}: not sent",
            hint="name that machine's own address as --base-url if the rows may go there",
        )


def send_to_link(file: Path, url: str, *, who: str, base_url: str) -> None:
    """Put a file where a signed link points, streamed from the disk and without our key.

    Args:
        file: What is sent.
        url: The whole address; no redirect from it is followed.
        who: Whom messages name.
        base_url: Of the vendor's API.

    Raises:
        Unavailable: the link isn't safe, is refused, or gave no whole answer.
        PrivacyForbids: the vendor is this machine, and the link isn't.
    """
    require_safe_link(file.name, url, who=who, base_url=base_url)
    require_rows_stay(file.name, url, who=who, base_url=base_url)
    import httpx2

    hide_signatures()
    headers = {"Content-Type": "application/octet-stream"}
    headers["Content-Length"] = str(file.stat().st_size)
    doing = f"take {file.name}"
    try:
        with (
            file.open("rb") as stream,
            httpx2.Client(
                follow_redirects=False,
                timeout=timeout(UPLOAD_TIMEOUT_S),
                mounts=direct_mounts(url),
            ) as client,
        ):
            answer = client.put(url, content=_blocks(stream), headers=headers)
    except (httpx2.RequestError, httpx2.InvalidURL) as error:
        raise connection_error(who=who, doing=doing, url=url, error=error) from None
    if not answer.is_success:
        raise Unavailable(
            f"the link that {who} gave to {doing} is refused ({answer.status_code}): "
            "it may have run out",
            hint="run the same command again: a new link is asked for",
        )


def hide_signatures() -> None:
    """Take the query out of the URLs that the HTTP client logs: it is what signs a link.

    To be called before the first request whose answer may hold one.
    """
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_UNSIGNED)


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block


class _Unsigned(logging.Filter):
    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, str):  # headers of an answer, Location among them
            record.msg = _QUERY.sub("?***", record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(_unsigned(value) for value in record.args)
        return True


def _unsigned(value: object) -> object:
    import httpx2

    return value.copy_with(query=None) if isinstance(value, httpx2.URL) else value


_UNSIGNED = _Unsigned()
