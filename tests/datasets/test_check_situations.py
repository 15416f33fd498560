"""Situations in a file, and who minds them: one letter each for openai, mistral and local."""

import json
from pathlib import Path

import pytest

from ftctl.datasets.check import check
from ftctl.datasets.read import LINE_CAP_BYTES
from ftctl.datasets.report import Report
from ftctl.datasets.rules.table import PROVIDERS


def chat(question: object = "2+2?", answer: object = "4") -> bytes:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": messages}).encode()


def good(count: int) -> list[bytes]:
    return [chat(f"question {i}", f"answer {i * i}") for i in range(count)]


BAD_ROW = b'{"messages":[{"role":"user","content":1},{"role":"assistant","content":"a"}]}'


def checked(folder: Path, data: bytes, name: str = "x.jsonl") -> Report:
    file = folder / name
    file.write_bytes(data)
    return check([file])


def letters(report: Report, line: int, rule: str) -> str:
    """How the providers take a rule at a line, such as `EEW`."""
    said = [i for i in report.issues if (i.line, i.rule) == (line, rule)]
    by_provider = {p: i.severity[0].upper() for i in reversed(said) for p in i.providers}
    return "".join(by_provider.get(provider, "-") for provider in PROVIDERS)


@pytest.mark.parametrize(
    "first",
    [
        b'{"messages":[{"role":"user","content":"Hi"},',
        b'{"messages":',
        b"{",
        b"[INFO] export started",
        b"[1, 2",
    ],
)
def test_a_broken_first_line_hides_no_other(tmp_path: Path, first: bytes) -> None:
    report = checked(tmp_path, b"\n".join([first, b"", *good(10), BAD_ROW]))
    assert letters(report, 1, "json") == "EEE"
    assert letters(report, 2, "blank-line") == "WE-"
    assert letters(report, 13, "content-type") == "EEE"
    assert "not-jsonl" not in report.rule_counts
    assert report.examples == 11


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(json.loads(chat()), indent=1),
        "[\n" + ",\n".join(row.decode() for row in good(3)) + "\n]",
        "[\n\n" + json.dumps(json.loads(chat()), indent=1) + "]",
    ],
)
def test_one_value_over_several_lines_is_told_once(tmp_path: Path, text: str) -> None:
    report = checked(tmp_path, text.encode())
    assert letters(report, 1, "not-jsonl") == "EEW"
    assert "json" not in report.rule_counts


def test_a_broken_line_is_no_example(tmp_path: Path) -> None:
    report = checked(tmp_path, b"\n".join([*good(9), b'{"messages": [', b"null"]))
    assert report.examples == 9
    assert letters(report, 1, "min-examples") == "EWW"


def test_a_row_of_no_known_format_sets_no_format(tmp_path: Path) -> None:
    text = b'{"text": "once upon a time"}'
    report = checked(tmp_path, b"\n".join([b'{"a": 1}', text, text, chat()]))
    assert "format-two" not in {i.rule for i in report.issues if i.line < 4}
    assert letters(report, 2, "format") == "EE-"
    assert letters(report, 4, "format-two") == "EEE"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b""])
def test_lines_that_end_in_cr_are_all_judged(tmp_path: Path, end: bytes) -> None:
    report = checked(tmp_path, b"\r".join([*good(10), BAD_ROW]) + end)
    assert report.examples == 11
    assert letters(report, 1, "line-ends") == "WWW"
    assert letters(report, 11, "content-type") == "EEE"
    assert not {"json", "blank-line"} & set(report.rule_counts)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("before", ["", "[", " ", "\r\n"])
def test_wide_characters_without_a_mark_are_recognised(
    tmp_path: Path, encoding: str, before: str
) -> None:
    text = before + '{"messages": "Привет"}\n'
    (issue,) = (i for i in checked(tmp_path, text.encode(encoding)).issues if i.rule == "encoding")
    assert encoding[:6].upper() in issue.message


HUGE = b"x" * (LINE_CAP_BYTES + 1)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"x": {"type": "string", "pattern": "^(a+)+$"}}},
        {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False},
        {"additionalProperties": False, "patternProperties": {"^(a+)+$": {}}},
    ],
    ids=["pattern", "patterns first", "patterns last"],
)
def test_a_pattern_that_never_ends_is_not_tried(schema: dict[str, object]) -> None:
    from ftctl.datasets.rules.tools import arguments_problem

    wrong = {"type": "object", "required": ["needed"], **schema}
    hard = "a" * 60 + "!"
    assert "required" in arguments_problem(wrong, {"x": hard, hard: 1})


@pytest.mark.parametrize(
    ("secret", "hidden"),
    [
        ("sk-proj-" + "a1B2" * 12, "a1B2a1B2"),
        ("AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q", "C3d4E5f6"),
        ("npm_" + "a1B2c3D4" * 4 + "e5F6", "a1B2c3D4a1"),
        ("http://bob:hunter2@example.org/a.png", "hunter2"),
    ],
)
def test_no_message_path_or_hint_gives_a_secret_away(
    tmp_path: Path, secret: str, hidden: str
) -> None:
    rows: list[dict[str, object]] = [
        {"messages": [{"role": secret, "content": "x"}]},
        {"messages": [{"role": "user", "content": "x"}], secret: 1},
        {"messages": [{"role": "user", "content": "x", "weight": secret}]},
        {"messages": [{"role": "user", "content": [{"type": secret}]}]},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": secret}}],
                }
            ]
        },
    ]
    data = b"\n".join(json.dumps(row).encode() for row in rows)
    report = checked(tmp_path, data)
    assert len(report.issues) > len(rows)
    assert hidden not in report.model_dump_json()
