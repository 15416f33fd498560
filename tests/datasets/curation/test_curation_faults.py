"""A malformed export is refused with file, record and reason; every fault at once; no rows."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tool_sessions import EXPORTS

from ftctl.datasets.curation.importing import Wish, import_rows
from ftctl.datasets.curation.tools import TOOLS, recognise
from ftctl.datasets.curation.types import Hints
from ftctl.errors import DataInvalid, FtctlError, UsageError

RECORD = {"id": "1", "fields": {"text": "Hi"}, "responses": {"q": [{"value": "a", "user_id": "u"}]}}
FLAT = {"id": "1", "text": "Hi", "q.responses": ["a"], "q.responses.users": ["u"]}
TASK = {"id": 1, "data": {"text": "Hi"}, "annotations": [{"id": 1, "completed_by": 1}]}
RESULT = {"from_name": "q", "to_name": "t", "type": "choices"}


def refused(tool: str, text: str | bytes, tmp_path: Path, name: str = "export.json") -> str:
    """What is said of an export that can't be imported."""
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataInvalid) as caught:
        import_rows(file, tmp_path / "rows.jsonl", Wish(source=tool))
    assert caught.value.message.startswith(f"{file}, ")
    assert caught.value.hint
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [name]
    return caught.value.message.removeprefix(f"{file}, ")


@pytest.mark.parametrize(
    ("tool", "records", "said"),
    [
        ("argilla", [RECORD, 7], "record 2: it is a number, not an object"),
        ("argilla", [{**RECORD, "fields": "Hi"}], "record 1: fields: an object with the texts"),
        ("argilla", [{**RECORD, "id": None}], "record 1: id: it has no id"),
        ("argilla", [{**RECORD, "responses": []}, RECORD], None),
        ("argilla", [{**RECORD, "responses": {"q": "a"}}], "responses.q: a list of responses"),
        ("argilla", [{**RECORD, "responses": {"q": ["a"]}}], "responses.q[0]: an object with"),
        ("argilla", [{**RECORD, "responses": {"q": [{}]}}], "responses.q[0]: it has no value"),
        ("argilla", [{**RECORD, "suggestions": {"q": 1}}], "suggestions.q: an object with"),
        ("argilla", [{**FLAT, "q.responses": "a"}], "q.responses: a list with an entry"),
        ("argilla", [{**FLAT, "q.responses.users": []}], "users: 1 responses, 0 entries"),
        ("argilla", [{**FLAT, "q.responses.status": ["done"]}], "'done' is no status"),
        ("label-studio", [{**TASK, "data": "Hi"}], "record 1: data: an object with the texts"),
        ("label-studio", [{**TASK, "annotations": {}}], None),
        ("label-studio", [{**TASK, "annotations": "x"}], "annotations: a list was expected"),
        ("label-studio", [{**TASK, "annotations": [3]}], "choose the format JSON"),
        ("label-studio", [{**TASK, "annotations": ["x"]}], "annotations[0]: an object"),
        (
            "label-studio",
            [{**TASK, "annotations": [{"result": [{**RESULT, "value": ["a"]}]}]}],
            "annotations[0].result[0].value: an object",
        ),
        ("label-studio", [{"text": "Hi", "q": "a"}], "it has neither data nor annotation_id"),
        ("pigeonxt", [{"example": "Hi", "label": "a"}], "changed: there is no column"),
        ("pigeonxt", [{"example": "Hi", "changed": "maybe"}], "'maybe' is neither true nor false"),
        ("pigeonxt", [{"changed": {"0": True}, "example": {}}], "don't all have the same rows"),
        ("langfuse", [{"input": "Hi"}], "record 1: output: it has no output"),
        ("langfuse", [{"input": {"a": "1", "b": "2"}, "expectedOutput": "x"}], "it has a, b"),
        ("langsmith", [{"inputs": {}, "outputs": {"output": "x"}}], "input: it has no input"),
        ("langsmith", [{"inputs": {"messages": [1]}, "outputs": "x"}], "input.messages[0]"),
        ("openai-completions", [{"object": "chat.completion", "id": "c"}], "its prompt isn't here"),
        ("openai-completions", [{"id": "c", "messages": ["x"]}], "choices: it has no answer"),
    ],
)
def test_a_record_of_another_shape_is_named(
    tool: str, records: list[object], said: str | None, tmp_path: Path
) -> None:
    if said is not None:
        assert said in refused(tool, json.dumps(records), tmp_path)
        return
    # An empty list and an empty object say the same: nobody has answered.
    (tmp_path / "export.json").write_text(json.dumps(records))
    done = import_rows(tmp_path / "export.json", tmp_path / "rows.jsonl", Wish(source=tool))
    assert done.reasons["nobody has answered"] == 1


