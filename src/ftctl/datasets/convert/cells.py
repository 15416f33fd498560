"""What a cell of a table says of a field: text, or a value as JSON or a Python literal."""

import ast
import json
from collections.abc import Callable

from ftctl.datasets.convert.rows import UNWRITABLE
from ftctl.datasets.convert.sharegpt import SPEAKERS
from ftctl.datasets.rules.json_text import parse_line
from ftctl.datasets.rules.types import JsonObject, shown
from ftctl.errors import UsageError

# Fields that are never bare text.
STRUCTURED = frozenset(
    {
        *("messages", "conversations", "interactions", "contents", "systemInstruction"),
        *("system_instruction", "toolConfig", "functions", "available_tools", "completions"),
        *("labels", "segments", "history", "preferred_output", "non_preferred_output"),
    }
)
TRUTHS = frozenset({"label", "kto_tag", "parallel_tool_calls", "only_last"})
# Fields of which an empty cell is a text without characters; elsewhere it is no value at all.
NEEDED = frozenset({"prompt", "completion", "chosen", "rejected", "text", "instruction", "output"})
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_NO_VALUE = object()
_SPEAKERS = SPEAKERS.keys() | {"developer", "function"}


class UnreadableCellError(Exception):
    """A cell doesn't hold what its field is made of."""


def field_value(field: str, text: str) -> object:
    """What a cell says; None where it says nothing.

    Lists may be JSON, or Python literals as AutoTrain writes them; nothing is ever executed.

    Raises:
        UnreadableCellError: it isn't what the field is made of.
    """
    if not text:
        return text if field in NEEDED else None
    if field in TRUTHS:
        return _TRUTH.get(text.strip().lower(), text)
    if field in STRUCTURED:
        value = _structure(text)
        if value is _NO_VALUE:
            raise UnreadableCellError(f"{field} holds no JSON and no Python list")
        return value
    if text.lstrip()[:1] in ("[", "{") and field in _SOMETIMES:
        value = _structure(text)
        return value if _SOMETIMES[field](value) else text
    return text


def _structure(text: str) -> object:
    parsed = parse_line(text.encode("utf-8", "surrogatepass"))
    if parsed.valid:
        odd = any(finding.key in UNWRITABLE for finding in parsed.findings)
        return _NO_VALUE if odd else parsed.value
    try:
        value = ast.literal_eval(text.strip())
        return json.loads(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return _NO_VALUE


def _holds_messages(value: object) -> bool:
    """Whether it is messages, one of them, or an object that holds them."""
    if isinstance(value, dict):
        return _is_message(value) or _holds_messages(value.get("messages"))
    return isinstance(value, list) and bool(value) and all(map(_is_message, value))


def _is_message(item: object) -> bool:
    if not isinstance(item, dict):
        return False
    speaker = item.get("role", item.get("from"))
    if not isinstance(speaker, str) or speaker.strip().lower() not in _SPEAKERS:
        return False
    return any(key in item for key in ("content", "value", "tool_calls", "function_call", "text"))


# Fields that may be bare text, and when they aren't.
_SOMETIMES: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(("prompt", "completion", "chosen", "rejected", "input"), _holds_messages),
    "system": lambda value: isinstance(value, list),
    "tools": lambda value: isinstance(value, list | dict),
}


def must_read_back(field: str, text: str, number: int) -> None:
    """Refuse bare text that would be read as something else.

    Args:
        field: Its field.
        text: What it says.
        number: The row's number, for telling.

    Raises:
        UsageError: it would.
    """
    try:
        same = field == "tools" or field_value(field, text) in (text, None)
    except UnreadableCellError:
        same = False
    if not same:
        raise UsageError(
            f"row {number}: the text of {shown(field)} would be read as {_read_as(field)}",
            hint="write JSONL",
        )


def _read_as(field: str) -> str:
    return "true or false" if field in TRUTHS else "a list"


def cell_text(value: object) -> str:
    """A value as the text of a cell; None is an empty one."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def reads_back(field: str, value: object) -> bool:
    """Whether a cell says a value that is no text, or the empty text, as what it is."""
    if value == "":
        return field in NEEDED or field in ("input", "system")
    try:
        return field_value(field, cell_text(value)) == value
    except UnreadableCellError:
        return False


def with_system(row: JsonObject) -> JsonObject:
    """A row with the system prompt that stands beside its prompt or messages among these.

    No format but Alpaca has it so; there, and where it isn't text, the row stays as it is.
    """
    system = row.get("system", "")
    prompt, messages = row.get("prompt"), row.get("messages")
    if not isinstance(system, str) or not (isinstance(prompt, str) or isinstance(messages, list)):
        return row
    made = {key: value for key, value in row.items() if key != "system"}
    first = [{"role": "system", "content": system}] if system else []
    if isinstance(messages, list):
        return made | {"messages": first + messages}
    made["prompt"] = [*first, {"role": "user", "content": prompt}]
    for key in ("completion", "chosen", "rejected"):
        if isinstance(made.get(key), str):
            made[key] = [{"role": "assistant", "content": made[key]}]
    return made
