"""`fix`: what is certain is mended, what isn't stays, and nothing else changes."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_rows import CALL, CALLS, RESULT, SAYS, TOOL, USER, WORSE, Row, chat, pair

from ftctl.datasets.check import check
from ftctl.datasets.fix import Fixed, fix
from ftctl.datasets.rules.table import PROVIDERS, RULES
from ftctl.errors import DataInvalid, Unsupported, UsageError

EVERYBODY = PROVIDERS
GOOD = [json.dumps(chat({**USER, "content": f"What is {i}?"}, SAYS)).encode() for i in range(3)]


def fixed(
    folder: Path, data: bytes, *, name: str = "x.jsonl", method: str = "sft", **wish: Any
) -> tuple[Fixed, bytes]:
    """What was changed, and the new file."""
    file, out = folder / name, folder / "new.jsonl"
    file.write_bytes(data)
    done = fix(file, out, providers=wish.pop("providers", EVERYBODY), method=method, **wish)
    return done, out.read_bytes()


def places(done: Fixed) -> list[tuple[int, str, str]]:
    return [(change.line, change.path, change.rule) for change in done.changes]


def says(content: object = "4", **more: object) -> Row:
    return chat(USER, {"role": "assistant", "content": content, **more})


def text(*parts: str) -> list[Row]:
    return [{"type": "text", "text": part} for part in parts]


PARAMETERS = {"type": "object", "properties": {}}
ROWS: list[tuple[str, str, Row, Row]] = [
    ("messages-type", "messages", {"messages": json.dumps([USER, SAYS])}, chat(USER, SAYS)),
    ("role", "messages[0].role", chat({**USER, "role": " User"}, SAYS), chat(USER, SAYS)),
    ("role", "messages[0].role", chat({**USER, "role": "human"}, SAYS), chat(USER, SAYS)),
    ("role", "messages[1].role", chat(USER, {**SAYS, "role": "gpt"}), chat(USER, SAYS)),
    ("role", "messages[1].role", chat(USER, {**SAYS, "role": "model"}), chat(USER, SAYS)),
    (
        "role",
        "messages[0].role",
        chat({"role": "developer", "content": "a"}, USER, SAYS),
        chat({"role": "system", "content": "a"}, USER, SAYS),
    ),
    (
        "legacy-function-call",
        "messages[1].function_call",
        chat(
            USER,
            {"role": "assistant", "content": None, "function_call": CALL["function"]},
            {"role": "function", "name": "f", "content": "done"},
            SAYS,
            functions=[TOOL["function"]],
        ),
        chat(
            USER,
            {**CALLS, "tool_calls": [{**CALL, "id": "call00001"}]},
            {"role": "tool", "name": "f", "content": "done", "tool_call_id": "call00001"},
            SAYS,
            tools=[TOOL],
        ),
    ),
    ("last-message", "messages[2]", chat(USER, SAYS, USER), chat(USER, SAYS)),
    (
        "content-null-string",
        "messages[1].content",
        chat(USER, {**CALLS, "content": "null"}, tools=[TOOL]),
        chat(USER, CALLS, tools=[TOOL]),
    ),
    (
        "tool-content-type",
        "messages[2].content",
        chat(USER, CALLS, {**RESULT, "content": text("do", "ne")}, SAYS, tools=[TOOL]),
        chat(USER, CALLS, RESULT, SAYS, tools=[TOOL]),
    ),
    (
        "content-parts-local",
        "messages[0].content",
        chat({**USER, "content": text("2+", "2?")}, SAYS),
        chat(USER, SAYS),
    ),
    ("weight", "messages[1].weight", says(weight=True), says(weight=1)),
    ("weight", "messages[1].weight", says(weight=False), says(weight=0)),
    ("weight", "messages[1].weight", says(weight="0"), says(weight=0)),
    ("weight", "messages[1].weight", says(weight=1.0), says(weight=1)),
    ("weight", "messages[1].weight", says(weight=None), says()),
    ("weight", "messages[0].weight", chat({**USER, "weight": 1}, SAYS), chat(USER, SAYS)),
    (
        "tools-type",
        "tools[0]",
        chat(USER, SAYS, tools=[TOOL["function"]]),
        chat(USER, SAYS, tools=[TOOL]),
    ),
    (
        "tools-type",
        "tools",
        chat(USER, SAYS, tools=json.dumps([TOOL])),
        chat(USER, SAYS, tools=[TOOL]),
    ),
    (
        "tool-parameters",
        "tools[0].function.parameters",
        chat(USER, SAYS, tools=[{"type": "function", "function": {"name": "f"}}]),
        chat(
            USER,
            SAYS,
            tools=[{"type": "function", "function": {"name": "f", "parameters": PARAMETERS}}],
        ),
    ),
    (
        "tool-call-shape",
        "messages[1].tool_calls[0].type",
        chat(USER, {**CALLS, "tool_calls": [{k: v for k, v in CALL.items() if k != "type"}]}),
        chat(USER, {**CALLS, "tool_calls": [CALL]}),
    ),
    (
        "tool-arguments",
        "messages[1].tool_calls[0].function.arguments",
        chat(
            USER,
            {**CALLS, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": {"a": "é"}}}]},
        ),
        chat(
            USER,
            {
                **CALLS,
                "tool_calls": [{**CALL, "function": {"name": "f", "arguments": '{"a": "é"}'}}],
            },
        ),
    ),
    ("tool-calls-empty", "messages[1].tool_calls", says(tool_calls=[]), says()),
]


@pytest.mark.parametrize(
    ("rule", "path", "before", "after"), ROWS, ids=[f"{i}-{r[0]}" for i, r in enumerate(ROWS)]
)
def test_a_row_is_mended(rule: str, path: str, before: Row, after: Row, tmp_path: Path) -> None:
    done, new = fixed(tmp_path, b"\n".join([*GOOD, json.dumps(before).encode()]))
    assert new.splitlines()[:3] == GOOD
    assert json.loads(new.splitlines()[3]) == after
    assert (4, path, rule) in places(done)
    assert {place[0] for place in places(done)} == {4}
    assert {rule for _, _, rule in places(done)} == {rule}


def test_ids_are_rewritten_on_both_sides_and_stay_apart(tmp_path: Path) -> None:
    row = chat(
        USER,
        {**CALLS, "tool_calls": [{**CALL, "id": "call_1"}, CALL, {**CALL, "id": "call_2"}]},
        {**RESULT, "tool_call_id": "call_2"},
        {**RESULT, "tool_call_id": "call_1"},
        RESULT,
        SAYS,
        tools=[TOOL],
    )
    done, new = fixed(tmp_path, json.dumps(row).encode(), providers=["mistral"])
    messages = json.loads(new)["messages"]
    one, same, two = (call["id"] for call in messages[1]["tool_calls"])
    assert same == CALL["id"]
    assert len({one, same, two}) == 3
    assert [m["tool_call_id"] for m in messages[2:5]] == [two, one, same]
    assert done.counts == {"tool-call-id-format": 4}
    report = check([tmp_path / "new.jsonl"], providers=["mistral"])
    assert "tool-call-id-format" not in report.rule_counts


def test_a_pair_is_mended_in_prompt_and_answers(tmp_path: Path) -> None:
    row = pair({**USER, "role": "human"}, chosen=[{**SAYS, "role": "gpt"}], rejected=[WORSE])
    done, new = fixed(tmp_path, json.dumps(row).encode(), method="dpo")
    assert json.loads(new) == json.loads(json.dumps(pair(USER)))
    assert places(done) == [
        (1, "input.messages[0].role", "role"),
        (1, "preferred_output[0].role", "role"),
    ]


def test_a_prompt_keeps_its_last_turn(tmp_path: Path) -> None:
    row = chat(USER, SAYS, USER, answer="4")
    _, new = fixed(tmp_path, json.dumps(row).encode(), method="rft")
    assert json.loads(new) == row


ROW, OTHER = GOOD[0], GOOD[1]
FILES: list[tuple[str, int, bytes, bytes]] = [
    ("bom", 1, b"\xef\xbb\xbf" + ROW + b"\n", ROW + b"\n"),
    ("line-ends", 1, ROW + b"\r" + OTHER + b"\r", ROW + b"\n" + OTHER + b"\n"),
    ("blank-line", 2, ROW + b"\n \n" + OTHER + b"\n\n", ROW + b"\n" + OTHER + b"\n"),
    ("compressed", 1, gzip.compress(ROW + b"\n"), ROW + b"\n"),
    ("json", 1, ROW + b" ,\n" + OTHER + b"\n", ROW + b"\n" + OTHER + b"\n"),
    ("json", 2, ROW + b"\n\xef\xbb\xbf" + OTHER + b"\n", ROW + b"\n" + OTHER + b"\n"),
    ("json", 1, ROW + b" " + OTHER, ROW + b"\n" + OTHER + b"\n"),
    ("line-not-object", 1, b"[" + ROW + b"," + OTHER + b"]\n", ROW + b"\n" + OTHER + b"\n"),
    ("not-jsonl", 1, b"[\n" + ROW + b",\n" + OTHER + b"\n]", ROW + b"\n" + OTHER + b"\n"),
    ("not-jsonl", 1, json.dumps(json.loads(ROW), indent=1).encode(), ROW + b"\n"),
    ("encoding", 1, (ROW + b"\n").decode().encode("utf-16"), ROW + b"\n"),
    ("encoding", 1, (ROW + b"\n").decode().encode("utf-32"), ROW + b"\n"),
]


@pytest.mark.parametrize(
    ("rule", "line", "before", "after"), FILES, ids=[f"{i}-{r[0]}" for i, r in enumerate(FILES)]
)
def test_a_file_is_mended(
    rule: str, line: int, before: bytes, after: bytes, tmp_path: Path
) -> None:
    done, new = fixed(tmp_path, before)
    assert new == after
    assert (line, "", rule) in places(done)
    assert set(done.counts) == {rule}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.jsonl", "x.jsonl"]


def test_every_rule_that_says_it_is_mended_is(tmp_path: Path) -> None:
    """`*` in the table is true, but for names: those are what the new file is called."""
    shown = {key.partition("/")[0] for key, rule in RULES.items() if rule.certain}
    made = {row[0] for row in (*ROWS, *FILES)} | {"tool-call-id-format", "file-extension"}
    assert made == shown


UNSURE = [
    b'{"messages": [{"role": "user", "role": "human", "content": "a"}]}',
    b'{"messages": [{"role": "human", "content": "\\ud800"}]}',
    b'{"messages": [{"role": "human", "content": "a", "weight": NaN}]}',
    b'{"messages": [{"role": "human", "content": "a"}], "x": 0.12345678901234567890}',
    b'{"messages": [{"role": "human", "content": "a"}], "x": ' + b"1" * 401 + b"}",
    b'{"messages": [{"role": "bot", "content": ["a"]}]}',
    b"{'messages': []}",
    b'{"messages": [}',
    b"[1, 2]",
    b"caf\xe9",
]


@pytest.mark.parametrize("line", UNSURE)
def test_what_is_not_certain_keeps_its_bytes(line: bytes, tmp_path: Path) -> None:
    done, new = fixed(tmp_path, GOOD[0] + b"\n" + line + b"\n")
    assert new == GOOD[0] + b"\n" + line + b"\n"
    assert done.changes == ()
    assert not check([tmp_path / "new.jsonl"], providers=["mistral"]).ok


def test_only_what_somebody_minds_is_changed(tmp_path: Path) -> None:
    row = json.dumps(chat({"role": "developer", "content": text("a")}, USER, SAYS)).encode()
    done, new = fixed(tmp_path, row + b"\n\n", providers=["openai"])
    assert places(done) == [(2, "", "blank-line")]
    assert new == row + b"\n"


def test_a_secret_is_in_no_change(tmp_path: Path) -> None:
    secret = "sk-" + "Zq9" * 12
    row = chat({**USER, "content": text(f"my key is {secret}")}, SAYS)
    done, new = fixed(tmp_path, json.dumps(row).encode())
    assert secret.encode() in new
    assert done.changes
    assert secret not in repr(done)


def test_each_change_is_counted_and_the_first_are_kept(tmp_path: Path) -> None:
    done, _ = fixed(tmp_path, (GOOD[0] + b"\n\n") * 9, most=2)
    assert [change.line for change in done.changes] == [2, 4]
    assert done.counts == {"blank-line": 9}


def test_another_file_is_never_overwritten(tmp_path: Path) -> None:
    file, out = tmp_path / "x.jsonl", tmp_path / "new.jsonl"
    file.write_bytes(GOOD[0] + b"\n\n")
    out.write_bytes(b"mine")
    for target in (out, file):
        with pytest.raises(UsageError, match="holds something else"):
            fix(file, target, providers=["mistral"])
    assert (out.read_bytes(), file.read_bytes()) == (b"mine", GOOD[0] + b"\n\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.jsonl", "x.jsonl"]


@pytest.mark.parametrize(
    "data",
    [
        b"\x28\xb5\x2f\xfd....",
        gzip.compress(GOOD[0] * 1000)[:-20],
        '{"a": 1}'.encode("utf-16-le"),
        b"\xff\xfe\x00\xd8",
        b"[\n" + GOOD[0] + b",\n1]\n",
        b"\n\xff\xfea\x00",
        b"\n \na\rb\rc",
    ],
    ids=["zstd", "cut-gzip", "no-mark", "not-utf-16", "list-of-odd-things", "late-mark", "late-cr"],
)
def test_what_cannot_be_copied_whole_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataInvalid):
        fixed(tmp_path, data)
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl"]


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="opnai"):
        fixed(tmp_path, GOOD[0], providers=["opnai"])
    with pytest.raises(Unsupported, match="ppo"):
        fixed(tmp_path, GOOD[0], method="ppo")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
odd_messages = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "user", "gpt", "Assistant ", "tool", "function", 1]),
        "content": st.sampled_from(["a", "null", None, text("null"), text("b", "c")]) | json_values,
    },
    optional={
        "weight": st.sampled_from([0, 1, True, "1", 1.0, 2]),
        "tool_calls": st.just([{"id": "x", "function": {"name": "f", "arguments": {}}}])
        | json_values,
        "function_call": st.just({"name": "f", "arguments": "{}"}) | json_values,
        "tool_call_id": st.sampled_from(["x", "y", None]),
    },
)
odd_rows = st.fixed_dictionaries(
    {"messages": st.lists(odd_messages, max_size=4) | json_values},
    optional={"tools": st.just([{"name": "f"}]) | json_values, "functions": json_values},
)
odd_lines = st.one_of(
    odd_rows.map(lambda row: json.dumps(row).encode()),
    st.sampled_from([ROW, ROW + b",", ROW + OTHER, b"[" + ROW + b"]", b"", b" ", b"\xef\xbb\xbf"]),
    st.binary(max_size=8).map(lambda tail: b"xx" + tail),
)


@pytest.mark.medium
@settings(max_examples=300, deadline=None)
@given(lines=st.lists(odd_lines, max_size=4), method=st.sampled_from(["sft", "rft", "dpo"]))
def test_fixing_the_fixed_changes_nothing(
    lines: list[bytes], method: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("fix")
    try:
        _, once = fixed(folder, b"\n".join(lines), method=method)
    except DataInvalid:
        return
    again, twice = _again(folder, method)
    assert twice == once
    assert again.changes == ()


def _again(folder: Path, method: str) -> tuple[Fixed, bytes]:
    out = folder / "again.jsonl"
    done = fix(folder / "new.jsonl", out, providers=EVERYBODY, method=method)
    return done, out.read_bytes()
