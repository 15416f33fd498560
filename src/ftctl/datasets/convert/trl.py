"""TRL's formats: text, messages, prompts, prompt-completion, preference, unpaired, stepwise.

Source: TRL 1.16's data utilities. Arguments of calls are objects, as its chat templates want
them; tools may come as a JSON text. A preference may leave out its prompt: it is what both
answers begin with.
"""

from dataclasses import replace
from itertools import takewhile

from ftctl.datasets.convert import openai
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
    Preference,
    PromptCompletion,
    Segments,
    Stepwise,
    Task,
    Unpaired,
)
from ftctl.datasets.convert.reduce import fitted, fitted_messages
from ftctl.datasets.convert.tools import arguments_object, read_tools
from ftctl.datasets.rules.types import JsonObject, kind

SAYS = replace(
    openai.SAYS, weights=False, refusals=False, parallel=False, reasoning=True, tool_parts=True
)
_MEANT = frozenset(
    {"messages", "prompt", "completion", "completions", "chosen", "rejected", "label", "text"}
)


def read(row: JsonObject, notes: Notes) -> Example:
    """A row as an example.

    Raises:
        CannotCarryError: it is in none of TRL's formats.
    """
    if "messages" in row:
        return read_conversation(row, notes)
    if "chosen" in row and "rejected" in row:
        notes.unknown(row, frozenset({"prompt", "chosen", "rejected", "tools"}))
        return _preference(row, notes)
    if "prompt" in row and "completion" in row:
        notes.unknown(row, frozenset({"prompt", "completion", "label", "tools"}))
        return _completion(row, notes)
    if "prompt" in row and "completions" in row:
        return read_stepwise(row, notes)
    if "prompt" in row:
        messages, plain = _turns(row, "prompt", notes)
        prompt = Conversation(messages, read_tools(row, notes))
        kept = {k: v for k, v in row.items() if k not in ("prompt", "tools")}
        return Task(prompt, kept, plain)
    if "text" in row:
        return plain_text.read(row, notes)
    raise CannotCarryError("", "no row of a format of TRL's")


def read_stepwise(row: JsonObject, notes: Notes) -> Stepwise:
    """A row whose answer is judged step by step.

    Raises:
        CannotCarryError: it isn't one, or not in bare text.
    """
    notes.unknown(row, frozenset({"prompt", "completions", "labels"}))
    prompt, steps, right = (row.get(key) for key in ("prompt", "completions", "labels"))
    if not isinstance(prompt, str):
        raise CannotCarryError("prompt", f"prompt is {kind(prompt)}; with steps it is bare text")
    if not isinstance(steps, list) or not all(isinstance(step, str) for step in steps):
        raise CannotCarryError("completions", "completions is no list of texts")
    if not isinstance(right, list) or not all(isinstance(one, bool) for one in right):
        raise CannotCarryError("labels", "labels is no list of true and false")
    if len(steps) != len(right):
        raise CannotCarryError("labels", f"{len(right)} labels for {len(steps)} steps")
    return Stepwise(prompt, tuple(steps), tuple(right))


def _turns(row: JsonObject, key: str, notes: Notes) -> tuple[tuple[Message, ...], bool]:
    """The messages under a key, and whether they are bare text."""
    value = row.get(key)
    if isinstance(value, str):
        return (Message("user" if key == "prompt" else "assistant", value, path=key),), True
    return read_messages(value, key, notes), False


def _preference(row: JsonObject, notes: Notes) -> Preference:
    if "prompt" not in row and isinstance(row["chosen"], str) and isinstance(row["rejected"], str):
        row = row | _parted(row["chosen"], row["rejected"])
        notes.changed("chosen", "what both answers begin with, to the prompt")
    chosen, plain = _turns(row, "chosen", notes)
    rejected, _ = _turns(row, "rejected", notes)
    if "prompt" in row:
        prompt, bare = _turns(row, "prompt", notes)
        if bare != plain:
            raise CannotCarryError("prompt", "bare text beside messages")
    else:  # the prompt is what both answers begin with
        shared = 0
        while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
            shared += 1
        if not shared:
            raise CannotCarryError("prompt", "no prompt, and nothing that both answers begin with")
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    return Preference(Conversation(prompt, read_tools(row, notes)), chosen, rejected, plain)


