"""Steps on messages towards what a format can say; each tells what it did."""

import functools
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from ftctl.datasets.convert.chat import made_up_id
from ftctl.datasets.convert.example import Content, ImagePart, Message, Notes, TextPart

Step = Callable[[tuple[Message, ...], Notes], tuple[Message, ...]]


def _of_each(step: Callable[[Message, Notes], Message]) -> Step:
    """A step that looks at each message by itself."""

    @functools.wraps(step)
    def of_all(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
        return tuple(step(message, notes) for message in messages)

    return of_all


@_of_each
def developer_as_system(message: Message, notes: Notes) -> Message:
    """The role developer, which only OpenAI and Azure know."""
    if message.role != "developer":
        return message
    notes.changed(f"{message.path}.role", "the role developer, to system")
    return replace(message, role="system")


def one_system_first(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """A single system message, before all others; developer counts as system."""
    systems = [m for m in messages if m.role in ("system", "developer")]
    if not systems or (len(systems) == 1 and messages[0] is systems[0]):
        return messages
    for message in systems[1:]:
        notes.changed(message.path, "a further system message, joined to the first")
    if messages[0] is not systems[0]:
        notes.changed(systems[0].path, "a system message, moved to the front")
    texts = [text_of(m.content, m.path, notes) for m in systems]
    first = replace(systems[0], content="\n\n".join(texts)) if len(systems) > 1 else systems[0]
    return (first, *(m for m in messages if m.role not in ("system", "developer")))


@_of_each
def tool_text(message: Message, notes: Notes) -> Message:
    """A tool's answer as one text."""
    return _as_text(message, notes) if message.role == "tool" else message


@_of_each
def text_only(message: Message, notes: Notes) -> Message:
    """Every content as one text."""
    return _as_text(message, notes)


@_of_each
def text_but_for_images(message: Message, notes: Notes) -> Message:
    """Every content as one text, but for those that hold an image."""
    return message if _has_image(message) else _as_text(message, notes)


def _as_text(message: Message, notes: Notes) -> Message:
    if not isinstance(message.content, tuple):
        return message
    return replace(message, content=text_of(message.content, f"{message.path}.content", notes))


def text_of(content: Content, path: str, notes: Notes) -> str:
    """The text of a content, its parts joined; images are left out."""
    if not isinstance(content, tuple):
        return content or ""
    for i, part in enumerate(content):
        if isinstance(part, ImagePart):
            notes.dropped(f"{path}[{i}]", "an image")
    notes.changed(path, "a list of parts, to one text")
    return "".join(part.text for part in content if isinstance(part, TextPart))


def with_images(addresses: tuple[str, ...]) -> Step:
    """Images only by addresses that begin with one of these."""
    only = f", taken by {' or '.join(addresses)} only" if addresses else ""

    @_of_each
    def step(message: Message, notes: Notes) -> Message:
        if not isinstance(message.content, tuple):
            return message
        kept = []
        for i, part in enumerate(message.content):
            if isinstance(part, TextPart) or part.url.startswith(addresses):
                kept.append(part)
            else:
                notes.dropped(f"{message.path}.content[{i}]", f"an image{only}")
        return replace(message, content=tuple(kept))

    return step


@_of_each
def without_details(message: Message, notes: Notes) -> Message:
    """Images without a word on how closely they are looked at."""
    if not isinstance(message.content, tuple):
        return message
    kept: list[TextPart | ImagePart] = []
    for i, part in enumerate(message.content):
        if isinstance(part, ImagePart) and part.detail is not None:
            path = f"{message.path}.content[{i}].image_url.detail"
            notes.dropped(path, "how closely an image is looked at")
            part = ImagePart(part.url)
        kept.append(part)
    return replace(message, content=tuple(kept))


def _has_image(message: Message) -> bool:
    content = message.content
    return isinstance(content, tuple) and any(isinstance(part, ImagePart) for part in content)


@_of_each
def without_spans(message: Message, notes: Notes) -> Message:
    """Messages learnt whole or not at all."""
    if message.spans:
        notes.dropped(f"{message.path}.train_detail", "which stretches of an answer are learnt")
    return replace(message, spans=())


@_of_each
def without_weights(message: Message, notes: Notes) -> Message:
    """No weights; only 0 says more than none at all does."""
    if message.weight == 0:
        notes.dropped(f"{message.path}.weight", "weight 0: the message is trained on")
    return replace(message, weight=None)


@_of_each
def without_names(message: Message, notes: Notes) -> Message:
    """No names of speakers; a tool's stays."""
    return message if message.role == "tool" else _unnamed(message, notes)


def _unnamed(message: Message, notes: Notes) -> Message:
    if message.name is not None:
        notes.dropped(f"{message.path}.name", "a speaker's name")
    return replace(message, name=None)


def without_tool_names(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """No name beside a tool's answer, but where nothing else tells which call it answers."""
    called = {call.id: call.name for message in messages for call in message.calls}
    made = []
    for message in messages:
        if message.role == "tool":
            said = message.name is not None and called.get(message.call_id or "") == message.name
            message = replace(message, name=None) if said else _unnamed(message, notes)
        made.append(message)
    return tuple(made)


def with_function_names(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """A tool's answers by the names of the functions that they are of, instead of by ids."""
    called: dict[str | None, str] = {}
    made = []
    for message in messages:
        called |= {call.id: call.name for call in message.calls}
        if message.role == "tool":
            name = called.get(message.call_id) or message.name or "unknown"
            if message.name not in (None, name):
                notes.dropped(f"{message.path}.name", "a tool's name that isn't the function's")
            message = replace(message, name=name)
        made.append(message)
    return tuple(made)


def without_calls(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """Neither calls nor their answers."""
    made = []
    for message in messages:
        if message.calls:
            notes.dropped(f"{message.path}.tool_calls", "tool calls")
        if message.role == "tool":
            notes.dropped(message.path, "a tool's answer")
        elif not message.calls or message.content:
            made.append(replace(message, calls=(), call_id=None))
    return tuple(made)


@_of_each
def without_reasoning(message: Message, notes: Notes) -> Message:
    """No reasoning apart from the answer."""
    if message.reasoning is not None:
        notes.dropped(f"{message.path}.reasoning_content", "reasoning before the answer")
    return replace(message, reasoning=None)


@_of_each
def refusals_as_content(message: Message, notes: Notes) -> Message:
    """A refusal where the content stands; beside one, it is left out."""
    if message.refusal is None:
        return message
    path = f"{message.path}.refusal"
    if message.content or message.calls:
        notes.dropped(path, "a refusal beside an answer")
        return replace(message, refusal=None)
    notes.changed(path, "a refusal, to content")
    return replace(message, content=message.refusal, refusal=None)


def ending_with_assistant(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """Nothing after the last answer, where there is one."""
    answers = [i for i, message in enumerate(messages) if message.role == "assistant"]
    end = answers[-1] + 1 if answers else len(messages)
    for message in messages[end:]:
        notes.dropped(message.path, "a message after the last answer")
    return messages[:end]


def joined_turns(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """Two texts in a row by user or assistant as one; a lasting difference of weight parts them."""
    made: list[Message] = []
    for message in messages:
        last = made[-1] if made else None
        if (
            last is None
            or message.role not in ("user", "assistant")
            or last.role != message.role
            or last.calls
            or message.calls
            or (last.weight == 0) != (message.weight == 0)
            or (last.name, last.reasoning) != (message.name, message.reasoning)
            or last.spans
            or message.spans
            or isinstance(last.content, tuple)
            or isinstance(message.content, tuple)
        ):
            made.append(message)
            continue
        notes.changed(message.path, "a second message in a row, joined to the first")
        text = "\n\n".join(filter(None, (last.content, message.content)))
        made[-1] = replace(last, content=text)
    return tuple(made)


def one_call_each(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """Calls made at once, one after the other, each followed by its answer."""
    made: list[Message] = []
    rest = deque(messages)
    while rest:
        message = rest.popleft()
        if len(message.calls) < 2:
            made.append(message)
            continue
        answers = []
        while rest and rest[0].role == "tool":
            answers.append(rest.popleft())
        waiting: dict[str | None, list[Message]] = {}
        for answer in answers:
            waiting.setdefault(answer.call_id, []).append(answer)
        notes.changed(f"{message.path}.tool_calls", "calls made at once, one after the other")
        for i, call in enumerate(message.calls):
            text = message.content if i == 0 else None
            made.append(replace(message, calls=(call,), content=text))
            made += waiting.pop(call.id, ())
        made += (answer for answer in answers if answer.call_id in waiting)
    return tuple(made)


def numbered_ids(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """The ids that a reader makes up where the format has none: told, where they differ."""
    number = 0
    for message in messages:
        for i, call in enumerate(message.calls):
            number += 1
            if call.id != made_up_id(number):
                path = f"{message.path}.tool_calls[{i}].id"
                notes.changed(path, "a call's id: calls and answers are paired by their order")
    return messages


@_of_each
def without_text_beside_calls(message: Message, notes: Notes) -> Message:
    """Calls alone, without what was said along with them."""
    if not (message.calls and message.content):
        return message
    notes.dropped(f"{message.path}.content", "text beside tool calls")
    return replace(message, content=None)
