"""What an HTTP status or a broken connection means: by number and class, never by text."""

import json
import math
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from ftctl.config import Credential, find_network_settings, is_loopback
from ftctl.errors import (
    AuthError,
    InvalidRequest,
    NoBalance,
    NotFound,
    ProviderError,
    RateLimited,
    Retired,
    Unavailable,
)

_KINDS: dict[int, type[ProviderError]] = {
    401: AuthError,
    402: NoBalance,
    403: AuthError,
    404: NotFound,
    408: Unavailable,
    410: Retired,
    429: RateLimited,
}
_LONGEST_MESSAGE = 500
_MASKED = re.compile(r"[\w-]*\*{3,}[\w-]*")  # vendors repeat a wrong key with its two ends showing
_CODE = re.compile(r"\w{1,60}")
_AGAIN = "run the same command again"
# Parts of the names of the HTTP clients' own exception classes: reason and what to do.
_BY_CLASS_NAME = {
    "ProxyError": ("the proxy refused", "check HTTPS_PROXY and NO_PROXY: ftctl doctor"),
    "Timeout": ("it took too long", _AGAIN),
    "UnsupportedProtocol": ("the URL can't be used", "check base URL and proxy: ftctl doctor"),
    "InvalidURL": ("the URL can't be used", "check base URL and proxy: ftctl doctor"),
}


def status_error(
    *,
    who: str,
    doing: str,
    status: int,
    headers: Mapping[str, str],
    body: object,
    credential: Credential,
) -> ProviderError:
    """The error for an answer that isn't a success.

    Args:
        who: Who answered.
        doing: What was asked, after "asked to".
        status: The HTTP status.
        headers: Of the answer; Retry-After and Location are read.
        body: The vendor's error document, as far as it could be read.
        credential: Its key is blotted out of whatever the vendor says.
    """
    kind = _KINDS.get(status, Unavailable if status >= 500 else InvalidRequest)
    said = vendor_words(body, credential)
    message = f"asked to {doing}, {who} answered {status}" + (f": {said}" if said else "")
    hint = _hint(status, credential, headers)
    if status == 403 and not said:  # some vendors answer so whatever is wrong
        hint = f"balance, key or region can't be told apart: look there, and at {credential.origin}"
    error = kind(message, hint=hint)
    error.code, error.status = _vendor_code(body), status
    if isinstance(error, RateLimited):
        error.retry_after_s = retry_after_s(headers.get("retry-after"))
    return error


def _hint(status: int, credential: Credential, headers: Mapping[str, str]) -> str:
    wait = headers.get("retry-after")
    if 300 <= status < 400:
        place = headers.get("location", "another place").partition("?")[0]  # it may be signed
        return f"it points to {place}: name that as --base-url"
    if status == 429 and wait:
        return f"wait (Retry-After: {wait}), then run the same command again"
    hints = {
        401: f"check {credential.origin}; ftctl doctor shows which keys are set",
        402: "pay in, or set up billing, at the provider; then run the same command again",
        403: f"the key of {credential.origin} may not do this: ask the organisation's owner",
        404: "check the id, the model and the base URL: ftctl config show",
        408: _AGAIN,
        410: "ftctl providers shows what is open",
        413: "the file is too large for it: ftctl data split",
        429: "wait, or raise the account's limit, then run the same command again",
    }
    return hints.get(status, _AGAIN if status >= 500 else "")


def retry_after_s(value: str | None) -> float | None:
    """Seconds from a Retry-After header, which says seconds or a date; None without one."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def no_answer(
    who: str, doing: str, hint: str = "is this the base URL of its API? ftctl config show"
) -> Unavailable:
    """The error for an answer that can't be read: a proxy's page, half a document."""
    said = f"asked to {doing}, {who} sent something that isn't the API's answer"
    return Unavailable(said, hint=hint)


@contextmanager
def harmless(done: Callable[[], bool]) -> Iterator[None]:
    """Let a vendor's no pass when what was asked for is so already, as of a job that has ended."""
    try:
        yield
    except InvalidRequest:
        if not done():
            raise


