"""The frame that all pages share, and their charts: whole, safe, inside their room."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftctl.errors import UsageError
from ftctl.pages.charts import (
    Drawing,
    Line,
    Point,
    Span,
    Track,
    bars,
    figure,
    histogram,
    lines,
    nice_ticks,
    tracks,
)
from ftctl.pages.frame import Number, PageFile, bullets, table, terms
from ftctl.pages.text import safe, shorten, visible


@given(st.text())
def test_text_of_others_stays_text(text: str) -> None:
    inside = ET.fromstring(f"<p>{safe(text)}</p>")  # noqa: S314 - our own markup
    assert list(inside) == []
    assert "".join(inside.itertext()) == visible(text).encode("utf-8", "backslashreplace").decode()


@given(st.text(), st.integers(1, 40))
def test_a_short_line_is_no_wider_than_asked(text: str, columns: int) -> None:
    assert len(shorten(text, columns)) <= columns
    assert "\n" not in shorten(text, columns)
    assert shorten("東京" * 30, 10) == "東京東京…"


def drawn(drawing: Drawing) -> ET.Element:
    markup = figure("A <title>", "says & so", drawing, ("name", "n"), [("x<y", Number(1.5, "1.5"))])
    return ET.fromstring(f"<section>{markup}</section>")  # noqa: S314 - our own markup


DRAWINGS = {
    "bars": bars([("a<b", 3, "3"), ("nothing", 0, "0")]),
    "no bars": bars([]),
    "histogram": histogram([("1-2", 5), ("3-4", 0)], [(0, "1-2"), (1, "3-4")]),
    "tracks": tracks(
        [Track("r", "1 to 2", (Span(0.2, 1.0, "a"),), (Point(0.4), Point(9, open=True)))],
        [(0, "0"), (1, "2")],
        [(0.5, "now")],
    ),
    "lines": lines(
        [Line("up", [(0, 0), (1, 1)], "a"), Line("down", [(0, 1), (1, 0)], "b")],
        [(0, "1"), (1, "10")],
        [(0, "0")],
        [(0.5, "now")],
        [(0.5, 0.5)],
    ),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_chart_has_title_words_and_numbers_and_stays_inside(name: str) -> None:
    section = drawn(DRAWINGS[name])
    svg = next(section.iter("svg"))
    assert svg.get("role") == "img"
    named = {element.get("id"): element.text for element in svg.iter()}
    assert named[svg.get("aria-labelledby")] == "A <title>"
    assert named[svg.get("aria-describedby")] == "says & so"
    assert [data.get("value") for data in section.iter("data")] == ["1.5"]
    for rect in svg.iter("rect"):
        left, wide = (float(rect.get(key, "").rstrip("%")) for key in ("x", "width"))
        assert left >= 0
        assert left + wide <= 100.001
        assert wide > 0
    for element in svg.iter():
        for key in ("x1", "x2", "cx"):
            assert 0 <= float((element.get(key) or "0").rstrip("%")) <= 100


@pytest.mark.parametrize(
    ("top", "end"), [(0, 1), (0.3, 0.4), (7, 10), (10, 10), (1234, 2000), (4.2, 5)]
)
def test_an_axis_ends_at_a_round_number(top: float, end: float) -> None:
    found, ticks = nice_ticks(top)
    assert found == pytest.approx(end)
    assert [at for at, _ in ticks] == [0.0, 0.5, 1.0]


def test_a_page_appears_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "page.html"

    def stopped() -> None:
        with PageFile(path, "test", "<t>") as page:
            page.write([bullets(["a & b"])])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert list(tmp_path.iterdir()) == []
    with PageFile(path, "test", "<t>", "p { color: red; }") as page:
        page.write([terms([("n", Number(2, "2"))]), table(("a", "b"), [("<x>", "y")])])
        assert not path.exists()
    text = path.read_text("utf-8")
    assert text.endswith("</main></body></html>\n")
    assert "<title>&lt;t&gt;</title>" in text
    assert "&lt;x&gt;" in text
    assert not re.search(r"<script|://|\bon\w+=", text)
    with PageFile(path, "other", "again"):
        pass
    assert "again" in path.read_text("utf-8")


def test_where_a_page_cant_be_written_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        PageFile(tmp_path, "test", "t")
    with pytest.raises(UsageError, match="can't be written"):
        PageFile(tmp_path / "no" / "page.html", "test", "t")
    with pytest.raises(UsageError, match="can't be written"):
        PageFile(tmp_path / "file" / "page.html", "test", "t")
    full = Path("/dev/full")
    if full.exists():
        page = PageFile(tmp_path / "page.html", "test", "t")
        page._file.close()
        page._file = full.open("w", encoding="utf-8")
        with pytest.raises(UsageError, match="No space left"), page:
            page.write(["x" * 100_000])
        assert list(tmp_path.glob("*page*")) == []
