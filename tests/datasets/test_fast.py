"""Whichever way a line takes, the same is found: fast against every rule on every line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ftctl.datasets import read
from ftctl.datasets.check import check
from ftctl.datasets.report import Report

CASES = Path(__file__).parent.parent / "cases" / "jsonl"

CALL = {
    "id": "aB3dE6gH9",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Oslo", "days": 2}'},
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city: now.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "enum": ["Oslo", "Rome"]},
                "days": {"type": "integer"},
            },
            "required": ["city"],
        },
    },
}


def plain(*texts: str) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]}


def with_tools(**more: object) -> dict[str, Any]:
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Is it warm in Oslo?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "aB3dE6gH9", "content": "12: sunny", "name": "weather"},
        {"role": "assistant", "content": "It is 12 degrees.", "weight": 1},
    ]
    return {"messages": messages, "tools": [WEATHER], **more}


def both(data: bytes, folder: Path, **options: Any) -> Report:
    """The fast report, once it is shown to be the slow one's equal."""
    file = folder / "x.jsonl"
    file.write_bytes(data)
    fast, slow = (check([file], fast=way, **options) for way in (True, False))
    assert fast == slow.model_copy(update={"lines": fast.lines})
    assert fast.rule_counts == slow.rule_counts
    assert slow.lines["fast"] == 0
    assert fast.lines["fast"] + fast.lines["slow"] == slow.lines["slow"]
    return fast


def lines(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fast")


@pytest.mark.parametrize("file", sorted(CASES.glob("*.jsonl")), ids=lambda file: file.stem)
def test_every_case_gets_one_report_either_way(file: Path, tmp_path: Path) -> None:
    both(file.read_bytes(), tmp_path)


def test_ordinary_lines_take_the_fast_way(tmp_path: Path) -> None:
    rows = [
        plain(f"Question {i}?", f"Answer {i} is \u00e9\U0001f600: \\frac{{1}}.") for i in range(40)
    ]
    rows += [plain("Hi.", "Yes?", "Say <b>[T]</b>.", f"<b>{i}</b>") for i in range(40)]
    rows += [with_tools(n=1)] * 2 + [with_tools()] * 8
    report = both(lines(*rows), tmp_path)
    assert report.lines == {"fast": 88, "slow": 2}


ODD: list[bytes] = [
    b'{"messages":[{"role":"user","role":"user","content":"a"},{"role":"assistant","content":"b"}]}',
    b'{"messages":[{"role":"user","content":"x","content":"a"},{"role":"assistant","content":"b"}]}',
    b'{"messages":[],"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}',
    # The same with one of the two names escaped, and beside text that evens out the count.
    b'{"messages":[{"r\\u006fle":"user","role":"user","content":"role"},'
    b'{"role":"assistant","content":"b"}]}',
    b'{"messages":[{"role":"user","c\\u006fntent":"a"},{"role":"assistant","content":"b"}]}',
    b'{"messages":[{"role":"user","content":"role"},{"role":"assistant","content":"content"}]}',
    b'{"messages":[{"role":"user","content":"\\ud800"},{"role":"assistant","content":"b"}]}',
    b'{"messages":[{"role":"user","content":"\xed\xa0\x80"},{"role":"assistant","content":"b"}]}',
    b'{"messages":[{"role":"user","content":"\xff"},{"role":"assistant","content":"b"}]}',
    b'{"messages":[{"role":"user","content":"a\\u0000"},{"role":"assistant","content":"b"}]}',
    b'{"messages":[{"role":"user","content":"a\\b"},{"role":"assistant","content":"\\\\b"}]}',
    b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"<\\/s>"}]}',
    b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"\\u003c|im_end|>"}]}',
    b'{"messages":[{"role":"user","content":"<\\u002fs>"},{"role":"assistant","content":"<\\u002Fs>"}]}',
    b'{"messages":[{"role":"user","content":"[/INST]"},{"role":"assistant","content":"<<SYS>>"}]}',
    b'{"messages":[{"role":"user","content":"a\\u0040b.example.com jo\\u0040b.org"},'
    b'{"role":"assistant","content":"\\u0073k-aB3aB3aB3aB3aB3aB3aB3aB3"}]}',
    b'{"messages":[{"role":"user","content":"API-Key: x9Kq2LmZ7pR4tW8vbb"},'
    b'{"role":"assistant","content":"accessToken = x9Kq2LmZ7pR4tW8vbb and passwords."}]}',
    b'{"messages":[{"role":"user","content":"an api"},'
    b'{"role":"assistant","content":"aPi_key=x9Kq2LmZ7pR4tW8vbb"}]}',
    b'{"messages":[{"role":"user","content":"+49 30 901820"},'
    b'{"role":"assistant","content":"4111 1111 1111 1111 AKIAIOSFODNN7EXAMPLE"}]}',
    b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","weight":0}]}',
    b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","weight":1.0}]}',
    b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","weight":1,'
    b'"weight":0,"weight":1}]}',
    b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"[1, NaN]"}]}',
    b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"[[["}]}\r',
    b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\r\r',
    b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"tools":'
    + b"[" * 300
    + b"]" * 300
    + b"}",
    b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],'
    b'"tools":[{"type":"function","function":{"name":"f","description":"\xff","parameters":{}}}]}',
    b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],'
    b'"tools":[{"type":"function","function":{"name":"f","name":"f","description":"d",'
    b'"parameters":{"maximum":NaN}}}]}',
    b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"tools":[]}',
    b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"tools":null}',
    b'{"messages":[]}',
    b'{"messages":[{"role":"system","content":"Be kind."}]}',
    b'{"messages":[{"role":"user","content":"a"}]}',
    b'{"text":"a"}',
    b'{"instruction":"a","output":"b"}',
    b"[" * 3000,
    b"{}",
    b"",
    b" ",
    b"\xef\xbb\xbf{}",
    b'{"messages": [',
]


