"""Which format a row is in, by its keys."""

import difflib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ftctl.datasets.rules.types import JsonObject, shown
from ftctl.errors import UsageError

CHAT = "chat"
_SHOWN_KEYS = 6
# Question and answer in Axolotl's instruction types; a system prompt and an input may be beside.
INSTRUCTION_KEYS: tuple[tuple[str, str], ...] = (
    ("instruction", "response"),
    ("INSTRUCTION", "RESPONSE"),
    ("question", "answer"),
    ("question", "response"),
    ("article", "summary"),
    ("prompt", "generation"),
)


def _bedrock_shaped(row: JsonObject) -> bool:
    """A list as `system`, or parts without a type in every message."""
    if isinstance(row.get("system"), list):
        return True
    messages = row["messages"]
    return isinstance(messages, list) and bool(messages) and all(map(_untyped, messages))


def _untyped(message: object) -> bool:
    parts = message.get("content") if isinstance(message, dict) else None
    return (
        isinstance(parts, list)
        and bool(parts)
        and all(isinstance(part, dict) and part and "type" not in part for part in parts)
    )


class Format(NamedTuple):
    """A dataset format.

    Attributes:
        name: As a person calls it.
        key: The row of the rule table that judges it: who reads it as it is, who can't.
        path: Where a row shows that it isn't a chat example.
        id: What `data convert` calls it; "" where that can't read it.
        keys: What a row in it has.
        fits: What else is true of such a row; None where the keys are enough.
    """

    name: str
    key: str
    path: str = ""
    id: str = ""
    keys: tuple[str, ...] = ()
    fits: Callable[[JsonObject], bool] | None = None

    def has(self, row: JsonObject) -> bool:
        """Whether a row is in this format."""
        return all(key in row for key in self.keys) and (self.fits is None or self.fits(row))


_NOVA = "messages[0].content[0].type"
_OTHER = "format/convertible"
# Checked in this order. A format that TRL reads is fine locally; one that other local trainers
# read can be converted.
FORMATS: tuple[Format, ...] = (
    Format("an OpenAI batch request", "format", keys=("custom_id", "body")),
    Format(
        "OpenAI preference (DPO)", "format", id="openai-dpo", keys=("input", "preferred_output")
    ),
    Format("Gemini", "format/gemini", id="gemini", keys=("contents",)),
    Format("Bedrock conversation", "format/bedrock", _NOVA, "bedrock", ("schemaVersion",)),
    Format(
        "Bedrock conversation", "format/bedrock", _NOVA, "bedrock", ("messages",), _bedrock_shaped
    ),
    Format(
        "Anthropic messages",
        _OTHER,
        "system",
        keys=("messages", "system"),
        fits=lambda row: isinstance(row["system"], str),
    ),
    Format(CHAT, "", id="openai", keys=("messages",)),
    Format("ShareGPT", _OTHER, id="sharegpt", keys=("conversations",)),
    Format("the old Mistral trainer's", _OTHER, id="mistral", keys=("interactions",)),
    Format("Alpaca", _OTHER, id="alpaca", keys=("instruction", "chosen", "rejected")),
    Format("TRL preference", "format/trl", id="trl", keys=("chosen", "rejected")),
    Format("prompt and completion", "format/instruction", id="trl", keys=("prompt", "completion")),
    Format("TRL stepwise", "format/trl", id="trl", keys=("prompt", "completions")),
    Format("Alpaca", _OTHER, id="alpaca", keys=("instruction", "output")),
    Format("Axolotl input_output", _OTHER, id="axolotl", keys=("segments",)),
    *(Format("Axolotl instructions", _OTHER, id="axolotl", keys=two) for two in INSTRUCTION_KEYS),
    Format("token ids", _OTHER, keys=("input_ids",)),
    Format("plain text", "format/instruction", id="text", keys=("text",)),
    Format("TRL prompt-only", "format/trl", id="trl", keys=("prompt",)),
)
_BESIDE_MESSAGES = (
    ("conversations",),
    ("chosen", "rejected"),
    ("prompt", "completion"),
    ("instruction", "output"),
    ("text",),
)
# Formats that some rows of a file may be in, where others are in one that says more.
_WIDER = {
    frozenset({"openai", "openai-legacy"}): "openai-legacy",
    frozenset({"openai", "axolotl"}): "axolotl",
    frozenset({"sharegpt", "axolotl"}): "axolotl",
    frozenset({"openai", "trl"}): "trl",
}


