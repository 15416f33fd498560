"""A bad line yields its own issues, wherever it stands, and hides none of another line's.

The lines are those of the tests of each rule, planted among good ones.
"""

import functools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_rows import SAYS, USER, chat, image, pair
from test_check_rules import SOME
from test_check_rules_of_methods import PAIRS, PROMPTS
from test_check_table import ROWS

from ftctl.datasets.check import check
from ftctl.datasets.rules.table import PROVIDERS, RULES

# What a line's neighbours decide.
ACROSS = {
    *("format", "format-two", "heterogeneous-keys", "duplicate-example", "near-duplicate"),
    *("conflicting-answers", "system-inconsistent", "mixed-tasks", "label-imbalance"),
    "ungrounded",
}
# What is told of a file, several lines or two files, with tests of their own.
OF_FILES = {
    *("bom", "line-ends", "compressed", "empty-file", "file-extension", "file-size", "not-jsonl"),
    *("min-examples", "few-examples", "max-examples", "validation-size", "train-val-overlap"),
    *("rft-validation", "rft-grader-field", "many-examples", "column-mapping"),
}


class Specimen(NamedTuple):
    """A bad line.

    Attributes:
        method: How the model will be tuned.
        rule: What it breaks, beside others.
        line: Its bytes.
    """

    method: str
    rule: str
    line: bytes


def encoded(row: dict[str, Any] | bytes) -> bytes:
    return row if isinstance(row, bytes) else json.dumps(row).encode()


OWN = [
    Specimen("sft", "format", b'{"instruction": "a", "output": "b"}'),
    Specimen("sft", "gemini-row", b'{"contents": [{"role": "user"}]}'),
    Specimen("sft", "bedrock-row", b'{"schemaVersion": "1", "messages": [{"role": "user"}]}'),
    Specimen(
        "sft",
        "truncated-answer",
        encoded(
            chat(USER, {**SAYS, "content": "On most days it has nearly all the colours of the"})
        ),
    ),
    Specimen("sft", "json-depth", b'{"messages": ' + b"[" * 5000 + b"]" * 5000 + b"}"),
    Specimen("sft", "image-source", encoded(image("ftp://a/b.png"))),
    Specimen("sft", "image-skipped", encoded(image("https://10.0.0.7/a.png"))),
]
SPECIMENS = [
    *(Specimen("sft", rule, encoded(row)) for rule, _, _, row in ROWS),
    *(Specimen("sft", rule, encoded(bad)) for rule, _, _, bad, _ in SOME),
    *(Specimen("dpo", rule, encoded(bad)) for rule, _, _, bad, _ in PAIRS),
    *(Specimen("rft", rule, encoded(bad)) for rule, _, _, bad, _ in PROMPTS),
    *OWN,
]
Told = frozenset[tuple[str, str, str, tuple[str, ...], str]]


def good(method: str, count: int) -> list[bytes]:
    asked = [{**USER, "content": f"What is {i} and one?"} for i in range(count)]
    if method == "dpo":
        return [encoded(pair(user)) for user in asked]
    if method == "rft":
        return [encoded(chat(user, answer="4")) for user in asked]
    return [encoded(chat(user, SAYS)) for user in asked]


def told(method: str, lines: Sequence[bytes], folder: Path) -> dict[int, Told]:
    """By line, what is found there that has nothing to do with the other lines or the file."""
    file = folder / "x.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    found: dict[int, set[tuple[str, str, str, tuple[str, ...], str]]] = {}
    for i in check([file], providers=PROVIDERS, method=method, max_errors=500).issues:
        if i.rule not in ACROSS | OF_FILES:
            one = (i.rule, i.path, i.severity, i.providers, i.message)
            found.setdefault(i.line, set()).add(one)
    return {line: frozenset(issues) for line, issues in found.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("one")


@functools.cache
def alone(specimen: Specimen, folder: Path) -> Told:
    """What is found in a specimen that is the last line."""
    lines = [*good(specimen.method, 3), specimen.line]
    found = told(specimen.method, lines, folder)
    assert set(found) <= set(told(specimen.method, lines[:3], folder)) | {4}
    return found.get(4, frozenset())


def test_there_is_a_line_for_every_rule() -> None:
    ids = {key.partition("/")[0] for key in RULES}
    planted = {specimen.rule for specimen in SPECIMENS}
    across = {"system-inconsistent", "mixed-tasks", "label-imbalance", "ungrounded"}
    with_a_template = {"template-alternation", "template-empty"}
    assert ids - planted - OF_FILES - across == with_a_template
    assert not planted & OF_FILES


@pytest.mark.parametrize(
    "specimen",
    [
        pytest.param(
            one, marks=[pytest.mark.medium] * (len(one.line) > 2**20), id=f"{i}-{one.rule}"
        )
        for i, one in enumerate(SPECIMENS)
    ],
)
def test_a_bad_line_yields_the_same_issues_wherever_it_stands(
    specimen: Specimen, folder: Path
) -> None:
    wanted = alone(specimen, folder)
    assert specimen.rule in ACROSS or specimen.rule in {issue[0] for issue in wanted}
    rng = random.Random(f"{specimen.rule} {len(specimen.line)}")  # noqa: S311 - no secret
    lines = good(specimen.method, rng.randrange(2, 8))
    clean = told(specimen.method, lines, folder)
    place = rng.randrange(1, len(lines) + 1)
    expected = {line + (line > place): issues for line, issues in clean.items()}
    found = told(specimen.method, [*lines[:place], specimen.line, *lines[place:]], folder)
    assert found == expected | ({place + 1: wanted} if wanted else {})


@pytest.mark.medium
@settings(max_examples=150, deadline=None)
@given(
    two=st.sampled_from(["sft", "sft", "dpo", "rft"]).flatmap(
        lambda method: st.lists(
            st.sampled_from([s for s in SPECIMENS if s.method == method and len(s.line) < 9999]),
            min_size=2,
            max_size=3,
        )
    ),
    places=st.lists(st.integers(1, 6), min_size=3, max_size=3),
)
def test_bad_lines_hide_none_of_each_others_issues(
    two: list[Specimen], places: list[int], folder: Path
) -> None:
    method = two[0].method
    lines: list[tuple[bytes, Told]] = [(line, frozenset()) for line in good(method, 6)]
    usual = told(method, [line for line, _ in lines], folder).get(1, frozenset())
    lines = [(line, usual) for line, _ in lines]
    for specimen, place in zip(two, places, strict=False):
        lines.insert(place, (specimen.line, alone(specimen, folder)))
    found = told(method, [line for line, _ in lines], folder)
    assert [found.get(i, frozenset()) for i in range(1, len(lines) + 1)] == [w for _, w in lines]


@pytest.mark.parametrize(
    "line",
    [
        b'{"messages": [{"role": "user", "content": "a", "x": {"y": [{"z": 1, "z": 2}]}}]}',
        b'{"messages": [{"role": "user", "role": "user", "content": "a"}]}',
        b'{"messages": [], "r\\u006fle": 1, "role": 2}',
        b'{"messages": [], "tools": [{"function": {"parameters": {"a": {"b": 1, "b": 1}}}}]}',
        b'{"a": {"": 1, "": 2}}',
        b'{"a": 1, "a": 1}',
        b'[{"a": 1, "a": 1}]',
    ],
)
def test_a_key_that_comes_twice_is_found_at_any_depth(line: bytes, folder: Path) -> None:
    found = told("sft", [*good("sft", 2), line], folder)
    assert "duplicate-key" in {issue[0] for issue in found[3]}