def test_one_fault_hides_no_other(tmp_path: Path) -> None:
    lines = [RECORD, {**RECORD, "id": None}, RECORD, {**RECORD, "fields": 1}]
    text = "\n".join(map(json.dumps, lines)) + '\n{"id": \n' + json.dumps(RECORD)
    said = refused("argilla", text, tmp_path).splitlines()
    assert len(said) == 3
    assert said[0].startswith("record 2")
    assert "record 4" in said[1]
    assert "record 5" in said[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'[{"id": "1", "fields"', "record 1: the file ends in the middle of it"),
        (b'[{"id": "1", "fie', "record 1: the file ends in the middle of it"),
        (b'[{"id": "1", "fields": {}, "responses": {}}', "the list isn't closed"),
        (b"[{'id': 1}]", "record 1: line 1, column 3: it isn't JSON"),
        (b'[\n{"id": "1"} nonsense', "record 2: line 2"),
        (b'[{"id": "1", "id": "2"}]', "record 1: an object names the same key twice"),
        (b'[{"id": ' + b"9" * 5000 + b"}]", "record 1: a number has too many digits"),
        (b'[{"id": 1e999}]', "record 1: a number is too large"),
        (b'[{"id": "\xff"}]', "byte 10: the file isn't UTF-8 text"),
        (b'{"id": ' + b"[" * 100_000, "record 1"),
        (b"\xff\xfe[\x00]\x00", "byte 1: the file isn't UTF-8 text"),
    ],
)
def test_what_is_no_json_is_named_with_its_place(text: bytes, said: str, tmp_path: Path) -> None:
    assert said in refused("argilla", text, tmp_path)


def test_a_file_of_nothing_but_broken_lines_is_left(tmp_path: Path) -> None:
    said = refused("argilla", "{'a': 1}\n" * 10_000, tmp_path).splitlines()
    assert len(said) == 21
    assert said[-1] == "  and 81 more"


def test_what_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    deep = json.dumps(RECORD)[:-1] + ', "metadata": ' + "[" * 50_000 + "]" * 50_000 + "}"
    assert refused("argilla", deep, tmp_path) == "record 1: it is nested too deeply"


def test_half_a_character_is_refused(tmp_path: Path) -> None:
    text = json.dumps([RECORD]).replace("Hi", "\\ud800")
    assert "half a character" in refused("argilla", text, tmp_path)


@pytest.mark.parametrize("text", ["", "[]", " \n"])
def test_an_empty_export_says_so(text: str, tmp_path: Path) -> None:
    (tmp_path / "export.json").write_text(text)
    with pytest.raises(DataInvalid, match="the export holds nothing"):
        import_rows(tmp_path / "export.json", tmp_path / "rows.jsonl", Wish(source="argilla"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("example,changed,label\nHi,True\n", "line 2: it has fewer cells than the header"),
        ("example,changed,label\nHi,True,a,b\n", "line 2: it has more cells than the header"),
        ('example,changed,label\n"Hi,True,a\n', "it isn't CSV"),
        ('example,changed,label\n"Hi" x,True,a\n', "it isn't CSV"),
    ],
)
def test_a_broken_table_is_named_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    assert said in refused("pigeonxt", text, tmp_path, "frame.csv")


def test_a_broken_parquet_file_is_named(tmp_path: Path) -> None:
    assert "it may be cut off" in refused("pigeonxt", b"PAR1 and no more", tmp_path, "f.parquet")


@pytest.fixture
def lilac(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXPORTS / "lilac" / "rows", tmp_path / "lilac"))


def lilac_said(folder: Path) -> str:
    with pytest.raises(DataInvalid) as caught:
        import_rows(folder, folder.parent / "rows.jsonl")
    assert not (folder.parent / "rows.jsonl").exists()
    return caught.value.message


def test_labels_that_are_no_database_are_named(lilac: Path) -> None:
    (lilac / "good.labels.sqlite").write_bytes(b"nothing of the kind, but long enough" * 100)
    assert "good.labels.sqlite: the labels can't be read" in lilac_said(lilac)


def test_labels_in_another_table_are_named(lilac: Path) -> None:
    (lilac / "good.labels.sqlite").rename(lilac / "fine.labels.sqlite")
    assert "fine.labels.sqlite: the labels can't be read (no such table" in lilac_said(lilac)


def test_a_label_on_a_row_that_is_gone_is_named(lilac: Path) -> None:
    with closing(sqlite3.connect(lilac / "good.labels.sqlite")) as base, base:
        base.execute("UPDATE good SET __rowid__ = 'gone' WHERE rowid = 1")
    assert "label good: it is on row gone, which isn't there" in lilac_said(lilac)


@pytest.mark.parametrize("text", ["", "{}", '{"files": 3}', "[" * 99_999])
def test_a_manifest_without_files_is_named(text: str, lilac: Path) -> None:
    (lilac / "manifest.json").write_text(text)
    assert "it doesn't list the dataset's files" in lilac_said(lilac)


def test_a_manifest_leads_nowhere_else(lilac: Path) -> None:
    (lilac / "manifest.json").write_text('{"files": ["../../secret.parquet"]}')
    assert "secret.parquet" in lilac_said(lilac)
    assert ".." not in lilac_said(lilac).removeprefix(str(lilac))


