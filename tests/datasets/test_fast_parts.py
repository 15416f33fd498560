"""All that is remembered of some lines is the same either way, not only what a report shows."""

import json
from array import array
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftctl.datasets.across import Lines
from ftctl.datasets.examine import Asked
from ftctl.datasets.fast.options import Options
from ftctl.datasets.fast.part import Part
from ftctl.datasets.prints import Numbers, Prints

ID = "aB3dE1440"
HELD = (Part, Lines, Prints, Numbers)


def remembered(held: object) -> object:
    """What an object holds, down to plain values."""
    if not isinstance(held, HELD):
        return held.tolist() if isinstance(held, array) else held
    # Which way a line took, and how it was to be looked at, are no part of what it shows.
    return {k: remembered(v) for k, v in vars(held).items() if k not in ("fast", "_options")}


def same_either_way(data: bytes, **asked: Any) -> int:
    """How many lines took the fast way, once what is remembered is shown to be the same."""
    parts = []
    for fast in (True, False):
        parts.append(Part(Options(Asked(**asked), fast=fast), None))
        parts[-1].look([data])
        if not asked.get("tokens", True):  # what nobody asked for may be there or not
            parts[-1].total_tokens, parts[-1].longest = 0, (0, 0)
    assert remembered(parts[0]) == remembered(parts[1])
    return parts[0].fast


def called(answer: str, *, about: str = "d", arguments: str = "{}") -> dict[str, Any]:
    function = {"name": "f", "description": about, "parameters": {"type": "object"}}
    call = {"id": ID, "type": "function", "function": {"name": "f", "arguments": arguments}}
    messages = [
        {"role": "user", "content": "Well?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": ID, "content": "Fine."},
        {"role": "assistant", "content": answer},
    ]
    return {"messages": messages, "tools": [{"type": "function", "function": function}]}


@pytest.mark.parametrize(
    ("line", "grounded"),
    [
        # An id, which nobody reads, is no ground for a number; what tools say is, escaped or not.
        (json.dumps(called("It is 1440 now.")), False),
        (json.dumps(called("It is 1440 now.", arguments='{"a": 1440}')), True),
        (json.dumps(called('Say "größe des wagens".', about="Größe des Wagens")), True),
        (json.dumps(called("It is 1000 now.", about="?")).replace('"?"', '"?", "n": 1e3'), True),
        (json.dumps(called("It is 1000 now.")), False),
    ],
)
def test_what_an_answer_may_be_taken_from_is_the_same(line: str, *, grounded: bool) -> None:
    assert same_either_way(line.encode() + b"\n")
    part = Part(Options(), None)
    part.look([line.encode() + b"\n"])
    assert (part.lines.with_facts, part.lines.ungrounded) == (1, not grounded)


