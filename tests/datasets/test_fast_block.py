"""Lines decoded together are told as they are told one by one, however they hang together."""

import json
from pathlib import Path

import pytest

from ftctl.datasets.check import check

GOOD = '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}'
CALLS = json.dumps(
    {
        "messages": [
            {"role": "user", "content": "a"},
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "aB3dE6gH9",
                        "type": "function",
                        "function": {"name": "f", "arguments": "{}"},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "aB3dE6gH9", "content": ": \\"},
            {"role": "assistant", "content": "b"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "description": "d",
                    "parameters": {"type": "object", "properties": {}},
                },
            }
        ],
    }
)
HALVES = GOOD.replace("},{", "}\n,{")  # one object on two lines
FILES = {
    "two on a line, one over two": f"{GOOD}{GOOD}\n{HALVES}\n",
    "the same with tools": f"{CALLS}{CALLS}\n" + CALLS.replace("}, {", "},\n{", 1) + "\n",
    "a blank line for a second object": f"{GOOD} {GOOD}\n\n{GOOD}\n",
    "a name before a space, another twice": (
        GOOD.replace('"role":"user"', '"role" :"user"')
        + "\n"
        + GOOD.replace('"role":"user"', '"role":"user","role":"user"')
        + "\n"
    ),
    "the same with tools, spaced": (
        CALLS.replace('"name": "f", "d', '"name" : "f", "d')
        + "\n"
        + CALLS.replace('"name": "f", "a', '"name": "f", "name": "f", "a')
        + "\n"
    ),
    "texts that begin with a colon or a space": (
        GOOD.replace('"a"', '":a"') + "\n" + GOOD.replace('"a"', '" a\\":"') + "\n" + GOOD
    ),
    "lines that end in CR and LF": f"{GOOD}\r\n{CALLS}\r\n{GOOD}\r\n",
    "an answer that breaks off": f"{GOOD}\n"
    + GOOD.replace('"b"', '"One two three four five six seven eight and the"')
    + "\n",
    "no end": f"{GOOD}\n{CALLS}",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("everything", [True, False])
def test_what_hangs_together_is_told_apart(name: str, everything: bool, tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(f"{GOOD}\n{FILES[name]}", encoding="utf-8", newline="")
    fast, slow = (
        check([file], fast=way, duplicates=everything, scan=everything, tokens=everything)
        for way in (True, False)
    )
    assert fast == slow.model_copy(update={"lines": fast.lines})
    assert fast.lines["fast"] > 0


@pytest.mark.parametrize("name", ["lines that end in CR and LF", "no end"])
def test_lines_without_fault_take_the_fast_way(name: str, tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(FILES[name], encoding="utf-8", newline="")
    assert check([file]).lines["slow"] == 0
