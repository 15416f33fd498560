"""Which format a row is in, by its keys."""

from typing import NamedTuple

from ftctl.datasets.rules.types import JsonObject

CHAT = "chat"


class Format(NamedTuple):
    """A dataset format that isn't ours.

    Attributes:
        name: As a person calls it.
        key: The row of the rule table that judges it: who reads it as it is, who can't.
        path: Where a row shows that it isn't a chat example.
    """

    name: str
    key: str
    path: str = ""


# Checked in this order: the keys that must all be there, and what they mean. A format that TRL
# reads is fine locally; one that other local trainers read can be converted.
_BY_KEYS: tuple[tuple[tuple[str, ...], Format], ...] = (
    (("custom_id", "body"), Format("an OpenAI batch request", "format")),
    (("input", "preferred_output"), Format("OpenAI preference (DPO)", "format")),
    (("contents",), Format("Gemini", "format")),
    (("schemaVersion",), Format("Bedrock conversation", "format", "messages[0].content[0].type")),
    (("messages",), Format(CHAT, "")),
    (("conversations",), Format("ShareGPT", "format/convertible")),
    (("interactions",), Format("the old Mistral trainer's", "format/convertible")),
    (("chosen", "rejected"), Format("TRL preference", "format/trl")),
    (("prompt", "completion"), Format("prompt and completion", "format/trl")),
    (("prompt", "completions"), Format("TRL stepwise", "format/trl")),
    (("instruction", "output"), Format("Alpaca", "format/convertible")),
    (("segments",), Format("Axolotl input_output", "format/convertible")),
    (("input_ids",), Format("token ids", "format/convertible")),
    (("text",), Format("plain text", "format/trl")),
    (("prompt",), Format("TRL prompt-only", "format/trl")),
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
                return Format("Bedrock conversation", "format", "messages[0].content[0].type")
            if found.name == CHAT and isinstance(row.get("system"), str):
                return Format("Anthropic messages", "format/convertible", "system")
            return found
    return None


def second_format(row: JsonObject) -> str:
    """The keys of another format beside `messages`; "" when there are none."""
    beside = (keys for keys in _BESIDE_MESSAGES if all(key in row for key in keys))
    return " and ".join(next(beside, ()))
