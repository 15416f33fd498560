"""`image-skipped`: images for which a vendor leaves out the row, as far as the row alone tells.

What a picture shows, and whether a link is alive, isn't looked at: nothing is fetched.
Source: OpenAI's and Azure's vision guides (people, faces, children, CAPTCHAs, links that can't be
opened), read 2026-11; names that no public server has: RFC 6761 and 6762.
"""

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from ftctl.datasets.rules.types import Example, Finding, Message, shown

_NOT_PUBLIC = (".localhost", ".local", ".internal", ".test", ".invalid", ".example", ".onion")
# In the query of a link that was signed for some hours or days: S3's, Google's, CloudFront's
# and Azure's.
_RUNS_OUT = frozenset({"x-amz-expires", "x-goog-expires", "expires", "se"})
_ABOUT_PEOPLE = re.compile(
    r"\bcaptchas?\b|\bfaces?\b"
    r"|\bwho (?:is|are|was|were) (?:this|that|these|those|he|she|they"
    r"|the (?:man|woman|person|people|boy|girl|child))\b"
    r"|\b(?:this|that|the) (?:child|boy|girl|baby)\b",
    re.IGNORECASE,
)


def skipped(example: Example) -> Iterator[Finding]:
    """The links and the questions of messages that hold an image."""
    for message in example.messages:
        urls = list(_image_urls(message))
        for path, url in urls:
            if why := _unreachable(url):
                yield Finding("image-skipped", path, f"{why}: {shown(url, 48)}")
        if urls:
            yield from _about_people(message)


def has_image(example: Example) -> bool:
    """Whether any message holds an image."""
    return any(next(_image_urls(message), None) for message in example.messages)


def _image_urls(message: Message) -> Iterator[tuple[str, str]]:
    content = message.fields.get("content")
    for i, part in enumerate(content if isinstance(content, list) else ()):
        image = part.get("image_url") if isinstance(part, dict) else None
        url = image.get("url") if isinstance(image, dict) else None
        if isinstance(url, str):
            yield f"{message.path}.content[{i}].image_url.url", url


def _unreachable(url: str) -> str:
    """Why nobody else can open a link, or not for long; "" where nothing tells."""
    if not url[:8].lower().startswith(("http://", "https://")):
        return ""
    try:
        split = urlsplit(url)
        host = (split.hostname or "").rstrip(".")
    except ValueError:
        return ""
    if host == "localhost" or host.endswith(_NOT_PUBLIC) or _is_private(host):
        return "a link that only your own network can open"
    keys = {key.lower() for key, _ in parse_qsl(split.query)}
    signed = keys & _RUNS_OUT and keys & {"signature", "sig", "x-amz-signature", "x-goog-signature"}
    return "a signed link, which runs out" if signed else ""


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host


def _about_people(message: Message) -> Iterator[Finding]:
    for path, _, text in Example({}, [message]).iter_texts():
        if found := _ABOUT_PEOPLE.search(text):
            said = f"an image with a question about people or a CAPTCHA: {shown(found[0])}"
            yield Finding("image-skipped", path, said)
