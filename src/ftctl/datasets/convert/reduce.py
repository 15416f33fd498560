"""What a format can't say of an example, put in other words or left out, and told."""

from collections.abc import Iterator
from dataclasses import replace

from ftctl.datasets.convert import steps
from ftctl.datasets.convert.example import (
    CannotCarryError,
    Conversation,
    Example,
    Message,
    Notes,
    PlainText,
    Preference,
    PromptCompletion,
    Segments,
    Stepwise,
    Task,
    Tool,
    Unpaired,
)
from ftctl.datasets.convert.says import ANY_ADDRESS, Says


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
        case Segments():
            raise CannotCarryError("segments", "segments of text have no turns")
        case Stepwise():
            raise CannotCarryError("completions", "an answer judged step by step, not as a whole")


def as_fitted(example: Example, says: Says, notes: Notes) -> Conversation | None:
    """What a chat format says of any example; None where all of it has to be left out."""
    conversation = as_conversation(example, notes)
    return None if conversation is None else fitted(conversation, says, notes)


def fitted(conversation: Conversation, says: Says, notes: Notes) -> Conversation:
    """A conversation of what a format can say, with all else told."""
    if not says.parallel:
        conversation = _without_parallel(conversation, notes)
    if not says.strict:
        conversation = _without_strict(conversation, notes)
    if not says.tools:
        if conversation.tools:
            notes.dropped("tools", "tools")
        conversation = replace(conversation, tools=None)
    return conversation.with_messages(fitted_messages(conversation.messages, says, notes))


def fitted_messages(messages: tuple[Message, ...], says: Says, notes: Notes) -> tuple[Message, ...]:
    """Messages of what a format can say, with all else told."""
    for step in _steps(says):
        messages = step(messages, notes)
    return messages


def one_message(messages: tuple[Message, ...], says: Says, notes: Notes) -> Message:
    """An answer of what a format can say, which must be one message.

    Raises:
        CannotCarryError: it is several, or nothing is left of it.
    """
    made = fitted_messages(messages, says, notes)
    if len(made) != 1:
        raise CannotCarryError(messages[0].path, "an answer of several messages")
    return made[0]


def _steps(says: Says) -> Iterator[steps.Step]:
    """What has to be done to messages, in order: each step may count on those before it."""
    kept: tuple[tuple[object, steps.Step], ...] = (
        (says.spans, steps.without_spans),
        (says.developer, steps.developer_as_system),
        (says.systems, steps.one_system_first),
        (says.refusals, steps.refusals_as_content),
        (says.reasoning, steps.without_reasoning),
        (says.names, steps.without_names),
        (says.tool_names, steps.without_tool_names),
        (says.weights, steps.without_weights),
        (says.tools, steps.without_calls),
        (says.images == ANY_ADDRESS, steps.with_images(says.images)),
        (says.details, steps.without_details),
        (says.parts, steps.text_but_for_images if says.images else steps.text_only),
        (says.tool_parts, steps.tool_text),
        (says.text_beside_calls, steps.without_text_beside_calls),
        (says.several_calls, steps.one_call_each),
        (says.own_ids, steps.numbered_ids),
        (says.open_end, steps.ending_with_assistant),
        (says.same_speaker, steps.joined_turns),
    )
    return (step for able, step in kept if not able)


def _without_parallel(conversation: Conversation, notes: Notes) -> Conversation:
    """No word on whether calls may be made at once."""
    if conversation.parallel is not None:
        notes.dropped("parallel_tool_calls", "parallel_tool_calls")
    return replace(conversation, parallel=None)


def _without_strict(conversation: Conversation, notes: Notes) -> Conversation:
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
