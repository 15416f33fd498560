"""TRL's formats: conversational, prompt-completion, preference, unpaired, prompt-only and text.

Source: TRL 1.16's data utilities. Arguments of calls are objects, as its chat templates want
them; tools may come as a JSON text.
"""

from dataclasses import replace

from ftctl.datasets.convert import text as plain_text
from ftctl.datasets.convert.chat import (
    read_conversation,
    read_messages,
    write_conversation,
    write_messages,
)
from ftctl.datasets.convert.example import (
    CannotCarryError,
    Conversation,
    Example,
    Message,
    Notes,
    PlainText,
    Preference,
    PromptCompletion,
    Task,
    Unpaired,
)
from ftctl.datasets.convert.reduce import (
    refusals_as_content,
    through,
    without_parallel,
    without_weights,
)
from ftctl.datasets.convert.tools import arguments_object, read_tools
from ftctl.datasets.rules.types import JsonObject, kind

_MEANT = frozenset(
    {"messages", "prompt", "completion", "completions", "chosen", "rejected", "label", "text"}
)


def read(row: JsonObject, notes: Notes) -> Example:
    """A row as an example.

    Raises:
        CannotCarryError: it is in none of TRL's formats, or stepwise.
    """
    if "messages" in row:
        return read_conversation(row, notes)
    if "chosen" in row and "rejected" in row:
        notes.unknown(row, frozenset({"prompt", "chosen", "rejected", "tools"}), "")
        return _preference(row, notes)
    if "prompt" in row and "completion" in row:
        notes.unknown(row, frozenset({"prompt", "completion", "label", "tools"}), "")
        return _completion(row, notes)
    if "prompt" in row and "completions" not in row:
        prompt = Conversation(_turns(row, "prompt", notes)[0], read_tools(row, notes))
        return Task(prompt, {k: v for k, v in row.items() if k not in ("prompt", "tools")})
    if "text" in row:
        return plain_text.read(row, notes)
    raise CannotCarryError("", "no row of a format of TRL's that can be converted")


def _turns(row: JsonObject, key: str, notes: Notes) -> tuple[tuple[Message, ...], bool]:
    """The messages under a key, and whether they are bare text."""
    value = row.get(key)
    if isinstance(value, str):
        return (Message("user" if key == "prompt" else "assistant", value, path=key),), True
    return read_messages(value, key, notes), False


def _preference(row: JsonObject, notes: Notes) -> Preference:
    chosen, plain = _turns(row, "chosen", notes)
    rejected, _ = _turns(row, "rejected", notes)
    if "prompt" in row:
        prompt, bare = _turns(row, "prompt", notes)
        if bare != plain:
            raise CannotCarryError("prompt", "bare text beside messages")
    elif plain:
        raise CannotCarryError("prompt", "no prompt: in bare texts it can't be told apart")
    else:  # the prompt is what both answers begin with
        shared = 0
        while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
            shared += 1
        if not shared:
            raise CannotCarryError("prompt", "no prompt, and nothing that both answers begin with")
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    return Preference(Conversation(prompt, read_tools(row, notes)), chosen, rejected, plain)


def _completion(row: JsonObject, notes: Notes) -> Example:
    prompt, plain = _turns(row, "prompt", notes)
    completion, bare = _turns(row, "completion", notes)
    if plain != bare:
        raise CannotCarryError("completion", "bare text beside messages")
    tools, label = read_tools(row, notes), row.get("label")
    if label is not None:
        if not isinstance(label, bool):
            raise CannotCarryError("label", f"label is {kind(label)}")
        return Unpaired(Conversation(prompt, tools), completion, label, plain)
    if plain:
        return PromptCompletion(str(prompt[0].content), str(completion[0].content))
    untrained = (replace(m, weight=0) if m.role == "assistant" else m for m in prompt)
    return Conversation((*untrained, *completion), tools)


def write(example: Example, notes: Notes) -> JsonObject | None:
    """An example as a row.

    Raises:
        CannotCarryError: an answer is no text where bare texts are written.
    """
    match example:
        case PlainText():
            return plain_text.write(example, notes)
        case PromptCompletion(prompt, completion):
            return {"prompt": prompt, "completion": completion}
        case Conversation():
            return _conversation(example, notes)
        case Task(asked, fields):
            return _task(asked, fields, notes)
        case Preference(asked, chosen, rejected, plain):
            row = _prompt(asked, notes, plain=plain)
            row["chosen"] = _answer(chosen, notes, plain=plain)
            row["rejected"] = _answer(rejected, notes, plain=plain)
            return row
        case Unpaired(asked, answer, good, plain):
            row = _prompt(asked, notes, plain=plain)
            return row | {"completion": _answer(answer, notes, plain=plain), "label": good}


def _conversation(conversation: Conversation, notes: Notes) -> JsonObject:
    """`messages`; prompt and completion where only the last answers are trained on."""
    conversation = through(without_parallel(conversation, notes), notes, refusals_as_content)
    messages = conversation.messages
    start = len(messages)
    while start and messages[start - 1].role == "assistant" and messages[start - 1].weight != 0:
        start -= 1
    before = [m for m in messages[:start] if m.role == "assistant"]
    if 0 < start < len(messages) and before and all(m.weight == 0 for m in before):
        row = _plain_row(conversation.with_messages(_unweighted(messages[:start])))
        row["prompt"] = row.pop("messages")
        row["completion"] = _with_objects(write_messages(_unweighted(messages[start:])))
        return row
    return _plain_row(through(conversation, notes, without_weights))


def _unweighted(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    return tuple(replace(message, weight=None) for message in messages)


def _task(prompt: Conversation, fields: JsonObject, notes: Notes) -> JsonObject:
    taken = [key for key in fields if key in _MEANT]
    for key in taken:
        notes.dropped(key, "a field of the grader's that TRL takes for something else")
    kept = {key: value for key, value in fields.items() if key not in taken}
    return _prompt(prompt, notes, plain=False) | kept


def _prompt(prompt: Conversation, notes: Notes, *, plain: bool) -> JsonObject:
    row = _plain_row(
        through(without_parallel(prompt, notes), notes, refusals_as_content, without_weights)
    )
    messages = row.pop("messages")
    return {"prompt": prompt.messages[0].content if plain else messages, **row}


def _answer(messages: tuple[Message, ...], notes: Notes, *, plain: bool) -> object:
    if plain:
        return messages[0].content
    messages = without_weights(refusals_as_content(messages, notes), notes)
    return _with_objects(write_messages(messages))


def _plain_row(conversation: Conversation) -> JsonObject:
    row = write_conversation(conversation)
    row["messages"] = _with_objects(write_messages(conversation.messages))
    return row


def _with_objects(messages: list[JsonObject]) -> list[JsonObject]:
    """Messages whose calls have objects as arguments, where the text holds one."""
    for message in messages:
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            function = call["function"]
            value = arguments_object(function["arguments"])
            function["arguments"] = function["arguments"] if value is None else value
    return messages
