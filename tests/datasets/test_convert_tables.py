"""CSV and Parquet: read by any names, each fault with its line; what is written comes back."""

import contextlib
import datetime
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from conversion_examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ftctl.datasets.convert.convert import Wish, convert
from ftctl.datasets.convert.example import Notes
from ftctl.datasets.convert.formats import FORMATS
from ftctl.datasets.convert.report import Conversion
from ftctl.errors import UsageError

pytestmark = pytest.mark.medium
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

CHAT = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]
NAMES = {"prompt": "question", "completion": "answer"}


def rows_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def from_csv(folder: Path, data: str | bytes, **wish: Any) -> tuple[Conversion, list[Any]]:
    file, out = folder / "in.csv", folder / "out.jsonl"
    out.unlink(missing_ok=True)
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    done = convert(file, out, Wish(**wish))
    return done, rows_of(out) if done.ok else []


def from_parquet(
    folder: Path, columns: dict[str, Any], **wish: Any
) -> tuple[Conversion, list[Any]]:
    file, out = folder / "in.parquet", folder / "out.jsonl"
    pq.write_table(pa.table(columns), file)
    done = convert(file, out, Wish(**wish))
    return done, rows_of(out) if done.ok else []


def test_columns_are_told_by_their_fields(tmp_path: Path) -> None:
    text = 'question,answer,role,id\n2+2?,4,Brief.,7\n"a ""b"",\r\nc",5,,8\n'
    done, rows = from_csv(tmp_path, text, names={**NAMES, "system": "role"})
    assert (done.source_format, done.target_format) == ("csv/trl", "openai")
    assert rows == [
        {"messages": [{"role": "system", "content": "Brief."}, *CHAT]},
        {
            "messages": [
                {"role": "user", "content": 'a "b",\r\nc'},
                {"role": "assistant", "content": "5"},
            ]
        },
    ]
    assert [(loss.line, loss.path, loss.kind) for loss in done.losses] == [
        (2, "id", "dropped"),
        (3, "id", "dropped"),
    ]


@pytest.mark.parametrize(
    ("data", "line", "said"),
    [
        (b'question,answer\na,b\n"a" x,c\nd,e\n', 3, "something follows a closing quote"),
        (b"question,answer\na,b\nc\nd,e\n", 3, "1 cells, where the first line names 2 columns"),
        (b"question,answer\na,b\nc,d,e\nf,g\n", 3, "3 cells, where the first line names 2"),
        (b"question,answer\na,b\nc,\xff\nd,e\n", 3, "bytes that aren't UTF-8"),
        (b'question,answer\na,b\nd,e\n"f,g\nh,i\n', 4, "a quote that opens here isn't closed"),
        (b'question,answer\n"a\n1",b\nc,\xe4\nd,e\n', 4, "bytes that aren't UTF-8"),
    ],
)
def test_each_fault_of_a_csv_file_is_told_with_its_line(
    tmp_path: Path, data: bytes, line: int, said: str
) -> None:
    done, _ = from_csv(tmp_path, data, names=NAMES)
    assert [issue.line for issue in done.issues] == [line]
    assert said in done.issues[0].message
    assert done.written == 2


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xfeq\x00,\x00a\x00", "UTF-16"),
        (b"", "no rows"),
        (b"question,answer\n", "no rows"),
    ],
)
def test_a_file_without_a_row_says_why(tmp_path: Path, data: bytes, said: str) -> None:
    done, _ = from_csv(tmp_path, data, names=NAMES)
    assert not done.ok
    assert said in done.issues[0].message


