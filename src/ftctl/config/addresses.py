"""Addresses that keys and rows are sent to: which are safe, and how one is shown."""

import os
import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from ftctl.errors import Refused, UsageError

# Where the vendors' own clients look for a gateway; Mistral's has no such variable but ours.
BASE_URL_VARIABLES = {
    "openai": "OPENAI_BASE_URL",
    "huggingface": "HF_ENDPOINT",
    "mistral": "MISTRAL_BASE_URL",
    "together": "TOGETHER_BASE_URL",
    "fireworks": "FIREWORKS_BASE_URL",
    "azure": "AZURE_OPENAI_BASE_URL",
    "bedrock": "AWS_BEDROCK_BASE_URL",
}
# Where a vendor answers in a region, which its own tools read from these variables.
_REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
_BY_REGION = {"bedrock": "https://bedrock-mantle.{region}.api.aws/v1"}


def find_base_url(provider: str) -> str | None:
    """The base URL that the vendor's own environment variable names, or its region's, or None.

    Raises:
        UsageError, Refused: as `require_base_url`, naming the variable.
    """
    variable = BASE_URL_VARIABLES.get(provider, "")
    url = os.environ.get(variable, "").strip()
    if url:
        return require_base_url(url, origin=variable)
    for variable in _REGION_VARIABLES if provider in _BY_REGION else ():
        region = os.environ.get(variable, "").strip()
        if region and not re.fullmatch(r"[a-z0-9-]+", region):
            raise UsageError(f"{variable} isn't a region: {region!r}", hint="such as us-west-2")
        if region:
            return _BY_REGION[provider].format(region=region)
    return None


def require_base_url(url: str, *, origin: str = "") -> str:
    """The URL as it is, when a key may be sent to it and it may be stored.

    Args:
        url: A vendor's, a gateway's or a webhook's.
        origin: What messages name: the flag or variable that it is from.

    Raises:
        UsageError: not a URL with scheme and host, or one with a user, password, query or fragment.
        Refused: http to another machine: whoever stands between could read key and rows.
    """
    shown = (f"{origin}: " if origin else "") + repr(_without_secrets(url))
    parts = _split(url)
    if parts is None:
        raise UsageError(f"{shown} isn't a base URL", hint="it looks like https://host/v1")
    if "@" in parts.netloc:
        raise UsageError(
            f"{shown} holds a user or password, and base URLs are stored with the job",
            hint="leave them out; ftctl config set-key PROVIDER keeps a key safely",
        )
    if "?" in url or "#" in url:
        raise UsageError(
            f"{shown} has a query or fragment",
            hint="a base URL ends with its path: https://host/v1",
        )
    if parts.scheme == "http" and not is_loopback(url):
        raise Refused(
            f"{shown}: http to another machine shows everybody between key and rows",
            hint="use https; http is only for this machine (localhost, 127.0.0.1, [::1])",
        )
    return url


def _without_secrets(url: str) -> str:
    """What may be shown of a refused URL: nothing before an @, nothing of a query or fragment."""
    _, at, rest = url.rpartition("@")
    return ("***@" if at else "") + re.split(r"[?#]", rest)[0]


def _split(url: str) -> SplitResult | None:
    """The parts of an HTTP URL, or None where clients could read it in more than one way."""
    if not re.fullmatch(r"[!-\[\]-~]+", url):  # a blank, a line end or a backslash
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that isn't a number, half an IPv6 address
        return None
    return parts if usable else None


def is_loopback(url: str) -> bool:
    """Whether a URL points at this very machine."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def mask_url(url: str) -> str:
    """The URL without its user and password, and without a password in its query."""
    scheme, slashes, rest = url.partition("//")
    if not slashes:
        scheme, rest = "", url
    if "@" in rest and not rest.startswith("/"):
        rest = "***@" + rest.rpartition("@")[2]
    before, query, after = rest.partition("?")
    if query:
        pairs = after.split("&")
        after = "&".join(p.split("=")[0] + "=***" if "pass" in p.lower() else p for p in pairs)
    return scheme + slashes + before + query + after
