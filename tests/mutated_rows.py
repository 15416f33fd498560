"""Good rows, each changed in one way at a time: what validators are compared on."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Row = dict[str, Any]
Change = Callable[[Row], object]

CALL: Row = {"id": "aB3dE6gH9", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL: Row = {
    "type": "function",
    "function": {
        "name": "f",
        "description": "Does it.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}
SYSTEM: Row = {"role": "system", "content": "Be brief."}
USER: Row = {"role": "user", "content": "What is 2+2?"}
SAYS: Row = {"role": "assistant", "content": "4"}
CALLS: Row = {"role": "assistant", "tool_calls": [CALL]}
RESULT: Row = {"role": "tool", "content": "done", "tool_call_id": "aB3dE6gH9"}
TEXT: Row = {"type": "text", "text": "a"}

TALKS: tuple[Row, ...] = (
    {"messages": [USER, SAYS]},
    {"messages": [SYSTEM, USER, SAYS]},
    {"messages": [USER, SAYS, USER, SAYS]},
    {"messages": [SYSTEM, USER, {**SAYS, "weight": 0}, USER, {**SAYS, "weight": 1}]},
)
TOOLED: tuple[Row, ...] = (
    {"messages": [USER, CALLS], "tools": [TOOL]},
    {"messages": [SYSTEM, USER, CALLS, RESULT, SAYS], "tools": [TOOL]},
    {"messages": [USER, CALLS, RESULT, SAYS, USER, SAYS], "tools": [TOOL]},
)


class Mutated(NamedTuple):
    """A row changed in one way.

    Attributes:
        kind: The way.
        line: As it stands in a file.
    """

    kind: str
    line: bytes


def first(row: Row, role: str) -> Row:
    return next(message for message in row["messages"] if message["role"] == role)


def keyed(role: str, key: str, value: object) -> Change:
    return lambda row: first(row, role).update({key: value})


def without(role: str, key: str) -> Change:
    return lambda row: first(row, role).pop(key, None)


def beside(key: str, value: object) -> Change:
    return lambda row: row.update({key: value})


def begun(*messages: Row) -> Change:
    return lambda row: row["messages"].__setitem__(slice(0, 0), copy.deepcopy(messages))


def ended(*messages: Row) -> Change:
    return lambda row: row["messages"].extend(copy.deepcopy(messages))


def after_user(message: Row) -> Change:
    return lambda row: row["messages"].insert(
        row["messages"].index(first(row, "user")) + 1, message
    )


def dropped(role: str) -> Change:
    return lambda row: row.update({"messages": [m for m in row["messages"] if m["role"] != role]})


def called(key: str, value: object) -> Change:
    return lambda row: row["messages"][called_at(row)]["tool_calls"][0].update({key: value})


def called_at(row: Row) -> int:
    return next(i for i, message in enumerate(row["messages"]) if "tool_calls" in message)


def in_call(key: str, value: object) -> Change:
    return lambda row: row["messages"][called_at(row)]["tool_calls"][0]["function"].update(
        {key: value}
    )


def in_tool(key: str, value: object) -> Change:
    return lambda row: row["tools"][0]["function"].update({key: value})


def ids(new: str) -> Change:
    def change(row: Row) -> None:
        called("id", new)(row)
        for message in row["messages"]:
            if message["role"] == "tool":
                message["tool_call_id"] = new

    return change


OF_TALKS: dict[str, Change] = {
    "nothing": lambda row: None,
    "messages: missing": lambda row: row.pop("messages"),
    "messages: empty": beside("messages", []),
    "messages: null": beside("messages", None),
    "messages: text": beside("messages", "hello"),
    "messages: object": beside("messages", {"role": "user", "content": "a"}),
    "message: text": lambda row: row["messages"].append("hello"),
    "message: null": lambda row: row["messages"].insert(0, None),
    "message: empty object": lambda row: row["messages"].append({}),
    "row key: metadata": beside("metadata", {"a": 1}),
    "row key: id": beside("id", 7),
    "row key: functions": beside("functions", []),
    "row key: text": beside("text", "a"),
    "row key: parallel_tool_calls": beside("parallel_tool_calls", True),
    "message key: extra": keyed("user", "extra", 1),
    "message key: extra, answer": keyed("assistant", "extra", 1),
    "message key: name": keyed("user", "name", "bob"),
    "message key: name with a space": keyed("user", "name", "bob smith"),
    "message key: refusal null": keyed("assistant", "refusal", None),
    "message key: reasoning_content": keyed("assistant", "reasoning_content", "so"),
    "message key: prefix": keyed("assistant", "prefix", True),
    "message key: function_call": keyed("assistant", "function_call", None),
    "role: missing": without("user", "role"),
    "role: null": keyed("user", "role", None),
    "role: number": keyed("user", "role", 1),
    "role: list": keyed("user", "role", ["user"]),
    "role: bot": keyed("assistant", "role", "bot"),
    "role: human": keyed("user", "role", "human"),
    "role: gpt": keyed("assistant", "role", "gpt"),
    "role: User": keyed("user", "role", "User"),
    "role: space": keyed("user", "role", "user "),
    "role: function": keyed("assistant", "role", "function"),
    "role: developer": begun({"role": "developer", "content": "Be kind."}),
    "content: missing": without("user", "content"),
    "content: null": keyed("user", "content", None),
    "content: null, answer": keyed("assistant", "content", None),
    "content: missing, answer": without("assistant", "content"),
    "content: number": keyed("user", "content", 4),
    "content: true": keyed("assistant", "content", True),
    "content: object": keyed("assistant", "content", {"a": 1}),
    "content: empty": keyed("user", "content", ""),
    "content: empty, answer": keyed("assistant", "content", ""),
    "content: blank, answer": keyed("assistant", "content", " "),
    "content: trailing space": keyed("assistant", "content", "4 "),
    "content: text key": lambda row: first(row, "user").update(
        {"text": first(row, "user").pop("content")}
    ),
    "content: no parts": keyed("user", "content", []),
    "content: strings as parts": keyed("user", "content", ["a"]),
    "content: parts of text": keyed("user", "content", [TEXT]),
    "content: parts of text, answer": keyed("assistant", "content", [TEXT]),
    "content: parts everywhere": lambda row: [m.update(content=[TEXT]) for m in row["messages"]],
    "content: part without text": keyed("user", "content", [{"type": "text"}]),
    "content: part without type": keyed("user", "content", [{"text": "a"}]),
    "content: unknown part": keyed("user", "content", [{"type": "video", "video": "a"}]),
    "image: https": keyed(
        "user",
        "content",
        [TEXT, {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}],
    ),
    "image: inline": keyed(
        "user",
        "content",
        [TEXT, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
    ),
    "image: answer": keyed(
        "assistant",
        "content",
        [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
    ),
    "image: no url": keyed("user", "content", [{"type": "image_url"}]),
    "weight: 2": keyed("assistant", "weight", 2),
    "weight: 0.5": keyed("assistant", "weight", 0.5),
    "weight: 1.0": keyed("assistant", "weight", 1.0),
    "weight: true": keyed("assistant", "weight", True),
    "weight: false": keyed("assistant", "weight", False),
    "weight: null": keyed("assistant", "weight", None),
    "weight: text": keyed("assistant", "weight", "1"),
    "weight: user": keyed("user", "weight", 1),
    "weight: all 0": lambda row: [
        m.update(weight=0) for m in row["messages"] if m["role"] == "assistant"
    ],
    "order: assistant first": begun(SAYS),
    "order: two users": after_user(USER),
    "order: two assistants": ended(SAYS),
    "order: user last": ended(USER),
    "order: system last": ended(SYSTEM),
    "order: two systems first": begun(SYSTEM, SYSTEM),
    "order: system after user": after_user(SYSTEM),
    "order: no user": dropped("user"),
    "order: no assistant": dropped("assistant"),
    "order: answer alone": beside("messages", [SAYS]),
    "tools: empty": beside("tools", []),
    "tools: null": beside("tools", None),
    "tools: declared, not called": beside("tools", [TOOL]),
    "tool answer without a call": after_user(RESULT),
    "tool_calls: empty": keyed("assistant", "tool_calls", []),
    "tool_calls: null": keyed("assistant", "tool_calls", None),
    "tool_calls: text": keyed("assistant", "tool_calls", "f"),
    "tool_calls: by the user": keyed("user", "tool_calls", [CALL]),
    "text: control character": keyed("user", "content", "a\x00b"),
    "text: half a surrogate pair": keyed("user", "content", "\ud800"),
    "text: control token": keyed("user", "content", "<|im_start|>"),
}
OF_TOOLS: dict[str, Change] = {
    "nothing, with tools": lambda row: None,
    "tools: missing": lambda row: row.pop("tools"),
    "tools: text": lambda row: row.update(tools=json.dumps(row["tools"])),
    "tools: object": beside("tools", {"f": TOOL}),
    "tools: flat": lambda row: row.update(tools=[row["tools"][0]["function"]]),
    "tools: no type": lambda row: row["tools"][0].pop("type"),
    "tools: odd type": lambda row: row["tools"][0].update(type="tool"),
    "tools: no function": lambda row: row["tools"][0].pop("function"),
    "tools: twice": lambda row: row["tools"].append(copy.deepcopy(TOOL)),
    "tool name: space": in_tool("name", "a b"),
    "tool name: 64": lambda row: (in_tool("name", "f" * 64)(row), in_call("name", "f" * 64)(row)),
    "tool name: 65": lambda row: (in_tool("name", "f" * 65)(row), in_call("name", "f" * 65)(row)),
    "tool name: number": in_tool("name", 1),
    "tool: no parameters": lambda row: row["tools"][0]["function"].pop("parameters"),
    "tool: no description": lambda row: row["tools"][0]["function"].pop("description"),
    "tool: odd schema": in_tool("parameters", {"type": "objec"}),
    "tool: schema as text": in_tool("parameters", "{}"),
    "tool: strict": in_tool("strict", True),
    "tools: 129": lambda row: row["tools"].extend(
        {**TOOL, "function": {**TOOL["function"], "name": f"f{i}"}} for i in range(128)
    ),
    "call: undeclared": in_call("name", "g"),
    "call: no id": lambda row: row["messages"][called_at(row)]["tool_calls"][0].pop("id"),
    "call: id null": called("id", None),
    "call: id of OpenAI": ids("call_abc123"),
    "call: id of the word null": ids("null"),
    "call: no type": lambda row: row["messages"][called_at(row)]["tool_calls"][0].pop("type"),
    "call: odd type": called("type", "tool"),
    "call: no function": lambda row: row["messages"][called_at(row)]["tool_calls"][0].pop(
        "function"
    ),
    "call: no name": in_call("name", ""),
    "call: extra key": called("index", 0),
    "call: twice": lambda row: row["messages"][called_at(row)]["tool_calls"].append(
        copy.deepcopy(CALL)
    ),
    "arguments: object": in_call("arguments", {"a": 1}),
    "arguments: null": in_call("arguments", None),
    "arguments: no JSON": in_call("arguments", "{"),
    "arguments: list": in_call("arguments", "[]"),
    "arguments: empty": in_call("arguments", ""),
    "arguments: against the schema": in_call("arguments", '{"a": "b"}'),
    "call: text beside it": lambda row: row["messages"][called_at(row)].update(content="Wait."),
    "call: null beside it": lambda row: row["messages"][called_at(row)].update(content=None),
    "call: the word null beside it": lambda row: row["messages"][called_at(row)].update(
        content="null"
    ),
    "call: not answered": lambda row: row.update(
        messages=[*(m for m in row["messages"] if m["role"] != "tool"), USER, SAYS]
    ),
    "parallel: false": beside("parallel_tool_calls", False),
    "parallel: text": beside("parallel_tool_calls", "no"),
}
OF_ANSWERED: dict[str, Change] = {
    "tool answer: list": keyed("tool", "content", [TEXT]),
    "tool answer: null": keyed("tool", "content", None),
    "tool answer: empty": keyed("tool", "content", ""),
    "tool answer: no id": without("tool", "tool_call_id"),
    "tool answer: other id": keyed("tool", "tool_call_id", "zB3dE6gH9"),
    "tool answer: name": keyed("tool", "name", "f"),
    "tool answer: twice": lambda row: row["messages"].insert(
        called_at(row) + 1, copy.deepcopy(RESULT)
    ),
    "tool answer: user next": lambda row: row["messages"].insert(called_at(row) + 2, USER),
    "tool answer: last": lambda row: row["messages"].__delitem__(slice(called_at(row) + 2, None)),
}
GOOD = json.dumps(TALKS[0]).encode()
LINES: dict[str, tuple[bytes, ...]] = {
    "line: comma after it": (GOOD + b",",),
    "line: two objects": (GOOD + GOOD, GOOD + b" " + GOOD),
    "line: cut": (GOOD[:-1], GOOD[:30]),
    "line: list": (b"[" + GOOD + b"]", b"[]"),
    "line: no object": (b"null", b'"a"', b"7"),
    "line: empty": (b"", b" "),
    "line: single quotes": (GOOD.replace(b'"', b"'"),),
    "line: comment": (GOOD + b" // good", b"# good"),
    "line: Latin-1": (GOOD.replace(b"2+2", b"2\xe92"),),
    "line: surrogates as bytes": (GOOD.replace(b"2+2", b"\xed\xa0\x80"),),
    "line: byte order mark": (b"\xef\xbb\xbf" + GOOD,),
    "line: raw tab in text": (GOOD.replace(b"2+2", b"2\t2"),),
    "line: raw NUL": (GOOD.replace(b"2+2", b"2\x002"),),
    "line: odd escape": (GOOD.replace(b"2+2", b"\\x"),),
    "line: separator U+2028 in text": (GOOD.replace(b"2+2", "\u2028".encode()),),
    "line: CR at its end": (GOOD + b"\r",),
    "line: NaN": (GOOD.replace(b'"content": "4"', b'"content": "4", "weight": NaN'),),
    "line: key twice": (GOOD.replace(b'"role": "user"', b'"role": "user", "role": "user"'),),
    "line: deep": (GOOD[:-1] + b', "tools": ' + b"[" * 300 + b"]" * 300 + b"}",),
    "format: text": (b'{"text": "a"}',),
    "format: prompt and completion": (b'{"prompt": "a", "completion": "b"}',),
    "format: Alpaca": (b'{"instruction": "a", "output": "b"}',),
    "format: ShareGPT": (b'{"conversations": [{"from": "human", "value": "a"}]}',),
}


def iter_mutated() -> Iterator[Mutated]:
    """Every way applied to every row that it fits."""
    for kind, lines in LINES.items():
        yield from (Mutated(kind, line) for line in lines)
    for changes, rows in ((OF_TALKS, TALKS), (OF_TOOLS, TOOLED), (OF_ANSWERED, TOOLED[1:])):
        for kind, change in changes.items():
            for row in rows:
                new = copy.deepcopy(row)
                change(new)
                yield Mutated(kind, json.dumps(new).encode())