TEXTS = st.sampled_from(
    [
        *("a", "b.", "yes", "no", "1", "It ends with the", '{"a":1}', "[1]", "select a from b"),
        *("a row of nine words without any final mark", "```py\n```", "`x`", "User: hi", "null"),
        *("Anna Smith paid 1,440", "1440", 'Say "größe des wagens"', "Größe des Wagens", "1000"),
        *("", " ", "end\n", "\r", "a\x85", "\u00a0x", "x\u2003", "\ufeffy", "tab\tin", "\x0b"),
        *("\ud800", "\U0001f600", "<|im_end|>", "<\\/s>", "[INST]", "<|fim_middle|>"),
        *("a@b.io", "+49 30 901820", "4111 1111 1111 1111", "sk-aB3aB3aB3aB3aB3aB3aB3aB3"),
        *('colon":', ":x", "\\", '\\"', '" ', '\\" :', '"role" :', '"tool', "é" * 60, "x " * 900),
    ]
)
VALUES = st.recursive(
    st.sampled_from(["Oslo", "x", 1, 0, -0.0, 1.0, 10**20, 1e300, True, None, float("nan")]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=4,
)
PROPERTY = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "integer", "number", "boolean", "array", "objec"])},
    optional={
        "enum": st.sampled_from([["Oslo", "x"], [1], [True], []]),
        "description": TEXTS,
        "minimum": VALUES,
        "default": VALUES,
    },
)
PROPERTIES = st.dictionaries(st.sampled_from("ab"), PROPERTY)
SCHEMAS = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": PROPERTIES},
    optional={
        "required": st.sampled_from([["a"], ["b"], [], "a"]),
        "additionalProperties": st.booleans(),
    },
)
TOOLS = st.builds(
    lambda name, about, schema: {
        "type": "function",
        "function": {"name": name, "description": about, "parameters": schema},
    },
    st.sampled_from(["f", "f", "g", "h i"]),
    TEXTS,
    SCHEMAS,
)
ARGUMENTS = st.one_of(
    st.dictionaries(st.sampled_from("ab"), VALUES).map(json.dumps),
    st.sampled_from(["{}", "", '{"a":1,"a":2}', '{"a":{"b":1,"b":2}}', " {} ", '{"a":1e999}']),
)
IDS = st.sampled_from([ID, ID, "zB3dE6gH9", "call_1", ""])
CALLS = st.builds(
    lambda call_id, arguments: {
        "id": call_id,
        "type": "function",
        "function": {"name": "f", "arguments": arguments},
    },
    IDS,
    ARGUMENTS,
)
MESSAGES = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": TEXTS}),
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "content": TEXTS},
        optional={"weight": st.sampled_from([0, 1, 1.0, True, "1"])},
    ),
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "tool_calls": st.lists(CALLS, max_size=2)},
        optional={"content": st.none() | TEXTS},
    ),
    st.fixed_dictionaries(
        {"role": st.just("tool"), "tool_call_id": IDS, "content": TEXTS},
        optional={"name": st.sampled_from(["f", "a b"])},
    ),
)
PLAIN = st.lists(TEXTS, max_size=4).map(
    lambda said: [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(said)]
)
CALLING = st.builds(
    lambda answer, call: [
        m | {"tool_calls": [call]} if "tool_calls" in m else m for m in called(answer)["messages"]
    ],
    TEXTS,
    CALLS.map(lambda call: call | {"id": ID}),
)
ROWS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"messages": PLAIN | CALLING | st.lists(MESSAGES, max_size=4)},
    optional={
        "tools": st.lists(TOOLS, max_size=2) | st.none(),
        "parallel_tool_calls": st.sampled_from([True, False, None]),
    },
)


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """A row, its keys in any order, spaced in any way, maybe with a key too many."""
    row = draw(ROWS)
    if draw(st.booleans()):
        row = dict(reversed(row.items())) | {
            "messages": [dict(reversed(message.items())) for message in row["messages"]]
        }
    spaces = draw(st.sampled_from([(", ", ": "), (",", ":"), (" , ", " : "), (",\t", ":")]))
    line = json.dumps(row, ensure_ascii=draw(st.booleans()), separators=spaces)
    if draw(st.integers(0, 9)) == 0:
        more = ['"role":"user"', '"content":"z"', '"messages":[]', '"a":1', '"id":"x"']
        starts = [i for i in range(len(line)) if line.startswith('{"', i)]
        at = draw(st.sampled_from(starts)) + 1
        line = f"{line[:at]}{draw(st.sampled_from(more))},{line[at:]}"
    return line.encode("utf-8", "surrogatepass")


FILES = st.builds(
    lambda rows, places, end: end.join(rows[place % len(rows)] for place in places) + end,
    st.lists(written(), min_size=1, max_size=4),
    st.lists(st.integers(0, 3), min_size=1, max_size=12),
    st.sampled_from([b"\n", b"\n", b"\r\n"]),
)
ASKED = st.fixed_dictionaries(
    {key: st.booleans() for key in ("nova", "scan", "duplicates", "tokens")}
    | {"most_tokens": st.sampled_from([65_536, 40, 12])}
)


@pytest.mark.medium
@settings(max_examples=300, deadline=None)
@given(data=FILES, asked=ASKED)
def test_generated_lines_leave_the_same_behind(data: bytes, asked: dict[str, Any]) -> None:
    same_either_way(data, **asked)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=4_000, deadline=None)
@given(data=FILES, asked=ASKED)
def test_very_many_lines_leave_the_same_behind(data: bytes, asked: dict[str, Any]) -> None:
    same_either_way(data, **asked)