def _parted(chosen: str, rejected: str) -> JsonObject:
    """Two bare texts without what both begin with, and that; as TRL parts them."""
    pairs = zip(chosen, rejected, strict=False)
    shared = "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    if shared.endswith(" "):
        shared = shared[:-1]
    if not shared:
        raise CannotCarryError("prompt", "no prompt, and nothing that both answers begin with")
    at = len(shared)
    return {"prompt": shared, "chosen": chosen[at:], "rejected": rejected[at:]}


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
    """An example as a row."""
    match example:
        case Conversation():
            return _conversation(example, notes)
        case Task(prompt, fields, plain):
            return _task(prompt, fields, notes, plain=plain)
        case Preference(prompt, chosen, rejected, plain):
            row = _prompt(prompt, notes, plain=plain)
            row["chosen"] = _answer(chosen, notes, plain=plain)
            row["rejected"] = _answer(rejected, notes, plain=plain)
            return row
        case Unpaired(prompt, answer, good, plain):
            row = _prompt(prompt, notes, plain=plain)
            return row | {"completion": _answer(answer, notes, plain=plain), "label": good}
        case _:
            return _bare(example, notes)


def _bare(example: Example, notes: Notes) -> JsonObject:
    match example:
        case PromptCompletion(prompt, completion):
            return {"prompt": prompt, "completion": completion}
        case Stepwise():
            return write_stepwise(example)
        case Segments(pieces):
            learnt = [piece.learnt for piece in pieces]
            if not learnt[0] and learnt[-1] and learnt == sorted(learnt):  # its end is learnt
                at = learnt.index(True)
                notes.changed("segments", "segments, to a prompt and what is learnt after it")
                prompt, completion = (
                    "".join(piece.text for piece in some) for some in (pieces[:at], pieces[at:])
                )
                return {"prompt": prompt, "completion": completion}
    return plain_text.write(example, notes)


def write_stepwise(example: Stepwise) -> JsonObject:
    """An answer that is judged step by step, as Axolotl reads it too."""
    return {
        "prompt": example.prompt,
        "completions": list(example.steps),
        "labels": list(example.right),
    }


def _conversation(conversation: Conversation, notes: Notes) -> JsonObject:
    """`messages`; prompt and completion where only the last answers are trained on."""
    messages = conversation.messages
    start = len(messages)
    while start and messages[start - 1].role == "assistant" and messages[start - 1].weight != 0:
        start -= 1
    before = [m for m in messages[:start] if m.role == "assistant"]
    if 0 < start < len(messages) and before and all(m.weight == 0 for m in before):
        unweighted = tuple(replace(message, weight=None) for message in messages)
        row = _row(conversation.with_messages(unweighted), notes)
        written = row.pop("messages")
        assert isinstance(written, list)  # noqa: S101 - a message each
        return {"prompt": written[:start], "completion": written[start:], **row}
    return _row(conversation, notes)


def _task(prompt: Conversation, fields: JsonObject, notes: Notes, *, plain: bool) -> JsonObject:
    taken = [key for key in fields if key in _MEANT]
    for key in taken:
        notes.dropped(key, "a field of the grader's that TRL takes for something else")
    kept = {key: value for key, value in fields.items() if key not in taken}
    return _prompt(prompt, notes, plain=plain) | kept


def _prompt(prompt: Conversation, notes: Notes, *, plain: bool) -> JsonObject:
    row = _row(prompt, notes)
    messages = row.pop("messages")
    return {"prompt": prompt.messages[0].content if plain else messages, **row}


def _answer(messages: tuple[Message, ...], notes: Notes, *, plain: bool) -> object:
    if plain:
        return messages[0].content
    return with_objects(write_messages(fitted_messages(messages, SAYS, notes)))


def _row(conversation: Conversation, notes: Notes) -> JsonObject:
    row = write_conversation(fitted(conversation, SAYS, notes))
    return row | {"messages": with_objects(row["messages"])}


def with_objects(messages: object) -> list[JsonObject]:
    """Messages as written, but that calls have objects as arguments, where the text holds one."""
    found = messages if isinstance(messages, list) else []
    for message in found:
        for call in message.get("tool_calls", ()):
            function = call["function"]
            value = arguments_object(function["arguments"])
            function["arguments"] = function["arguments"] if value is None else value
    return found
