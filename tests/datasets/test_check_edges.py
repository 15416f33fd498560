"""Limits at their edge, and faults that must not be told twice under other names."""

import json
from pathlib import Path

import pytest
from rule_rows import CALLS, RESULT, SAYS, SYSTEM, TOOL, USER, Row, chat, images, issues, pair

from ftctl.datasets.check import check
from ftctl.datasets.fix import fix
from ftctl.datasets.rules.table import GENERATIONS, PROVIDERS

# Of every row with tools; TRL would cut one that has many.
SOME_PLACE = {"heterogeneous-keys", "tools-unsupported", "too-long"}


def named(name: str) -> Row:
    return chat(USER, SAYS, tools=[{**TOOL, "function": {**TOOL["function"], "name": name}}])


def declared(count: int) -> Row:
    tools = [{**TOOL, "function": {**TOOL["function"], "name": f"f{i}"}} for i in range(count)]
    return chat(USER, SAYS, tools=tools)


def told(folder: Path, row: Row, method: str = "sft") -> set[str]:
    return {issue.rule for issue in issues(folder, row, method)} - SOME_PLACE


@pytest.mark.parametrize(
    ("inside", "outside", "rule"),
    [
        (declared(128), declared(129), "tool-count"),
        (named("f" * 64), named("f" * 65), "tool-name"),
        (named("f"), named(""), "tool-name"),
        (named("f-_9"), named("f\n"), "tool-name"),
        (named("f"), named("f\u0669"), "tool-name"),
        (
            chat({**USER, "content": "ecosystem: a"}, SAYS),
            chat({**USER, "content": "EcoSystem: a"}, SAYS),
            "reserved-string",
        ),
        (
            chat(USER, CALLS, {**RESULT, "content": ""}, SAYS, tools=[TOOL]),
            chat(USER, CALLS, {**RESULT, "content": None}, SAYS, tools=[TOOL]),
            "content",
        ),
        (chat(USER, SAYS, tools=[]), chat(USER, SAYS, tools={}), "tools-type"),
    ],
)
def test_a_limit_holds_up_to_its_edge(inside: Row, outside: Row, rule: str, tmp_path: Path) -> None:
    assert told(tmp_path, inside) == set()
    assert told(tmp_path, outside) == {rule}


def test_images_are_counted_up_to_each_vendors_limit(tmp_path: Path) -> None:
    for count, minding in (
        (10, set()),
        (11, {"openai"}),
        (30, {"openai"}),
        (64, {"openai", "gemini"}),
    ):
        found = issues(tmp_path, images(count))
        refused = {
            p
            for i in found
            if i.rule == "image-count" and i.severity == "error"
            for p in i.providers
        }
        assert refused & {"openai", "gemini", "azure"} == minding
    refused = {
        p for i in issues(tmp_path, images(65)) if i.rule == "image-count" for p in i.providers
    }
    assert "azure" in refused


@pytest.mark.parametrize(
    ("row", "rules"),
    [
        (chat({**USER, "role": "human"}, {**SAYS, "role": "gpt"}), {"role"}),
        (chat({**USER, "role": "USER"}, {**SAYS, "role": "Assistant "}), {"role"}),
        (chat(USER, {**SAYS, "role": "narrator"}), {"role"}),
        (chat(USER, {**SAYS, "role": None}), {"role"}),
        (chat({**SYSTEM, "role": "Developer"}, USER, SAYS), {"role"}),
        (chat(USER), {"no-assistant"}),
        (chat(SYSTEM), {"no-assistant", "no-user"}),
        (chat(USER, SAYS, USER), {"last-message"}),
        (chat(USER, {**SAYS, "role": "model"}, USER), {"role", "last-message"}),
    ],
)
def test_one_fault_has_one_name(row: Row, rules: set[str], tmp_path: Path) -> None:
    assert told(tmp_path, row) == rules


def test_audio_beside_a_system_message_waits_for_a_later_tokenizer(tmp_path: Path) -> None:
    part = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    asked = {"role": "user", "content": [{"type": "text", "text": "Who?"}, part]}
    file = tmp_path / "x.jsonl"
    found = []
    for row in (chat(asked, SAYS), chat(SYSTEM, asked, SAYS)):
        file.write_text(json.dumps(row), encoding="utf-8")
        told_of = check([file], providers=GENERATIONS).issues
        found.append([i.providers for i in told_of if i.rule == "audio" and i.severity == "error"])
    assert found == [[("mistral-v3",)], [("mistral-v3", "mistral-v7")]]


