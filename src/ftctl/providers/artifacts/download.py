"""Files that a vendor sends: streamed, gone on with where they broke off, from safe addresses only.

    Download(...)      one file to bring home, however its bytes come
    http_download(...) the same over HTTP: a signed link, or a path of the vendor's own API

What is received goes to a disk by `ftctl.providers.artifacts.result_folder.write_results` alone.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from ftctl.config import Credential, direct_mounts
from ftctl.errors import ProviderError, Unavailable
from ftctl.providers.transport.http_connection import TIMEOUT_S, timeout
from ftctl.providers.transport.http_errors import connection_error, parsed, status_error
from ftctl.providers.transport.signed_links import (
    hide_signatures,
    origin_of,
    require_safe_link,
)

if TYPE_CHECKING:
    import httpx2

MAX_REDIRECTS = 3
_LONGEST_REFUSAL = 64 << 10  # bytes that are read of an error document

Progress = Callable[[str, int, int | None], None]
"""Told a file's name, the bytes that are here, and those of the whole file where it is known."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A file on its way.

    Attributes:
        chunks: Its bytes from `start` on; flat memory, so never all at once.
        start: Where in the file the first of them stands; -1 when the sender doesn't say.
        total: Bytes of the whole file; None when the sender doesn't say.
        version: What changes when the file at this address does (a strong ETag, else
            Last-Modified); None when there is nothing, and then only a known sha256 lets a
            broken transfer go on.
    """

    chunks: Iterator[bytes]
    start: int = 0
    total: int | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Download:
    """One file to bring home.

    Attributes:
        open: Opens it at an offset, in bytes, if it still is the version that we hold; a sender
            that can't, or holds another version, sends it from 0.
        size: Bytes that the vendor says it has; checked.
        sha256: In hexadecimal, where the vendor says it; checked.
    """

    open: Callable[[int, str | None], AbstractContextManager[Stream]]
    size: int | None = None
    sha256: str | None = None


def http_download(
    what: str,
    link: Callable[[], str],
    *,
    who: str,
    base_url: str,
    credential: Credential | None = None,
    size: int | None = None,
    sha256: str | None = None,
) -> Download:
    """A file that is asked for over HTTP.

    The key goes to the base URL's own host, scheme and port and nowhere else: never to a signed
    link elsewhere, never along a redirect. The address is https, or on this machine where the
    base URL is too. Nothing is repeated here: the next fetch goes on.

    Args:
        what: What messages call it, such as `adapter_model.safetensors`.
        link: Gives the whole URL, each time it is opened: signed links run out.
        who: Whom messages name.
        base_url: Of the vendor's API.
        credential: The key for it; None where the link needs none.
        size: Bytes, where the vendor says them.
        sha256: In hexadecimal, where the vendor says it.
    """
    source = _Source(what, link, who, base_url, credential)
    return Download(source.open, size, sha256)


@dataclass(frozen=True)
class _Source:
    what: str
    link: Callable[[], str]
    who: str
    base_url: str
    credential: Credential | None

    @property
    def doing(self) -> str:
        return f"send {self.what}"

    @contextmanager
    def open(self, offset: int, version: str | None) -> Iterator[Stream]:
        """The file from `offset` on, or from 0 where that can't be had."""
        url = self.link()
        credential = self.credential if origin_of(url) == origin_of(self.base_url) else None
        for _ in range(MAX_REDIRECTS + 1):
            require_safe_link(self.what, url, who=self.who, base_url=self.base_url)
            with self._answer(url, credential, _headers(offset, version)) as response:
                away = response.headers.get("location") if response.is_redirect else None
                if away is None:
                    yield self._stream(response, offset, version, credential)
                    return
            url, credential = urljoin(url, away), None
        raise Unavailable(f"asked to {self.doing}, {self.who} points from one place to the next")

    @contextmanager
    def _answer(
        self, url: str, credential: Credential | None, headers: dict[str, str]
    ) -> "Iterator[httpx2.Response]":
        import httpx2

        hide_signatures()
        if credential is not None:
            headers["Authorization"] = f"Bearer {credential.key}"
        try:
            with (
                httpx2.Client(
                    follow_redirects=False,
                    timeout=timeout(TIMEOUT_S),
                    mounts=direct_mounts(url),
                ) as client,
                client.stream("GET", url, headers=headers) as response,
            ):
                yield response
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise connection_error(
                who=self.who, doing=self.doing, url=url, error=error
            ) from None  # its text may hold a signature

    def _stream(
        self,
        response: "httpx2.Response",
        offset: int,
        version: str | None,
        credential: Credential | None,
    ) -> Stream:
        headers = response.headers
        held = _version(headers)
        if response.status_code == 416 and offset:
            # Nothing stands at our offset: we hold all of it, or it is another file by now.
            _, total = _range(headers)
            return Stream(iter(()), offset, total, held or (version if total == offset else None))
        if response.status_code == 206:
            start, total = _range(headers)
            return Stream(response.iter_raw(), start, total, held or version)
        if response.status_code != 200:
            raise self._refusal(response, credential)
        if headers.get("content-encoding", "identity") != "identity":
            return Stream(response.iter_bytes())
        length = headers.get("content-length", "")
        total = int(length) if re.fullmatch(r"\d{1,18}", length) else None
        return Stream(response.iter_raw(), 0, total, held)

    def _refusal(self, response: "httpx2.Response", credential: Credential | None) -> ProviderError:
        if credential is None and response.status_code in (401, 403):
            return Unavailable(
                f"the link to {self.what} that {self.who} gave is refused "
                f"({response.status_code}): it may have run out",
                hint="run the same command again: a new link is asked for",
            )
        return status_error(
            who=self.who,
            doing=self.doing,
            status=response.status_code,
            headers=response.headers,
            body=_document(response),
            credential=credential or Credential("", "no key was sent", self.who),
        )


def _headers(offset: int, version: str | None) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity"}  # a range of what is kept, not of what is packed
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if version is not None:
            headers["If-Range"] = version
    return headers


def _version(headers: Mapping[str, str]) -> str | None:
    tag = headers.get("etag", "")
    return tag if tag.startswith('"') else headers.get("last-modified")


def _range(headers: Mapping[str, str]) -> tuple[int, int | None]:
    """Start and total of a Content-Range: `bytes 5-9/10`, or `bytes */10` where none was sent."""
    found = re.fullmatch(
        r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(\d{1,18}|\*)", headers.get("content-range", "").strip()
    )
    if found is None:
        return -1, None
    start, total = found.groups()
    return int(start) if start else -1, None if total == "*" else int(total)


def _document(response: "httpx2.Response") -> object:
    content = b""
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > _LONGEST_REFUSAL:
            return None
    return parsed(content)
