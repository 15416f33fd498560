"""One way to ask Mistral for what its SDK still has, models and chat: `mistralai` 3, our errors.

The SDK repeats nothing here and follows no redirect; it neither logs requests, whose headers hold
the key, nor sends traces of them.
"""

import functools
import json
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ftctl.config import require_base_url, switch_off_telemetry
from ftctl.errors import ExtraMissing, ProviderError, Unavailable, UsageError
from ftctl.providers.transport.http_connection import (
    TIMEOUT_S,
    open_client,
    require_key,
)
from ftctl.providers.transport.http_errors import (
    connection_error,
    no_answer,
    parsed,
    status_error,
)

if TYPE_CHECKING:
    from mistralai.client import Mistral
    from mistralai.client.errors import MistralError

_ROOT = "/v1"  # stands in every path of the SDK


class MistralSdk:
    """The SDK's client at one base URL; opened at the first question.

    Args:
        who: Whom messages name.
        base_url: Where to ask; ends with `/v1`.
    """

    def __init__(self, who: str, base_url: str) -> None:
        self._who = who
        self._base_url = base_url.rstrip("/")

    def require(self) -> None:
        """Refuse when it can't be asked at all.

        Raises:
            ExtraMissing, CredentialsMissing: no SDK, or no usable key.
            UsageError: what is given isn't a base URL that the SDK can use.
        """
        try:
            import mistralai.client  # noqa: F401 - only whether it is there
        except ImportError:
            raise ExtraMissing("mistral", "asking for models at Mistral") from None
        require_key("mistral", self._who)
        require_base_url(self._base_url)
        if not self._base_url.endswith(_ROOT):
            raise UsageError(
                f"{self._who}: Mistral's SDK asks at a base URL that ends with {_ROOT}",
                hint=f"--base-url https://host{_ROOT}",
            )

    @contextmanager
    def asking(self, doing: str) -> "Iterator[Mistral]":
        """The client, whose errors become ours.

        Args:
            doing: What is asked, after "asked to".

        Raises:
            Unavailable: no whole answer.
            ProviderError: a definite no. No message holds the key.
        """
        client = self._client
        import httpx2
        from mistralai.client.errors import MistralError, NoResponseError

        try:
            yield client
        except MistralError as error:
            raise self._error_of(doing, error) from None
        except (httpx2.RequestError, NoResponseError) as error:
            raise connection_error(
                who=self._who, doing=doing, url=self._base_url, error=error
            ) from None
        except (json.JSONDecodeError, UnicodeDecodeError, ValidationError):
            raise self._no_answer(doing) from None

    def _error_of(self, doing: str, error: "MistralError") -> ProviderError:
        if 200 <= error.status_code < 300:  # an answer that the SDK can't read
            return self._no_answer(doing)
        return status_error(
            who=self._who,
            doing=doing,
            status=error.status_code,
            headers=error.headers,
            body=parsed(error.body),
            credential=require_key("mistral", self._who),
        )

    def _no_answer(self, doing: str) -> Unavailable:
        return no_answer(self._who, doing)

    @functools.cached_property
    def _client(self) -> "Mistral":
        self.require()
        switch_off_telemetry()
        import httpx2
        from mistralai.client import Mistral
        from mistralai.client.utils.logger import NoOpLogger

        http = open_client(httpx2.Client, self._base_url)
        weakref.finalize(self, http.close)
        return Mistral(
            api_key=require_key("mistral", self._who).key,
            server_url=self._base_url.removesuffix(_ROOT),
            client=http,
            timeout_ms=int(TIMEOUT_S * 1000),
            debug_logger=NoOpLogger(),
        )