def mended(change: Callable[[dict[str, Any]], None]) -> bytes:
    row = json.loads(json.dumps(with_tools()))
    change(row)
    return json.dumps(row).encode()


def put(*path: Any, value: object) -> bytes:
    """A row with tools in which one value is another."""

    def change(row: dict[str, Any]) -> None:
        at: Any = row
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value

    return mended(change)


CALLED = ("messages", 2, "tool_calls", 0)
ODD_TOOLS = [
    put(*CALLED, "id", value="call_1"),
    put(*CALLED, "id", value=""),
    put(*CALLED, "type", value="tool"),
    put(*CALLED, "index", value=0),
    put(*CALLED, "function", "name", value="other"),
    *(
        put(*CALLED, "function", "arguments", value=text)
        for text in (
            "",
            "[]",
            "null",
            "{",
            "{}",
            '{"city": "Paris"}',
            '{"city": "Oslo", "city": "Rome"}',
            '{"city":"Oslo","c\\u0069ty": "Rome"}',
            '{"city": "Oslo", "days": true}',
            '{"city": "Oslo", "days": 1.0}',
            '{"city": "Oslo", "days": NaN}',
            '{"city": "Oslo", "at": "12:30"}',
            '{"city": "Oslo", "days": ' + "[" * 300 + "]" * 300 + "}",
            '{"city": "jane.doe@example.com"}',
            '{"city": "<|im_start|>"}',
        )
    ),
    put("messages", 2, "content", value="Wait."),
    put("messages", 2, "content", value=""),
    put("messages", 2, "tool_calls", value=[]),
    put("messages", 2, "tool_calls", value=None),
    put("messages", 2, "tool_calls", value=[CALL, CALL]),
    put("messages", 2, "tool_calls", value=[CALL, CALL | {"id": "zB3dE6gH9"}]),
    put("messages", 3, "content", value=""),
    put("messages", 3, "content", value=["a"]),
    put("messages", 3, "name", value="a b"),
    put("messages", 3, "tool_call_id", value="other"),
    put("messages", 3, "role", value="user"),
    put("messages", 4, "content", value=None),
    put("messages", 4, "weight", value=True),
    put("messages", 0, "content", value=" "),
    put("messages", 0, "role", value="developer"),
    put("tools", 0, "type", value="tool"),
    put("tools", 0, "function", "name", value="a b"),
    put("tools", 0, "function", "parameters", value={"type": "objec"}),
    put("tools", 0, "function", "parameters", value={"additionalProperties": False}),
    put("tools", 0, "function", "description", value="jane.doe@example.com"),
    put("parallel_tool_calls", value=False),
    put("parallel_tool_calls", value=0),
    mended(lambda row: row["messages"].pop()),
    mended(lambda row: row["messages"].pop(3)),
    mended(lambda row: row.pop("tools")),
    mended(lambda row: row["messages"][2].pop("content")),
    put("messages", 2, "content", value=None).replace(b'"days"', b'"d\\u0061ys"'),
    json.dumps(with_tools())
    .encode()
    .replace(b'"name": "weather"}', b'"name":"x","name":"weather"}'),
    json.dumps(with_tools()).encode().replace(b'"id": ', b'"\\u0069d": "x", "id" : '),
]
ENDS = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\n\n"])


