"""One way to ask a hub: huggingface_hub, and our errors.

huggingface_hub repeats what fails, follows redirects and hands a key to whatever link a page of a
list names. While we ask it does none of that: its HTTP client is ours, which refuses at the first
no, follows nothing, and sends the key to the hub's own address alone. Others in this process who
use huggingface_hub meanwhile keep what they had.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from typing_extensions import override

from ftctl.config import Credential, require_base_url, switch_off_telemetry
from ftctl.errors import ExtraMissing, FtctlError, Unavailable, Unsupported
from ftctl.providers.transport.http_connection import (
    TIMEOUT_S,
    UPLOAD_TIMEOUT_S,
    require_key,
    timeout,
)
from ftctl.providers.transport.http_errors import (
    connection_error,
    no_answer,
    parsed,
    status_error,
)
from ftctl.providers.transport.signed_links import (
    hide_signatures,
    origin_of,
    require_rows_stay,
    require_safe_link,
)

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi

PAGE = 100  # rows of a list that are handed on together
# A job that runs holds its log open; after so long without a line, all is told that there is.
QUIET_S = 5.0

_LOOPBACK = ("all://localhost", "all://127.0.0.1", "all://[::1]")
_log = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True)
class _Asking:
    """Who is asked for what just now."""

    who: str
    base_url: str
    doing: str
    credential: Credential
    turned: set[str] | None = None  # addresses of a list's pages so far


_asking: ContextVar[_Asking | None] = ContextVar("ftctl_asks_a_hub", default=None)


@dataclass(frozen=True)
class LogLine:
    """A line that a job printed."""

    at: datetime
    text: str


class HubConnection:
    """Asks one hub; opened at the first question.

    Args:
        who: Whom messages name.
        base_url: Where to ask.
    """

    def __init__(self, who: str, base_url: str) -> None:
        self._who = who
        self._base_url = base_url.rstrip("/")

    def require(self) -> None:
        """Refuse when it can't be asked at all.

        Raises:
            ExtraMissing, CredentialsMissing: no huggingface_hub, or no usable key.
            Unsupported: the environment says that no hub is to be asked.
            UsageError: what is given isn't a base URL.
        """
        from importlib.util import find_spec

        if find_spec("huggingface_hub") is None:
            raise ExtraMissing("huggingface", self._who)
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            if os.environ.get(name, "").strip().upper() in ("1", "ON", "YES", "TRUE"):
                raise Unsupported(
                    f"{name} is set, so {self._who} isn't asked", hint=f"unset {name} to use it"
                )
        self.credential()
        require_base_url(self._base_url)

    def credential(self) -> Credential:
        """The key.

        Raises:
            CredentialsMissing: there is none.
        """
        return require_key("huggingface", self._who)

    def ask(self, doing: str, call: "Callable[[HfApi], _T]", turned: set[str] | None = None) -> _T:
        """What one call of huggingface_hub gives.

        Args:
            doing: What is asked, after "asked to".
            call: One of its methods, and nothing else.
            turned: The pages of a list that were asked for so far; None where it is no list.

        Raises:
            Unavailable: no whole answer; what was asked may have been done.
            ProviderError: a definite no. No message holds the key.
        """
        self.require()
        credential = self.credential()
        token = _asking.set(_Asking(self._who, self._base_url, doing, credential, turned))
        try:
            return call(_api(self._base_url, credential.key))
        except RuntimeError as error:  # huggingface_hub wraps what went wrong with a large file
            if isinstance(error.__cause__, FtctlError):
                raise error.__cause__ from None
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # What came isn't what huggingface_hub reads: a page of a proxy, half a document.
            _log.info("%s: %s: unreadable (%s)", self._who, doing, type(error).__name__)
            hint = "is this the address of a hub? ftctl config show"
            raise no_answer(self._who, doing, hint) from None
        finally:
            _asking.reset(token)

    def pages(self, doing: str, call: "Callable[[HfApi], Any]") -> Iterator[list[Any]]:
        """The rows of a list, some at a time; the same as `ask` raises."""
        turned: set[str] = set()
        rows = self.ask(doing, lambda api: iter(call(api)), turned)
        while page := self.ask(doing, lambda _: list(islice(rows, PAGE)), turned):
            yield page

    def log_lines(self, doing: str, path: str) -> list[LogLine]:
        """What a job has printed so far; the same as `ask` raises."""
        key = self.credential().key
        return self.ask(doing, lambda _: _read_log(key, f"{self._base_url}{path}"))


def _api(base_url: str, key: str) -> "HfApi":
    _set_up()
    from huggingface_hub import HfApi

    return HfApi(endpoint=base_url, token=key, library_name="ftctl")


@cache
def _set_up() -> None:
    """Give huggingface_hub our client, once a process."""
    switch_off_telemetry()
    hide_signatures()
    import httpx2
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    class Client(httpx2.Client):
        """Ours while we ask, else huggingface_hub's own."""

        def __init__(self) -> None:
            mounts = dict.fromkeys(_LOOPBACK)  # what is on this machine is asked without a proxy
            super().__init__(follow_redirects=False, timeout=None, mounts=mounts)
            self._theirs = default_client_factory()

        @override
        def send(self, request: "httpx2.Request", **options: Any) -> "httpx2.Response":
            asking = _asking.get()
            if asking is None:
                return self._theirs.send(request, **options)
            _require_ours(request, asking)
            _require_new(str(request.url), asking)
            _set_timeout(request)
            try:
                response = super().send(request, **options | {"follow_redirects": False})
                if not response.is_success:
                    response.read()
            except httpx2.RequestError as error:
                raise connection_error(
                    who=asking.who, doing=asking.doing, url=asking.base_url, error=error
                ) from None
            if response.is_success:
                return response
            raise status_error(
                who=asking.who,
                doing=asking.doing,
                status=response.status_code,
                headers=response.headers,
                body=_document(response),
                credential=asking.credential,
            )

        @override
        def close(self) -> None:
            self._theirs.close()
            super().close()

    set_client_factory(Client)
    for name in ("hf_api", "_commit_api"):  # what they advise is about what we do on purpose
        logging.getLogger(f"huggingface_hub.{name}").addFilter(lambda _: _asking.get() is None)