@pytest.mark.parametrize(
    ("head", "names", "said"),
    [
        ("question,question", NAMES, "'question' comes twice"),
        ("question,reply", NAMES, "no column 'answer'; it has 'question', 'reply'"),
        ("question,answer,prompt", NAMES, "would be the field prompt, which another"),
    ],
)
def test_columns_that_are_not_there_or_twice_are_told(
    tmp_path: Path, head: str, names: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        from_csv(tmp_path, f"{head}\na,b,c\n", names=names)
    assert said in str(refused.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_other_delimiters_marks_line_ends_and_blank_lines_are_read(
    tmp_path: Path, delimiter: str, mark: bytes, end: str
) -> None:
    lines = [f"prompt{delimiter}completion", f'"2,2;?"{delimiter}4', "", ""]
    data = mark + end.join(lines).encode()
    _, rows = from_csv(tmp_path, data, target="trl")
    assert rows == [{"prompt": "2,2;?", "completion": "4"}]
    _, rows = from_csv(tmp_path, gzip.compress(data), target="trl")
    assert rows == [{"prompt": "2,2;?", "completion": "4"}]


def test_autotrains_lists_are_read_and_nothing_is_run(tmp_path: Path) -> None:
    literal = str(CHAT).replace('"', '""')
    _, rows = from_csv(tmp_path, f'text\n"{literal}"\n', names={"messages": "text"})
    assert rows == [{"messages": CHAT}]
    answers = [str([{"role": "assistant", "content": text}]) for text in ("4", "5")]
    asked = json.dumps(CHAT[:1]).replace('"', '""')
    data = f'prompt,text,rejected_text\n"{asked}","{answers[0]}","{answers[1]}"\n'
    names = {"chosen": "text", "rejected": "rejected_text"}
    _, rows = from_csv(tmp_path, data, names=names, target="openai-dpo")
    assert rows[0]["input"] == {"messages": CHAT[:1]}
    assert rows[0]["non_preferred_output"][0]["content"] == "5"
    mark = tmp_path / "mark"
    for code in (f"open('{mark}', 'w')", "[" * 5000, "{1: 2}[", "[b'x']", "['\\ud800']"):
        done, _ = from_csv(tmp_path, f'messages\n"{code}"\n', source="openai")
        assert done.issues[0].message == "messages holds no JSON and no Python list"
    assert not mark.exists()


def test_text_that_only_looks_like_a_list_stays_text(tmp_path: Path) -> None:
    answer = '[{""name"": ""x"", ""role"": ""CEO""}]'
    _, rows = from_csv(tmp_path, f'prompt,completion\nwho?,"{answer}"\n', target="trl")
    assert rows == [{"prompt": "who?", "completion": '[{"name": "x", "role": "CEO"}]'}]


def test_labels_are_true_or_false(tmp_path: Path) -> None:
    data = "prompt,completion,label\na,b,True\na,c,0\n"
    _, rows = from_csv(tmp_path, data, target="trl")
    assert [row["label"] for row in rows] == [True, False]
    done, _ = from_csv(tmp_path, "prompt,completion,label\na,b,good\n", target="trl")
    assert [(issue.line, issue.path) for issue in done.issues] == [(2, "label")]


def test_keys_of_json_may_have_other_names_too(tmp_path: Path) -> None:
    file, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    file.write_text('{"q": "2+2?", "a": "4", "s": "Brief."}\n')
    convert(file, out, Wish(names={"prompt": "q", "completion": "a", "system": "s"}))
    assert rows_of(out) == [{"messages": [{"role": "system", "content": "Brief."}, *CHAT]}]
    file.write_text('{"q": "2+2?", "prompt": "x", "completion": "4"}\n')
    done = convert(file, tmp_path / "none.jsonl", Wish(names={"prompt": "q"}))
    assert done.issues[0].message == "two keys would be one field by --map"


def test_parquet_holds_messages_as_structs_or_as_text(tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    called = [{"role": "assistant", "content": None, "tool_calls": [call]}]
    structs = [CHAT, [CHAT[0], *called, {"role": "tool", "tool_call_id": "c1", "content": "4"}]]
    done, rows = from_parquet(tmp_path, {"messages": structs, "id": [1, 2]})
    assert done.source_format == "parquet/openai"
    assert [row["messages"] for row in rows] == structs
    assert [loss.line for loss in done.losses] == [1, 2]
    (tmp_path / "out.jsonl").unlink()
    _, rows = from_parquet(tmp_path, {"messages": [json.dumps(one) for one in structs]})
    assert [row["messages"] for row in rows] == structs


def test_values_that_json_has_none_of_are_told_with_their_row(tmp_path: Path) -> None:
    columns = {"prompt": ["a", "b"], "day": [datetime.date(2026, 1, 2)] * 2}
    _, rows = from_parquet(tmp_path, columns, target="trl")
    assert [row["day"] for row in rows] == ["2026-01-02"] * 2
    columns = {"prompt": ["a", "b"], "raw": pa.array([None, b"\xff"])}
    done, _ = from_parquet(tmp_path, columns, target="trl")
    assert [(issue.line, issue.path) for issue in done.issues] == [(2, "raw")]


def test_what_is_no_parquet_is_said(tmp_path: Path) -> None:
    file = tmp_path / "in.parquet"
    for data in (b"", b"PAR1", b"{}\n" * 9):
        file.write_bytes(data)
        with pytest.raises(UsageError, match="can't be read as Parquet"):
            convert(file, tmp_path / "out.jsonl")
    with pytest.raises(UsageError, match="No such file"):
        convert(tmp_path / "none.parquet", tmp_path / "out.jsonl")


def to_table(folder: Path, table: str, rows: list[Any], **wish: Any) -> Conversion:
    file = folder / "in.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / f"out.{table}").unlink(missing_ok=True)
    return convert(file, folder / f"out.{table}", Wish(**wish))


def test_a_table_is_written_by_its_name_and_again_to_the_same_bytes(tmp_path: Path) -> None:
    for table in ("csv", "parquet"):
        done = to_table(tmp_path, table, [{"messages": CHAT}], target="alpaca")
        assert done.target_format == f"{table}/alpaca"
        assert convert(tmp_path / "in.jsonl", tmp_path / f"out.{table}", Wish("alpaca")) == done
    assert (tmp_path / "out.csv").read_bytes() == b"instruction,input,output\r\n2+2?,,4\r\n"
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == [
        {"instruction": "2+2?", "input": "", "output": "4"}
    ]


def test_columns_of_a_new_table_may_have_other_names(tmp_path: Path) -> None:
    names = {"instruction": "q", "output": "a"}
    to_table(tmp_path, "csv", [{"messages": CHAT}], target="alpaca", names=names)
    assert (tmp_path / "out.csv").read_bytes() == b"q,input,a\r\n2+2?,,4\r\n"
    with pytest.raises(UsageError, match="have no 'prompt'"):
        to_table(tmp_path, "csv", [{"messages": CHAT}], target="alpaca", names=NAMES)


def test_parquet_has_structs_that_trl_reads(tmp_path: Path) -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": "?"}]}, CHAT[1]]
    done = to_table(tmp_path, "parquet", [{"messages": CHAT}, {"messages": parts}])
    asked, answer = pq.read_table(tmp_path / "out.parquet").to_pylist()[0]["messages"]
    assert asked == {"role": "user", "content": [{"type": "text", "text": "2+2?"}]}
    assert answer["content"] == [{"type": "text", "text": "4"}]
    assert [(loss.kind, loss.path) for loss in done.losses] == [("changed", "messages")]


def test_csv_refuses_what_it_could_not_tell_apart(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="row 1 has no completion"):
        to_table(
            tmp_path,
            "csv",
            [{"prompt": "a", "x": "y"}, {"prompt": "a", "completion": "b"}],
            source="trl",
            target="trl",
        )
    bare = {"prompt": json.dumps(CHAT[:1]), "completion": "4"}
    for table in ("csv", "parquet"):
        with pytest.raises(UsageError, match="the text of 'prompt' would be read as a list"):
            to_table(tmp_path, table, [bare], target="trl")
    assert not (tmp_path / "out.csv").exists()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


PIECES = (b'"', b'""', b",", b"\n", b"\r\n", b"\r", b"\xff", b"\x00", b"[1]", b"prompt", b"label")


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=40) | st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join))
def test_any_bytes_in_csv_give_a_report_or_say_why_not(data: bytes, folder: Path) -> None:
    with contextlib.suppress(UsageError):
        done, _ = from_csv(folder, b"prompt,completion\n" + data)
        assert done.ok != bool(done.issues)
    with contextlib.suppress(UsageError):
        from_csv(folder, data)