def format_of(row: JsonObject) -> Format | None:
    """The format whose keys the row has; None when it has those of none."""
    return next((found for found in FORMATS if found.has(row)), None)


def id_of(row: JsonObject) -> str:
    """What `data convert` calls the row's format; "" when it can't read it.

    Chat rows are told apart further: those that say what is trained on as Axolotl does, those
    with legacy functions, and those that end with the user and have fields of their own, which is
    what a grader reads.
    """
    found = format_of(row)
    if found is None or found.id not in ("openai", "sharegpt"):
        return found.id if found is not None else ""
    turns = row.get("messages", row.get("conversations"))
    plain = [turn for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []
    if any("train" in turn or "train_detail" in turn for turn in plain):
        return "axolotl"
    return found.id if found.id == "sharegpt" else _chat_id(row, plain)


def _chat_id(row: JsonObject, messages: list[JsonObject]) -> str:
    if "chosen" in row and "rejected" in row:
        return "axolotl"
    if "functions" in row or any(
        message.get("function_call") is not None or message.get("role") == "function"
        for message in messages
    ):
        return "openai-legacy"
    asked = bool(messages) and messages[-1].get("role") == "user"
    answered = any(message.get("role") == "assistant" for message in messages)
    extra = set(row) - {"messages", "tools", "parallel_tool_calls"}
    return "openai-rft" if asked and extra and not answered else "openai"


def detect(rows: Sequence[tuple[int, JsonObject]]) -> str:
    """The format that the first rows of a file are in, each with its line.

    Rows in no known format are left out as long as another is in one.

    Raises:
        UsageError: they are in several, or none of them is in a known one.
    """
    first: dict[str, int] = {}
    for line, row in rows:
        first.setdefault(id_of(row), line)
    first.pop("", None)
    if len(first) > 1 and frozenset(first) not in _WIDER:
        told = ", ".join(f"{name} on line {line}" for name, line in first.items())
        raise UsageError(
            f"its first rows are in several formats: {told}",
            hint="keep one format in a file, or name the one that is meant with --from",
        )
    if not first:
        line, row = rows[0]
        raise UsageError(
            f"line {line} is in no format known here: {why_unknown(row)}",
            hint="--from names its format, --map FIELD=KEY says under which key a field stands",
        )
    return _WIDER.get(frozenset(first)) or next(iter(first))


def why_unknown(row: JsonObject) -> str:
    """Why a row is in no format that can be converted: the nearest one, and what it lacks."""
    found = format_of(row)
    if found is not None:
        return f"it is {found.name}, which can't be converted"
    keys = ", ".join(shown(key) for key in list(row)[:_SHOWN_KEYS]) or "none"
    nearest, share = None, 0.0
    for one in FORMATS:
        there = sum(key in row for key in one.keys) / len(one.keys) if one.id else 0
        nearest, share = (one, there) if there > share else (nearest, share)
    if nearest is not None:
        has, lacks = (
            " and ".join(key for key in nearest.keys if (key in row) == there)
            for there in (True, False)
        )
        return f"{nearest.name} is the nearest, but there is {has} and no {lacks} (keys: {keys})"
    known = {key.lower(): key for one in FORMATS if one.id for key in one.keys}
    for key in row:
        like = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.8)
        if like:
            return f"there is {shown(key)}, but no {known[like[0]]} (keys: {keys})"
    return f"it has none of the keys that tell one (keys: {keys})"


def second_format(row: JsonObject) -> str:
    """The keys of another format beside `messages`; "" when there are none."""
    beside = (keys for keys in _BESIDE_MESSAGES if all(key in row for key in keys))
    return " and ".join(next(beside, ()))
