"""What `check` promises beyond single verdicts: never raises, hides nothing, stays bounded."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftctl.datasets.check import check
from ftctl.datasets.examine import examine, is_plain
from ftctl.datasets.report import Report
from ftctl.datasets.rules.messages import RULES as MESSAGE_RULES
from ftctl.datasets.rules.table import PROVIDERS, RULES, letter_of
from ftctl.datasets.rules.types import read_example
from ftctl.errors import Unsupported, UsageError


def chat(question: object = "2+2?", answer: object = "4", **more: object) -> str:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": messages, **more})


def written(folder: Path, *lines: str | bytes, name: str = "x.jsonl") -> Path:
    path = folder / name
    path.write_bytes(b"".join((x.encode() if isinstance(x, str) else x) + b"\n" for x in lines))
    return path


def good(count: int) -> list[str]:
    return [chat(f"question {i}", f"answer {i * i}") for i in range(count)]


def rules(report: Report) -> set[tuple[int, str]]:
    return {(issue.line, issue.rule) for issue in report.issues}


FRAGMENTS = st.sampled_from(
    [
        chat().encode(),
        b"\n",
        b"\r",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\x1f\x8b",
        b'"',
        b"{",
        b"[" * 2000,
        b"NaN",
        b"1e999",
        b"9" * 5000,
        b"\\ud800",
        b'{"messages":[{"role":"assistant","tool_calls":[{"id":1,"function":{"arguments":"[1"}}],'
        b'"content":[{"type":"image_url","image_url":{"url":"https://["}}]}],"\\ud800":1}',
        b'{"messages":[{"role":"user","content":"a","content":"b"}],"tools":[{"type":"function",'
        b'"function":{"name":"f","parameters":{"type":"objec","pattern":"("}}}]}',
    ]
)
ANY_BYTES = st.binary(max_size=200) | st.lists(FRAGMENTS | st.binary(max_size=20), max_size=10).map(
    b"".join
)


def must_not_raise(data: bytes, folder: Path) -> None:
    file = folder / "any.jsonl"
    file.write_bytes(data)
    report = check([file])
    assert report.ok == (report.errors == 0)
    json.loads(report.model_dump_json())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


@settings(max_examples=500, deadline=None)
@given(data=ANY_BYTES)
def test_any_bytes_give_a_report(data: bytes, folder: Path) -> None:
    must_not_raise(data, folder)


@pytest.mark.slow
@settings(max_examples=20_000, deadline=None)
@given(data=ANY_BYTES)
def test_very_many_bytes_give_a_report(data: bytes, folder: Path) -> None:
    must_not_raise(data, folder)


BROKEN = [
    (b'{"messages": ', "json"),
    (b"\xff", "encoding"),
    (b"", "blank-line"),
    (b"[1]", "line-not-object"),
    (b'{"messages": []}', "missing-messages"),
    (b'{"messages": [{"role": "user", "content": 1}]}', "content-type"),
    (b'{"messages": ' + b"[" * 300 + b"]" * 300 + b"}", "json-depth"),
]


@settings(max_examples=30, deadline=None)
@given(places=st.lists(st.tuples(st.integers(1, 12), st.sampled_from(BROKEN)), max_size=5))
def test_each_bad_line_is_told_whatever_else_is_bad(
    places: list[tuple[int, tuple[bytes, str]]], folder: Path
) -> None:
    lines: list[str | bytes] = [*good(13)]
    wanted = set()
    for place, (data, rule) in dict(places).items():
        lines[place] = data
        wanted.add((place + 1, rule))
    found = rules(check([written(folder, *lines)]))
    assert wanted <= found
    assert {line for line, rule in found if rule in {r for _, r in BROKEN}} == {
        line for line, _ in wanted
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
messages = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "user", "assistant", "tool"]),
        "content": st.text(max_size=6) | st.just("said") | json_values,
    },
    optional={"weight": st.sampled_from([0, 1]), "tool_calls": json_values},
)


@pytest.mark.medium
@settings(max_examples=200, deadline=None)
@given(found=st.lists(messages, max_size=5))
def test_no_rule_that_a_plain_row_skips_could_find_anything(
    found: list[dict[str, object]],
) -> None:
    row: dict[str, object] = {"messages": found}
    said = [finding for rule in MESSAGE_RULES for finding in rule(read_example(row))]
    assert not (is_plain(row) and said)


def test_most_rows_are_plain() -> None:
    assert is_plain(json.loads(chat()))
    assert not is_plain(json.loads(chat(tools=[])))


def test_counts_stay_exact_when_issues_are_capped(tmp_path: Path) -> None:
    file = written(tmp_path, *[chat(answer=1)] * 30)
    report = check([file], providers=["openai"], max_errors=3)
    kept = [issue for issue in report.issues if issue.rule == "content-type"]
    assert [issue.line for issue in kept] == [1, 2, 3]
    assert report.rule_counts["content-type"] == 30
    assert report.providers["openai"].errors == report.errors == 30


def test_one_issue_a_severity_with_the_providers_it_concerns(tmp_path: Path) -> None:
    row = json.loads(chat("a", "b"))
    row["messages"] += row["messages"][:1]
    report = check([written(tmp_path, *good(50), json.dumps(row))])
    last = {i.severity: i.providers for i in report.issues if i.rule == "last-message"}
    assert last == {"warning": ("openai", "local"), "error": ("mistral",)}


def test_only_the_asked_provider_is_judged(tmp_path: Path) -> None:
    file = written(tmp_path, b"\xef\xbb\xbf" + good(1)[0].encode(), *good(60)[1:])
    assert check([file], providers=["local"]).issues == []
    assert not check([file], providers=["mistral"]).ok


@pytest.mark.parametrize("name", ["opnai", "OpenAI", "togeter"])
def test_an_unknown_provider_is_named_with_those_known(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=name) as caught:
        check([written(tmp_path, *good(10))], providers=[name])
    assert "openai" in caught.value.hint


def test_another_method_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="dpo"):
        check([written(tmp_path, *good(10))], method="ppo")


def test_gzip_is_checked_inside_and_minded_by_those_who_cannot_read_it(tmp_path: Path) -> None:
    lines = "\n".join([*good(59), chat(answer=None)])
    file = tmp_path / "x.jsonl"
    file.write_bytes(gzip.compress(lines.encode()))
    report = check([file])
    assert {(1, "compressed"), (60, "content")} <= rules(report)
    file.write_bytes(gzip.compress(lines.encode())[:-30])
    damaged = check([file], providers=["local"])
    assert not damaged.ok


def test_a_value_is_never_printed_whole_nor_able_to_move_the_cursor(tmp_path: Path) -> None:
    secret = "sk-" + "Zq9" * 12
    row = {"messages": [{"role": "\x1b[2J" + "r" * 500, "content": f"my key is {secret}"}]}
    text = check([written(tmp_path, json.dumps(row))]).model_dump_json()
    assert "secret" in text
    assert secret not in text
    assert "\\u001b[2J" not in text
    assert "r" * 100 not in text


def test_training_and_validation_are_compared_on_both_sides(tmp_path: Path) -> None:
    train = written(tmp_path, *good(50), name="train.jsonl")
    held = written(tmp_path, chat("other", "x"), chat("Question  7!", "answer 49"), name="v.jsonl")
    found = check([train], validation=held).issues
    pairs = {(Path(i.file).name, i.line) for i in found if i.rule == "train-val-overlap"}
    assert pairs == {("train.jsonl", 8), ("v.jsonl", 2)}


def test_duplicates_conflicts_and_imbalance_are_told_where_they_are(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        *[chat(f"is {i} odd or even or neither?", "yes") for i in range(50)],
        chat("is 3 odd or even or neither?", "yes"),
        chat("Is 4 odd or even or neither", "Yes."),
        chat("is 5 odd or even or neither?", "no"),
    )
    assert rules(check([file])) == {
        (51, "duplicate-example"),
        (52, "near-duplicate"),
        (53, "conflicting-answers"),
        (1, "label-imbalance"),
    }


def test_arithmetic_is_no_near_duplicate(tmp_path: Path) -> None:
    rows = [
        chat(f"what is {a} {sign} {b} ?", f"it is {sign}{a}.{b}")
        for sign in "+-*/"
        for a in range(4)
        for b in range(4)
    ]
    assert check([written(tmp_path, *rows)]).issues == []


def test_tokens_say_that_they_are_an_estimate(tmp_path: Path) -> None:
    tokens = check([written(tmp_path, chat("a" * 400, "b" * 400), chat("c", "d"))]).tokens
    assert tokens.method == "estimate"
    assert tokens.max_example_tokens == 208
    assert tokens.max_example_line == 1
    assert tokens.total_tokens == 208 + 9


def test_progress_is_told_in_bytes_to_the_end(tmp_path: Path) -> None:
    file = written(tmp_path, *good(2500))
    seen: list[tuple[int, int]] = []
    check([file], on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (file.stat().st_size, file.stat().st_size)
    assert seen == sorted(seen)
    assert len(seen) >= 2


def test_a_repeated_line_is_examined_like_the_first() -> None:
    line = chat(answer=None).encode()
    assert examine(line).findings == examine(line).findings != ()


def test_every_row_of_the_table_has_a_severity_for_every_provider_and_a_hint() -> None:
    for key, rule in RULES.items():
        assert {letter_of(rule, provider) for provider in PROVIDERS} <= set("EW?-"), key
        assert rule.hint, key
        assert rule.checks, key


def test_the_demo_data_is_clean() -> None:
    root = Path(__file__).parents[2] / "examples" / "spdx"
    report = check([root / "train.jsonl"], validation=root / "test.jsonl")
    assert report.ok
    assert not {"pii", "secret", "train-val-overlap"} & set(report.rule_counts)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["huge line", "bad lines"])
def test_memory_stays_bounded(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "big.jsonl"
    with file.open("wb") as out:
        if kind == "huge line":
            out.write(b'{"messages":[{"role":"user","content":"')
            for _ in range(300):
                out.write(b"x" * 2**20)
        else:
            for _ in range(1000):
                rows = (f'{{"messages":[{{"role":"bot{i}"}}]}}\n' for i in range(1000))
                out.write("".join(rows).encode())
    program = (
        "import re, sys; from pathlib import Path; from ftctl.datasets.check import check\n"
        "report = check([Path(sys.argv[1])]); assert report.errors, report\n"
        # Not ru_maxrss: that one starts from what the process that forked us had.
        "status = Path('/proc/self/status').read_text()\n"
        "print(len(report.issues), re.search(r'VmHWM:\\s+(\\d+)', status)[1])"
    )
    run = [sys.executable, "-c", program, str(file)]
    issues, peak_kib = map(int, subprocess.check_output(run, text=True).split())
    assert issues < 1000
    assert peak_kib < 400 * 1024
