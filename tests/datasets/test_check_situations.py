"""Situations in a file, and who minds them: one letter each for openai, mistral and local."""

import gzip
import json
from pathlib import Path

import pytest

from ftctl.datasets.check import check
from ftctl.datasets.report import Report
from ftctl.datasets.rules.table import USUAL
from ftctl.errors import UsageError


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
    return "".join(by_provider.get(provider, "-") for provider in USUAL)


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
    "start",
    [
        [b'{"messages": [', b'{"messages": ['],
        [b"[", b"{"],
        [b"{", b"[", b"", b"}"],
        [b"[", chat()],
        [b'[{"messages":', b'"x",'],
        json.dumps(json.loads(chat()), indent=1).encode().split(b"\n"),
    ],
)
def test_broken_lines_hide_no_other(tmp_path: Path, start: list[bytes]) -> None:
    report = checked(tmp_path, b"\n".join([*start, *good(10), BAD_ROW]))
    assert letters(report, 1, "json") == "EEE"
    assert letters(report, len(start) + 11, "content-type") == "EEE"
    assert "not-jsonl" not in report.rule_counts


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(json.loads(chat()), indent=1),
        "\n".join(json.dumps(json.loads(row), indent=1) for row in good(3)),
        "[\n" + ",\n".join(row.decode() for row in good(3)) + "\n]",
        "[\n\n" + json.dumps(json.loads(chat()), indent=1) + "]",
    ],
)
def test_one_value_over_several_lines_is_told_once(tmp_path: Path, text: str) -> None:
    report = checked(tmp_path, text.encode())
    assert letters(report, 1, "not-jsonl") == "EEW"
    assert "json" not in report.rule_counts


def test_a_large_array_is_recognised_by_its_beginning(tmp_path: Path) -> None:
    row = json.dumps(json.loads(chat("é" * 1000)), indent=1)
    report = checked(tmp_path, f"[{','.join([row] * 2500)}]".encode())
    assert report.rule_counts == {"not-jsonl": 2}


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


@pytest.mark.parametrize(
    ("name", "packed", "wanted"),
    [
        ("x.jsonl.gz", True, "EE-"),
        ("x.JSONL.GZ", True, "EE-"),
        ("x.jsonl", True, "EEW"),
        ("x.jsonl.gz", False, "WWW"),
    ],
)
def test_gzip_is_minded_locally_only_when_the_name_lies(
    tmp_path: Path, name: str, packed: bool, wanted: str
) -> None:
    data = b"\n".join(good(12))
    report = checked(tmp_path, gzip.compress(data) if packed else data, name)
    assert letters(report, 1, "compressed") == wanted
    assert report.examples == 12


TRL_ROWS: list[tuple[dict[str, object], str, str]] = [
    ({"text": None}, "text", "content"),
    ({"text": 5}, "text", "content-type"),
    ({"prompt": "a", "completion": None}, "completion", "content"),
    ({"prompt": [], "completion": "b"}, "prompt", "content"),
    ({"prompt": "a", "chosen": None, "rejected": "b"}, "chosen", "content"),
    ({"prompt": "a", "completions": ["b", None]}, "completions[1]", "message-type"),
    (
        {"prompt": [{"role": "user", "content": None}], "completion": "b"},
        "prompt[0].content",
        "content",
    ),
    (
        {"prompt": "a", "completion": [{"role": "bot", "content": "b"}]},
        "completion[0].role",
        "role",
    ),
    ({"instruction": "a", "output": None}, "output", "content"),
]


@pytest.mark.parametrize(("row", "path", "rule"), TRL_ROWS)
def test_a_row_of_another_trainer_needs_its_values(
    row: dict[str, object], path: str, rule: str, tmp_path: Path
) -> None:
    sound = dict.fromkeys(row, "a")
    report = checked(tmp_path, b"\n".join(json.dumps(each).encode() for each in (sound, row)))
    assert [(i.line, i.path) for i in report.issues if i.rule == rule] == [(2, path)]
    assert letters(report, 2, rule) == "EEE"


SECRET = "sk-proj-" + "a1B2" * 12
ASSISTANT: dict[str, object] = {"role": "assistant", "content": "4"}


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ({"text": f"my key: {SECRET}"}, "text"),
        ({"prompt": [{"role": "user", "content": SECRET}], "completion": "a"}, "prompt[0].content"),
        ({"messages": [{**ASSISTANT, "refusal": SECRET}]}, "messages[0].refusal"),
        ({"messages": [{**ASSISTANT, "name": SECRET}]}, "messages[0].name"),
        (
            {"messages": [{**ASSISTANT, "function_call": {"name": "f", "arguments": SECRET}}]},
            "messages[0].function_call.arguments",
        ),
        (
            {"messages": [{**ASSISTANT, "tool_calls": [{"function": {"arguments": SECRET}}]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            {"messages": [ASSISTANT], "tools": [{"function": {"description": SECRET}}]},
            "tools[0].function.description",
        ),
        ({"messages": [ASSISTANT], "metadata": {"trace": [SECRET]}}, "metadata.trace[0]"),
        ([{"messages": SECRET}], "[0].messages"),
        (b'{"messages": [{"content": "' + SECRET.encode(), ""),
    ],
)
def test_a_secret_is_found_wherever_it_stands(tmp_path: Path, line: object, path: str) -> None:
    data = line if isinstance(line, bytes) else json.dumps(line).encode()
    report = checked(tmp_path, b"\n".join([*good(12), data]))
    assert [i.path for i in report.issues if i.rule == "secret"] == [path]
    assert "a1B2a1B2" not in report.model_dump_json()


def test_a_secret_as_a_repeated_key_is_not_told(tmp_path: Path) -> None:
    report = checked(tmp_path, f'{{"{SECRET}": 1, "{SECRET}": 2}}'.encode())
    assert {"duplicate-key", "secret"} <= set(report.rule_counts)
    assert "a1B2a1B2" not in report.model_dump_json()


def test_answers_without_a_prompt_do_not_contradict_each_other(tmp_path: Path) -> None:
    rows = [json.dumps({"messages": [{**ASSISTANT, "content": f"a {i}"}]}) for i in range(12)]
    held = tmp_path / "held.jsonl"
    held.write_text("\n".join([rows[3], rows[4].replace("a 4", "new")]))
    file = tmp_path / "x.jsonl"
    file.write_text("\n".join(rows))
    report = check([file], validation=held)
    assert "conflicting-answers" not in report.rule_counts
    overlap = [(Path(i.file).name, i.line) for i in report.issues if i.rule == "train-val-overlap"]
    assert overlap == [("x.jsonl", 4), ("held.jsonl", 1)]


def test_a_file_given_twice_is_refused(tmp_path: Path) -> None:
    file, link = tmp_path / "x.jsonl", tmp_path / "y.jsonl"
    file.write_bytes(b"\n".join(good(12)))
    link.symlink_to(file)
    with pytest.raises(UsageError, match="twice"):
        check([file, file])
    with pytest.raises(UsageError, match="twice"):
        check([file], validation=link)
