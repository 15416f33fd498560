"""The table of rules, row by row: a line, the rule it breaks, and how each provider takes it.

One letter each for openai and azure, mistral, huggingface, together and fireworks, gemini and
bedrock, local: E error, W warning, verified or not, - fine.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from ftctl.datasets.check import check
from ftctl.datasets.rules.table import PROVIDERS

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


def found(folder: Path, line: bytes) -> dict[tuple[str, str], str]:
    """By rule and path, how the providers take what is found in a line, the strictest of each."""
    good = [json.dumps(user(f"question {i}?")).encode() for i in range(12)]
    file = folder / "x.jsonl"
    file.write_bytes(b"\n".join([*good, line, b""]))
    taken: dict[tuple[str, str], dict[str, str]] = {}
    for issue in reversed(check([file], providers=PROVIDERS).issues):  # errors come first
        if issue.line == 13:
            told = dict.fromkeys(issue.providers, issue.severity[0].upper())
            taken.setdefault((issue.rule, issue.path), {}).update(told)
    return {place: shown(by) for place, by in taken.items()}


def shown(by: dict[str, str]) -> str:
    letters = "".join(by.get(provider, "-") for provider in PROVIDERS)
    return " ".join((letters[:2], letters[2], letters[3], letters[4:6], letters[6:8], letters[8]))


ROWS: list[tuple[str, str, str, Row | bytes]] = [
    # Bytes and JSON
    ("encoding", "", "EE E E EE EE E", b'{"a": "\xe9"}'),
    ("blank-line", "", "WE E - -W WW -", b" \t"),
    ("json", "", "EE E E EE EE E", b'{"a": 1},'),
    ("json", "", "EE E E EE EE E", b"{'a': 1}"),
    ("json", "", "EE E E EE EE E", b'\xef\xbb\xbf{"a": 1}'),
    ("json", "", "EE E E EE EE W", b'{"a": 1} {"b": 2}'),
    ("json", "", "EE E E EE EE W", b'{"a": 1}{"b": 2}{"c": 3}'),
    ("json", "", "EE E E EE EE E", b'{"a": 1} {"b": 2} x'),
    ("json", "", "EE E E EE EE E", b'{"a": 1} {"b": 2},'),
    ("json", "", "EE E E EE EE E", b'{"a": 1} {"b": '),
    ("json", "", "EE E E EE EE E", b'{"a": 1} [1]'),
    ("json", "", "EE E E EE EE E", b'[{"a": 1}] {"b": 2}'),
    ("line-not-object", "", "EE E E EE EE W", b'[{"a": 1}, {"b": 2}]'),
    ("line-not-object", "", "EE E E EE EE E", b"[]"),
    ("line-not-object", "", "EE E E EE EE E", b'[{"a": 1}, null]'),
    ("line-not-object", "", "EE E E EE EE E", b"null"),
    ("line-not-object", "", "EE E E EE EE E", b'"{}"'),
    ("json-nan", "messages[0].weight", "EE E W WE EE W", user("a", weight=float("nan"))),
    ("json-nan", "x", "EE E W WE EE W", b'{"messages": [], "x": 1e999}'),
    (
        "json-nan",
        "tools[0].function.parameters.default",
        "WW W W WW WW W",
        chat(USER, SAYS, tools=[tool(parameters={"default": float("inf")})]),
    ),
    (
        "json-nan",
        "tools[0].function.x",
        "EE E W WE EE W",
        chat(USER, SAYS, tools=[tool(x=float("nan"))]),
    ),
    ("duplicate-key", "messages", "WW W E WW WW E", b'{"messages": [], "messages": []}'),
    (
        "duplicate-key",
        "messages[0].x.y",
        "WW W E WW WW E",
        b'{"messages": [{"role": "user", "x": {"y": 1, "y": 1}}]}',
    ),
    ("lone-surrogate", "messages[0].content", "EE E E EE EE E", user("\ud800")),
    ("control-char", "messages[0].content", "WW W W WW WW W", user("a\0b")),
    ("json-depth", "a", "EE E E EE EE E", b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}"),
    # Structure and roles
    ("missing-messages", "messages", "EE E E EE EE E", {}),
    ("missing-messages", "messages", "EE E E EE EE E", chat()),
    ("messages-type", "messages", "EE E E EE EE E", {"messages": "[]"}),
    ("messages-type", "messages", "EE E E EE EE E", {"messages": None}),
    ("message-type", "messages[1]", "EE E E EE EE E", {"messages": [USER, "4"]}),
    ("unknown-key", "metadata", "EW W - WW WW -", chat(USER, SAYS, metadata={})),
    ("unknown-key", "messages[1].id", "EW W - WW EE -", says(id=1)),
    (
        "unknown-key",
        "messages[1].reasoning_content",
        "EE W - -- WW -",
        says(reasoning_content="so"),
    ),
    ("unknown-key", "messages[1].reasoning", "EE W - -W WW -", says(reasoning="so")),
    ("unknown-key", "messages[1].prefix", "EW E - WW EE W", says(prefix=True)),
    ("unknown-key", "messages[0].tool_calls", "EW E - WW EE W", user("a", tool_calls=[CALL])),
    ("unknown-key", "messages[0].name", "-- W - -- -- -", user("a", name="bob")),
    ("unknown-key", "messages[1].refusal", "-- W - -- -- -", says(refusal=None)),
    ("format-two", "", "EE E E EE EE E", {"prompt": "a", "completion": "b"}),
    ("format-two", "text", "EE E E EE EE E", chat(USER, SAYS, text="a")),
    ("role", "messages[0].role", "EE E E EE EE E", chat({"role": "User", "content": "a"}, SAYS)),
    ("role", "messages[0].role", "EE E E EE EE E", chat({"role": 1, "content": "a"}, SAYS)),
    ("role", "messages[0].role", "EE E E EE EE E", chat({"content": "a"}, SAYS)),
    ("role", "messages[0].role", "W- E W EE EE W", chat(DEVELOPER, USER, SAYS)),
    ("legacy-function-call", "functions", "WW E E EE EE E", chat(USER, SAYS, functions=[])),
    ("system-position", "messages[1]", "-- W W EE -- W", chat(USER, SYSTEM, SAYS)),
    ("system-count", "messages[1]", "-- E W EE -- W", chat(SYSTEM, SYSTEM, USER, SAYS)),
    ("system-count", "messages[1]", "-- E W EE -- W", chat(SYSTEM, DEVELOPER, USER, SAYS)),
    ("alternation", "messages[1]", "-W - W EW -E W", chat(USER, USER, SAYS)),
    ("alternation", "messages[2]", "-E - W EW -E W", chat(USER, SAYS, SAYS)),
    ("first-message", "messages[0]", "-E - W EW EE W", chat(SAYS, USER, SAYS)),
    ("first-message", "messages[1]", "-E - W EW EE W", chat(DEVELOPER, SAYS, USER, SAYS)),
    ("first-message", "messages[0]", "-E E W EW EE W", chat(SAYS)),
    ("last-message", "messages[2].role", "WE E W WW EE W", chat(USER, SAYS, USER)),
    ("last-message", "messages[2].role", "WE E W WW EE W", chat(USER, SAYS, DEVELOPER)),
    ("no-assistant", "messages", "EE E E EE EE E", chat(USER)),
    ("no-user", "messages", "WE W W WW EE W", chat(SYSTEM, SAYS)),
    ("name-pattern", "messages[0].name", "WW W - WW WW W", user("a", name="bob smith")),
    # Content, images, weight
    ("content", "messages[0].content", "EE E E EE EE E", user(None)),
    ("content", "messages[0].content", "EE E E EE EE E", chat({"role": "user"}, SAYS)),
    ("content", "messages[1].content", "EE E E EE EE E", says(None)),
    ("content", "messages[1].content", "EE E E EE EE E", says(None, tool_calls=[])),
    ("content", "messages[0].content", "EE W E EE EE E", chat({"role": "user", "text": "a"}, SAYS)),
    ("content", "messages[1].refusal", "WW E E WW EE E", says(None, refusal="no")),
    ("content", "messages[1].content", "EE E E EE EE E", says(None, refusal="")),
    (
        "content-null-string",
        "messages[1].content",
        "WE W W WW -- W",
        says("null", tool_calls=[CALL]),
    ),
    ("empty-content", "messages[1].content", "EE E W EE EE W", says("")),
    ("empty-content", "messages[1].content", "EE E W EE EE W", says(text(""))),
    ("empty-content", "messages[1].content", "WW W W WW WW W", says(" \n")),
    ("empty-content", "messages[0].content", "WW W W WW WW W", user("")),
    ("empty-content", "messages[0].content", "WW W W WW WW W", user(text(" ", ""))),
    ("empty-content", "messages[0].content[1].text", "WW W W WW WW W", user(text("a", ""))),
    ("trailing-space", "messages[1].content", "WW W W WW WW W", says("4 ")),
    ("trailing-space", "messages[1].content", "WW W W WW WW W", says(text("a", "b\n"))),
    ("content-type", "messages[1].content", "EE E E EE EE E", says(4)),
    ("content-type", "messages[1].content", "EE E E EE EE E", says({"a": 1})),
    ("content-part", "messages[0].content", "EE E E EE EE E", user([])),
    ("content-part", "messages[0].content[0]", "EE E E EE EE E", user(["a"])),
    (
        "content-part",
        "messages[0].content[0].type",
        "EE E E EE EE E",
        user([{"type": "input_text", "text": "a"}]),
    ),
    (
        "tool-content-type",
        "messages[2].content",
        "EW - W WW -- W",
        chat(*calls(CALL)["messages"], {**ANSWER, "content": text("a")}),
    ),
    ("content-parts-local", "messages[0].content", "-- W W EW -- W", user(text("a"))),
    ("content-parts-local", "messages[0].content", "-- - - E- -- -", image(IMAGE)),
    ("image-needs-vision", "messages[0].content[0]", "WW W W WW WW E", image(IMAGE)),
    (
        "image-role",
        "messages[1].content[0]",
        "EE E E EE EE E",
        says([{"type": "image_url", "image_url": {"url": IMAGE}}]),
    ),
    (
        "image-count",
        "messages[0].content",
        "E- W - EW -E E",
        user([{"type": "image_url", "image_url": {"url": IMAGE}}] * 11),
    ),
    (
        "image-size",
        "messages[0].content[0].image_url.url",
        "EE W - EW -W E",
        image("data:image/png;base64," + "A" * (14 * 2**20)),
    ),
    (
        "image-format",
        "messages[0].content[0].image_url.url",
        "EE W - EE E- E",
        image("data:image/gif;base64,AAAA"),
    ),
    (
        "image-format",
        "messages[0].content[0].image_url.url",
        "EE W - EE E- E",
        image("https://example.org/a.gif"),
    ),
    (
        "image-source",
        "messages[0].content[0].image_url.url",
        "EE W - EE EE E",
        image("http://example.org/a.png"),
    ),
    ("image-source", "messages[0].content[0].image_url.url", "EE W - EE EE E", image("")),
    ("image-source", "messages[0].content[0].image_url.url", "EE W - EE EE E", image("https://")),
    (
        "audio",
        "messages[0].content[0]",
        "EE W E EE -E E",
        user([{"type": "input_audio", "input_audio": {}}]),
    ),
    ("weight", "messages[1].weight", "EE E W EE -- W", says(weight=2)),
    ("weight", "messages[1].weight", "EE E W EE -- W", says(weight=0.5)),
    ("weight", "messages[1].weight", "WW W W -W -- W", says(weight=True)),
    ("weight", "messages[1].weight", "EW W W EW -- W", says(weight="1")),
    ("weight", "messages[1].weight", "WW - W EW -- W", says(weight=1.0)),
    ("weight", "messages[0].weight", "WW W W EW -- W", user("a", weight=1)),
    ("weight", "messages[0].weight", "WW W W EW -- W", user("a", weight=1.0)),
    (
        "weight-ignored-local",
        "messages[1].weight",
        "-- - W -- -- W",
        chat(*says(weight=0)["messages"], USER, SAYS),
    ),
    ("weight-ignored-local", "messages[1].weight", "-- - W -- -- W", says(weight=0.0)),
    ("no-trained-token", "messages", "WW W W WW WW W", says(weight=0)),
    ("no-trained-token", "messages", "WW W W WW WW W", says(weight=False)),
    # Tools
    ("tools-type", "tools", "EE E E EE EE E", chat(USER, SAYS, tools={})),
    ("tools-type", "tools", "EE E E EE EE E", chat(USER, SAYS, tools="f")),
    ("tools-type", "tools", "EE E W EE EE W", chat(USER, SAYS, tools=json.dumps([TOOL]))),
    (
        "tools-type",
        "tools[0].function",
        "EE E W EE EE W",
        chat(USER, SAYS, tools=[TOOL["function"]]),
    ),
    (
        "tools-type",
        "tools[0].function",
        "EE E E EE EE E",
        chat(USER, SAYS, tools=[{"type": "function"}]),
    ),
    (
        "tools-type",
        "tools[0].type",
        "EE E E EE EE E",
        chat(USER, SAYS, tools=[{**TOOL, "type": "tool"}]),
    ),
    (
        "tool-count",
        "tools",
        "EE - - WW WW -",
        chat(USER, SAYS, tools=[tool(name=f"f{i}") for i in range(129)]),
    ),
    (
        "tool-name",
        "tools[0].function.name",
        "EE E W WW EE W",
        chat(USER, SAYS, tools=[tool(name="a b")]),
    ),
    ("tool-name", "tools[1].function.name", "EE E W WW EE W", chat(USER, SAYS, tools=[TOOL, TOOL])),
    (
        "tool-parameters",
        "tools[0].function.parameters",
        "-- E - -- EE -",
        chat(USER, SAYS, tools=[{**TOOL, "function": {"name": "f", "description": "a"}}]),
    ),
    (
        "tool-description",
        "tools[0].function.description",
        "-- E - -- EE -",
        chat(USER, SAYS, tools=[tool(description=None)]),
    ),
    (
        "tool-schema",
        "tools[0].function.parameters",
        "WW E W WW WW W",
        chat(USER, SAYS, tools=[tool(parameters={"type": "objec"})]),
    ),
    ("tool-undeclared", "tools", "WW W W WW WW W", calls(CALL, tools=[])),
    (
        "tool-call-shape",
        "messages[1].tool_calls[0].id",
        "EE E W EE EE W",
        calls({**CALL, "id": None}),
    ),
    (
        "tool-call-shape",
        "messages[1].tool_calls[0].type",
        "EE E W EE EE W",
        calls({**CALL, "type": "tool"}),
    ),
    (
        "tool-call-shape",
        "messages[1].tool_calls[0].type",
        "EE - W EE EE W",
        calls({"id": CALL["id"], "function": CALL["function"]}),
    ),
    (
        "tool-call-shape",
        "messages[1].tool_calls[0].function.name",
        "EE E W EE EE W",
        calls({**CALL, "function": {"arguments": "{}"}}),
    ),
    (
        "tool-arguments",
        "messages[1].tool_calls[0].function.arguments",
        "EE E W WW -- W",
        calls(call({})),
    ),
    (
        "tool-arguments-json",
        "messages[1].tool_calls[0].function.arguments",
        "WW W E WW EE E",
        calls(call("{")),
    ),
    (
        "tool-arguments-json",
        "messages[1].tool_calls[0].function.arguments",
        "WW W E WW EE E",
        calls(call("[]")),
    ),
    (
        "tool-arguments-json",
        "messages[1].tool_calls[0].function.arguments",
        "WW W E WW EE E",
        calls(call("")),
    ),
    (
        "tool-arguments-json",
        "messages[1].tool_calls[0].function.arguments",
        "WW W E WW EE E",
        calls(call('{"a": NaN}')),
    ),
    (
        "tool-arguments-json",
        "messages[1].tool_calls[0].function.arguments",
        "WW W E WW EE E",
        calls(call("{'a': 1}")),
    ),
    (
        "duplicate-key",
        "messages[1].tool_calls[0].function.arguments",
        "WW W E WW WW E",
        calls(call('{"a": 1, "a": 2}')),
    ),
    (
        "tool-arguments-schema",
        "messages[1].tool_calls[0].function.arguments",
        "WW W W WW WW W",
        calls(CALL, tools=[tool(parameters={"type": "object", "required": ["a"]})]),
    ),
    (
        "tool-call-id-format",
        "messages[1].tool_calls[0].id",
        "-- E - -- -- -",
        calls(call(id="call_1")),
    ),
    ("tool-call-id-duplicate", "messages[1].tool_calls[1].id", "EE E W WW WW W", calls(CALL, CALL)),
    (
        "tool-call-id-duplicate",
        "messages[3].tool_call_id",
        "EE E W WW WW W",
        chat(*calls(CALL)["messages"], ANSWER, ANSWER),
    ),
    (
        "tool-response-missing",
        "messages[1].tool_calls[0].id",
        "EE E W WW EE W",
        chat(*calls(CALL)["messages"], SAYS),
    ),
    ("tool-orphan", "messages[1].tool_call_id", "EE E W WW EE W", chat(USER, ANSWER, SAYS)),
    ("tool-calls-empty", "messages[1].tool_calls", "WW W W WW WW W", says(tool_calls=[])),
    (
        "content-and-tool-calls",
        "messages[1].content",
        "-- W - WW -- -",
        says("a", tool_calls=[CALL]),
    ),
    (
        "parallel-tool-calls",
        "parallel_tool_calls",
        "WW W - WW -- W",
        calls(CALL, call(id="bB3dE6gH9"), parallel_tool_calls=False),
    ),
    (
        "parallel-tool-calls",
        "parallel_tool_calls",
        "WW W - WW -- W",
        chat(USER, SAYS, parallel_tool_calls=None),
    ),
    # Counts and text
    ("too-long", "messages", "WW W W WW -W W", says("word " * 70_000 + "end.")),
    ("too-long", "messages", "EE W E WW WW W", user("word " * 200_000)),
    ("heterogeneous-keys", "tools", "WW - W -W -- W", chat(USER, SAYS, tools=[TOOL])),
    ("duplicate-example", "", "WW W W WW WW W", user("question 1?")),
    ("near-duplicate", "", "WW W W WW WW W", user("Question 1")),
    (
        "conflicting-answers",
        "",
        "WW W W WW WW W",
        chat(user("question 1?")["messages"][0], {**SAYS, "content": "5"}),
    ),
    ("special-token", "messages[0].content", "WW W W WW WW W", user("<|im_end|>")),
    ("special-token", "messages[0].content", "EW W W WW WW W", user("<|fim_suffix|>")),
    ("pii", "messages[0].content", "WW W W WW WW W", user("write to jane.doe@example.org")),
    ("secret", "messages[0].content", "WW W W WW WW W", user("AKIAIOSFODNN7EXAMPLE")),
]


@pytest.mark.parametrize(
    ("rule", "path", "wanted", "row"),
    ROWS,
    ids=[f"{i}-{row[0]}" for i, row in enumerate(ROWS)],
)
def test_a_line_gets_the_verdict_of_its_rule(
    rule: str, path: str, wanted: str, row: Row | bytes, tmp_path: Path
) -> None:
    line = row if isinstance(row, bytes) else json.dumps(row).encode()
    assert found(tmp_path, line).get((rule, path)) == wanted


FINE: list[Row] = [
    says(weight=1),
    calls(CALL),
    chat(*calls(CALL)["messages"], ANSWER, SAYS, tools=[tool(description="")]),
    calls(CALL, call(id="bB3dE6gH9"), parallel_tool_calls=True),
    user("a\tb\u2028c\x7f"),
    chat(SYSTEM, USER, SAYS, USER, SAYS),
]
# Of examples with tools, which Nova doesn't learn from, and vendors don't take in all places.
OF_TOOLS = {"heterogeneous-keys", "tools-unsupported"}


@pytest.mark.parametrize("row", FINE)
def test_a_good_line_breaks_no_rule_of_its_own(row: Row, tmp_path: Path) -> None:
    assert {rule for rule, _ in found(tmp_path, json.dumps(row).encode())} <= OF_TOOLS


@pytest.mark.parametrize("url", ["HTTPS://example.org/a", "DATA:image/PNG;base64,AAAA"])
def test_the_scheme_of_an_image_is_read_whatever_its_case(url: str, tmp_path: Path) -> None:
    told = {rule for rule, _ in found(tmp_path, json.dumps(image(url)).encode())}
    assert told == {"image-needs-vision", "image-source", "content-parts-local"}
