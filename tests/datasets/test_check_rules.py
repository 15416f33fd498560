"""Rules that only some providers have: a line that breaks each, and one that doesn't.

Severities by provider; who isn't named doesn't mind.
"""

import json
from pathlib import Path

import pytest
from rule_rows import (
    CALLS,
    ERROR,
    RESULT,
    SAYS,
    TOOL,
    TYPELESS,
    USER,
    WARNING,
    Row,
    chat,
    image,
    images,
    issues,
    who,
)

from ftctl.datasets.check import check
from ftctl.datasets.report import Issue
from ftctl.datasets.rules.limits import example_count, file_name, file_size, validation_count
from ftctl.datasets.rules.table import (
    GENERATIONS,
    PROVIDERS,
    RULES,
    SECTIONS,
    letter_of,
    rule_on,
)

URL = "messages[0].content[1].image_url.url"
TEXT = "messages[0].content"
SOME: list[tuple[str, str, dict[str, str], Row, Row]] = [
    (
        "image-count",
        TEXT,
        dict.fromkeys(("openai", "gemini", "together", "bedrock", "local"), ERROR)
        | dict.fromkeys(("mistral", "fireworks"), WARNING),
        images(31),
        images(10),
    ),
    (
        "image-count",
        TEXT,
        dict.fromkeys(("openai", "azure", "gemini", "together", "bedrock", "local"), ERROR)
        | dict.fromkeys(("mistral", "fireworks"), WARNING),
        images(65),
        images(10),
    ),
    (
        "image-size",
        URL,
        dict.fromkeys(("openai", "azure", "together", "local", "gemini"), ERROR)
        | dict.fromkeys(("mistral", "fireworks", "bedrock"), WARNING),
        image("data:image/png;base64," + "A" * (28 * 2**20)),
        image("data:image/png;base64,AAAA"),
    ),
    (
        "image-format",
        URL,
        {"fireworks": ERROR, "bedrock": WARNING},
        image("data:image/webp;base64,AAAA"),
        image("data:image/jpeg;base64,AAAA"),
    ),
    (
        "image-source",
        URL,
        dict.fromkeys(("together", "fireworks", "bedrock"), ERROR),
        image("https://example.org/a.png"),
        chat(USER, SAYS),
    ),
    (
        "image-source",
        URL,
        {"gemini": WARNING, "bedrock": ERROR},
        image("data:image/png;base64,AAAA"),
        chat(USER, SAYS),
    ),
    (
        "image-source",
        URL,
        dict.fromkeys(("openai", "azure", "together", "fireworks", "bedrock", "local"), ERROR)
        | {"mistral": WARNING},
        image("gs://bucket/a.png"),
        chat(USER, SAYS),
    ),
    (
        "image-source",
        URL,
        dict.fromkeys(("openai", "azure", "together", "fireworks", "gemini", "local"), ERROR)
        | {"mistral": WARNING},
        image("s3://bucket/a.png"),
        chat(USER, SAYS),
    ),
    (
        "content-parts-local",
        TEXT,
        dict.fromkeys(("mistral", "huggingface", "autotrain", "fireworks", "local"), WARNING),
        chat(
            *(
                {"role": role, "content": [{"type": "text", "text": "a"}]}
                for role in ("user", "assistant")
            )
        ),
        chat(USER, SAYS),
    ),
    (
        "reserved-string",
        TEXT,
        {"bedrock": ERROR},
        chat({"role": "user", "content": "What does User: mean?"}, SAYS),
        chat({"role": "user", "content": "What does user: mean?"}, SAYS),
    ),
    (
        "reserved-string",
        "messages[1].content",
        {"bedrock": ERROR},
        chat(USER, {"role": "assistant", "content": "It ends in [EOS], always."}),
        chat(USER, {"role": "assistant", "content": "It ends in EOS, always."}),
    ),
    (
        "tools-unsupported",
        "tools",
        {"bedrock": ERROR, "autotrain": ERROR},
        chat(USER, SAYS, tools=[TOOL]),
        chat(USER, SAYS),
    ),
    (
        "tools-unsupported",
        "messages[1].tool_calls",
        {"bedrock": ERROR, "autotrain": ERROR},
        chat(USER, CALLS),
        chat(USER, SAYS),
    ),
    (
        "tool-call-shape",
        "messages[1].tool_calls[0].type",
        {
            provider: ERROR
            for provider in PROVIDERS
            if provider not in ("mistral", "huggingface", "autotrain", "local")
        }
        | dict.fromkeys(("huggingface", "autotrain", "local"), WARNING),
        chat(USER, {**CALLS, "tool_calls": [TYPELESS]}, tools=[TOOL]),
        chat(USER, CALLS, tools=[TOOL]),
    ),
]