def _require_ours(request: "httpx2.Request", asking: _Asking) -> None:
    """Refuse to send the key, or rows in the clear, elsewhere than to the hub."""
    url = str(request.url)
    if origin_of(url) == origin_of(asking.base_url):
        return
    if "authorization" in request.headers:
        where = urlsplit(url).hostname
        raise Unavailable(f"{asking.who} points to {where}, and its key isn't sent there")
    require_safe_link("a large file", url, who=asking.who, base_url=asking.base_url)
    require_rows_stay("a large file", url, who=asking.who, base_url=asking.base_url)


def _require_new(url: str, asking: _Asking) -> None:
    """Refuse to go round in a list whose pages point to each other."""
    if asking.turned is None:
        return
    if url in asking.turned:
        raise Unavailable(f"asked to {asking.doing}, {asking.who} sends the same page again")
    asking.turned.add(url)


def _set_timeout(request: "httpx2.Request") -> None:
    """huggingface_hub mostly names none, and would then wait for ever."""
    given = request.extensions.get("timeout") or {}
    if any(value is not None for value in given.values()):
        return
    seconds = UPLOAD_TIMEOUT_S if request.method == "PUT" else TIMEOUT_S
    request.extensions["timeout"] = timeout(seconds).as_dict()


def _document(response: "httpx2.Response") -> object:
    """The error document in the shape that `status_error` reads; a hub says `{"error": text}`."""
    body = parsed(response.content)
    said = body.get("error") if isinstance(body, dict) else None
    said = said or response.headers.get("x-error-message")
    return {"error": {"message": said}} if isinstance(said, str) else body


def _read_log(key: str, url: str) -> list[LogLine]:
    """The lines of a log that may be held open; huggingface_hub's own reader drops their times.

    A job has the key, and may print it: it is blotted out.
    """
    import httpx2
    from huggingface_hub import get_session

    lines: list[LogLine] = []
    headers = {"Authorization": f"Bearer {key}"}
    with get_session().stream("GET", url, headers=headers, timeout=timeout(QUIET_S)) as response:
        now = _time_of(response)
        try:
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    event = json.loads(line.removeprefix("data: "))
                    at = datetime.fromisoformat(event["timestamp"])
                    if at > now:  # printed since we asked: the next look tells it and the rest
                        break
                    lines.append(LogLine(at, str(event["data"]).replace(key, "***")))
        except httpx2.ReadTimeout:
            pass  # all that there is
        except httpx2.RequestError:
            if not lines:
                raise Unavailable("the log broke off", hint="look again") from None
    return lines


def _time_of(response: "httpx2.Response") -> datetime:
    """When the hub began to answer, by its own clock where it tells it, to the second."""
    try:
        told = parsedate_to_datetime(response.headers.get("date", ""))
    except ValueError:
        told = datetime.now(UTC)
    return told + timedelta(seconds=1)
