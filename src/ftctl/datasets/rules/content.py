"""Rules on what messages say: content and its parts, images, weight, special tokens, privacy."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from ftctl.datasets.rules.types import Example, Finding, JsonObject, Message, kind, shown
from ftctl.datasets.scan import scan_text

MAX_IMAGES = 10  # per example; source: OpenAI vision fine-tuning guide, read 2026-11
MAX_IMAGE_BYTES = 10 * 2**20  # same source
_IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp")
_OTHER_IMAGES = (".gif", ".bmp", ".tif", ".tiff", ".svg", ".heic", ".avif")

_FIM = re.compile(r"<\|fim_[a-z]{1,20}\|>")
_SPECIAL = re.compile(
    r"<\|[a-z][a-z0-9_]{1,30}\|>|\[/?INST\]|<</?SYS>>|</s>|<(?:start|end)_of_turn>"
    r"|\[/?(?:TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS|SYSTEM_PROMPT)\]"
)


def content(example: Example) -> Iterator[Finding]:
    """`content` and `content-type`: there, and a string or a list of parts."""
    for message in example.messages:
        value = message.fields.get("content")
        path = f"{message.path}.content"
        if value is None:
            yield from _no_content(message, path)
        elif not isinstance(value, str | list):
            yield Finding("content-type", path, f"content is {kind(value)}")


def _no_content(message: Message, path: str) -> Iterator[Finding]:
    fields = message.fields
    if message.role == "assistant":
        if fields.get("tool_calls") or fields.get("function_call"):
            return
        if isinstance(fields.get("refusal"), str):
            said = "a refusal without content is read by OpenAI only"
            yield Finding("content/refusal", f"{message.path}.refusal", said)
            return
    what = "content is null" if "content" in fields else "no content"
    hint = "rename the key `text` to `content`" if "text" in fields else ""
    yield Finding("content", path, what, hint)


def empty(example: Example) -> Iterator[Finding]:
    """`empty-content`, `content-null-string`, `trailing-space`."""
    for message in example.messages:
        text = message.fields.get("content")
        path = f"{message.path}.content"
        calls = message.role == "assistant" and message.fields.get("tool_calls")
        if not isinstance(text, str) or message.role == "tool":
            continue
        if calls:
            if text.strip() == "null":
                yield Finding("content-null-string", path, 'the text "null" beside tool calls')
        elif not text and message.role == "assistant":
            yield Finding("empty-content/assistant", path, "the answer is empty")
        elif not text.strip():
            yield Finding("empty-content", path, "nothing but white space" if text else "no text")
        elif message.role == "assistant" and text != text.strip():
            yield Finding("trailing-space", path, "the answer begins or ends with white space")


def parts(example: Example) -> Iterator[Finding]:
    """`content-part`, `tool-content-type`, `content-parts-local`, `audio`."""
    for message in example.messages:
        value = message.fields.get("content")
        if not isinstance(value, list):
            continue
        path = f"{message.path}.content"
        if not value:
            yield Finding("content-part", path, "an empty list of parts")
        types = []
        for i, part in enumerate(value):
            types.append(part.get("type") if isinstance(part, dict) else None)
            yield from _part(part, f"{path}[{i}]")
        if message.role == "tool":
            yield Finding("tool-content-type", path, "a tool's answer as a list of parts")
        elif types and set(map(str, types)) == {"text"}:
            yield Finding("content-parts-local", path, "text as a list of parts")


def _part(part: object, path: str) -> Iterator[Finding]:
    if not isinstance(part, dict):
        yield Finding("content-part", path, f"the part is {kind(part)}, not an object")
        return
    name = part.get("type")
    if name == "input_audio":
        yield Finding("audio", path, "audio can't be trained on")
    elif name == "text":
        if not isinstance(part.get("text"), str):
            yield Finding("content-part", f"{path}.text", "a text part without text")
    elif name == "image_url":
        if _url(part) is None:
            yield Finding("content-part", f"{path}.image_url", 'no {"url": ...} in the part')
    elif name is None:
        yield Finding("content-part", f"{path}.type", "a part without type")
    else:
        yield Finding("content-part", f"{path}.type", f"unknown type of part {shown(name)}")


def _url(part: JsonObject) -> str | None:
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else None
    return url if isinstance(url, str) else None


def images(example: Example) -> Iterator[Finding]:
    """`image-needs-vision`, `image-role`, `image-count` and what the image itself must be."""
    count = 0
    for message in example.messages:
        value = message.fields.get("content")
        if not isinstance(value, list):
            continue
        for i, part in enumerate(value):
            if not isinstance(part, dict) or part.get("type") != "image_url":
                continue
            path = f"{message.path}.content[{i}]"
            count += 1
            yield Finding("image-needs-vision", path, "an image, which text models can't see")
            if message.role != "user":
                yield Finding("image-role", path, f"an image in a {shown(message.role)} message")
            if count == MAX_IMAGES + 1:
                told = f"more than {MAX_IMAGES} images in an example"
                yield Finding("image-count", f"{message.path}.content", told)
            yield from _image(_url(part) or "", f"{path}.image_url.url")


def _image(url: str, path: str) -> Iterator[Finding]:
    if url.startswith("data:"):
        header, _, body = url.partition(",")
        media_type = header[5:].split(";")[0]
        if media_type not in _IMAGE_TYPES:
            yield Finding("image-format", path, f"the image is {shown(media_type)}")
        if len(body) * 3 // 4 > MAX_IMAGE_BYTES:
            yield Finding("image-size", path, f"the image has {len(body) * 3 // 4:,} bytes")
    elif url.startswith("https://"):
        try:
            name = urlsplit(url).path.lower()
        except ValueError:
            name = ""
        if name.endswith(_OTHER_IMAGES):
            yield Finding("image-format", path, f"the image is {shown(name[-5:])}")
    elif url:
        yield Finding("image-source", path, f"no https:// or data: URL: {shown(url, 24)}")


def weights(example: Example) -> Iterator[Finding]:
    """`weight`, `weight-ignored-local`, `no-trained-token`."""
    answers = [m for m in example.messages if m.role == "assistant"]
    silent = [m for m in answers if _is_zero(m.fields.get("weight"))]
    for message in example.messages:
        if "weight" not in message.fields:
            continue
        key = _weight_problem(message)
        path = f"{message.path}.weight"
        if key:
            on = shown(message.role) if message.role else "roleless"
            said = f"weight {shown(message.fields['weight'])} on a message of role {on}"
            yield Finding(key, path, said)
        elif message in silent:
            said = "ftctl's own trainer heeds weight 0; TRL and AutoTrain ignore it"
            yield Finding("weight-ignored-local", path, said)
    if answers and len(silent) == len(answers):
        yield Finding("no-trained-token", "messages", "every assistant message has weight 0")


def _is_zero(weight: object) -> bool:
    return type(weight) in (int, float) and weight == 0


def _weight_problem(message: Message) -> str:
    weight = message.fields["weight"]
    if isinstance(weight, bool) or weight is None:
        return "weight/odd"
    if isinstance(weight, str):
        return "weight/string" if weight in ("0", "1") else "weight"
    if not isinstance(weight, int | float) or weight not in (0, 1):
        return "weight"
    if isinstance(weight, float):
        return "weight/float"
    return "" if message.role == "assistant" else "weight/odd"


def special_tokens(example: Example) -> Iterator[Finding]:
    """`special-token`: a chat template's own marks inside the text."""
    for path, _, text in example.iter_texts():
        if "<" not in text and "[" not in text:
            continue
        if found := _FIM.search(text):
            yield Finding("special-token/fim", path, f"the control token {found[0]}")
        elif found := _SPECIAL.search(text):
            yield Finding("special-token", path, f"the control token {found[0]}")


def privacy(example: Example) -> Iterator[Finding]:
    """`pii` and `secret`: found by pattern, told by kind and a masked sample."""
    for path, _, text in example.iter_texts():
        hits = scan_text(text)
        if not hits:
            continue
        for category, name in (("pii", "personal data"), ("secret", "a secret")):
            kinds = [f"{hit.kind} {hit.masked}" for hit in hits if hit.category == category]
            if kinds:
                more = f" and {len(kinds) - 3} more" if len(kinds) > 3 else ""
                yield Finding(category, path, f"{name}: {', '.join(kinds[:3])}{more}")
