"""A huge line's outline: shorter, and as sound or unsound as the line."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftctl.datasets.check import check
from ftctl.datasets.outline import MAX_BYTES, Outline
from ftctl.datasets.read import LINE_CAP_BYTES
from ftctl.datasets.report import Report
from ftctl.datasets.rules.json_text import parse_line
from ftctl.datasets.rules.table import USUAL

KEPT = 16


def outline(data: bytes, sizes: list[int]) -> bytes:
    made, at = Outline(KEPT), 0
    for size in [*sizes, len(data)]:
        made.add(data[at : at + size])
        at += size
    return made.end()


def shortened(whole: Any, cut: Any) -> bool:
    """Whether a value is another one but for the ends of long strings."""
    if isinstance(whole, str):
        kept = len(cut.encode())
        return whole.startswith(cut) and (whole == cut or (KEPT - 12) // 2 <= kept <= 2 * KEPT)
    if isinstance(whole, list):
        return len(whole) == len(cut) and all(map(shortened, whole, cut))
    if isinstance(whole, dict):
        return all(map(shortened, [*whole, *whole.values()], [*cut, *cut.values()]))
    return bool(whole == cut)


ALWAYS_KEPT = [*map(chr, range(32)), "\x7f"]  # control characters, wherever they stand
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=ALWAYS_KEPT))
values = st.recursive(
    texts | st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab", max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
sizes = st.lists(st.integers(0, 20), max_size=20)


@settings(max_examples=100, deadline=None)
@given(value=values, sizes=sizes, escaped=st.booleans(), long=st.integers(0, 9))
def test_an_outline_is_the_line_with_its_long_strings_cut(
    value: object, sizes: list[int], escaped: bool, long: int
) -> None:
    whole = [value, '\\"é\U0001f600\n' * long]
    data = json.dumps(whole, ensure_ascii=escaped).encode()
    assert shortened(whole, json.loads(outline(data, sizes)))


ODD = [
    (b"\xff", "encoding"),
    (b"\xed\xa0\x80", "encoding"),
    (b"\xc3", "encoding"),
    (b"\n", "json"),
    (b"\\x41", "json"),
    (b"\\u12", "json"),
    (b'" "', "json"),
    (b"\\ud800", "lone-surrogate"),
    (b"\\udc00\\ud800", "lone-surrogate"),
    (b"\\u0000", "control-char"),
    (b"\\b", "control-char"),
    (b'", "role": "user', "duplicate-key"),
]


@pytest.mark.parametrize(("odd", "rule"), ODD)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_is_odd_in_a_part_that_is_left_out_stays(odd: bytes, rule: str, size: int) -> None:
    line = b'{"role": "' + b"x" * 50 + odd + b"y" * 50 + b'"}'
    found = outline(line, [size] * 200)
    assert len(found) < len(line) - 50
    assert [f.key for f in parse_line(found).findings] == [rule]


def test_white_space_is_left_out_and_too_many_small_values_are_no_outline() -> None:
    assert outline(b'{ "a" : ' + b" " * 1000 + b"1 }", []) == b'{ "a" : 1 }'
    assert outline(b"1," * (MAX_BYTES // 2 + 1), []) == b""


def lines_with(folder: Path, *pieces: bytes | int) -> Report:
    """A good file whose line 13 is made of pieces, numbers standing for megabytes of text."""
    file = folder / "x.jsonl"
    with file.open("wb") as out:
        for i in range(12):
            said = [{"role": "user", "content": f"{i}?"}, {"role": "assistant", "content": f"{i}."}]
            out.write(json.dumps({"messages": said}).encode() + b"\n")
        for piece in pieces:
            out.write(b"0123456789abcde " * 2**16 * piece if isinstance(piece, int) else piece)
    return check([file])


ROLE = b'{"role":"User","content":"a'
USER, ASSISTANT = b'{"role":"user","content":"', b'{"role":"assistant","content":"'
OVER = LINE_CAP_BYTES // 2**20 + 1


@pytest.mark.medium
@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        ([b'{"messages":[', USER, b'a"},', ASSISTANT, OVER, b'"}]}'], {"too-long": "WWW"}),
        ([b'{"messages":[', USER, OVER, b'"},', ASSISTANT, b'a"}]}'], {"too-long": "EWW"}),
        (
            [b'{"messages":[', USER, b'a"},', ASSISTANT, b'a"}],"more":"', OVER, b'"}'],
            {"unknown-key": "EW-"},
        ),
        ([b'{"messages":[', ROLE, b'"},', ASSISTANT, OVER, b'"}]}'], {"role": "EEE"}),
        ([b'{"messages":[', USER, b'a"},', ASSISTANT, OVER], {"json": "EEE"}),
        ([OVER], {"json": "EEE"}),
        ([b'["', OVER, b'"]'], {"line-not-object": "EEE"}),
    ],
    ids=["answer", "prompt", "unknown key", "role", "cut off", "no object", "list"],
)
def test_a_huge_line_is_judged_like_any_other(
    pieces: list[bytes | int], wanted: dict[str, str], tmp_path: Path
) -> None:
    report = lines_with(tmp_path, *pieces)
    found: dict[str, dict[str, str]] = {}
    for issue in reversed(report.issues):
        if issue.line == 13:
            told = dict.fromkeys(issue.providers, issue.severity[0].upper())
            found.setdefault(issue.rule, {}).update(told)
    by_rule = {rule: "".join(by.get(p, "-") for p in USUAL) for rule, by in found.items()}
    assert by_rule.items() >= wanted.items()
    assert {rule for rule, by in by_rule.items() if "E" in by} <= set(wanted)