@settings(max_examples=200, deadline=None)
@given(places=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=5))
def test_a_damaged_parquet_file_gives_a_report_or_says_why_not(
    places: list[tuple[float, int]], folder: Path
) -> None:
    file, out = folder / "damaged.parquet", folder / "damaged.jsonl"
    columns = {"prompt": ["a", "b\u00e9"] * 20, "completion": ["c"] * 40, "label": [True] * 40}
    pq.write_table(pa.table(columns), file, compression="none")
    data = bytearray(file.read_bytes())
    for place, byte in places:
        data[int(place * len(data))] = byte
    file.write_bytes(data)
    out.unlink(missing_ok=True)
    with contextlib.suppress(UsageError):
        done = convert(file, out, Wish(target="trl"))
        assert done.ok == out.exists()


@pytest.mark.parametrize("table", ["csv", "parquet"])
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_rows_of_every_format_come_back_from_a_table(
    table: str, data: st.DataObject, folder: Path
) -> None:
    ways = [(name, kind) for name, codec in FORMATS.items() for kind in codec.kinds]
    name, kind = data.draw(st.sampled_from(ways))
    codec = FORMATS[name]
    says = data.draw(st.lists(examples(kind, codec.says), min_size=1, max_size=3))
    rows = [codec.write(one, Notes()) for one in says]
    told = to_table(folder, table, rows, source=name, target=table)
    back = folder / "back.jsonl"
    back.unlink(missing_ok=True)
    done = convert(folder / f"out.{table}", back, Wish(source=name, target=name))
    assert done.ok
    if table == "csv" or not told.changed:  # in Parquet texts are parts where others are
        assert rows_of(back) == rows
    assert (told.dropped, done.dropped) == (0, 0)
