"""Mends of one row that are certain: each says the same as before, in the way that is asked for.

A mend of what nobody minds isn't made. What isn't certain stays, and is reported by the check.
"""

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import NamedTuple

from ftctl.datasets.rules.dpo import OUTPUTS
from ftctl.datasets.rules.structure import ROLES
from ftctl.datasets.rules.tool_calls import MISTRAL_ID
from ftctl.datasets.rules.tools import decoded_tools, is_flat
from ftctl.datasets.rules.types import JsonObject, shown

_MEANT = {"human": "user", "gpt": "assistant", "model": "assistant"}
_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

Minded = Callable[[str], bool]


class Mend(NamedTuple):
    """One change.

    Attributes:
        rule: The row of the rule table that it answers.
        path: JSON path in the row as it was.
        before: What was there, short, without secrets; "" for nothing.
        after: What is there now, likewise.
    """

    rule: str
    path: str
    before: str
    after: str


class _Said(NamedTuple):
    """A message and its path."""

    path: str
    fields: JsonObject

    @property
    def role(self) -> str:
        role = self.fields.get("role")
        return role if isinstance(role, str) else ""

    @property
    def is_answer(self) -> bool:
        return self.role == "assistant"


class _Talk(NamedTuple):
    """A conversation: what stands beside the messages, and the messages.

    Attributes:
        beside: The object with `tools`.
        prefix: Of its keys' paths: "" or `input.`.
        messages: All of it, answers of a pair too.
    """

    beside: JsonObject
    prefix: str
    messages: list[_Said]


def mended(row: JsonObject, minded: Minded, method: str = "sft") -> list[Mend]:
    """Mend a row in place.

    Args:
        row: What a line holds.
        minded: Whether anybody who is asked minds what a row of the rule table is about.
        method: How the model will be tuned.

    Returns:
        What was changed.
    """
    beside, prefix = row, ""
    if method == "dpo":
        asked = row.get("input")
        if not isinstance(asked, dict):
            return []
        beside, prefix = asked, "input."
    made = [mend for mend in _messages_decoded(beside, prefix) if minded(mend.rule)]
    lists = [(f"{prefix}messages", beside.get("messages"))]
    lists += [(key, row.get(key)) for key in (OUTPUTS if method == "dpo" else ())]
    messages = [
        _Said(f"{path}[{i}]", item)
        for path, found in lists
        if isinstance(found, list)
        for i, item in enumerate(found)
        if isinstance(item, dict)
    ]
    talk = _Talk(beside, prefix, messages)
    for mend in _STEPS:
        made += mend(talk, minded)
    if method == "sft":
        made += _trailing(row, minded)
    return made


def _messages_decoded(beside: JsonObject, prefix: str) -> Iterator[Mend]:
    text = beside.get("messages")
    if isinstance(text, str) and (found := decoded_tools(text)):
        beside["messages"] = found
        yield Mend("messages-type", f"{prefix}messages", shown(text), "a list")


def _roles(talk: _Talk, minded: Minded) -> Iterator[Mend]:
    for said in talk.messages:
        role = said.fields.get("role")
        if not isinstance(role, str) or role in ROLES:
            continue
        clean = role.strip().lower()
        meant, rule = _MEANT.get(clean, clean), "role"
        if clean == "developer":
            if minded("role/developer"):
                meant, rule = "system", "role/developer"
            elif role == clean:
                continue
        if meant in ROLES | {"developer"} and minded(rule):
            said.fields["role"] = meant
            yield Mend(rule, f"{said.path}.role", shown(role), shown(meant))


