"""Rules on an example's shape: keys, messages, roles and their order."""

import difflib
import re
from collections.abc import Iterator

from ftctl.datasets.rules.types import Example, Finding, JsonObject, join, kind, read_example, shown

ROLES = frozenset({"system", "user", "assistant", "tool"})
ROW_KEYS = frozenset({"messages", "tools", "parallel_tool_calls", "functions"})
MESSAGE_KEYS = frozenset(
    {"role", "content", "name", "weight", "tool_calls", "tool_call_id", "refusal", "function_call"}
)
_REASONING = {"reasoning_content": "unknown-key/reasoning", "reasoning": "unknown-key/thought"}
_EVERYWHERE = ("role", "content")
# Keys with a meaning, but only in messages of this role.
_ROLE_OF = {"tool_calls": "assistant", "tool_call_id": "tool"}
_NAMELESS = ("system", "user", "assistant")
_MEANT = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}
_KNOWN = ROLES | {"developer", "function"}
_NAME = re.compile(r"[^\s<|\\/>]+")


def iter_messages_problems(row: JsonObject) -> Iterator[Finding]:
    """`missing-messages`, `messages-type`, `message-type`."""
    if "messages" not in row:
        near = difflib.get_close_matches("messages", row, n=1) or [
            key for key in ("conversations", "conversation", "turns", "dialog") if key in row
        ]
        hint = f"did you mean `messages` instead of {shown(near[0])}?" if near else ""
        yield Finding("missing-messages", "messages", "no key `messages`", hint)
        return
    messages = row["messages"]
    if not isinstance(messages, list):
        yield Finding("messages-type", "messages", f"messages is {kind(messages)}, not a list")
        return
    if not messages:
        yield Finding("missing-messages", "messages", "messages is empty")
    for i, message in enumerate(messages):
        if not isinstance(message, dict):
            yield Finding("message-type", f"messages[{i}]", f"the message is {kind(message)}")


def chat_example(row: object) -> Example | None:
    """The example that a row is; None where it isn't messages, as far as their shape tells."""
    if isinstance(row, dict) and next(iter_messages_problems(row), None) is None:
        return read_example(row)
    return None


def row_keys(example: Example) -> Iterator[Finding]:
    """`unknown-key` of the row."""
    for key in example.row:
        if key not in ROW_KEYS:
            yield Finding("unknown-key/row", join("", key), f"unknown key {shown(key)}")


def message_keys(example: Example) -> Iterator[Finding]:
    """`unknown-key` of messages."""
    for message in example.messages:
        for key in message.fields:
            if key in _EVERYWHERE:
                continue
            path = join(message.path, key)
            if key in _REASONING:
                yield Finding(_REASONING[key], path, f"the key {key!r} isn't read")
            elif key == "prefix":
                yield Finding("unknown-key/misplaced", path, "`prefix` is for serving only")
            elif key not in MESSAGE_KEYS:
                yield Finding("unknown-key/message", path, f"unknown key {shown(key)}")
            elif key in _ROLE_OF and message.role in ROLES and message.role != _ROLE_OF[key]:
                wrong = f"`{key}` on a message of role {message.role}"
                yield Finding("unknown-key/misplaced", path, wrong)
            elif key == "refusal" or (key == "name" and message.role in _NAMELESS):
                known = f"`{key}` on a message of role {message.role}"
                yield Finding("unknown-key/known", path, known)


def roles(example: Example) -> Iterator[Finding]:
    """`role`: one of four words, exactly."""
    for message in example.messages:
        path = f"{message.path}.role"
        if "role" not in message.fields:
            yield Finding("role", path, "no role")
            continue
        role = message.fields["role"]
        if not isinstance(role, str):
            yield Finding("role", path, f"the role is {kind(role)}, not a string")
        elif role == "developer":
            yield Finding("role/developer", path, "the role developer isn't known everywhere")
        elif role not in ROLES and role != "function":
            meant = meant_role(role)
            hint = f"write {meant}" if meant in _KNOWN else ""
            yield Finding("role", path, f"unknown role {shown(role)}", hint)


def meant_role(role: str) -> str:
    """The role that is meant by other case, spaces, or another trainer's word for it."""
    clean = role.strip().lower()
    return _MEANT.get(clean, clean)


def legacy_functions(example: Example) -> Iterator[Finding]:
    """`legacy-function-call`: functions, function_call, the role function."""
    if "functions" in example.row:
        yield Finding("legacy-function-call", "functions", "`functions` is deprecated")
    for message in example.messages:
        if message.role == "function":
            path = f"{message.path}.role"
            yield Finding("legacy-function-call", path, "the role function is deprecated")
        if "function_call" in message.fields:
            path = f"{message.path}.function_call"
            yield Finding("legacy-function-call", path, "`function_call` is deprecated")


def system_messages(example: Example) -> Iterator[Finding]:
    """`system-position` and `system-count`."""
    seen = False
    for message in example.messages:
        if message.role not in ("system", "developer"):
            continue
        if seen:
            yield Finding("system-count", message.path, "more than one system message")
        elif message.index > 0:
            yield Finding("system-position", message.path, "the system message isn't first")
        seen = True


def alternation(example: Example) -> Iterator[Finding]:
    """`alternation`: two messages of one role in a row."""
    for before, message in zip(example.messages, example.messages[1:], strict=False):
        if message.role in ("user", "assistant") and message.role == before.role:
            key = "alternation" if message.role == "user" else "alternation/assistant"
            yield Finding(key, message.path, f"two {message.role} messages in a row")


def first_message(example: Example) -> Iterator[Finding]:
    """`first-message`: the assistant speaks before anybody else."""
    spoken = [m for m in example.messages if m.role not in ("system", "developer")]
    if not spoken or spoken[0].role != "assistant":
        return
    if len(example.messages) == 1:
        yield Finding("first-message/alone", spoken[0].path, "a single assistant message")
    else:
        yield Finding("first-message", spoken[0].path, "the assistant speaks first")


def last_message(example: Example) -> Iterator[Finding]:
    """`last-message`: what comes after the last answer is never trained on."""
    last = example.messages[-1] if example.messages else None
    answered = any(meant_role(message.role) == "assistant" for message in example.messages)
    if last and answered and last.role in _KNOWN - {"assistant"}:
        yield Finding("last-message", f"{last.path}.role", f"the last message is by {last.role}")


def speakers(example: Example) -> Iterator[Finding]:
    """`no-assistant` and `no-user`; who an unknown role is can't be told, which `role` says."""
    said = {meant_role(message.role) for message in example.messages}
    if said - _KNOWN:
        return
    if example.messages and "assistant" not in said:
        yield Finding("no-assistant", "messages", "no assistant message to train on")
    if example.messages and "user" not in said:
        yield Finding("no-user", "messages", "no user message")


def names(example: Example) -> Iterator[Finding]:
    """`name-pattern`: what the chat API takes as a name. Source: its specification, 2026-08."""
    for message in example.messages:
        name = message.fields.get("name")
        if name is None:
            continue
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            path = f"{message.path}.name"
            yield Finding("name-pattern", path, f"{shown(name)} isn't taken as a name")


RULES = (
    row_keys,
    message_keys,
    roles,
    legacy_functions,
    system_messages,
    alternation,
    first_message,
    last_message,
    speakers,
    names,
)
