"""One way to ask a vendor whose SDK we don't use: plain HTTP, and our errors.

Nothing is repeated here (a create would be sent twice) and no redirect is followed (the key and
the rows go to the job's own base URL and nowhere else). Proxy and certificate variables of the
environment are honoured.
"""

import functools
import re
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from ftctl.config import (
    CREDENTIAL_VARIABLES,
    NETWORK_VARIABLES,
    Credential,
    direct_mounts,
    find_credential,
    require_base_url,
)
from ftctl.errors import CredentialsMissing, NotFound, Unavailable, UsageError
from ftctl.providers.transport.documents import Document
from ftctl.providers.transport.http_errors import (
    connection_error,
    no_answer,
    parsed,
    status_error,
    still_there,
)

if TYPE_CHECKING:
    import httpx2

CONNECT_TIMEOUT_S = 10.0
TIMEOUT_S = 60.0
UPLOAD_TIMEOUT_S = 600.0  # for each write and for the answer
_LARGEST_ANSWER = 64 << 20  # bytes of a JSON document; files are streamed elsewhere

_Doc = TypeVar("_Doc", bound=Document)
_Client = TypeVar("_Client")


class HttpConnection:
    """Asks one base URL; opened at the first question.

    Args:
        who: Whom messages name.
        base_url: Where to ask.
        provider: Whose key opens it.
    """

    def __init__(self, who: str, base_url: str, provider: str) -> None:
        self._who = who
        self._base_url = base_url.rstrip("/")
        self._provider = provider

    def require(self) -> None:
        """Refuse when it can't be asked at all.

        Raises:
            CredentialsMissing: no usable key.
            UsageError: what is given isn't a base URL.
        """
        require_key(self._provider, self._who)
        require_base_url(self._base_url)

    def one(
        self,
        doing: str,
        document: type[_Doc],
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> _Doc:
        """A document that is asked for; the same as `ask` raises.

        Raises:
            Unavailable: something else comes.
        """
        return self.read(doing, document, self.ask(doing, method, path, query=query, body=body))

    def read(self, doing: str, document: type[_Doc], content: bytes) -> _Doc:
        """The document that an answer holds.

        Raises:
            Unavailable: it holds something else.
        """
        try:
            return document.model_validate_json(content)
        except ValidationError:
            raise self._no_answer(doing) from None

    def ask(
        self,
        doing: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> bytes:
        """The body of an answer.

        Args:
            doing: What is asked, after "asked to".
            method: `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
            path: After the base URL; ids in it go through `segment`.
            query: What stands after the question mark.
            body: Sent as JSON.

        Raises:
            Unavailable: no whole answer; what was asked may have been done.
            ProviderError: a definite no. No message holds the key.
        """
        options: dict[str, Any] = {} if body is None else {"json": body}
        return self._ask(doing, method, path, params=dict(query or {}), **options)

    def send_file(
        self,
        doing: str,
        path: str,
        file: Path,
        *,
        name: str,
        fields: Mapping[str, str] | None = None,
        kind: str = "application/jsonl",
    ) -> bytes:
        """Send a file as a multipart form, streamed from the disk; the body of the answer.

        Args:
            doing: What is asked, after "asked to".
            path: After the base URL.
            file: What is sent, as the part `file`.
            name: The file name that the vendor is told.
            fields: The form's other parts.
            kind: The file's media type.

        Raises: as `ask`.
        """
        with file.open("rb") as stream:
            return self._ask(
                doing,
                "POST",
                path,
                files={"file": (name, stream, kind)},
                data=dict(fields or {}),
                timeout=timeout(UPLOAD_TIMEOUT_S),
            )

    def gone(self, what: str, path: str) -> None:
        """Delete a thing and see that it is gone, or going; harmless when it was before.

        Raises:
            Unavailable: it is still there.
        """
        try:
            self.ask(f"delete {what}", "DELETE", path)
            left = self.one(f"show {what}", _Left, "GET", path)
        except NotFound:
            return
        if not left.deleted and "DELETING" not in (left.state or ""):
            raise still_there(self._who, what)

    def _ask(self, doing: str, method: str, path: str, **options: Any) -> bytes:  # noqa: ANN401 - the client's own
        with self.asking(doing) as client, client.stream(method, path, **options) as response:
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > _LARGEST_ANSWER:
                    raise self._no_answer(doing)
            if not response.is_success:
                raise status_error(
                    who=self._who,
                    doing=doing,
                    status=response.status_code,
                    headers=response.headers,
                    body=parsed(content),
                    credential=require_key(self._provider, self._who),
                )
            return bytes(content)

    @contextmanager
    def asking(self, doing: str) -> "Iterator[httpx2.Client]":
        """The client, whose errors become ours; the same as `ask` raises.

        Args:
            doing: What is asked, after "asked to".
        """
        client = self._client
        import httpx2

        try:
            yield client
        except httpx2.RequestError as error:
            raise connection_error(
                who=self._who, doing=doing, url=self._base_url, error=error
            ) from None
        except httpx2.InvalidURL as error:  # its text may hold anything
            raise UsageError(
                f"{self._who} can't be asked to {doing} ({type(error).__name__})",
                hint="check the id and the base URL",
            ) from None

    def _no_answer(self, doing: str) -> Unavailable:
        return no_answer(self._who, doing)

    @functools.cached_property
    def _client(self) -> "httpx2.Client":
        self.require()
        import httpx2

        key = require_key(self._provider, self._who).key
        client = open_client(
            httpx2.Client,
            self._base_url,
            base_url=self._base_url,
            headers={"Authorization": f"Bearer {key}"},
        )
        weakref.finalize(self, client.close)
        return client


class _Left(Document):
    """What is shown of a thing after it was deleted."""

    deleted: bool = False  # Mistral shows a deleted file as such
    state: str | None = None  # Fireworks deletes what is large by and by


def open_client(make: Callable[..., _Client], url: str, **options: Any) -> _Client:  # noqa: ANN401 - of `make`
    """An HTTP client for a URL that repeats nothing and follows no redirect.

    Args:
        make: The client's class.
        url: What it will ask: this machine is asked without a proxy.
        options: What else it is made with.

    Raises:
        UsageError: a proxy or certificate variable is wrong.
    """
    try:
        return make(
            follow_redirects=False,
            timeout=timeout(TIMEOUT_S),
            mounts=direct_mounts(url),
            **options,
        )
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no connection can be set up: a proxy or certificate variable is wrong ({error})",
            hint=f"ftctl doctor shows {', '.join(NETWORK_VARIABLES[:3])} and the others",
        ) from None


def segment(text: str) -> str:
    """An id as one part of a path: whatever it holds, it names nothing else.

    Raises:
        UsageError: nothing, or dots alone, which servers read as another folder.
    """
    if not text.strip("."):
        raise UsageError(f"{text!r} is no id", hint="ftctl jobs")
    return quote(text, safe="")


def require_key(provider: str, who: str) -> Credential:
    """The provider's key.

    Args:
        provider: Whose key.
        who: Whom messages name.

    Raises:
        CredentialsMissing: there is none, or what there is can't be one.
    """
    found = find_credential(provider)
    if found is None:
        variable = CREDENTIAL_VARIABLES.get(provider, ("its key",))[0]
        raise CredentialsMissing(
            f"{who} needs a key, and {variable} isn't set",
            hint=f"export {variable}=…, or ftctl config set-key {provider}"
            + ("; for `ftctl serve` it is the server's token" if provider == "openai" else ""),
        )
    if not re.fullmatch(r"[!-~]+", found.key):
        raise CredentialsMissing(
            f"{found.origin} holds spaces or signs that no key has",
            hint=f"set {found.origin} again, without quotes or line ends",
        )
    return found


def timeout(seconds: float) -> "httpx2.Timeout":
    """Limits for one request: to connect, and for each read and write, in seconds."""
    import httpx2

    return httpx2.Timeout(seconds, connect=CONNECT_TIMEOUT_S)
