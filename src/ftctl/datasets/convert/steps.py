"""Steps on messages towards what a format can say; each tells what it did."""

from collections.abc import Callable
from dataclasses import replace

from ftctl.datasets.convert.chat import made_up_id
from ftctl.datasets.convert.example import Content, ImagePart, Message, Notes, TextPart

Step = Callable[[tuple[Message, ...], Notes], tuple[Message, ...]]


def developer_as_system(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """The role developer, which only OpenAI and Azure know."""
    made = []
    for message in messages:
        if message.role == "developer":
            notes.changed(f"{message.path}.role", "the role developer, to system")
            message = replace(message, role="system")
        made.append(message)
    return tuple(made)


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
    return (first, *(m for m in messages if m not in systems))


def tool_text(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """A tool's answer as one text."""
    return _each(
        messages,
        lambda m: isinstance(m.content, tuple) and m.role == "tool",
        lambda m: replace(m, content=text_of(m.content, f"{m.path}.content", notes)),
    )


def text_only(
    messages: tuple[Message, ...], notes: Notes, *, images: bool = False
) -> tuple[Message, ...]:
    """Every content as one text; with `images` those stay as they are that hold one."""
    return _each(
        messages,
        lambda m: isinstance(m.content, tuple) and not (images and _has_image(m)),
        lambda m: replace(m, content=text_of(m.content, f"{m.path}.content", notes)),
    )


def text_of(content: Content, path: str, notes: Notes) -> str:
    """The text of a content, its parts joined; images are left out."""
    if not isinstance(content, tuple):
        return content or ""
    for i, part in enumerate(content):
        if isinstance(part, ImagePart):
            notes.dropped(f"{path}[{i}]", "an image")
    notes.changed(path, "a list of parts, to one text")
    return "".join(part.text for part in content if isinstance(part, TextPart))


def with_images(
    messages: tuple[Message, ...], notes: Notes, *, addresses: tuple[str, ...]
) -> tuple[Message, ...]:
    """Images only by addresses that begin with one of these."""
    made = []
    for message in messages:
        if isinstance(message.content, tuple):
            kept = []
            for i, part in enumerate(message.content):
                if isinstance(part, TextPart) or part.url.startswith(addresses):
                    kept.append(part)
                    continue
                only = f", taken by {' or '.join(addresses)} only" if addresses else ""
                notes.dropped(f"{message.path}.content[{i}]", f"an image{only}")
            message = replace(message, content=tuple(kept))
        made.append(message)
    return tuple(made)


def without_details(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """Images without a word on how closely they are looked at."""
    made = []
    for message in messages:
        if isinstance(message.content, tuple):
            kept: list[TextPart | ImagePart] = []
            for i, part in enumerate(message.content):
                if isinstance(part, ImagePart) and part.detail is not None:
                    path = f"{message.path}.content[{i}].image_url.detail"
                    notes.dropped(path, "how closely an image is looked at")
                    part = ImagePart(part.url)
                kept.append(part)
            message = replace(message, content=tuple(kept))
        made.append(message)
    return tuple(made)


def _has_image(message: Message) -> bool:
    content = message.content
    return isinstance(content, tuple) and any(isinstance(part, ImagePart) for part in content)


def without_spans(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """Messages learnt whole or not at all."""
    for message in messages:
        if message.spans:
            notes.dropped(f"{message.path}.train_detail", "which stretches of an answer are learnt")
    return _each(messages, lambda m: bool(m.spans), lambda m: replace(m, spans=()))


def without_weights(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """No weights; only 0 says more than none at all does."""
    for message in messages:
        if message.weight == 0:
            notes.dropped(f"{message.path}.weight", "weight 0: the message is trained on")
    return _each(messages, lambda m: m.weight is not None, lambda m: replace(m, weight=None))


def without_names(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """No names of speakers; a tool's stays."""
    return _unnamed(messages, notes, lambda m: m.role != "tool")


def without_tool_names(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """No name beside a tool's answer, but where nothing else tells which call it answers."""
    called = {call.id: call.name for message in messages for call in message.calls}
    tools = [m for m in messages if m.role == "tool" and m.name is not None]
    said = [m for m in tools if called.get(m.call_id or "") == m.name]
    messages = _each(messages, lambda m: m in said, lambda m: replace(m, name=None))
    return _unnamed(messages, notes, lambda m: m.role == "tool")


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


def without_reasoning(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """No reasoning apart from the answer."""
    for message in messages:
        if message.reasoning is not None:
            notes.dropped(f"{message.path}.reasoning_content", "reasoning before the answer")
    return _each(messages, lambda m: m.reasoning is not None, lambda m: replace(m, reasoning=None))


def refusals_as_content(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """A refusal where the content stands; beside one, it is left out."""
    made = []
    for message in messages:
        if message.refusal is not None:
            path = f"{message.path}.refusal"
            if message.content or message.calls:
                notes.dropped(path, "a refusal beside an answer")
            else:
                notes.changed(path, "a refusal, to content")
                message = replace(message, content=message.refusal)
            message = replace(message, refusal=None)
        made.append(message)
    return tuple(made)


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
    rest = list(messages)
    while rest:
        message = rest.pop(0)
        if len(message.calls) < 2:
            made.append(message)
            continue
        answers = []
        while rest and rest[0].role == "tool":
            answers.append(rest.pop(0))
        notes.changed(f"{message.path}.tool_calls", "calls made at once, one after the other")
        for i, call in enumerate(message.calls):
            text = message.content if i == 0 else None
            made.append(replace(message, calls=(call,), content=text))
            mine = [answer for answer in answers if answer.call_id == call.id]
            made += mine
            answers = [answer for answer in answers if answer not in mine]
        made += answers
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


def without_text_beside_calls(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """Calls alone, without what was said along with them."""
    made = []
    for message in messages:
        if message.calls and message.content:
            notes.dropped(f"{message.path}.content", "text beside tool calls")
            message = replace(message, content=None)
        made.append(message)
    return tuple(made)


def _each(
    messages: tuple[Message, ...],
    concerns: Callable[[Message], bool],
    change: Callable[[Message], Message],
) -> tuple[Message, ...]:
    return tuple(change(message) if concerns(message) else message for message in messages)


def _unnamed(
    messages: tuple[Message, ...], notes: Notes, concerns: Callable[[Message], bool]
) -> tuple[Message, ...]:
    made = []
    for message in messages:
        if message.name is not None and concerns(message):
            notes.dropped(f"{message.path}.name", "a speaker's name")
            message = replace(message, name=None)
        made.append(message)
    return tuple(made)
