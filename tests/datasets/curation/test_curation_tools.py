"""The real tools, each in an environment of its own: our rows go there, are labelled, come back.

What can't be shown here: the servers of Argilla and of Label Studio, which store what people do in
a browser. Argilla's package talks to one that keeps what it is sent; Label Studio's checks and
converts. What people do is put into what such a server keeps.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid5

import pyarrow.parquet as pq
import pytest
from tool_sessions import (
    CLICKED,
    EXPORTS,
    LABELLED,
    SAID,
    TOOLS,
    Said,
    Unreachable,
    exported_rows,
    labelled,
)

from ftctl.datasets.curation.importing import Wish, import_rows
from ftctl.datasets.curation.types import Hints

pytestmark = [pytest.mark.slow, pytest.mark.real]

PEOPLE = UUID("00000000-0000-0000-0000-000000000001")


def came_round(tool: str, folder: Path) -> tuple[Path, list[str]]:
    """The tool's own exports, of the same files and shapes as those recorded; and our ids."""
    exported, ids = exported_rows(tool, folder)
    try:
        out = labelled(tool, exported, ids, folder)
    except Unreachable as error:
        pytest.skip(f"the package index can't be reached: {error}")
    recorded = EXPORTS / TOOLS[tool][1]
    files = {path.relative_to(recorded) for path in recorded.rglob("*") if path.is_file()}
    assert {path.relative_to(out) for path in out.rglob("*") if path.is_file()} == files
    for file in files:
        assert shape(out / file) == shape(recorded / file), file
    return out, ids


def shape(file: Path) -> object:
    """What a file says but for ids and times that are new each time: keys, columns, tables."""
    if file.suffix == ".parquet":
        return str(pq.read_schema(file).remove_metadata())
    if file.suffix == ".sqlite":
        with closing(sqlite3.connect(file)) as base:
            return base.execute("SELECT sql FROM sqlite_master").fetchall()
    if file.suffix == ".json":
        return json.loads(file.read_text())
    return file.read_text()


def said(export: Path, folder: Path, wish: Wish | None = None) -> list[tuple[object, ...]]:
    """Who said what of which row, with which status."""
    done = import_rows(export, folder / f"{export.name}.rows.jsonl", wish)
    lines = map(json.loads, Path(done.annotations).read_text().splitlines())
    return [
        (line["id"], line["value"], line["annotator"], line["status"])
        for line in lines
        if line["kind"] == "response"
    ]


def value_kept(one: Said) -> str | None:
    """What Label Studio keeps of it: nothing of what was cancelled."""
    return one.value if one.status == "submitted" else None


@pytest.mark.timeout(900)
def test_argilla(tmp_path: Path) -> None:
    out, ids = came_round("argilla", tmp_path)
    people = {one.annotator: str(uuid5(PEOPLE, one.annotator)) for one in SAID}
    whole = [(ids[one.row], one.value, people[one.annotator], one.status) for one in SAID]
    assert said(out / "flat.json", tmp_path) == whole
    # The folder loses the status, and nothing else.
    assert said(out / "to_disk", tmp_path) == [(*line[:3], "unknown") for line in whole]


@pytest.mark.timeout(900)
def test_label_studio(tmp_path: Path) -> None:
    out, ids = came_round("label-studio", tmp_path)
    people = {"ann": "1", "bob": "2"}
    whole = [
        (ids[one.row], value_kept(one), people[one.annotator], one.status)
        for one in SAID
        if one.status != "draft"
    ]
    assert said(out / "tasks.json", tmp_path) == whole
    # JSON_MIN loses what was cancelled, and puts the newest first.
    kept = {line for line in whole if line[3] == "submitted"}
    assert set(said(out / "min.json", tmp_path)) == kept


@pytest.mark.timeout(900)
def test_lilac(tmp_path: Path) -> None:
    out, ids = came_round("lilac", tmp_path)
    found = said(out / "rows", tmp_path, Wish(hints=Hints(annotator="me")))
    whole = {
        (ids[row], None, "me", "discarded")
        if label == "__deleted__"
        else (ids[row], label, "me", "submitted")
        for row, label in LABELLED
    }
    assert (set(found), len(found)) == (whole, len(LABELLED))


@pytest.mark.timeout(900)
def test_pigeonxt(tmp_path: Path) -> None:
    out, ids = came_round("pigeonxt", tmp_path)
    files = {"answer.csv": "answer", "quality.csv": "quality", "topics.jsonl": "topics"}
    for name, task in files.items():
        found = said(out / name, tmp_path, Wish(hints=Hints(annotator="me")))
        assert found == [(ids[row], v, "me", "submitted") for row, v in CLICKED[task].items()]
