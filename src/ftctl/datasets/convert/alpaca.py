"""Alpaca: `{"instruction", "input"?, "output", "system"?, "history"?: [[question, answer]]}`.

Source: LLaMA-Factory's data page. Every answer in the history is trained on too.
"""

from ftctl.datasets.convert.example import (
    CannotCarryError,
    Conversation,
    Example,
    Message,
    Notes,
    Preference,
    PromptCompletion,
    Unpaired,
)
from ftctl.datasets.convert.reduce import as_fitted, fitted
from ftctl.datasets.convert.says import Says
from ftctl.datasets.rules.types import JsonObject, kind

_KEYS = frozenset(
    {"instruction", "input", "output", "system", "history", "chosen", "rejected", "kto_tag"}
)

SAYS = Says()


def read(row: JsonObject, notes: Notes) -> Example:
    """A row as an example."""
    notes.unknown(row, _KEYS)
    asked = _text(row, "instruction")
    more = _text(row, "input") if row.get("input") is not None else ""
    if more:
        notes.changed("input", "the input, joined to the instruction")
    prompt = [
        Message("system", system, path="system")
        for system in (row.get("system"),)
        if isinstance(system, str) and system
    ]
    prompt += _history(row)
    prompt.append(Message("user", "\n".join(filter(None, (asked, more))), path="instruction"))
    before = Conversation(tuple(prompt))
    if "output" not in row:
        chosen, rejected = (
            (Message("assistant", _text(row, key), path=key),) for key in ("chosen", "rejected")
        )
        return Preference(before, chosen, rejected)
    answer = Message("assistant", _text(row, "output"), path="output")
    good = row.get("kto_tag")
    if isinstance(good, bool):
        return Unpaired(before, (answer,), good)
    return before.with_messages((*prompt, answer))


def _history(row: JsonObject) -> list[Message]:
    history = row.get("history") or []
    if not isinstance(history, list):
        raise CannotCarryError("history", f"history is {kind(history)}")
    made = []
    for i, pair in enumerate(history):
        path = f"history[{i}]"
        if not isinstance(pair, list) or len(pair) != 2:
            raise CannotCarryError(path, "no pair of question and answer")
        question, answer = pair
        if not isinstance(question, str) or not isinstance(answer, str):
            raise CannotCarryError(path, "no pair of texts")
        made.append(Message("user", question, path=f"{path}[0]"))
        made.append(Message("assistant", answer, path=f"{path}[1]"))
    return made


def _text(row: JsonObject, key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise CannotCarryError(key, f"{key} is {kind(value)}, not text")
    return value


def write(example: Example, notes: Notes) -> JsonObject | None:
    """An example as a row; None where all of it is left out.

    Raises:
        CannotCarryError: it isn't questions and answers in turn.
    """
    answers: JsonObject
    match example:
        case Preference(prompt, chosen, rejected):
            answers = {"chosen": _answer(chosen, notes), "rejected": _answer(rejected, notes)}
        case Unpaired(prompt, answer, good):
            answers = {"output": _answer(answer, notes), "kto_tag": good}
        case PromptCompletion(asked, completion):
            return {"instruction": asked, "input": "", "output": completion}
        case _:
            whole = as_fitted(example, SAYS, notes)
            if whole is None:
                return None
            last = whole.messages[-1] if whole.messages else None
            if last is None or last.role != "assistant":
                raise CannotCarryError("", "no answer in text")
            prompt = whole.with_messages(whole.messages[:-1])
            answers = {"output": last.content or ""}
    return _row(fitted(prompt, SAYS.of_prompts, notes)) | answers


def _answer(messages: tuple[Message, ...], notes: Notes) -> str:
    plain = fitted(Conversation(messages), SAYS, notes).messages
    if len(plain) != 1 or not isinstance(plain[0].content, str):
        raise CannotCarryError(messages[0].path, "an answer of more than one text")
    return plain[0].content


def _row(prompt: Conversation) -> JsonObject:
    """The row of a prompt, its last question as the instruction."""
    messages = prompt.messages
    row: JsonObject = {}
    if messages and messages[0].role == "system":
        row["system"] = messages[0].content or ""
        messages = messages[1:]
    wanted = ("user", "assistant")
    for i, message in enumerate(messages):
        if message.role != wanted[i % 2]:
            raise CannotCarryError(message.path, "questions and answers aren't in turn")
    if len(messages) % 2 == 0:
        path = messages[-1].path if messages else ""
        raise CannotCarryError(path, "no question before the answer")
    texts = [message.content or "" for message in messages]
    if len(texts) > 1:
        row["history"] = [list(pair) for pair in zip(texts[:-1:2], texts[1::2], strict=True)]
    return {"instruction": texts[-1], "input": "", **row}