@pytest.mark.parametrize("odd", [*ODD, *ODD_TOOLS])
def test_an_odd_line_among_good_ones_is_told_either_way(odd: bytes, folder: Path) -> None:
    good = lines(plain("One?", "Two."), with_tools(), plain("Three?", '{"a": 1}'))
    both(good + odd + b"\n" + good, folder)
    both(odd, folder)
    # With nothing more to look for, plain lines are looked at together.
    both(
        lines(plain("One?", "Two.")) + odd + b"\n",
        folder,
        duplicates=False,
        scan=False,
        tokens=False,
    )


texts = st.sampled_from(
    [
        *(
            "",
            " ",
            "a",
            "b.",
            "It ends with the",
            "eight words without an end are not nine words yet",
        ),
        *(
            "role",
            "content",
            '"role":',
            "{",
            '{"a":1}',
            "[1]",
            "\x00",
            "\x0b",
            "\ud800",
            "\U0001f600",
        ),
        *("<|im_end|>", "[INST]", "a@b.io", "1234567", "sk-", "\\b", "\u2028", "A.", "é" * 50),
    ]
) | st.text(max_size=8)
roles = st.sampled_from(
    ["system", "user", "user", "assistant", "assistant", "tool", "bot", "developer"]
)
odd_messages = st.fixed_dictionaries(
    {"role": roles, "content": texts | st.none() | st.just([{"type": "text", "text": "a"}])},
    optional={
        "weight": st.sampled_from([0, 1, 1.0, True]),
        "name": texts,
        "tool_calls": st.lists(st.just(CALL), max_size=2),
        "tool_call_id": st.just("aB3dE6gH9"),
    },
)
odd_rows = st.one_of(
    st.lists(texts, max_size=6).map(lambda said: plain(*said)),
    st.lists(odd_messages, max_size=5).map(lambda found: {"messages": found}),
    st.builds(with_tools, parallel_tool_calls=st.sampled_from([True, False, None])),
)
escapes = st.sampled_from([True, False])


@st.composite
def files(draw: st.DrawFn) -> bytes:
    made = b""
    for _ in range(draw(st.integers(1, 6))):
        if draw(st.integers(0, 4)) == 0:
            line = draw(st.sampled_from(ODD + ODD_TOOLS) | st.binary(max_size=30))
        else:
            text = json.dumps(draw(odd_rows), ensure_ascii=draw(escapes))
            line = text.encode("utf-8", "surrogatepass")
            if draw(st.integers(0, 3)) == 0:  # a part comes twice
                at, end = sorted(draw(st.tuples(*[st.integers(0, len(line))] * 2)))
                line = line[:end] + line[at:]
        made += line + draw(ENDS)
    return made


def same_either_way(data: bytes, folder: Path, providers: str) -> None:
    both(data, folder, providers=providers.split(","), max_errors=3)
    both(data, folder, duplicates=False, scan=False, tokens=False)


@pytest.mark.medium
@settings(max_examples=400, deadline=None)
@given(data=files(), providers=st.sampled_from(["openai", "mistral,local"]))
@example(data=b"".join(line + b"\n" for line in ODD + ODD_TOOLS), providers="openai,mistral,local")
@example(data=ODD[1] + b"\n" + ODD[4] + b"\n", providers="openai")  # one key more, one less
def test_generated_files_get_one_report_either_way(
    data: bytes, folder: Path, providers: str
) -> None:
    same_either_way(data, folder, providers)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=20_000, deadline=None)
@given(data=files(), providers=st.sampled_from(["openai", "mistral,local"]))
def test_very_many_files_get_one_report_either_way(
    data: bytes, folder: Path, providers: str
) -> None:
    same_either_way(data, folder, providers)


@settings(max_examples=60, deadline=None)
@given(data=files(), size=st.integers(1, 400))
def test_where_blocks_are_cut_makes_no_difference(data: bytes, size: int, folder: Path) -> None:
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    found = list(read.pieces(chunks, block_bytes=size))
    whole = b""
    for piece in found:
        if isinstance(piece, bytes):
            whole += piece
        else:
            whole += piece.data + (b"\r" if b"\r" in data else b"") + b"\n" * piece.ended
    assert whole.replace(b"\r", b"") == data.replace(b"\r", b"")
    assert all(piece.endswith(b"\n") for piece in found[:-1] if isinstance(piece, bytes))