def may_be_ours(who: str, keeps_no: str, jobs: Sequence[str]) -> InvalidRequest:
    """The error for jobs of our data without our marker: any of them may be the one looked for."""
    return InvalidRequest(
        f"{who} keeps no {keeps_no}, so any of its jobs {', '.join(jobs[:3])} made of our data may "
        "be this one",
        hint="compare their names and times there",
    )


def still_there(who: str, what: str) -> Unavailable:
    """The error for a thing that is shown after it was deleted."""
    return Unavailable(
        f"{who} still shows {what} after deleting it", hint="run the same command again"
    )


def connection_error(*, who: str, doing: str, url: str, error: BaseException) -> Unavailable:
    """The error for a request that got no whole answer: what broke, and what to do about it.

    Args:
        who: Who was asked.
        doing: What was asked, after "asked to".
        url: The base URL.
        error: What the HTTP client raised; the reason stands in its causes.
    """
    proxies = [f"{n}={v}" for n, v in find_network_settings().items() if "PROXY" in n.upper()]
    proxies = [] if is_loopback(url) else proxies  # this machine is asked without
    reason, hint = _reason(error, urlsplit(url).hostname or url)
    if proxies and _refused(error):
        reason, hint = "nothing listens there or at the proxy", "check the proxy: ftctl doctor"
    through = f" ({', '.join(proxies)})" if proxies else ""
    return Unavailable(f"asked to {doing}, {who} gave no answer: {reason}{through}", hint=hint)


def _reason(error: BaseException, host: str) -> tuple[str, str]:
    chain = list(_causes(error))
    for cause in chain:
        known = _known_cause(cause, host)
        if known is not None:
            return known
    names = " ".join(type(cause).__name__ for cause in chain)
    for part, said in _BY_CLASS_NAME.items():
        if part in names:
            return said
    return f"the connection broke ({type(chain[-1]).__name__})", _AGAIN


def _known_cause(cause: BaseException, host: str) -> tuple[str, str] | None:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {host} isn't trusted ({cause.verify_message})",
            "set SSL_CERT_FILE to the CA bundle that your network uses",
        )
    if isinstance(cause, ssl.SSLError):
        return f"TLS with {host} failed ({cause.reason})", "does the base URL mean http://?"
    if isinstance(cause, socket.gaierror):
        return f"the name {host} isn't known (DNS)", "check the base URL, network and proxy"
    if isinstance(cause, ConnectionRefusedError):
        return f"nothing listens at {host}", "check the base URL, or start the server"
    return None


def _refused(error: BaseException) -> bool:
    return any(isinstance(cause, ConnectionRefusedError) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def vendor_words(body: object, credential: Credential) -> str:
    """What an error document says, the key blotted out: OpenAI's shape, or FastAPI's `detail`."""
    if not isinstance(body, Mapping):
        return ""
    inner = body.get("error", body)
    source = inner if isinstance(inner, Mapping) else body
    said = _said(source.get("message") or source.get("detail") or "")
    said = _MASKED.sub("***", said.replace(credential.key, "***"))
    return printable(said)[:_LONGEST_MESSAGE]


def _said(told: object) -> str:
    """Words, or FastAPI's list of what is wrong with a body: each with its place."""
    if isinstance(told, Mapping) and "detail" in told:  # Mistral wraps it once more
        return _said(told["detail"])
    if not isinstance(told, list) or not all(isinstance(row, Mapping) for row in told):
        return str(told)
    parts = [(row.get("loc"), row.get("msg")) for row in told]
    return "; ".join(
        f"{'.'.join(map(str, loc))}: {msg}" if isinstance(loc, list) else str(msg)
        for loc, msg in parts
    )


def _vendor_code(body: object) -> str | None:
    """The word of an error document that programs read, such as `insufficient_quota`."""
    inner = body.get("error", body) if isinstance(body, Mapping) else None  # an SDK unwraps it
    code = inner.get("code") if isinstance(inner, Mapping) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None


def parsed(content: bytes | bytearray | str) -> object:
    """What an error's document says; None where it isn't JSON."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def printable(text: str) -> str:
    """A stranger's text on one line, without signs that move a cursor or turn the writing round."""
    return "".join(sign for sign in " ".join(text.split()) if sign.isprintable())
