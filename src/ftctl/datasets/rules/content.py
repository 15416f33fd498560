"""Rules on what messages say: content and its parts, images, weight, special tokens."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from ftctl.datasets.rules.types import Example, Finding, JsonObject, Message, kind, shown

# By key of the rule table: images per example, and bytes of one. Source: OpenAI's and Together's
# vision guides (10 of 10 MB each), Gemini's (30, 20 MB), Azure's (64), Nova's (10); read 2026-11.
MAX_IMAGES = {"image-count": 10, "image-count/30": 30, "image-count/64": 64}
MAX_IMAGE_BYTES = {"image-size": 10 * 2**20, "image-size/20mb": 20 * 2**20}
_TAKEN_TYPES = ("image/jpeg", "image/png")
_OWN_KEY = {"gif": "image-format/gif", "webp": "image-format/webp"}  # types that some take
_OTHER_IMAGES = ("gif", "webp", "bmp", "tif", "tiff", "svg", "heic", "avif")
_SCHEMES = {"https": "image-source/https", "gs": "image-source/gs", "s3": "image-source/s3"}

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
        if isinstance(fields.get("refusal"), str) and fields["refusal"]:
            said = "a refusal without content is read by OpenAI only"
            yield Finding("content/refusal", f"{message.path}.refusal", said)
            return
    what = "content is null" if "content" in fields else "no content"
    key = "content/text" if "content" not in fields and fields.get("text") else "content"
    yield Finding(key, path, what)


def empty(example: Example) -> Iterator[Finding]:
    """`empty-content`, `content-null-string`, `trailing-space`."""
    for message in example.messages:
        text = _said(message)
        path = f"{message.path}.content"
        calls = message.role == "assistant" and message.fields.get("tool_calls")
        if text is None or message.role == "tool" or (calls and not text):
            continue
        if calls and text.strip() == "null":
            yield Finding("content-null-string", path, 'the text "null" beside tool calls')
        elif not text and message.role == "assistant":
            yield Finding("empty-content/assistant", path, "the answer is empty")
        elif not text.strip():
            yield Finding("empty-content", path, "nothing but white space" if text else "no text")
        elif message.role == "assistant" and text != text.strip():
            yield Finding("trailing-space", path, "the answer begins or ends with white space")


def _said(message: Message) -> str | None:
    """The message's text, its parts joined; None when it is more than text, or none at all."""
    value = message.fields.get("content")
    if not isinstance(value, list):
        return value if isinstance(value, str) else None
    return _joined(value)


def _joined(value: list[object]) -> str | None:
    texts = [part.get("text") for part in value if isinstance(part, dict)]
    if not value or len(texts) != len(value):
        return None
    strings = [text for text in texts if isinstance(text, str)]
    return "".join(strings) if len(strings) == len(value) else None


def parts(example: Example) -> Iterator[Finding]:
    """`content-part`, `tool-content-type`, `content-parts-local`, `audio`."""
    strings = any(isinstance(message.fields.get("content"), str) for message in example.messages)
    prompted = any(message.role == "system" for message in example.messages)
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
            if types[-1] == "text" and part.get("text") == "" and len(value) > 1:
                yield Finding("empty-content", f"{path}[{i}].text", "no text in the part")
            yield from _part(part, f"{path}[{i}]", prompted=prompted)
        if message.role == "tool":
            yield Finding("tool-content-type", path, "a tool's answer as a list of parts")
        elif types and set(map(str, types)) == {"text"} and _joined(value) is not None:
            key = "content-parts-local/mixed" if strings else "content-parts-local"
            yield Finding(key, path, "text as a list of parts")
        elif strings and "image_url" in types:
            said = "an image among parts, and other messages that are strings"
            yield Finding("content-parts-local/image", path, said)


