"""A file is converted whole or not at all, and each bad line is told, whatever else is bad."""

import contextlib
import gzip
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftctl.datasets.check import check
from ftctl.datasets.convert.convert import Wish, convert, convert_into
from ftctl.datasets.convert.dialects import converted_for
from ftctl.datasets.convert.rows import RowReader
from ftctl.errors import UsageError

pytestmark = pytest.mark.medium


def chat(n: int = 0, **more: object) -> str:
    messages = [
        {"role": "user", "content": f"is {n} a number?"},
        {"role": "assistant", "content": "yes"},
    ]
    return json.dumps({"messages": messages, **more})


def written(folder: Path, *lines: str | bytes, name: str = "in.jsonl") -> Path:
    path = folder / name
    path.write_bytes(b"".join((x.encode() if isinstance(x, str) else x) + b"\n" for x in lines))
    return path


def names_in(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_the_same_file_gives_the_same_bytes_and_may_be_written_again(tmp_path: Path) -> None:
    file, out = written(tmp_path, chat(1), chat(2, id=7)), tmp_path / "out.jsonl"
    first = convert(file, out, Wish(target="sharegpt"))
    assert (first.ok, first.rows, first.written, first.dropped) == (True, 2, 2, 1)
    assert (first.source_format, first.target_format) == ("openai", "sharegpt")
    assert [(loss.line, loss.path) for loss in first.losses] == [(2, "id")]
    assert convert(file, out, Wish(target="sharegpt")) == first
    assert names_in(tmp_path) == {"in.jsonl", "out.jsonl"}
    back = convert(out, tmp_path / "back.jsonl")
    assert back.source_format == "sharegpt"
    rows = [json.loads(line) for line in (tmp_path / "back.jsonl").read_bytes().splitlines()]
    assert rows == [json.loads(chat(1)), json.loads(chat(2))]


def test_a_file_that_holds_something_else_is_not_replaced(tmp_path: Path) -> None:
    file, out = written(tmp_path, chat()), written(tmp_path, "mine", name="out.jsonl")
    for taken in (out, file, tmp_path):
        with pytest.raises(UsageError):
            convert(file, taken, Wish(target="sharegpt"))
    assert out.read_text() == "mine\n"
    assert names_in(tmp_path) == {"in.jsonl", "out.jsonl"}


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be written"):
        convert(written(tmp_path, chat()), tmp_path / "no" / "out.jsonl")


def test_strict_writes_nothing_where_anything_would_be_dropped(tmp_path: Path) -> None:
    file, out = written(tmp_path, chat(id=1)), tmp_path / "out.jsonl"
    assert not convert(file, out, Wish(strict=True)).ok
    assert names_in(tmp_path) == {"in.jsonl"}
    developer = chat(1).replace('"user"', '"developer"')
    changed = convert(written(tmp_path, developer), out, Wish(target="mistral", strict=True))
    assert (changed.ok, changed.changed) == (True, 1)


BROKEN = [
    (b'{"messages": ', "not JSON"),
    (b"\xff", "not UTF-8"),
    (b"[1]", "not an object"),
    (b'{"messages": []}', "empty list"),
    (b'{"messages": [{"role": "user", "content": 1}]}', "content is"),
    (b'{"messages": ' + b"[" * 300 + b"]" * 300 + b"}", "levels deep"),
    (b'{"messages": [{"role": "user", "role": "user", "content": "x"}]}', "role"),
    (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', "half a character"),
    (b'{"text": "another format"}', "messages is null"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


@settings(max_examples=40, deadline=None)
@given(places=st.dictionaries(st.integers(1, 40), st.sampled_from(BROKEN), min_size=1, max_size=9))
def test_each_bad_line_is_told_whatever_else_is_bad(
    places: dict[int, tuple[bytes, str]], folder: Path
) -> None:
    lines: list[str | bytes] = [chat(n) for n in range(41)]
    for place, (data, _) in places.items():
        lines[place] = data
    wish = Wish(target="mistral", source="openai")
    done = convert(written(folder, *lines), folder / "out.jsonl", wish)
    assert not done.ok
    assert {issue.line for issue in done.issues} == {place + 1 for place in places}
    for issue in done.issues:
        assert places[issue.line - 1][1] in issue.message
    assert done.written == 41 - len(places)
    assert names_in(folder) == {"in.jsonl"}


PIECES = (b"{", b"}", b"[", b"]", b'"a"', b":", b",", b"\n", b"1", b'"', chat().encode())
ANY_BYTES = st.binary(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(data=ANY_BYTES)
def test_any_bytes_give_a_report_or_say_why_not(data: bytes, folder: Path) -> None:
    file = folder / "in.jsonl"
    file.write_bytes(data)
    out = folder / "out.jsonl"
    with contextlib.suppress(UsageError):  # no row is in a known format
        done = convert(file, out)
        assert done.ok == out.exists()
        assert done.ok == (not done.issues)
        json.loads(done.model_dump_json())
    out.unlink(missing_ok=True)
    assert names_in(folder) == {"in.jsonl"}


@pytest.mark.parametrize("indent", [None, 1])
def test_a_list_of_objects_is_read_whatever_its_lines(tmp_path: Path, indent: int | None) -> None:
    rows = [{"instruction": f"{n}]}}", "input": "", "output": "[{"} for n in range(30)]
    file = tmp_path / "alpaca.json"
    file.write_text(json.dumps(rows, indent=indent))
    done = convert(file, tmp_path / "out.jsonl")
    assert (done.ok, done.source_format, done.written) == (True, "alpaca", 30)
    first = json.loads((tmp_path / "out.jsonl").read_bytes().splitlines()[0])
    assert first["messages"][0]["content"] == "0]}"


def test_a_bad_object_in_a_list_hides_no_other(tmp_path: Path) -> None:
    file = tmp_path / "in.json"
    file.write_text('[\n{"text": "a"},\n{"text": 1},\n7,\n{"text":\n "b"}\n]\n')
    done = convert(file, tmp_path / "out.jsonl", Wish(target="text"))
    assert (done.written, [issue.line for issue in done.issues]) == (2, [3, 4])


def test_a_packed_file_is_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl.gz"
    file.write_bytes(gzip.compress(b"\xef\xbb\xbf" + chat().encode() + b"\n\n"))
    done = convert(file, tmp_path / "out.jsonl")
    assert (done.ok, done.same, done.altered) == (True, False, 0)
    assert (tmp_path / "out.jsonl").read_bytes().count(b"\n") == 1


def test_what_programs_take_for_line_ends_is_escaped(tmp_path: Path) -> None:
    file = written(tmp_path, json.dumps({"text": "a\u2028b\u0085c"}))
    convert(file, tmp_path / "out.jsonl", Wish(target="text"))
    assert len((tmp_path / "out.jsonl").read_text("utf-8").splitlines()) == 1


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"q": 1}, "none of the keys that tell one (keys: 'q')"),
        ({"mesages": []}, "there is 'mesages', but no messages"),
        ({"Prompt": "x", "Completion": "y"}, "there is 'Prompt', but no prompt"),
        ({"instruction": "x", "answer": "y"}, "nearest, but there is instruction and no output"),
        ({"custom_id": "0", "body": {}}, "an OpenAI batch request, which can't be converted"),
        ({"input_ids": [1]}, "token ids, which can't be converted"),
        ({"messages": [], "system": "s"}, "Anthropic messages, which can't be converted"),
    ],
)
def test_a_format_nobody_knows_is_told_with_the_nearest(
    tmp_path: Path, row: dict[str, object], why: str
) -> None:
    with pytest.raises(UsageError, match="line 1 is in no format known here") as unknown:
        convert(written(tmp_path, json.dumps(row)), tmp_path / "out.jsonl")
    assert why in str(unknown.value)
    assert "--from" in unknown.value.hint


def test_a_mistyped_format_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as mistyped:
        convert(written(tmp_path, chat()), tmp_path / "out.jsonl", Wish(source="alpacca"))
    assert "did you mean alpaca?" in mistyped.value.hint


def test_the_first_rows_must_agree_on_their_format(tmp_path: Path) -> None:
    file = written(tmp_path, chat(1), '{"text": "x"}', '{"q": 1}')
    with pytest.raises(UsageError, match="openai on line 1, text on line 2") as several:
        convert(file, tmp_path / "out.jsonl")
    assert "--from" in several.value.hint
    done = convert(file, tmp_path / "out.jsonl", Wish(source="openai"))
    assert [(issue.line, issue.message.split(" (")[0]) for issue in done.issues] == [
        (2, "messages is null, not a list of messages"),
        (3, "it has none of the keys that tell one"),
    ]


def test_rows_that_say_less_agree_with_those_that_say_more(tmp_path: Path) -> None:
    legacy = chat(2, functions=[{"name": "f"}])
    done = convert(written(tmp_path, chat(1), legacy), tmp_path / "out.jsonl")
    assert (done.ok, done.source_format) == (True, "openai-legacy")
    trained = chat(2).replace('"content": "yes"', '"content": "yes", "train": false')
    done = convert(written(tmp_path, chat(1), trained), tmp_path / "trained.jsonl")
    assert (done.ok, done.source_format) == (True, "axolotl")


def test_what_is_kept_of_losses_is_bounded(tmp_path: Path) -> None:
    rows = [chat(n, **{f"key{n}": 1}) for n in range(500)]
    done = convert(written(tmp_path, *rows), tmp_path / "out.jsonl", Wish(most=3))
    assert done.dropped == 500
    assert len(done.losses) < 250


def test_a_dialect_takes_what_it_reads_and_gets_the_rest_converted(tmp_path: Path) -> None:
    home = tmp_path / "converted"
    plain = written(tmp_path, *map(chat, range(12)))
    for dialect in ("openai", "local", "mistral"):
        assert converted_for(dialect, "sft", plain, home) is None
    assert converted_for("acme", "sft", plain, home) is None
    rows = [chat(n, functions=[{"name": "f"}]) for n in range(12)]
    legacy = written(tmp_path, *rows, name="legacy.jsonl")
    assert converted_for("openai", "sft", legacy, home) is None
    done = converted_for("local", "sft", legacy, home)
    assert done is not None
    assert done.out is not None
    kept = Path(done.out)
    assert kept == home / f"{done.sha256}.jsonl"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert converted_for("local", "sft", legacy, home) == done
    assert names_in(home) == {kept.name}
    with RowReader(kept) as reader:
        assert {tuple(row.value or ()) for row in reader} == {("messages", "tools")}


def test_what_the_rules_refuse_is_mended_where_converting_can(tmp_path: Path) -> None:
    home = tmp_path / "converted"
    flat = [chat(n, tools=json.dumps([{"name": "f"}])) for n in range(12)]
    file = written(tmp_path, *flat)
    assert converted_for("local", "sft", file, home) is None  # templates get them unpacked
    done = converted_for("openai", "sft", file, home)
    assert done is not None
    assert check([Path(str(done.out))], providers=["openai"]).ok


@pytest.mark.parametrize(("digits", "ok"), [(400, True), (401, False)])
def test_a_number_that_no_reader_keeps_is_not_cut(tmp_path: Path, digits: int, ok: bool) -> None:
    row = '{"messages": [{"role": "user", "content": "%s"}], "answer": %s}'
    file = written(tmp_path, row % ("1" * 500, "7" * digits))
    done = convert(file, tmp_path / "out.jsonl", Wish(target="openai-rft"))
    assert done.ok == ok
    if ok:
        assert "7" * digits in (tmp_path / "out.jsonl").read_text()


def test_what_would_do_as_it_is_is_not_written_anew(tmp_path: Path) -> None:
    home = tmp_path / "converted"
    done = convert_into(home, written(tmp_path, chat()), Wish(target="mistral"))
    assert (done.ok, done.same, done.out) == (True, True, None)
    assert names_in(home) == set()
