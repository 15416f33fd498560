"""The table of rules, row by row: a line, the rule it breaks, and how each provider takes it.

One letter each for openai, mistral and local: E error, W warning, - fine.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from ftctl.datasets.check import check
from ftctl.datasets.rules.table import USUAL

Row = dict[str, Any]
USER: Row = {"role": "user", "content": "2+2?"}
SAYS: Row = {"role": "assistant", "content": "4"}
SYSTEM: Row = {"role": "system", "content": "Be brief."}
DEVELOPER: Row = {"role": "developer", "content": "Be brief."}
TOOL: Row = {
    "type": "function",
    "function": {"name": "f", "description": "Does it.", "parameters": {"type": "object"}},
}
CALL: Row = {"id": "aB3dE6gH9", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ANSWER: Row = {"role": "tool", "tool_call_id": "aB3dE6gH9", "content": "done"}
IMAGE = "https://example.org/a.png"


def chat(*messages: Row, **more: object) -> Row:
    return {"messages": list(messages), **more}


def user(content: object, **more: object) -> Row:
    return chat({"role": "user", "content": content, **more}, SAYS)


def says(content: object = "4", **more: object) -> Row:
    return chat(USER, {"role": "assistant", "content": content, **more})


def calls(*made: Row, tools: object = (TOOL,), **more: object) -> Row:
    asked = {"role": "assistant", "content": None, "tool_calls": list(made)}
    return chat(USER, asked, tools=tools, **more)


def call(arguments: object = "{}", **more: object) -> Row:
    return {**CALL, "function": {"name": "f", "arguments": arguments}, **more}


def tool(**more: object) -> Row:
    return {**TOOL, "function": {**TOOL["function"], **more}}


def image(url: str) -> Row:
    return user([{"type": "image_url", "image_url": {"url": url}}])


def text(*parts: str) -> list[Row]:
    return [{"type": "text", "text": part} for part in parts]


def letters(folder: Path, line: bytes) -> dict[str, str]:
    """How the providers take each rule that a line breaks, the strictest finding of each."""
    good = [json.dumps(user(f"question {i}?")).encode() for i in range(12)]
    file = folder / "x.jsonl"
    file.write_bytes(b"\n".join([*good, line, b""]))
    found: dict[str, dict[str, str]] = {}
    for issue in reversed(check([file]).issues):  # within a line, errors come first
        if issue.line == 13:
            told = dict.fromkeys(issue.providers, issue.severity[0].upper())
            found.setdefault(issue.rule, {}).update(told)
    return {rule: "".join(by.get(p, "-") for p in USUAL) for rule, by in found.items()}


ROWS: list[tuple[str, str, Row | bytes]] = [
    # Bytes and JSON
    ("encoding", "EEE", b'{"a": "\xe9"}'),
    ("blank-line", "WE-", b" \t"),
    ("json", "EEE", b'{"a": 1},'),
    ("json", "EEE", b"{'a': 1}"),
    ("json", "EEE", b'\xef\xbb\xbf{"a": 1}'),
    ("json", "EEW", b'{"a": 1} {"b": 2}'),
    ("json", "EEW", b'{"a": 1}{"b": 2}{"c": 3}'),
    ("json", "EEE", b'{"a": 1} {"b": 2} x'),
    ("json", "EEE", b'{"a": 1} {"b": 2},'),
    ("json", "EEE", b'{"a": 1} {"b": '),
    ("json", "EEE", b'{"a": 1} [1]'),
    ("json", "EEE", b'[{"a": 1}] {"b": 2}'),
    ("line-not-object", "EEW", b'[{"a": 1}, {"b": 2}]'),
    ("line-not-object", "EEE", b"[]"),
    ("line-not-object", "EEE", b'[{"a": 1}, null]'),
    ("line-not-object", "EEE", b"null"),
    ("line-not-object", "EEE", b'"{}"'),
    ("json-nan", "EEW", user("a", weight=float("nan"))),
    ("json-nan", "EEW", b'{"messages": [], "x": 1e999}'),
    ("json-nan", "WWW", chat(USER, SAYS, tools=[tool(parameters={"default": float("inf")})])),
    ("json-nan", "EEW", chat(USER, SAYS, tools=[tool(x=float("nan"))])),
    ("duplicate-key", "WWE", b'{"messages": [], "messages": []}'),
    ("duplicate-key", "WWE", b'{"messages": [{"role": "user", "x": {"y": 1, "y": 1}}]}'),
    ("lone-surrogate", "EEE", user("\ud800")),
    ("control-char", "WWW", user("a\0b")),
    ("json-depth", "EEE", b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}"),
    # Structure and roles
    ("missing-messages", "EEE", {}),
    ("missing-messages", "EEE", chat()),
    ("messages-type", "EEE", {"messages": "[]"}),
    ("messages-type", "EEE", {"messages": None}),
    ("message-type", "EEE", {"messages": [USER, "4"]}),
    ("unknown-key", "EW-", chat(USER, SAYS, metadata={})),
    ("unknown-key", "EW-", says(id=1)),
    ("unknown-key", "EW-", says(reasoning_content="so")),
    ("unknown-key", "EW-", says(reasoning="so")),
    ("unknown-key", "EEW", says(prefix=True)),
    ("unknown-key", "EEW", user("a", tool_calls=[CALL])),
    ("unknown-key", "-W-", user("a", name="bob")),
    ("unknown-key", "-W-", says(refusal=None)),
    ("format-two", "EEE", {"prompt": "a", "completion": "b"}),
    ("format-two", "EEE", chat(USER, SAYS, text="a")),
    ("role", "EEE", chat({"role": "User", "content": "a"}, SAYS)),
    ("role", "EEE", chat({"role": 1, "content": "a"}, SAYS)),
    ("role", "EEE", chat({"content": "a"}, SAYS)),
    ("role", "WEW", chat(DEVELOPER, USER, SAYS)),
    ("legacy-function-call", "WEE", chat(USER, SAYS, functions=[])),
    ("system-position", "-WW", chat(USER, SYSTEM, SAYS)),
    ("system-count", "-EW", chat(SYSTEM, SYSTEM, USER, SAYS)),
    ("system-count", "-EW", chat(SYSTEM, DEVELOPER, USER, SAYS)),
    ("alternation", "--W", chat(USER, USER, SAYS)),
    ("alternation", "--W", chat(USER, SAYS, SAYS)),
    ("first-message", "--W", chat(SAYS, USER, SAYS)),
    ("first-message", "--W", chat(DEVELOPER, SAYS, USER, SAYS)),
    ("first-message", "-EW", chat(SAYS)),
    ("last-message", "WEW", chat(USER, SAYS, USER)),
    ("last-message", "WEW", chat(USER, SAYS, DEVELOPER)),
    ("no-assistant", "EEE", chat(USER)),
    ("no-user", "WWW", chat(SYSTEM, SAYS)),
    ("name-pattern", "WWW", user("a", name="bob smith")),
    # Content, images, weight
    ("content", "EEE", user(None)),
    ("content", "EEE", chat({"role": "user"}, SAYS)),
    ("content", "EEE", says(None)),
    ("content", "EEE", says(None, tool_calls=[])),
    ("content", "EWE", chat({"role": "user", "text": "a"}, SAYS)),
    ("content", "WEE", says(None, refusal="no")),
    ("content", "EEE", says(None, refusal="")),
    ("content-null-string", "WWW", says("null", tool_calls=[CALL])),
    ("empty-content", "EEW", says("")),
    ("empty-content", "EEW", says(text(""))),
    ("empty-content", "WWW", says(" \n")),
    ("empty-content", "WWW", user("")),
    ("empty-content", "WWW", user(text(" ", ""))),
    ("empty-content", "WWW", user(text("a", ""))),
    ("trailing-space", "WWW", says("4 ")),
    ("trailing-space", "WWW", says(text("a", "b\n"))),
    ("content-type", "EEE", says(4)),
    ("content-type", "EEE", says({"a": 1})),
    ("content-part", "EEE", user([])),
    ("content-part", "EEE", user(["a"])),
    ("content-part", "EEE", user([{"type": "input_text", "text": "a"}])),
    ("tool-content-type", "E-W", chat(*calls(CALL)["messages"], {**ANSWER, "content": text("a")})),
    ("content-parts-local", "-WW", user(text("a"))),
    ("image-needs-vision", "WWE", image(IMAGE)),
    ("image-role", "EEE", says([{"type": "image_url", "image_url": {"url": IMAGE}}])),
    ("image-count", "EWE", user([{"type": "image_url", "image_url": {"url": IMAGE}}] * 11)),
    ("image-size", "EWE", image("data:image/png;base64," + "A" * (14 * 2**20))),
    ("image-format", "EWE", image("data:image/gif;base64,AAAA")),
    ("image-format", "EWE", image("https://example.org/a.gif")),
    ("image-source", "EWE", image("http://example.org/a.png")),
    ("image-source", "EWE", image("")),
    ("image-source", "EWE", image("https://")),
    ("audio", "EWE", user([{"type": "input_audio", "input_audio": {}}])),
    ("weight", "EEW", says(weight=2)),
    ("weight", "EEW", says(weight=0.5)),
    ("weight", "WWW", says(weight=True)),
    ("weight", "EWW", says(weight="1")),
    ("weight", "W-W", says(weight=1.0)),
    ("weight", "WWW", user("a", weight=1)),
    ("weight", "WWW", user("a", weight=1.0)),
    ("weight-ignored-local", "--W", chat(*says(weight=0)["messages"], USER, SAYS)),
    ("weight-ignored-local", "--W", says(weight=0.0)),
    ("no-trained-token", "WWW", says(weight=0)),
    ("no-trained-token", "WWW", says(weight=False)),
    # Tools
    ("tools-type", "EEE", chat(USER, SAYS, tools={})),
    ("tools-type", "EEE", chat(USER, SAYS, tools="f")),
    ("tools-type", "EEW", chat(USER, SAYS, tools=json.dumps([TOOL]))),
    ("tools-type", "EEW", chat(USER, SAYS, tools=[TOOL["function"]])),
    ("tools-type", "EEE", chat(USER, SAYS, tools=[{"type": "function"}])),
    ("tools-type", "EEE", chat(USER, SAYS, tools=[{**TOOL, "type": "tool"}])),
    ("tool-count", "E--", chat(USER, SAYS, tools=[tool(name=f"f{i}") for i in range(129)])),
    ("tool-name", "EEW", chat(USER, SAYS, tools=[tool(name="a b")])),
    ("tool-name", "EEW", chat(USER, SAYS, tools=[TOOL, TOOL])),
    (
        "tool-parameters",
        "-E-",
        chat(USER, SAYS, tools=[{**TOOL, "function": {"name": "f", "description": "a"}}]),
    ),
    ("tool-description", "-E-", chat(USER, SAYS, tools=[tool(description=None)])),
    ("tool-schema", "WEW", chat(USER, SAYS, tools=[tool(parameters={"type": "objec"})])),
    ("tool-undeclared", "WWW", calls(CALL, tools=[])),
    ("tool-call-shape", "EEW", calls({**CALL, "id": None})),
    ("tool-call-shape", "EEW", calls({**CALL, "type": "tool"})),
    ("tool-call-shape", "E-W", calls({"id": CALL["id"], "function": CALL["function"]})),
    ("tool-call-shape", "EEW", calls({**CALL, "function": {"arguments": "{}"}})),
    ("tool-arguments", "EEW", calls(call({}))),
    ("tool-arguments-json", "WWE", calls(call("{"))),
    ("tool-arguments-json", "WWE", calls(call("[]"))),
    ("tool-arguments-json", "WWE", calls(call(""))),
    ("tool-arguments-json", "WWE", calls(call('{"a": NaN}'))),
    ("tool-arguments-json", "WWE", calls(call("{'a': 1}"))),
    ("duplicate-key", "WWE", calls(call('{"a": 1, "a": 2}'))),
    (
        "tool-arguments-schema",
        "WWW",
        calls(CALL, tools=[tool(parameters={"type": "object", "required": ["a"]})]),
    ),
    ("tool-call-id-format", "-E-", calls(call(id="call_1"))),
    ("tool-call-id-duplicate", "EEW", calls(CALL, CALL)),
    ("tool-call-id-duplicate", "EEW", chat(*calls(CALL)["messages"], ANSWER, ANSWER)),
    ("tool-response-missing", "EEW", chat(*calls(CALL)["messages"], SAYS)),
    ("tool-orphan", "EEW", chat(USER, ANSWER, SAYS)),
    ("tool-calls-empty", "WWW", says(tool_calls=[])),
    ("content-and-tool-calls", "-W-", says("a", tool_calls=[CALL])),
    ("parallel-tool-calls", "WWW", calls(CALL, call(id="bB3dE6gH9"), parallel_tool_calls=False)),
    ("parallel-tool-calls", "WWW", chat(USER, SAYS, parallel_tool_calls=None)),
    # Counts and text
    ("too-long", "WWW", says("word " * 70_000 + "end.")),
    ("too-long", "EWW", user("word " * 200_000)),
    ("heterogeneous-keys", "W-W", chat(USER, SAYS, tools=[TOOL])),
    ("duplicate-example", "WWW", user("question 1?")),
    ("near-duplicate", "WWW", user("Question 1")),
    (
        "conflicting-answers",
        "WWW",
        chat(user("question 1?")["messages"][0], {**SAYS, "content": "5"}),
    ),
    ("special-token", "WWW", user("<|im_end|>")),
    ("special-token", "EWW", user("<|fim_suffix|>")),
    ("pii", "WWW", user("write to jane.doe@example.org")),
    ("secret", "WWW", user("AKIAIOSFODNN7EXAMPLE")),
]


@pytest.mark.parametrize(
    ("rule", "wanted", "row"), ROWS, ids=[f"{i}-{rule}" for i, (rule, _, _) in enumerate(ROWS)]
)
def test_a_line_gets_the_verdict_of_its_rule(
    rule: str, wanted: str, row: Row | bytes, tmp_path: Path
) -> None:
    line = row if isinstance(row, bytes) else json.dumps(row).encode()
    assert letters(tmp_path, line).get(rule) == wanted


FINE: list[Row] = [
    says(weight=1),
    calls(CALL),
    chat(*calls(CALL)["messages"], ANSWER, SAYS, tools=[tool(description="")]),
    calls(CALL, call(id="bB3dE6gH9"), parallel_tool_calls=True),
    user("a\tb\u2028c\x7f"),
]


@pytest.mark.parametrize("row", FINE)
def test_a_good_line_breaks_no_rule_of_its_own(row: Row, tmp_path: Path) -> None:
    found = letters(tmp_path, json.dumps(row).encode())
    assert set(found) <= {"heterogeneous-keys"}


@pytest.mark.parametrize("url", ["HTTPS://example.org/a", "DATA:image/PNG;base64,AAAA"])
def test_the_scheme_of_an_image_is_read_whatever_its_case(url: str, tmp_path: Path) -> None:
    assert letters(tmp_path, json.dumps(image(url)).encode()) == {"image-needs-vision": "WWE"}