def test_labels_are_only_read(lilac: Path) -> None:
    before = {path.name: path.read_bytes() for path in lilac.iterdir()}
    import_rows(lilac, lilac.parent / "rows.jsonl")
    assert {path.name: path.read_bytes() for path in lilac.iterdir()} == before


def test_what_no_tool_wrote_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"a": 1}]')
    with pytest.raises(UsageError, match="no export of a tool known here") as caught:
        import_rows(tmp_path / "a.json", tmp_path / "rows.jsonl")
    assert "label-studio" in caught.value.hint
    with pytest.raises(UsageError, match="no tool is called 'agrilla'") as caught:
        import_rows(tmp_path / "a.json", tmp_path / "rows.jsonl", Wish(source="agrilla"))
    assert "did you mean argilla?" in caught.value.hint


def test_a_file_that_isnt_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.json: No such file"):
        import_rows(tmp_path / "gone.json", tmp_path / "rows.jsonl")
    with pytest.raises(UsageError, match="not the folder of a Lilac dataset"):
        import_rows(EXPORTS / "argilla/flat.json", tmp_path / "r.jsonl", Wish(source="lilac"))


def test_a_file_in_the_way_is_kept(tmp_path: Path) -> None:
    (tmp_path / "rows.annotations.jsonl").write_text("mine\n")
    with pytest.raises(UsageError, match="exists and holds something else"):
        import_rows(EXPORTS / "argilla/flat.json", tmp_path / "rows.jsonl")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [
        "rows.annotations.jsonl"
    ]
    assert (tmp_path / "rows.annotations.jsonl").read_text() == "mine\n"
    out = tmp_path / "new.jsonl"
    with pytest.raises(UsageError, match="can't hold rows and annotations"):
        import_rows(EXPORTS / "argilla/flat.json", out, Wish(annotations=out))


def test_a_row_that_was_changed_in_the_tool_is_named(tmp_path: Path) -> None:
    for row in ("", "{}", '{"messages": [', "[1]"):
        record = {**RECORD, "fields": {"prompt": "Hi", "ftctl_row": row}}
        said = refused("argilla", json.dumps([record]), tmp_path)
        assert said == "record 1: ftctl_row: it no longer holds the row that was sent there"
    record = {**RECORD, "fields": {"prompt": "Hi", "ftctl_row": '{"messages": []}'}}
    record["responses"] = {"answer": [{"value": "a", "user_id": "u"}]}
    assert "messages: it has no list" in refused("argilla", json.dumps([record]), tmp_path)


@pytest.mark.parametrize(
    ("hints", "pair", "said"),
    [
        (Hints(answer="nope"), None, "nobody was asked 'nope'"),
        (Hints(shown=("nope",), answer="intent"), None, "no field is called 'nope'"),
        (Hints(answer="better"), ("answer_a", "nope"), "no field is called 'nope'"),
        (Hints(), None, "people were asked several things: intent, reply"),
    ],
)
def test_what_isnt_clear_is_asked_for(
    hints: Hints, pair: tuple[str, str] | None, said: str, tmp_path: Path
) -> None:
    kinds = EXPORTS / "label_studio/kinds/tasks.json"
    with pytest.raises(UsageError, match=said):
        import_rows(kinds, tmp_path / "rows.jsonl", Wish(hints=hints, pair=pair))


def test_several_fields_need_a_name(tmp_path: Path) -> None:
    record = {**RECORD, "fields": {"subject": "Hi", "body": "You"}}
    (tmp_path / "export.json").write_text(json.dumps([record]))
    with pytest.raises(UsageError, match="which of the fields is the prompt isn't clear"):
        import_rows(tmp_path / "export.json", tmp_path / "rows.jsonl")
    wish = Wish(hints=Hints(shown=("subject", "body")))
    import_rows(tmp_path / "export.json", tmp_path / "rows.jsonl", wish)
    (row,) = map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())
    assert row["messages"][0]["content"] == "Hi\n\nYou"


KEYS = (
    *("id", "fields", "responses", "data", "annotations", "result", "value", "changed"),
    *("example", "label", "inputs", "outputs", "input", "expectedOutput", "object"),
    *("choices", "message", "messages", "role", "content", "annotation_id", "lead_time"),
    *("q.responses", "q.responses.status", "ftctl_row", "from_name", "type", "text"),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("tool", [name for name in TOOLS if name != "lilac"])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=json_values, cut=st.integers(0, 200))
def test_anything_gives_rows_or_a_sentence(
    tool: str, value: object, cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    file = folder / "export.json"
    text = json.dumps(value if isinstance(value, list) else [value])
    file.write_text(text[: len(text) - cut] if cut < 20 else text)
    recognise(file)
    try:
        done = import_rows(file, folder / "rows.jsonl", Wish(source=tool))
    except FtctlError as error:
        said = error.message
    else:
        said = f"{done.rows} of {done.items}"
    assert said