@pytest.mark.parametrize(
    ("url", "rules"),
    [
        ("data:image/png;base64,AAAA", {"image-needs-vision", "image-source"}),
        ("data:image/png,AAAA", {"image-needs-vision", "image-source"}),
        ("data:text/plain;base64,AAAA", {"image-needs-vision", "image-source", "image-format"}),
    ],
)
def test_an_inline_image_is_base64_of_a_known_type(
    url: str, rules: set[str], tmp_path: Path
) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    row = chat(
        {"role": "user", "content": [part]}, {**SAYS, "content": [{"type": "text", "text": "a"}]}
    )
    assert told(tmp_path, row) - {"content-parts-local"} == rules
    refused = {
        p
        for i in issues(tmp_path, row)
        if i.rule == "image-source" and i.severity == "error"
        for p in i.providers
    }
    assert ("openai" in refused) == ("base64" not in url)


def test_a_broken_part_is_told_once(tmp_path: Path) -> None:
    row = chat({"role": "user", "content": [{"type": "text", "text": None}]}, SAYS)
    assert told(tmp_path, row) == {"content-part"}


def test_values_are_shown_as_json_has_them(tmp_path: Path) -> None:
    (weight,) = {i.message for i in issues(tmp_path, chat(USER, {**SAYS, "weight": None}))}
    assert weight == "weight null on a message of role 'assistant'"
    numbers = {
        i.message for i in issues(tmp_path, chat(USER, SAYS, x=[float("-inf"), float("nan")]))
    }
    assert {"-Infinity is no JSON number", "NaN is no JSON number"} <= numbers


@pytest.mark.parametrize(
    ("providers", "role"), [(["openai"], "developer"), (["openai", "mistral"], "system")]
)
def test_the_case_of_developer_is_mended(providers: list[str], role: str, tmp_path: Path) -> None:
    file, out = tmp_path / "x.jsonl", tmp_path / "new.jsonl"
    row = chat({**SYSTEM, "role": " Developer"}, USER, SAYS)
    file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    fix(file, out, providers=providers)
    assert json.loads(out.read_text(encoding="utf-8"))["messages"][0]["role"] == role
    assert "role" not in {
        i.rule for i in check([out], providers=providers).issues if i.severity == "error"
    }


def nova_pair(*labels: str) -> Row:
    candidates = [
        {"content": [{"text": str(i)}], "preferenceLabel": label} for i, label in enumerate(labels)
    ]
    asked = {"role": "user", "content": [{"text": "2+2?"}]}
    return {"messages": [asked, {"role": "assistant", "candidates": candidates}]}


def test_novas_candidates_have_both_labels(tmp_path: Path) -> None:
    good, bad = nova_pair("preferred", "non-preferred"), nova_pair("preferred", "preferred")
    assert "dpo-nova" not in told(tmp_path, good, "dpo")
    assert "dpo-nova" in told(tmp_path, bad, "dpo")


@pytest.mark.parametrize(
    ("row", "path"),
    [
        (chat(USER, tools=[TOOL]), None),
        (chat(SYSTEM, USER, tools=[TOOL], reference_answer={"a": 1}), None),
        (chat(USER, tools=[TOOL], reference_answer={}), "reference_answer"),
        (chat(USER, SYSTEM, USER, tools=[TOOL]), "messages[1].role"),
    ],
)
def test_what_nova_wants_of_a_prompt(row: Row, path: str | None, tmp_path: Path) -> None:
    found = {i.path for i in issues(tmp_path, row, "rft") if i.rule == "rft-nova"}
    assert found == ({path} if path else set())


@pytest.mark.parametrize(
    ("row", "rules"),
    [
        (pair(), set()),
        (pair(chosen=[SAYS, SAYS]), {"dpo-one-assistant", "alternation"}),
        (pair(chosen=[{**SAYS, "role": "gpt"}]), {"role"}),
        (pair(chosen=[USER]), {"dpo-one-assistant"}),
        ({**pair(), "input": {}}, {"missing-messages"}),
        (pair(USER, SAYS), {"dpo-input-last"}),
        (
            {**pair(), "preferred_output": [{**SAYS, "content": ""}]},
            {"empty-content", "dpo-identical"},
        ),
    ],
)
def test_pairs_at_their_edge(row: Row, rules: set[str], tmp_path: Path) -> None:
    assert told(tmp_path, row, "dpo") == rules


@pytest.mark.parametrize(
    ("count", "refusing"), [(0, set(PROVIDERS)), (2, None), (9, None), (10, set())]
)
def test_each_vendor_has_its_minimum(count: int, refusing: set[str] | None, tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    rows = [chat({**USER, "content": f"What is {i} and one?"}, SAYS) for i in range(count)]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    report = check([file], providers=PROVIDERS)
    if refusing is None:
        refusing = {"openai", "azure"} | ({"fireworks", "bedrock"} if count == 2 else set())
    assert {name for name, verdict in report.providers.items() if not verdict.ok} == refusing
