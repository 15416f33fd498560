"""`template-alternation`, `template-empty`: what a model's own chat template makes of messages."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ftctl.datasets.rules.types import Finding, JsonObject, shown, text_in
from ftctl.errors import DataInvalid

_MARK = "qzMARKqz"  # which no template writes of itself

# Messages and tools to one string; raises DataInvalid where the template refuses them.
RenderText = Callable[[Sequence[JsonObject], Any], str]


def template(
    messages: Sequence[tuple[str, JsonObject]], tools: object, text_of: RenderText
) -> Iterator[Finding]:
    """What the template refuses, leaves out, or renders to nothing.

    Args:
        messages: Each with its JSON path, its role a string.
        tools: The definitions, or None.
        text_of: The template.
    """
    bare = [message for _, message in messages]
    try:
        text = text_of(bare, tools)
    except DataInvalid as error:
        yield _refused(messages, tools, text_of, error)
        return
    for place, (path, message) in enumerate(messages):
        said = text_in(message.get("content")).strip()
        if said and said not in text:
            yield from _missing(place, path, bare, tools, text_of)
        if message.get("role") == "assistant":
            yield from _calls(path, message, text)


def _refused(
    messages: Sequence[tuple[str, JsonObject]],
    tools: object,
    text_of: RenderText,
    error: DataInvalid,
) -> Finding:
    """The first message with which the template refuses what came so far."""
    path = "messages"
    for count in range(1, len(messages) + 1):
        try:
            text_of([message for _, message in messages[:count]], tools)
        except DataInvalid as first:
            if first.message == error.message:
                path = f"{messages[count - 1][0]}.role"
                break
    why = error.message.partition(": ")[2].strip().splitlines() or ["no reason is given"]
    return Finding("template-alternation", path, f"the model's template refuses it: {why[0][:120]}")


def _missing(
    place: int, path: str, bare: Sequence[JsonObject], tools: object, text_of: RenderText
) -> Iterator[Finding]:
    """Whether the template leaves out the message, or what it says."""
    role = bare[place].get("role")
    with_mark = _replaced(bare, place, _MARK)
    try:
        marked = text_of(with_mark, tools)
        empty = text_of(_replaced(bare, place, ""), tools) if role == "assistant" else None
        whole = text_of(bare, tools)
    except DataInvalid:
        return
    if _MARK not in marked:
        said = f"the model's template leaves out this message, of role {shown(role)}"
        key = "template-empty" if role == "assistant" else "template-alternation"
        yield Finding(key, path, said)
    elif whole == empty:
        said = "the model's template renders the answer to nothing"
        yield Finding("template-empty", f"{path}.content", said)


def _replaced(bare: Sequence[JsonObject], place: int, text: str) -> list[JsonObject]:
    return [*bare[:place], bare[place] | {"content": text}, *bare[place + 1 :]]


def _calls(path: str, message: JsonObject, text: str) -> Iterator[Finding]:
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if isinstance(name, str) and name and name not in text:
            said = f"the model's template leaves out the call of {shown(name)}"
            yield Finding("template-empty", f"{path}.tool_calls", said)
            return
