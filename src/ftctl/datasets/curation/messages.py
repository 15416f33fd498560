"""Messages as the tools that record calls write them, in OpenAI's words.

Source: the documented shapes of Langfuse and LangSmith, and LangChain's two ways of writing a
message; read 2026-11.
"""

import json
from collections.abc import Iterator

from ftctl.datasets.curation.types import FaultError, as_object
from ftctl.datasets.rules.types import JsonObject

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "function": "tool",
    "HumanMessage": "user",
    "HumanMessageChunk": "user",
    "AIMessage": "assistant",
    "AIMessageChunk": "assistant",
    "SystemMessage": "system",
    "ToolMessage": "tool",
}
_KEPT = ("role", "content", "name", "tool_calls", "tool_call_id", "refusal", "function_call")
# Where an object keeps its one text, in the order in which they are looked for.
_TEXTS = (
    *("content", "text", "output", "answer", "response", "completion", "result"),
    *("input", "question", "query", "prompt", "instruction"),
)


def messages_of(value: object, path: str, role: str) -> list[JsonObject]:
    """The messages that a recorded input or output holds; a bare text is one of this role.

    Raises:
        FaultError: none can be made out.
    """
    value = _parsed(value)
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if isinstance(value, list):
        return [one for i, item in enumerate(value) for one in _listed(item, f"{path}[{i}]", role)]
    fields = as_object(value, path, "a text, a message or a list of them")
    if "messages" in fields:
        return messages_of(fields["messages"], f"{path}.messages", role)
    if (inner := _wrapped(fields)) is not None:
        return messages_of(inner[1], f"{path}.{inner[0]}", role)
    if _is_message(fields):
        return [_message(fields, path)]
    texts = [key for key in _TEXTS if isinstance(fields.get(key), str | list | dict)]
    named = texts or [key for key, text in fields.items() if isinstance(text, str)]
    if not named or (not texts and len(named) > 1):
        keys = ", ".join(list(fields)[:6]) or "nothing"
        raise FaultError(path, f"no text or messages can be made out in it (it has {keys})")
    return messages_of(fields[named[0]], f"{path}.{named[0]}", role)


def _parsed(value: object) -> object:
    """A CSV cell that holds JSON, as what it says."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _wrapped(fields: JsonObject) -> tuple[str, object] | None:
    """What stands in an API's answer, or in a LangChain generation; None where neither is it."""
    for key in ("choices", "generations"):
        found = fields.get(key)
        while isinstance(found, list) and found:
            found = found[0]
        if isinstance(found, dict):
            inner = found.get("message") or found.get("text")
            return (f"{key}[0].message", inner) if inner else None
    return None


def _listed(item: object, path: str, role: str) -> Iterator[JsonObject]:
    if isinstance(item, list) and len(item) == 2 and all(isinstance(x, str) for x in item):
        yield {"role": _ROLES.get(item[0], item[0]), "content": item[1]}
    elif isinstance(item, list):  # LangChain logs a batch of one
        yield from messages_of(item, path, role)
    elif isinstance(item, dict) and item.get("type") == "text" and "role" not in item:
        yield {"role": role, "content": item.get("text")}
    else:
        yield _message(as_object(item, path, "a message"), path)


def _is_message(fields: JsonObject) -> bool:
    return "role" in fields or "kwargs" in fields or fields.get("type") in _ROLES


def _message(fields: JsonObject, path: str) -> JsonObject:
    said = fields
    named: object = fields.get("role") or fields.get("type")
    if isinstance(inner := fields.get("kwargs"), dict):  # LangChain's constructor
        said, names = inner, fields.get("id")
        named = names[-1] if isinstance(names, list) and names else inner.get("type")
    elif isinstance(inner := fields.get("data"), dict):  # LangChain's older way
        said = inner
    if not isinstance(named, str):
        raise FaultError(path, "the message has no role")
    message: JsonObject = {"role": _ROLES.get(named, named), "content": None}
    message |= {key: said[key] for key in _KEPT[1:] if said.get(key) is not None}
    if calls := _calls(said):
        message["tool_calls"] = calls
    return message


def _calls(said: JsonObject) -> list[object] | None:
    extra = said.get("additional_kwargs")
    if isinstance(extra, dict) and isinstance(extra.get("tool_calls"), list):
        return list(extra["tool_calls"])
    calls = said.get("tool_calls")
    return [_call(call) for call in calls] if isinstance(calls, list) else None


def _call(call: object) -> object:
    """A call as OpenAI writes it; LangChain keeps name and arguments bare."""
    if not isinstance(call, dict) or "function" in call or "args" not in call:
        return call
    function = {"name": call.get("name"), "arguments": json.dumps(call["args"], ensure_ascii=False)}
    return {"id": call.get("id"), "type": "function", "function": function}
