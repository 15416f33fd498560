"""Rules on rows that aren't chat examples but that other local trainers read: TRL's, AutoTrain's.

Source of AutoTrain's: AutoTrain Advanced 0.8.36, its last release, read 2026-11.
"""

from collections.abc import Iterator

from ftctl.datasets.rules import content, structure
from ftctl.datasets.rules.types import Example, Finding, JsonObject, Message, kind

_STRUCTURED = ("instruction", "output", "conversations", "interactions", "segments", "input_ids")
_TEXTS = ("text", "prompt", "completion", "completions", "chosen", "rejected")
_MESSAGE_RULES = (structure.roles, content.content, content.parts)
# What AutoTrain has to be told, as it reads columns and not rows.
_NEEDS = {
    "sft": (
        "messages",
        "AutoTrain trains on one column: its text_column has to name `messages`, and chat_template "
        "has to be set; loss then counts on every token, the user's too",
        "",
    ),
    "dpo": (
        "input",
        "AutoTrain reads pairs from three columns: prompt_text_column, text_column (the better "
        "answer) and rejected_text_column",
        "ftctl data convert FILE -o NEW --to trl writes the columns prompt, chosen, rejected; "
        "name them in column_mapping",
    ),
}


def values(row: JsonObject) -> Iterator[Finding]:
    """`content` and `content-type` of what the row is trained on, text or messages."""
    for key in (*_TEXTS, *_STRUCTURED):
        if key in row and row[key] is None:
            yield Finding("content", key, f"{key} is null")
        elif key in row and key in _TEXTS:
            yield from _value(row[key], key)


def _value(value: object, path: str) -> Iterator[Finding]:
    if isinstance(value, str):
        if not value.strip():
            yield Finding("empty-content", path, f"no text in {path}")
    elif not isinstance(value, list):
        yield Finding("content-type", path, f"{path} is {kind(value)}")
    elif not value:
        yield Finding("content", path, f"{path} is an empty list")
    else:
        yield from _list(value, path)


def _list(value: list[object], path: str) -> Iterator[Finding]:
    messages = []
    for i, item in enumerate(value):
        if isinstance(item, dict):
            messages.append(Message(i, item, path))
        elif item is None or path != "completions" or not isinstance(item, str):
            yield Finding("message-type", f"{path}[{i}]", f"the message is {kind(item)}")
    for rule in _MESSAGE_RULES:
        yield from rule(Example({}, messages))


def column_mapping(method: str) -> Iterator[Finding]:
    """`column-mapping`, once a file.

    Args:
        method: How the model will be tuned; AutoTrain knows sft and dpo.
    """
    if method in _NEEDS:
        yield Finding("column-mapping", *_NEEDS[method])
