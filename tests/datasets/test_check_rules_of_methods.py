"""Rules on rows for DPO and RFT: a row that breaks each, and one that doesn't.

Severities by provider; who isn't named doesn't mind.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_rows import (
    CALLS,
    ERROR,
    EVERY,
    RESULT,
    SAYS,
    SYSTEM,
    TOOL,
    USER,
    WARNED,
    WARNING,
    WORSE,
    Row,
    chat,
    images,
    issues,
    pair,
    who,
)

from ftctl.datasets.check import check
from ftctl.datasets.rules import dpo, own_shapes, rft
from ftctl.datasets.rules import nova as nova_rules
from ftctl.datasets.rules.table import PROVIDERS, RULES
from ftctl.datasets.rules.types import Finding, read_example

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
KEYS = "role content parts text candidates score completion tool_calls id weight preferenceLabel"
objects = st.dictionaries(st.sampled_from(KEYS.split()), values | st.lists(values), max_size=4)
nested = st.lists(objects | values, max_size=3)
ROW_KEYS = (
    "messages input preferred_output non_preferred_output contents completions chosen rejected "
    "tools schemaVersion reference_answer"
)
odd_rows = st.dictionaries(
    st.sampled_from(ROW_KEYS.split()),
    values | nested | st.fixed_dictionaries({"messages": nested | values}),
)

PAIRS: list[tuple[str, str, dict[str, str], Row, Row]] = [
    ("dpo-shape", "input", EVERY, {k: v for k, v in pair().items() if k != "input"}, pair()),
    ("dpo-shape", "preferred_output", EVERY, pair(chosen=SAYS), pair()),
    ("dpo-shape", "non_preferred_output", EVERY, pair(rejected="5"), pair()),
    (
        "dpo-shape",
        "input",
        {p: ERROR for p in PROVIDERS if p not in ("huggingface", "autotrain", "local")},
        {"prompt": "2+2?", "chosen": "4", "rejected": "5"},
        pair(),
    ),
    ("dpo-one-assistant", "preferred_output", EVERY, pair(chosen=[]), pair()),
    (
        "dpo-one-assistant",
        "preferred_output",
        (WARNED | dict.fromkeys(("together", "fireworks"), ERROR)) | {"azure": ""},
        pair(chosen=[CALLS, RESULT, SAYS], tools=[TOOL]),
        pair(chosen=[SAYS]),
    ),
    (
        "dpo-one-assistant",
        "non_preferred_output[0].role",
        WARNED | dict.fromkeys(("azure", "together", "fireworks"), ERROR),
        pair(rejected=[USER, WORSE]),
        pair(),
    ),
    (
        "dpo-input-last",
        "input.messages[1].role",
        WARNED | dict.fromkeys(("together", "gemini"), ERROR),
        pair(USER, SAYS),
        pair(USER, SAYS, USER),
    ),
    (
        "dpo-identical",
        "non_preferred_output",
        WARNED,
        pair(rejected=[{**SAYS, "content": " 4\n"}]),
        pair(),
    ),
    (
        "dpo-identical",
        "non_preferred_output",
        WARNED,
        pair(rejected=[{**SAYS, "content": " "}]),
        pair(),
    ),
    ("message-type", "preferred_output[1]", EVERY, pair(chosen=[SAYS, "4"]), pair()),
    ("missing-messages", "input.messages", EVERY, {**pair(), "input": {}}, pair()),
    (
        "content-type",
        "input.messages[1].content",
        EVERY,
        pair(SYSTEM, {**USER, "content": 4}),
        pair(),
    ),
    (
        "content",
        "non_preferred_output[0].content",
        EVERY,
        pair(rejected=[{**SAYS, "content": None}]),
        pair(),
    ),
    (
        "role",
        "preferred_output[0].role",
        EVERY,
        pair(chosen=[{"role": "model", "content": "4"}]),
        pair(),
    ),
    (
        "unknown-key",
        "input.metadata",
        dict.fromkeys(("azure", "mistral", "together", "fireworks", "gemini", "bedrock"), WARNING)
        | {"openai": ERROR},
        pair(metadata={}),
        pair(),
    ),
    (
        "unknown-key",
        "metadata",
        dict.fromkeys(("azure", "mistral", "together", "fireworks", "gemini", "bedrock"), WARNING)
        | {"openai": ERROR},
        pair() | {"metadata": {}},
        pair(),
    ),
    (
        "image-needs-vision",
        "input.messages[0].content[0]",
        WARNED | dict.fromkeys(("openai", "local"), ERROR),
        pair(*images(1)["messages"][:1]),
        pair(),
    ),
    (
        "tool-orphan",
        "preferred_output[0].tool_call_id",
        WARNED | dict.fromkeys(("openai", "azure", "mistral", "gemini", "bedrock"), ERROR),
        pair(chosen=[RESULT, SAYS]),
        pair(USER, CALLS, RESULT, tools=[TOOL]),
    ),
    (
        "special-token",
        "preferred_output[0].content",
        WARNED,
        pair(chosen=[{**SAYS, "content": "4<|im_end|>"}]),
        pair(),
    ),
]
GEMINI_PAIR: Row = {
    "contents": [{"role": "user", "parts": [{"text": "2+2?"}]}],
    "completions": [
        {"score": score, "completion": {"role": "model", "parts": [{"text": text}]}}
        for score, text in ((1.0, "4"), (0.0, "5"))
    ],
}
NOVA_PAIR: Row = {
    "messages": [
        {"role": "user", "content": [{"text": "2+2?"}]},
        {
            "role": "assistant",
            "candidates": [
                {"content": [{"text": text}], "preferenceLabel": label}
                for text, label in (("4", "preferred"), ("5", "non-preferred"))
            ],
        },
    ]
}
CANDIDATES = NOVA_PAIR["messages"][1]["candidates"]


def nova(*candidates: Row) -> Row:
    return {"messages": [NOVA_PAIR["messages"][0], {"role": "assistant", "candidates": candidates}]}


PAIRS += [
    (
        "dpo-gemini",
        "completions",
        {"gemini": ERROR},
        GEMINI_PAIR | {"completions": []},
        GEMINI_PAIR,
    ),
    (
        "dpo-gemini",
        "completions[0].score",
        {"gemini": ERROR},
        GEMINI_PAIR | {"completions": GEMINI_PAIR["completions"][:1] * 2},
        GEMINI_PAIR,
    ),
    (
        "dpo-gemini",
        "completions[1].completion.parts",
        {"gemini": ERROR},
        GEMINI_PAIR
        | {
            "completions": [
                GEMINI_PAIR["completions"][0],
                {"score": 0, "completion": {"parts": [{"fileData": {}}]}},
            ]
        },
        GEMINI_PAIR,
    ),
    ("dpo-shape", "input", {p: ERROR for p in PROVIDERS if p != "gemini"}, GEMINI_PAIR, pair()),
    ("dpo-nova", "messages[1].candidates", {"bedrock": ERROR}, nova(CANDIDATES[0]), NOVA_PAIR),
    (
        "dpo-nova",
        "messages[1].candidates[1].preferenceLabel",
        {"bedrock": ERROR},
        nova(CANDIDATES[0], {**CANDIDATES[1], "preferenceLabel": "bad"}),
        NOVA_PAIR,
    ),
    (
        "dpo-nova",
        "messages[1].candidates[1].content",
        {"bedrock": ERROR},
        nova(CANDIDATES[0], {**CANDIDATES[1], "content": [{"image": {}}]}),
        NOVA_PAIR,
    ),
    ("dpo-shape", "input", {p: ERROR for p in PROVIDERS if p != "bedrock"}, NOVA_PAIR, pair()),
]
PROMPTS: list[tuple[str, str, dict[str, str], Row, Row]] = [
    (
        "rft-last-user",
        "messages[1].role",
        EVERY | {"bedrock": WARNING},
        chat(USER, SAYS),
        chat(USER, SAYS, USER),
    ),
    ("rft-system", "messages[0].role", {"azure": WARNING}, chat(SYSTEM, USER), chat(USER)),
    ("rft-nova", "tools", {"bedrock": WARNING}, chat(USER), chat(USER, tools=[TOOL])),
    (
        "rft-nova",
        "reference_answer",
        {"bedrock": WARNING},
        chat(USER, reference_answer=""),
        chat(USER, reference_answer="4"),
    ),
    ("content", "messages[0].content", EVERY, chat({**USER, "content": None}), chat(USER)),
    (
        "image-needs-vision",
        "messages[0].content[0]",
        WARNED | dict.fromkeys(("openai", "local"), ERROR),
        chat(*images(1)["messages"][:1]),
        chat(USER),
    ),
]
ALL = [
    *(("dpo", *row) for row in PAIRS),
    *(("rft", *row) for row in PROMPTS),
]


@pytest.mark.parametrize(
    ("method", "rule", "path", "minded", "bad", "good"),
    ALL,
    ids=[f"{i}-{row[0]}-{row[1]}" for i, row in enumerate(ALL)],
)
def test_a_rule_is_minded_by_those_who_have_it(
    method: str,
    rule: str,
    path: str,
    minded: dict[str, str],
    bad: Row,
    good: Row,
    tmp_path: Path,
) -> None:
    wanted = {provider: severity for provider, severity in minded.items() if severity}
    assert who(issues(tmp_path, bad, method), rule, path) == wanted
    assert who(issues(tmp_path, good, method), rule, path) == {}


@pytest.mark.parametrize(("method", "row"), [("dpo", pair()), ("rft", chat(USER, answer="4"))])
def test_a_row_of_a_method_is_not_held_to_the_rules_of_sft(
    method: str, row: Row, tmp_path: Path
) -> None:
    assert {issue.rule for issue in issues(tmp_path, row, method)} <= {"rft-nova"}


GRADER = json.dumps(
    {
        "type": "string_check",
        "name": "exact",
        "input": "{{sample.output_text}}",
        "reference": "{{item.answer}} of {{ item.unit }}",
        "operation": "eq",
    }
)


def test_a_grader_is_given_what_it_reads_by_every_row(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    rows = [
        chat(USER, answer="4", unit="m"),
        chat(USER, answer=4, unit="m"),
        chat(USER, answer=None, unit="m"),
        chat(USER, answer="5"),
    ]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = list(rft.grader_findings(file, GRADER))
    assert found[0][1].key == "rft-grader-field/template"
    places = [(line, finding.path) for line, finding in found[1:]]
    assert places == [(2, "answer"), (3, "answer"), (4, "unit")]
    report = check([file], providers=["openai"], method="rft", grader=GRADER)
    told = [i.line for i in report.issues if i.rule == "rft-grader-field" and i.severity == ERROR]
    assert told == [2, 3, 4]


def test_a_prompt_file_alone_is_told_that_a_validation_file_is_wanted(tmp_path: Path) -> None:
    train, held = tmp_path / "t.jsonl", tmp_path / "v.jsonl"
    for file in (train, held):
        file.write_text(json.dumps(chat(USER, answer=file.name)) + "\n", encoding="utf-8")
    alone = check([train], providers=["openai", "azure"], method="rft")
    both = check([train], providers=["openai", "azure"], method="rft", validation=held)
    assert "rft-validation" in alone.rule_counts
    assert "rft-validation" not in both.rule_counts


@pytest.mark.medium
@settings(max_examples=300, deadline=None)
@given(row=odd_rows)
def test_no_row_is_too_odd_to_be_judged(row: Row) -> None:
    for finding in (*dpo.pair(row), *rft.prompt(row), *own(row)):
        assert finding.key in RULES
        assert finding.message


def own(row: Row) -> list[Finding]:
    keys = ("format/gemini", "format/bedrock")
    found = [finding for key in keys for finding in own_shapes.values(key, row)]
    return [*found, *(f for rule in nova_rules.RULES for f in rule(read_example(row)))]
