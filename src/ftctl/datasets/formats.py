"""Which format a row is in, by its keys."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ftctl.datasets.rules.types import JsonObject

CHAT = "chat"


class Format(NamedTuple):
    """A dataset format that isn't ours.

    Attributes:
        name: As a person calls it.
        key: The row of the rule table that judges it: who reads it as it is, who can't.
        path: Where a row shows that it isn't a chat example.
        id: What `data convert` calls it; "" where that can't read it.
    """

    name: str
    key: str
    path: str = ""
    id: str = ""


# Checked in this order: the keys that must all be there, and what they mean. A format that TRL
# reads is fine locally; one that other local trainers read can be converted.
_BY_KEYS: tuple[tuple[tuple[str, ...], Format], ...] = (
    (("custom_id", "body"), Format("an OpenAI batch request", "format")),
    (("input", "preferred_output"), Format("OpenAI preference (DPO)", "format", id="openai-dpo")),
    (("contents",), Format("Gemini", "format/gemini", id="gemini")),
    (
        ("schemaVersion",),
        Format("Bedrock conversation", "format/bedrock", "messages[0].content[0].type"),
    ),
    (("messages",), Format(CHAT, "", id="openai")),
    (("conversations",), Format("ShareGPT", "format/convertible", id="sharegpt")),
    (("interactions",), Format("the old Mistral trainer's", "format/convertible")),
    (("instruction", "chosen", "rejected"), Format("Alpaca", "format/convertible", id="alpaca")),
    (("chosen", "rejected"), Format("TRL preference", "format/trl", id="trl")),
    (("prompt", "completion"), Format("prompt and completion", "format/instruction", id="trl")),
    (("prompt", "completions"), Format("TRL stepwise", "format/trl")),
    (("instruction", "output"), Format("Alpaca", "format/convertible", id="alpaca")),
    (("segments",), Format("Axolotl input_output", "format/convertible")),
    (("input_ids",), Format("token ids", "format/convertible")),
    (("text",), Format("plain text", "format/instruction", id="text")),
    (("prompt",), Format("TRL prompt-only", "format/trl", id="trl")),
)
_BESIDE_MESSAGES = (
    ("conversations",),
    ("chosen", "rejected"),
    ("prompt", "completion"),
    ("instruction", "output"),
    ("text",),
)


def format_of(row: JsonObject) -> Format | None:
    """The format whose keys the row has; None when it has those of none."""
    for keys, found in _BY_KEYS:
        if all(key in row for key in keys):
            if found.name == CHAT and isinstance(row.get("system"), list):
                return Format(
                    "Bedrock conversation", "format/bedrock", "messages[0].content[0].type"
                )
            if found.name == CHAT and isinstance(row.get("system"), str):
                return Format("Anthropic messages", "format/convertible", "system")
            return found
    return None


def id_of(row: JsonObject) -> str:
    """What `data convert` calls the row's format; "" when it can't read it.

    Chat rows are told apart further: those with legacy functions, and those that end with the
    user and have fields of their own, which is what a grader reads.
    """
    found = format_of(row)
    messages = row.get("messages")
    if found is None or found.name != CHAT or not isinstance(messages, list):
        return found.id if found is not None else ""
    plain = [message for message in messages if isinstance(message, dict)]
    if "functions" in row or any(
        message.get("function_call") is not None or message.get("role") == "function"
        for message in plain
    ):
        return "openai-legacy"
    asked = bool(plain) and plain[-1].get("role") == "user"
    answered = any(message.get("role") == "assistant" for message in plain)
    extra = set(row) - {"messages", "tools", "parallel_tool_calls"}
    return "openai-rft" if asked and extra and not answered else "openai"


def detect(rows: Sequence[JsonObject]) -> str:
    """The format of a file by its first rows: the one that most are in; "" when none is known.

    Rows with legacy functions make a chat file one with legacy functions.
    """
    ids = Counter(id_of(row) for row in rows)
    del ids[""]
    if set(ids) == {"openai", "openai-legacy"}:
        return "openai-legacy"
    return ids.most_common(1)[0][0] if ids else ""


def second_format(row: JsonObject) -> str:
    """The keys of another format beside `messages`; "" when there are none."""
    beside = (keys for keys in _BESIDE_MESSAGES if all(key in row for key in keys))
    return " and ".join(next(beside, ()))