@pytest.mark.parametrize(
    ("rule", "path", "minded", "bad", "good"),
    SOME,
    ids=[f"{i}-{row[0]}" for i, row in enumerate(SOME)],
)
def test_a_rule_is_minded_by_those_who_have_it(
    rule: str, path: str, minded: dict[str, str], bad: Row, good: Row, tmp_path: Path
) -> None:
    assert who(issues(tmp_path, bad), rule, path) == minded
    assert who(issues(tmp_path, good), rule, path) == {}


def test_what_only_nova_minds_is_found_on_lines_that_are_clean_for_others(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    rows = [
        chat({**USER, "content": f"What is {i}?"}, {**SAYS, "content": text})
        for i, text in enumerate(["4", "User: 4", "4", "[EOS]", "so \\u0055ser: 4"])
    ]
    rows.append(chat(USER, CALLS, RESULT, SAYS, tools=[TOOL]))
    lines = "\n".join(map(json.dumps, rows)).replace("\\\\u", "\\u")
    file.write_text(lines + "\n", encoding="utf-8")
    ways = [
        [(i.line, i.path, i.rule) for i in report.issues if i.severity == ERROR]
        for report in (check([file], providers=["bedrock"], fast=fast) for fast in (True, False))
    ]
    assert ways[0] == ways[1]
    assert [place for place in ways[0] if place[2] != "min-examples"] == [
        (2, "messages[1].content", "reserved-string"),
        (4, "messages[1].content", "reserved-string"),
        (5, "messages[1].content", "reserved-string"),
        (6, "tools", "tools-unsupported"),
    ]


def gemini(*turns: object) -> Row:
    return {"contents": list(turns)}


def turn(role: str, *parts: object, key: str = "parts") -> Row:
    return {"role": role, key: list(parts) or [{"text": "a"}]}


def nova(*turns: object, version: object = "bedrock-conversation-2024") -> Row:
    return {"schemaVersion": version, "system": [{"text": "Be brief."}], "messages": list(turns)}


ASKS, TELLS = turn("user", key="content"), turn("assistant", key="content")
OWN: list[tuple[str, str, Row]] = [
    ("gemini", "contents", gemini()),
    ("gemini", "contents[1]", gemini(turn("user"), "a")),
    ("gemini", "contents[1].role", gemini(turn("user"), turn("assistant"))),
    ("gemini", "contents[0].role", gemini(turn("model"))),
    ("gemini", "contents[2].role", gemini(turn("user"), turn("model"), turn("user"))),
    ("gemini", "contents[0].parts", gemini({"role": "user", "parts": "a"}, turn("model"))),
    ("gemini", "contents[0].parts[0]", gemini(turn("user", {"txt": "a"}), turn("model"))),
    ("gemini", "contents[0].parts[0].text", gemini(turn("user", {"text": 1}), turn("model"))),
    ("bedrock", "schemaVersion", nova(ASKS, TELLS, version=1)),
    ("bedrock", "messages[0].content", nova({"role": "user", "content": "a"}, TELLS)),
    ("bedrock", "messages[1].role", nova(ASKS, ASKS, TELLS)),
]


@pytest.mark.parametrize(("provider", "path", "row"), OWN)
def test_a_vendors_own_shape_is_checked_for_that_vendor(
    provider: str, path: str, row: Row, tmp_path: Path
) -> None:
    good = nova(ASKS, TELLS) if provider == "bedrock" else gemini(turn("user"), turn("model"))
    found = own_issues(tmp_path, [good, row])
    told = {(issue.line, issue.path): issue.providers for issue in found}
    assert told[2, path] == (provider,)
    assert {line for line, _ in told} == {2}


def own_issues(folder: Path, rows: list[Row]) -> list[Issue]:
    file = folder / "x.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    report = check([file], providers=PROVIDERS)
    return [issue for issue in report.issues if issue.rule in ("gemini-row", "bedrock-row")]


@pytest.mark.parametrize(
    ("count", "method", "keys"),
    [
        (1, "sft", {"min-examples", "min-examples/3", "min-examples/8", "min-examples/200"}),
        (8, "dpo", {"min-examples", "few-examples/1000"}),
        (9, "rft", {"min-examples", "min-examples/100"}),
        (10, "sft", {"few-examples", "min-examples/200"}),
        (11, "dpo", {"few-examples/advice", "few-examples/100", "few-examples/1000"}),
        (99, "dpo", {"few-examples/100", "few-examples/1000"}),
        (200, "sft", set()),
        (20_001, "sft", {"many-examples/advice", "max-examples/20k"}),
        (
            3_000_001,
            "sft",
            {"many-examples/advice", "max-examples/20k", "max-examples/1m", "max-examples/3m"},
        ),
    ],
)
def test_each_provider_has_its_own_number_of_examples(
    count: int, method: str, keys: set[str]
) -> None:
    assert {finding.key for finding in example_count(count, method)} == keys


def test_limits_are_broken_only_above_them() -> None:
    keys = [{f.key for f in file_size(size)} for size in (150 * 2**20, 2**29, 2**29 + 1, 2**40)]
    assert keys == [
        set(),
        {"file-size/150mb"},
        {"file-size/150mb", "file-size"},
        {"file-size/150mb", "file-size", "file-size/1gb", "file-size/50gb"},
    ]
    assert [f.key for f in validation_count(5001)] == ["validation-size/rows"]
    assert list(validation_count(5000)) == []
    assert [f.key for f in file_name("my rows.json", ".json")] == [
        "file-extension",
        "file-extension/name",
    ]
    assert list(file_name("rows-1.jsonl", ".jsonl")) == []


def test_the_generation_of_a_tokenizer_decides_where_it_is_named() -> None:
    beside = RULES["content-and-tool-calls"]
    assert [letter_of(beside, name) for name in (*GENERATIONS, "mistral")] == ["E", "-", "-", "W"]
    ids = RULES["tool-call-id-duplicate"]
    assert [letter_of(ids, name) for name in (*GENERATIONS, "mistral")] == ["W", "W", "E", "E"]


def test_openais_rules_differ_by_method() -> None:
    rule = RULES["image-needs-vision"]
    assert [letter_of(rule, "openai", m) for m in ("sft", "dpo", "rft")] == ["W", "E", "E"]


def test_what_no_text_says_is_labelled() -> None:
    (ruling,) = rule_on("line-ends", ("openai", "local"))
    assert ruling.providers == ("openai", "local")
    assert ruling.note == " (unverified for openai)"


def test_every_row_is_minded_by_somebody_or_is_advice() -> None:
    methods = ("sft", "dpo", "rft")
    idle = {
        key
        for key, rule in RULES.items()
        if {letter_of(rule, p, method) for p in PROVIDERS for method in methods} == {"-"}
    }
    assert idle == {"few-examples/advice", "many-examples/advice", "ungrounded/advice"}
    assert sum(map(len, SECTIONS.values())) == len(RULES)
