"""`ftctl chat --web` as a person uses it: in Chromium, at a desk and on a phone, day and night."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from tiny_adapter import write_adapter
from tiny_model import SYSTEM, write_model

from ftctl.local_backend.chat import load_model

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

LOOKS = Path(__file__).with_name("looks.js").read_text(encoding="utf-8")
FIRST, SECOND = "Item 1: it looks red", "And item 2?\nSay it again."


@dataclass
class Shown:
    """The page of a running `ftctl chat --web`, and what it said and asked for."""

    page: "Page"
    process: "subprocess.Popen[str]"
    url: str
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def look(self, what: str) -> Any:
        """What a function of looks.js finds."""
        return self.page.evaluate(f"() => {{ {LOOKS} return looks.{what}(); }}")

    def say(self, text: str) -> None:
        """Type a message as a person does, send it, and wait for all of the answer."""
        for place, line in enumerate(text.split("\n")):
            if place:
                self.page.keyboard.press("Shift+Enter")
            self.page.keyboard.type(line)
        self.page.keyboard.press("Enter")
        self.page.locator("#send").wait_for(state="visible")

    def answers(self, side: str) -> list[str]:
        """What one side has said so far."""
        return self.page.locator(f".{side} .text").all_text_contents()


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose base holds long answers, beside it."""
    folder = tmp_path_factory.mktemp("models")
    base = write_model(folder / "base")
    config = json.loads((base / "config.json").read_bytes())
    config["max_position_embeddings"] = 50_000
    (base / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return write_adapter(base, folder / "adapter")


@pytest.fixture
def tokens() -> int:
    return 24


@pytest.fixture
def shown(
    chromium: "Browser", adapter: Path, width: int, scheme: Literal["light", "dark"], tokens: int
) -> Iterator[Shown]:
    command = ["chat", str(adapter), "--web", "--max-new-tokens", str(tokens)]
    with subprocess.Popen(
        [sys.executable, "-m", "ftctl.cli", *command], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        context = chromium.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme
        )
        found = Shown(context.new_page(), process, url)
        found.page.on("console", lambda message: found.said.append(message.text))
        found.page.on("pageerror", lambda error: found.said.append(str(error)))
        found.page.on("request", lambda request: found.asked.append(request.url))
        found.page.goto(url)
        yield found
        context.close()
        process.kill()


def expected(folder: Path, home: Path, *questions: str) -> list[str]:
    """What the model in a folder says to each, knowing what was said before."""
    model = load_model(folder, home, merge=False)
    messages, told = [{"role": "system", "content": SYSTEM}], []
    for question in questions:
        messages.append({"role": "user", "content": question})
        told.append(model.chat(messages, max_new_tokens=24))
        messages.append({"role": "assistant", "content": told[-1]})
    return told


def test_a_conversation_and_how_it_looks(
    shown: Shown, adapter: Path, width: int, scheme: str, tmp_path: Path
) -> None:
    page = shown.page
    assert page.locator("#system").input_value() == SYSTEM
    shown.say(FIRST)
    shown.say(SECOND)
    assert page.locator(".mine").all_text_contents() == [FIRST, SECOND]
    assert shown.answers("tuned") == expected(adapter, tmp_path, FIRST, SECOND)
    page.locator("#compare").check()
    assert shown.answers("tuned") == []
    assert page.locator("#question").input_value() == SECOND  # to be asked of both
    page.locator("#question").fill("")
    shown.say(FIRST)
    base = adapter.parent / "base"
    for side, folder in (("tuned", adapter), ("base", base)):
        assert shown.answers(side) == expected(folder, tmp_path, FIRST)
    boxes = [page.locator(f"section.{side}").bounding_box() for side in ("tuned", "base")]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert (boxes[0]["y"] == boxes[1]["y"]) == (width > 640)  # side by side where there is room

    assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [width, width]
    texts = shown.look("texts")
    assert [text for text in texts if text["contrast"] < 4.5] == []  # WCAG 2.2, 1.4.3 (AA)
    assert [text for text in texts if text["size"] < 12.0] == []
    assert [text for text in texts if text["left"] < 0 or text["right"] > width] == []
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(255, 255, 255)") == (scheme == "light")
    assert {*shown.asked} == {shown.url, f"{shown.url}answer"}
    assert shown.said == []


@pytest.mark.parametrize("width", [360])
@pytest.mark.parametrize("scheme", ["light"])
@pytest.mark.parametrize("tokens", [40_000])
def test_an_answer_is_stopped_and_what_fails_is_shown(shown: Shown, width: int) -> None:
    page = shown.page
    page.locator("#system").fill("Be brief.")
    assert "another system message" in page.locator("#unlike").inner_text()
    page.get_by_role("button", name="Use the one it was tuned with").click()
    assert page.locator("#system").input_value() == SYSTEM
    assert not page.locator("#unlike").is_visible()

    for key in (False, True):
        page.locator("#question").fill(FIRST)
        page.locator("#question").press("Enter")
        page.locator(".text:last-child:not(:empty)").wait_for()  # it grows
        if key:
            page.keyboard.press("Escape")
        else:
            page.get_by_role("button", name="Stop").click()
        page.locator("#send").wait_for(state="visible")
        assert page.locator(".note").last.inner_text() == "stopped"
        page.get_by_role("button", name="New conversation").click()
        assert page.locator(".mine").count() == 0

    shown.process.kill()
    shown.process.wait()
    shown.say(FIRST)
    assert "has ended" in page.locator(".bad").inner_text()
    assert page.locator("#question").input_value() == FIRST
