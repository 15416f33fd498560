"""The pages as a person sees them: in Chromium, at a desk and on a phone, by day and by night."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from ftctl.pages.text import visible

if TYPE_CHECKING:
    from browser.conftest import Kept
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

LOOKS = Path(__file__).with_name("looks.js").read_text(encoding="utf-8")
KINDS = ("stats", "show", "prepared", "messages", "advise", "undecided", "nothing")
LOWEST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3 (AA), for text of any size
SMALLEST_PX = 12.0
COLOURS = "kind => getComputedStyle(document.querySelector('.text .' + kind)).color"


@dataclass
class Open:
    """A page in a browser, and what was said and asked for as it opened."""

    page: "Page"
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def look(self, what: str, *args: str) -> Any:
        """What a function of looks.js finds."""
        return self.page.evaluate(f"(args) => {{ {LOOKS} return looks.{what}(...args); }}", [*args])


@pytest.fixture
def opened(
    chromium: "Browser",
    pages: "dict[str, Kept]",
    kind: str,
    width: int,
    scheme: Literal["light", "dark"],
) -> Iterator[Open]:
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True
    )
    found = Open(context.new_page())
    found.page.on("console", lambda message: found.said.append(message.text))
    found.page.on("pageerror", lambda error: found.said.append(str(error)))
    found.page.on("dialog", lambda dialog: found.said.append(dialog.message))
    found.page.on("request", lambda request: found.asked.append(request.url))
    found.page.goto(pages[kind].path.as_uri())
    yield found
    context.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_readable_and_asks_for_nothing(
    opened: Open, pages: "dict[str, Kept]", kind: str, width: int, scheme: str
) -> None:
    page = opened.page
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [width, width]
    texts = opened.look("texts")
    assert len(texts) > 10
    assert [text for text in texts if text["contrast"] < LOWEST_CONTRAST] == []
    assert [text for text in texts if text["size"] < SMALLEST_PX] == []
    assert [text for text in texts if text["left"] < 0 or text["right"] > width] == []
    assert opened.look("overlaps") == []
    for chart in opened.look("charts"):
        assert chart["width"] > 0.8 * min(width, 900)
        assert chart["height"] > 40
        assert chart["marks"] > 0
        assert page.get_by_role("img", name=chart["name"], exact=True).count() == 1
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(255, 255, 255)") == (scheme == "light")
    assert opened.asked == [pages[kind].path.as_uri()]
    assert opened.said == []


@pytest.mark.parametrize("kind", ["stats"])
def test_stats_on_the_page_are_those_of_the_document(
    opened: Open, pages: "dict[str, Kept]", kind: str
) -> None:
    found = pages[kind].document
    bins = [bin["rows"] for bin in found["tokens"]["histogram"]]
    shown = {
        "Tokens an example": bins,
        "Answers an example": list(found["turns"].values()),
        "Answers by form": [task["rows"] for task in found["tasks"]],
        "Labels": [label["rows"] for label in found["labels"]["most"]],
        "Personal data and secrets": list(found["personal_data"].values()),
        "Different word runs": [
            *found["variety"]["prompt_ngrams"].values(),
            *found["variety"]["answer_ngrams"].values(),
        ],
    }
    charts = {chart["name"]: chart for chart in opened.look("charts")}
    for title, values in shown.items():
        assert [row[1] for row in opened.look("table", title)] == pytest.approx(values), title
    labels, tokens = charts["Labels"]["bars"], charts["Tokens an example"]["heights"]
    assert _parts(labels) == pytest.approx(_parts(shown["Labels"]), abs=0.01)
    assert _parts(tokens) == pytest.approx(_parts(bins), abs=0.01)
    names = [row[0] for row in opened.look("table", "Labels")]
    assert names == [visible(label["name"]) for label in found["labels"]["most"]]
    assert f"{found['rows']:,}" in opened.page.locator("dd").first.inner_text()


def _parts(values: list[float]) -> list[float]:
    """Each as a part of the largest."""
    return [value / max(values) for value in values]


@pytest.mark.parametrize("kind", ["advise", "undecided"])
def test_advice_on_the_page_is_that_of_the_document(
    opened: Open, pages: "dict[str, Kept]", kind: str
) -> None:
    found = pages[kind].document
    costs = [
        [route["route"], *(route["usd_per_month"][part] for part in ("low", "likely", "high"))]
        for route in found["routes"]
    ]
    assert opened.look("table", "Cost a month") == costs
    page = opened.page
    assert float(page.locator("data").first.get_attribute("value") or "") == found["confidence"]
    text = page.locator("body").inner_text()
    for said in (found["reason"], *(flip["says"] for flip in found["flips"]), *found["next"]):
        assert said in text
    for note in found["assumptions"]:
        assert f"{note['name']}: {note['value']}" in text
    names = [chart["name"] for chart in opened.look("charts")]
    assert names == ["Cost a month", "Break-even", "What would flip it", "Lifetime of each route"]
    bars = opened.look("charts")[0]["bars"]
    spread = [high - low for _, low, _, high in costs if high > low]
    assert _parts(bars) == pytest.approx(_parts(spread), abs=0.02)


@pytest.mark.parametrize("kind", ["show", "prepared"])
def test_tokens_on_the_page_are_those_of_the_document_in_their_colours(
    opened: Open, pages: "dict[str, Kept]", kind: str
) -> None:
    sections = opened.page.locator("section")
    examples = pages[kind].document["examples"]
    assert sections.count() == len(examples) > 1
    for place, example in enumerate(examples):
        for token_kind in ("trained", "untrained", "cut"):
            spans = sections.nth(place).locator(f".text .{token_kind}")
            tokens = [token for token in example["tokens"] if token["kind"] == token_kind]
            wanted = [visible(token["text"]).replace("\n", "↵\n") for token in tokens]
            assert spans.all_text_contents() == wanted
    red, green, blue = _colour(opened, "trained")
    assert green > max(red, blue)
    red, green, blue = _colour(opened, "untrained")
    assert red > max(green, blue)
    if kind == "prepared":
        return  # what was cut isn't in it any more
    red, green, blue = _colour(opened, "cut")
    assert max(red, green, blue) - min(red, green, blue) < 30


def _colour(opened: Open, kind: str) -> list[int]:
    said = opened.page.evaluate(COLOURS, kind)
    return [int(part) for part in said.removeprefix("rgb(").removesuffix(")").split(",")]
