"""One way to ask an API that speaks OpenAI's wire: the official SDK, and our errors.

The SDK repeats nothing here (it would send a create twice) and follows no redirect (the key and
the rows go to the job's own base URL and nowhere else). Proxy and certificate variables of the
environment are honoured by its HTTP client.
"""

import functools
import json
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from ftctl.config import require_base_url
from ftctl.errors import ExtraMissing, NotFound, Unavailable, UsageError
from ftctl.providers.openai import wire as wire
from ftctl.providers.transport.documents import Document, Item
from ftctl.providers.transport.http_connection import (
    TIMEOUT_S,
    open_client,
    require_key,
    timeout,
)
from ftctl.providers.transport.http_errors import (
    connection_error,
    no_answer,
    status_error,
    still_there,
    vendor_words,
)

if TYPE_CHECKING:
    from openai import OpenAI
    from openai._legacy_response import HttpxBinaryResponseContent, LegacyAPIResponse

    Answered = LegacyAPIResponse[Any] | HttpxBinaryResponseContent

PAGE = 100

_Doc = TypeVar("_Doc", bound=Document)
_Row = TypeVar("_Row", bound=Item)


class Connection:
    """Asks one base URL; opened at the first question.

    Args:
        who: Whom messages name.
        base_url: Where to ask.
        provider: Whose key opens it.
    """

    def __init__(self, who: str, base_url: str, provider: str = "openai") -> None:
        self._who = who
        self._base_url = base_url
        self._provider = provider

    def require(self) -> None:
        """Refuse when it can't be asked at all.

        Raises:
            ExtraMissing, CredentialsMissing: no SDK, or no usable key.
            UsageError: what is given isn't a base URL.
        """
        _require_sdk()
        require_key(self._provider, self._who)
        require_base_url(self._base_url)

    def rows(
        self,
        doing: str,
        row: type[_Row],
        page: "Callable[[OpenAI, dict[str, Any]], Answered]",
    ) -> Iterator[_Row]:
        """Every row of a list, page by page.

        Raises:
            Unavailable: a gateway sends the same page again, and there is more or may be.
        """
        seen: set[str] = set()
        page_of = wire.page_of(row)
        query: dict[str, Any] = {"limit": PAGE}
        while True:
            content = self.ask(doing, lambda c: page(c, query))  # noqa: B023 - called at once
            found = self._parsed(doing, page_of, content)
            fresh = {item.id: item for item in found.data if item.id not in seen}
            yield from fresh.values()
            seen |= set(fresh)
            if not found.data or found.has_more is False:
                return
            if not fresh:
                if found.has_more is None and len(found.data) != PAGE:
                    return  # of a gateway that turns no pages, and cuts none
                raise Unavailable(f"asked to {doing}, {self._who} sends the same page for ever")
            query = {"limit": PAGE, "after": found.data[-1].id}

    def one(
        self,
        doing: str,
        document: type[_Doc],
        call: "Callable[[OpenAI], Answered]",
    ) -> _Doc:
        """A document that is asked for; `Unavailable` when something else comes."""
        return self._parsed(doing, document, self.ask(doing, call))

    def _parsed(self, doing: str, document: type[_Doc], content: bytes) -> _Doc:
        try:
            return document.model_validate_json(content)
        except ValidationError:
            raise self._no_answer(doing) from None

    def ask(
        self,
        doing: str,
        call: "Callable[[OpenAI], Answered]",
    ) -> bytes:
        """The body of an answer.

        Args:
            doing: What is asked, after "asked to".
            call: Asks it of the SDK.

        Raises:
            Unavailable: no whole answer; what was asked may have been done.
            ProviderError: a definite no. No message holds the key.
        """
        with self.asking(doing) as client:
            return call(client).content

    def delete(
        self,
        what: str,
        delete: "Callable[[OpenAI], Answered]",
        show: "Callable[[OpenAI], Answered]",
    ) -> None:
        """Delete a thing and see that it is gone; harmless when it was before.

        Raises:
            Unavailable: it is still there.
        """
        try:
            self.ask(f"delete {what}", delete)
            self.ask(f"show {what}", show)
        except NotFound:
            return
        raise still_there(self._who, what)

    @contextmanager
    def asking(self, doing: str) -> "Iterator[OpenAI]":
        """The SDK's client, whose errors become ours; the same as `ask` raises.

        Args:
            doing: What is asked, after "asked to".
        """
        client = self._client
        import httpx2
        import openai

        credential = require_key(self._provider, self._who)
        broken = functools.partial(connection_error, who=self._who, doing=doing, url=self._base_url)
        try:
            yield client
        except openai.APIStatusError as error:
            raise status_error(
                who=self._who,
                doing=doing,
                status=error.status_code,
                headers=error.response.headers,
                body=error.body,
                credential=credential,
            ) from None
        except (openai.APIConnectionError, httpx2.RequestError) as error:  # the latter: a stream
            raise broken(error=error) from None
        except openai.APIError as error:  # told in the middle of a stream
            said = vendor_words(error.body, credential)
            raise Unavailable(f"asked to {doing}, {self._who} broke off: {said}") from None
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise self._no_answer(doing) from None
        except ValueError as error:  # an id that can't stand in a URL; its text may hold anything
            raise UsageError(
                f"{self._who} can't be asked to {doing} ({type(error).__name__})",
                hint="check the id and the base URL",
            ) from None

    def _no_answer(self, doing: str) -> Unavailable:
        hint = "is this the base URL of an API that speaks OpenAI's wire? ftctl doctor"
        return no_answer(self._who, doing, hint)

    @functools.cached_property
    def _client(self) -> "OpenAI":
        self.require()
        from openai import DefaultHttpxClient, OpenAI

        http = open_client(DefaultHttpxClient, self._base_url)
        weakref.finalize(self, http.close)
        return OpenAI(
            api_key=require_key(self._provider, self._who).key,
            base_url=self._base_url,  # always said, or the environment's would win
            max_retries=0,
            timeout=timeout(TIMEOUT_S),
            http_client=http,
        )


def _require_sdk() -> None:
    try:
        import openai  # noqa: F401 - only whether it is there
    except ImportError:
        raise ExtraMissing("openai", "fine-tuning at OpenAI or a gateway") from None