def _legacy(talk: _Talk, minded: Minded) -> Iterator[Mend]:
    """Functions to tools, with made-up ids; only where every answer has its call before it."""
    if not minded("legacy-function-call"):
        return
    functions, tools = talk.beside.get("functions"), talk.beside.get("tools", [])
    objects = isinstance(functions, list) and all(isinstance(item, dict) for item in functions)
    if objects and isinstance(functions, list) and isinstance(tools, list):
        del talk.beside["functions"]
        wrapped = [{"type": "function", "function": item} for item in functions]
        talk.beside["tools"] = [*tools, *wrapped]
        path = f"{talk.prefix}functions"
        yield Mend("legacy-function-call", path, "functions", "tools")
    pending, number = "", 0
    for said in talk.messages:
        call, path = said.fields.get("function_call"), f"{said.path}.function_call"
        if "function_call" in said.fields and call is None:
            del said.fields["function_call"]
            yield Mend("legacy-function-call", path, "null", "")
        elif isinstance(call, dict) and said.is_answer and "tool_calls" not in said.fields:
            number += 1
            pending = f"call{number:05}"  # nine letters and digits, as Mistral wants them
            del said.fields["function_call"]
            said.fields["tool_calls"] = [{"id": pending, "type": "function", "function": call}]
            yield Mend("legacy-function-call", path, "function_call", f"tool_calls, id {pending}")
        elif said.role == "function" and pending:
            said.fields.update({"role": "tool", "tool_call_id": pending})
            yield Mend("legacy-function-call", f"{said.path}.role", "'function'", "'tool'")
            pending = ""
        else:
            pending = ""


def _tool_list(talk: _Talk, minded: Minded) -> Iterator[Mend]:
    tools, path = talk.beside.get("tools", []), f"{talk.prefix}tools"
    if not minded("tools-type/shape"):
        return
    if tools is None:
        del talk.beside["tools"]
        yield Mend("tools-type/shape", path, "null", "")
    elif isinstance(tools, str) and (found := decoded_tools(tools)) is not None:
        talk.beside["tools"] = found
        yield Mend("tools-type/shape", path, shown(tools), "a list")


def _tools(talk: _Talk, minded: Minded) -> Iterator[Mend]:
    path = f"{talk.prefix}tools"
    tools = talk.beside.get("tools")
    for i, tool in enumerate(tools if isinstance(tools, list) else []):
        if isinstance(tool, dict) and is_flat(tool) and minded("tools-type/shape"):
            inner = {key: value for key, value in tool.items() if key != "type"}
            tool.clear()
            tool.update({"type": "function", "function": inner})
            yield Mend("tools-type/shape", f"{path}[{i}]", "a flat definition", "wrapped")
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or "parameters" in function:
            continue
        if minded("tool-parameters"):
            function["parameters"] = {"type": "object", "properties": {}}
            yield Mend("tool-parameters", f"{path}[{i}].function.parameters", "", "{} of no keys")


def _no_calls(talk: _Talk, minded: Minded) -> Iterator[Mend]:
    for said in talk.messages:
        calls = said.fields.get("tool_calls", "none")
        if said.is_answer and calls in (None, []) and minded("tool-calls-empty"):
            del said.fields["tool_calls"]
            yield Mend("tool-calls-empty", f"{said.path}.tool_calls", shown(calls), "")


def _calls(talk: _Talk, minded: Minded) -> Iterator[Mend]:
    for said in talk.messages:
        path, calls = f"{said.path}.tool_calls", said.fields.get("tool_calls")
        for i, call in enumerate(calls if said.is_answer and isinstance(calls, list) else []):
            if isinstance(call, dict):
                yield from _call(call, f"{path}[{i}]", minded)


def _call(call: JsonObject, path: str, minded: Minded) -> Iterator[Mend]:
    if "type" not in call and minded("tool-call-shape/type"):
        call["type"] = "function"
        yield Mend("tool-call-shape/type", f"{path}.type", "", "'function'")
    function = call.get("function")
    arguments = function.get("arguments") if isinstance(function, dict) else None
    if isinstance(function, dict) and isinstance(arguments, dict) and minded("tool-arguments"):
        function["arguments"] = json.dumps(arguments, ensure_ascii=False)
        where = f"{path}.function.arguments"
        yield Mend("tool-arguments", where, "an object", "a string that holds it")


