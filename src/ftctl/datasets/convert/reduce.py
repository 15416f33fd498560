"""What a format can't say, put in other words or left out; each step tells what it did."""

from collections.abc import Callable
from dataclasses import replace

from ftctl.datasets.convert.chat import made_up_id
from ftctl.datasets.convert.example import (
    CannotCarryError,
    Content,
    Conversation,
    Example,
    ImagePart,
    Message,
    Notes,
    PlainText,
    Preference,
    PromptCompletion,
    Task,
    TextPart,
    Tool,
    Unpaired,
)

Step = Callable[[tuple[Message, ...], Notes], tuple[Message, ...]]


def as_conversation(example: Example, notes: Notes) -> Conversation | None:
    """What a chat format can say of any example; None where all of it has to be left out.

    Raises:
        CannotCarryError: it has no turns, or no answer.
    """
    match example:
        case Conversation():
            return example
        case PromptCompletion(prompt, completion):
            return Conversation((Message("user", prompt), Message("assistant", completion)))
        case Preference(prompt, chosen):
            notes.dropped("rejected", "the worse answer of a pair")
            return prompt.with_messages(prompt.messages + chosen)
        case Unpaired(prompt, answer, good):
            if not good:
                notes.dropped("", "the whole row: its answer is labelled as bad")
                return None
            notes.dropped("label", "the label of a good answer")
            return prompt.with_messages(prompt.messages + answer)
        case Task():
            raise CannotCarryError("messages", "a task for a grader has no answer to train on")
        case PlainText():
            raise CannotCarryError("text", "plain text has no turns")


def through(conversation: Conversation, notes: Notes, *steps: Step) -> Conversation:
    """A conversation after some steps on its messages, in order."""
    messages = conversation.messages
    for step in steps:
        messages = step(messages, notes)
    return conversation.with_messages(messages)


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


def text_only(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """Every content as one text; images are left out."""
    return _each(
        messages,
        lambda m: isinstance(m.content, tuple),
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


def without_images(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """Contents that hold an image, as text."""
    return _each(
        messages,
        lambda m: isinstance(m.content, tuple) and any(isinstance(p, ImagePart) for p in m.content),
        lambda m: replace(m, content=text_of(m.content, f"{m.path}.content", notes)),
    )


def without_weights(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """No weights; only 0 says more than none at all does."""
    for message in messages:
        if message.weight == 0:
            notes.dropped(f"{message.path}.weight", "weight 0: the message is trained on")
    return _each(messages, lambda m: m.weight is not None, lambda m: replace(m, weight=None))


def without_names(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """No names of speakers; a tool's stays."""
    return _without(messages, notes, "name", lambda m: m.role != "tool")


def without_any_names(messages: tuple[Message, ...], notes: Notes) -> tuple[Message, ...]:
    """No names at all."""
    return _without(messages, notes, "name", lambda _: True)


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


def without_parallel(conversation: Conversation, notes: Notes) -> Conversation:
    """No word on whether calls may be made at once."""
    if conversation.parallel is not None:
        notes.dropped("parallel_tool_calls", "parallel_tool_calls")
    return replace(conversation, parallel=None)


def without_strict(conversation: Conversation, notes: Notes) -> Conversation:
    """Tools without `strict`."""
    tools = conversation.tools
    if tools is None:
        return conversation
    made: list[Tool] = []
    for i, tool in enumerate(tools):
        if tool.strict is not None:
            notes.dropped(f"tools[{i}].function.strict", "whether a tool's schema is strict")
        made.append(replace(tool, strict=None))
    return replace(conversation, tools=tuple(made))


def _each(
    messages: tuple[Message, ...],
    concerns: Callable[[Message], bool],
    change: Callable[[Message], Message],
) -> tuple[Message, ...]:
    return tuple(change(message) if concerns(message) else message for message in messages)


def _without(
    messages: tuple[Message, ...], notes: Notes, key: str, concerns: Callable[[Message], bool]
) -> tuple[Message, ...]:
    made = []
    for message in messages:
        if message.name is not None and concerns(message):
            notes.dropped(f"{message.path}.{key}", "a speaker's name")
            message = replace(message, name=None)
        made.append(message)
    return tuple(made)
