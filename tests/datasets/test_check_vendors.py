"""AutoTrain's column, images that vendors skip, and what TRL cuts without a word."""

import json
from pathlib import Path
from typing import Any

import pytest
from rule_rows import CALLS, SAYS, TOOL, USER, Row, chat, image, pair

from ftctl.datasets.check import check
from ftctl.datasets.report import Report
from ftctl.datasets.rules.listing import rules_for
from ftctl.datasets.rules.table import RULES, letter_of
from ftctl.datasets.tokens.choose import counter_for

URL = "messages[0].content[1].image_url.url"


def checked(tmp_path: Path, rows: list[Row], *providers: str, **options: Any) -> Report:
    file = tmp_path / "x.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return check([file], providers=providers, duplicates=False, **options)


def places(report: Report, rule: str) -> list[tuple[int, str, str]]:
    return [(i.line, i.path, i.severity) for i in report.issues if i.rule == rule]


def test_autotrain_knows_no_tools_and_reads_named_columns(tmp_path: Path) -> None:
    rows = [chat(USER, SAYS), chat(USER, SAYS, tools=[TOOL]), chat(USER, CALLS)]
    found = checked(tmp_path, [*rows, chat(USER, {**SAYS, "weight": 0}, SAYS)], "autotrain")
    assert places(found, "tools-unsupported") == [
        (2, "tools", "error"), (3, "messages[1].tool_calls", "error"),
    ]  # fmt: skip
    assert places(found, "weight-ignored-local") == [(4, "messages[1].weight", "warning")]
    assert places(found, "column-mapping") == [(1, "messages", "warning")]
    (mapping,) = (i for i in found.issues if i.rule == "column-mapping")
    assert "text_column has to name `messages`" in mapping.message
    assert "autotrain-yaml" in mapping.hint
    assert mapping.providers == ("autotrain",)
    assert places(checked(tmp_path, rows, "huggingface"), "column-mapping") == []


def test_autotrain_takes_pairs_from_three_columns(tmp_path: Path) -> None:
    found = checked(tmp_path, [pair()], "autotrain", method="dpo")
    (mapping,) = (i for i in found.issues if i.rule == "column-mapping")
    assert "rejected_text_column" in mapping.message
    assert "--to trl" in mapping.hint


def test_autotrain_is_a_provider_of_the_table() -> None:
    rules = rules_for(["autotrain"]).rules
    assert {"tools-unsupported", "column-mapping", "json"} <= {rule.rule for rule in rules}
    assert "dormant" in rules_for(["autotrain"]).sources["autotrain"]
    ours = [key for key, rule in RULES.items() if rule.autotrain]
    assert len(ours) < 10  # elsewhere it is what Hugging Face is
    assert letter_of(RULES["duplicate-key"], "autotrain") == "E"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://localhost/a.png", "only your own network"),
        ("https://10.0.0.7/a.png", "only your own network"),
        ("https://[::1]/a.png", "only your own network"),
        ("https://intranet/a.png", "only your own network"),
        ("https://files.internal:8443/a.png", "only your own network"),
        ("https://b.s3.amazonaws.com/a.png?X-Amz-Expires=3600&X-Amz-Signature=ab", "runs out"),
        ("https://x.blob.core.windows.net/a.png?se=2026-01-01&sig=ab", "runs out"),
        ("https://cdn.example.org/a.png?expires=3", ""),
        ("https://example.org/a.png", ""),
        ("https://93.184.216.34/a.png", ""),
        ("data:image/png;base64,AAAA", ""),
        ("https://[oops/a.png", ""),
    ],
)
def test_a_link_that_nobody_else_can_open_is_told(url: str, said: str, tmp_path: Path) -> None:
    found = checked(tmp_path, [image(url)], "openai", "azure", "together")
    told = [i for i in found.issues if i.rule == "image-skipped"]
    assert [(i.path, i.severity) for i in told] == ([(URL, "warning")] if said else [])
    for issue in told:
        assert said in issue.message
        assert issue.providers == ("openai", "azure")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Who is this?", True),
        ("Solve the CAPTCHA.", True),
        ("How old is the child?", True),
        ("Who is the author of the book?", False),
        ("What does the sign say?", False),
    ],
)
def test_a_question_about_people_beside_an_image_is_told(
    text: str, told: bool, tmp_path: Path
) -> None:
    row = image("data:image/png;base64,AAAA")
    row["messages"][0]["content"][0]["text"] = text
    found = places(checked(tmp_path, [row], "openai"), "image-skipped")
    assert found == ([(1, "messages[0].content[0]", "warning")] if told else [])
    alone = chat({"role": "user", "content": text}, SAYS)
    assert places(checked(tmp_path, [alone], "openai"), "image-skipped") == []


@pytest.mark.medium
def test_more_examples_with_images_than_are_trained_on_are_counted(tmp_path: Path) -> None:
    row = image("data:image/png;base64,AAAA")
    line = json.dumps(row) + "\n"
    (tmp_path / "x.jsonl").write_text(line * 50_001)
    report = check([tmp_path / "x.jsonl"], providers=["openai"], duplicates=False, scan=False)
    (issue,) = (i for i in report.issues if i.rule == "max-examples")
    assert issue.message == "50,001 examples with images; 50,000 are the maximum"
    assert issue.line == 1


def long(prompt: int, answer: int) -> Row:
    said = {"role": "assistant", "content": "word " * answer + "end."}
    return chat({"role": "user", "content": "word " * prompt + "?"}, said)


@pytest.mark.parametrize("fast", [True, False])
def test_trl_cuts_what_is_longer_than_its_default(fast: bool, tmp_path: Path) -> None:
    rows = [long(10, 700), long(10, 1000), long(5000, 10)]
    found = checked(tmp_path, rows, "huggingface", fast=fast)
    assert places(found, "too-long") == [(2, "messages", "warning"), (3, "messages", "error")]
    first, second = (i for i in found.issues if i.rule == "too-long")
    assert "what comes after 1,024 isn't kept" in first.message
    assert "max_length=N" in first.hint
    assert "nothing of the answer is kept" in second.message
    assert places(checked(tmp_path, rows, "autotrain", fast=fast), "too-long") == []
    assert places(checked(tmp_path, rows, "openai", "local", fast=fast), "too-long") == []


def test_with_a_tokenizer_it_says_which_answer_tokens_go(tmp_path: Path) -> None:
    rows = [long(10, 900), long(10, 1100), long(1200, 10)]
    found = checked(tmp_path, rows, "huggingface", counter=counter_for("gpt-4o"))
    first, second = (i for i in found.issues if i.rule == "too-long")
    assert (first.line, first.path, first.severity) == (2, "messages[1].content", "warning")
    assert "1,024 are kept" in first.message
    assert "answer tokens go, from character" in first.message
    assert (second.line, second.severity) == (3, "error")
    assert "no answer token is left" in second.message
    assert (found.tokens.limit, found.tokens.above_limit) == (1024, 2)