def _ids(talk: _Talk, minded: Minded) -> Iterator[Mend]:
    """Nine letters and digits, alike in call and answer."""
    if not minded("tool-call-id-format"):
        return
    places = [(f"{said.path}.tool_call_id", said.fields, "tool_call_id") for said in talk.messages]
    for said in talk.messages:
        calls = said.fields.get("tool_calls")
        for i, call in enumerate(calls if isinstance(calls, list) else []):
            if isinstance(call, dict):
                places.append((f"{said.path}.tool_calls[{i}].id", call, "id"))
    texts = (holder.get(key) for _, holder, key in places)
    taken = {text for text in texts if isinstance(text, str)}
    new: dict[str, str] = {}
    for path, holder, key in places:
        old = holder.get(key)
        if isinstance(old, str) and old and not MISTRAL_ID.fullmatch(old):
            if old not in new:
                new[old] = _nine(old, taken)
                taken.add(new[old])
            holder[key] = new[old]
            yield Mend("tool-call-id-format", path, shown(old, 24), shown(new[old]))


def _nine(old: str, taken: set[str]) -> str:
    for salt in range(1000):
        digest = sha256(f"{salt}:{old}".encode("utf-8", "surrogatepass")).digest()
        found = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:9])
        if found not in taken:
            return found
    raise AssertionError("a thousand ids in one example are alike")


def _content(talk: _Talk, minded: Minded) -> Iterator[Mend]:
    strings = any(isinstance(said.fields.get("content"), str) for said in talk.messages)
    for said in talk.messages:
        path, text = f"{said.path}.content", _joined(said.fields.get("content"))
        rule = "content-parts-local/mixed" if strings else "content-parts-local"
        if said.role == "tool":
            rule = "tool-content-type"
        if text is not None and minded(rule):
            said.fields["content"] = text
            yield Mend(rule, path, "a list of parts", shown(text))
        content = said.fields.get("content")
        if not said.is_answer or not said.fields.get("tool_calls") or not isinstance(content, str):
            continue
        if content.strip() == "null" and minded("content-null-string"):
            said.fields["content"] = None
            yield Mend("content-null-string", path, "'null'", "null")


def _joined(content: object) -> str | None:
    """The text of parts that are all text."""
    if not isinstance(content, list) or not content:
        return None
    texts = [
        part["text"]
        for part in content
        if isinstance(part, dict) and set(part) == {"type", "text"} and part["type"] == "text"
    ]
    strings = [text for text in texts if isinstance(text, str)]
    return "".join(strings) if len(strings) == len(content) else None


def _weights(talk: _Talk, minded: Minded) -> Iterator[Mend]:
    for said in talk.messages:
        if "weight" not in said.fields:
            continue
        weight, path = said.fields["weight"], f"{said.path}.weight"
        new: int | None = None
        if not said.is_answer or weight is None:
            rule = "weight/odd"
        elif isinstance(weight, bool):
            rule, new = ("weight/true" if weight else "weight/odd"), int(weight)
        elif weight in ("0", "1"):
            rule, new = "weight/string", int(str(weight))
        elif isinstance(weight, float) and weight in (0.0, 1.0):
            rule, new = "weight/float", int(weight)
        else:
            continue
        if said.role not in ROLES or not minded(rule):
            continue
        if new is None:
            del said.fields["weight"]
        else:
            said.fields["weight"] = new
        yield Mend(rule, path, shown(weight), "" if new is None else str(new))


def _trailing(row: JsonObject, minded: Minded) -> Iterator[Mend]:
    """Turns after the last answer, of which nothing is learnt."""
    messages = row.get("messages")
    if not isinstance(messages, list) or not minded("last-message"):
        return
    roles = [_Said("", item).role if isinstance(item, dict) else "" for item in messages]
    if "assistant" not in roles or set(roles) - ROLES:
        return
    kept = len(roles) - roles[::-1].index("assistant")
    for i, role in enumerate(roles[kept:], kept):
        yield Mend("last-message", f"messages[{i}]", f"a message by {role}", "")
    del messages[kept:]


_STEPS = (_roles, _no_calls, _tool_list, _legacy, _tools, _calls, _ids, _content, _weights)