def _part(part: object, path: str, *, prompted: bool) -> Iterator[Finding]:
    if not isinstance(part, dict):
        yield Finding("content-part", path, f"the part is {kind(part)}, not an object")
        return
    name = part.get("type")
    if name == "input_audio":
        key = "audio/prompted" if prompted else "audio"
        yield Finding(key, path, "audio can't be trained on")
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
            for key, limit in MAX_IMAGES.items():
                if count == limit + 1:
                    told = f"more than {limit} images in an example"
                    yield Finding(key, f"{message.path}.content", told)
            if (url := _url(part)) is not None:
                yield from _image(url, f"{path}.image_url.url")


def _image(url: str, path: str) -> Iterator[Finding]:
    scheme, _, rest = url.partition(":")
    scheme = scheme.lower()
    if scheme == "data":
        yield Finding("image-source/data", path, "the image stands in the row itself")
        if not rest.partition(",")[0].lower().endswith(";base64"):
            yield Finding("image-source", path, "the data: URL isn't base64")
        yield from _inline_image(rest, path)
    elif scheme in _SCHEMES and len(rest) > len("//") and rest.startswith("//"):
        yield Finding(_SCHEMES[scheme], path, f"the image is given by {scheme}://")
        try:
            name = urlsplit(url).path.lower()
        except ValueError:
            name = ""
        suffix = name.rpartition(".")[2]
        if "." in name and suffix in _OTHER_IMAGES:
            key = _OWN_KEY.get(suffix, "image-format")
            yield Finding(key, path, f"the image is {shown(suffix)}")
    else:
        yield Finding("image-source", path, f"no https:// or data: URL: {shown(url, 24)}")


def _inline_image(rest: str, path: str) -> Iterator[Finding]:
    header, _, body = rest.partition(",")
    media_type = header.split(";")[0].lower()
    if media_type not in _TAKEN_TYPES:
        key = _OWN_KEY.get(media_type.removeprefix("image/"), "image-format")
        yield Finding(key, path, f"the image is {shown(media_type)}")
    size_bytes = len(body) * 3 // 4
    for key, limit in MAX_IMAGE_BYTES.items():
        if size_bytes > limit:
            yield Finding(key, path, f"the image has {size_bytes:,} bytes")


def weights(example: Example) -> Iterator[Finding]:
    """`weight`, `weight-ignored-local`, `no-trained-token`."""
    answers = [m for m in example.messages if m.role == "assistant"]
    silent = {m for m in answers if _is_zero(m.fields.get("weight"))}
    for message in example.messages:
        if "weight" not in message.fields:
            continue
        key = _weight_problem(message)
        path = f"{message.path}.weight"
        if key:
            on = shown(message.role) if message.role else "roleless"
            said = f"weight {shown(message.fields['weight'])} on a message of role {on}"
            yield Finding(key, path, said)
        if message in silent:
            said = "ftctl's own trainer heeds weight 0; TRL and AutoTrain ignore it"
            yield Finding("weight-ignored-local", path, said)
    if answers and len(silent) == len(answers):
        yield Finding("no-trained-token", "messages", "every assistant message has weight 0")


def _is_zero(weight: object) -> bool:
    return isinstance(weight, int | float) and weight == 0  # false too: the trainer compares alike


def _weight_problem(message: Message) -> str:
    weight = message.fields["weight"]
    if weight is True and message.role == "assistant":
        return "weight/true"
    if isinstance(weight, bool) or weight is None:
        return "weight/odd"
    if isinstance(weight, str):
        return "weight/string" if weight in ("0", "1") else "weight"
    if not isinstance(weight, int | float) or weight not in (0, 1):
        return "weight"
    if message.role != "assistant":
        return "weight/odd"
    return "weight/float" if isinstance(weight, float) else ""


def special_tokens(example: Example) -> Iterator[Finding]:
    """`special-token`: a chat template's own marks inside the text."""
    for path, _, text in example.iter_texts():
        if "<" not in text and "[" not in text:
            continue
        if found := _FIM.search(text):
            yield Finding("special-token/fim", path, f"the control token {found[0]}")
        elif found := _SPECIAL.search(text):
            yield Finding("special-token", path, f"the control token {found[0]}")
