"""A real Chromium, and the pages that people keep, made once by the real command."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pytest
from tiny_model import write_model

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
HARD = (
    "<script>alert(1)</script>",
    "東京 " * 30,
    "שלום",
    "a" * 200,
    "&amp; 🎨",
    "\u202eback\x1b[2J",
)


@dataclass(frozen=True)
class Kept:
    """A page on disk, and the document that `--json` printed as it was written."""

    path: Path
    document: Any


@pytest.fixture(scope="session")
def chromium() -> "Iterator[Browser]":
    """The browser; where it, or what drives it, is missing the tests say what to install."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("no Chromium here: apt-get install chromium-headless-shell")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kept]:
    """Each kind of page, on data that tries to break it."""
    folder = tmp_path_factory.mktemp("pages")
    model = write_model(folder / "model")
    rows = folder / "rows.jsonl"
    rows.write_text("".join(f"{json.dumps(row)}\n" for row in _rows()), encoding="utf-8")
    asked = ["--as-of", "2026-11-24", "--requests-per-month", "500000", "--data-rows", "2000"]
    score = ["--baseline-score", "0.6", "--target-score", "0.9"]
    commands: dict[str, list[Any]] = {
        "stats": ["data", "stats", rows, "--near"],
        "show": ["data", "show", rows, "-n", "8", "--model", model, "--max-length", "120"],
        "prepared": ["data", "show", _prepared(folder / "prepared"), "--model", model],
        "messages": ["data", "show", rows, "-n", "8"],
        "advise": ["advise", *asked, *score],
        "undecided": ["advise", "--task-kind", "qa", "--task", HARD[0]],
        "nothing": ["advise", "--budget-usd-per-month", "0", "--prompt-limit"],
    }
    return {name: _made(folder / f"{name}.html", words) for name, words in commands.items()}


def _rows() -> Iterator[dict[str, Any]]:
    for place in range(240):
        hard = HARD[place % len(HARD)] if place < 8 or place % 20 == 0 else f"question {place % 50}"
        turns = [
            {"role": "user", "content": f"{hard} {'word ' * (place % 37)} jane{place}@example.org"},
            {"role": "assistant", "content": ("yes", "no", HARD[3][:50], "東京")[place % 7 % 4]},
        ]
        yield {"messages": turns * (1 + place % 3)}


def _prepared(folder: Path) -> Path:
    """A dataset that another trainer has tokenized."""
    folder.mkdir()
    columns = {
        "input_ids": [[*range(10, 90)], [7, 8]],
        "labels": [[-100] * 40 + [*range(50, 90)], [-100, 8]],
    }
    table = pa.table(columns)
    with pa.ipc.new_stream(str(folder / "data-00000-of-00001.arrow"), table.schema) as stream:
        stream.write_table(table)
    return folder


def _made(path: Path, words: list[Any]) -> Kept:
    ran = subprocess.run(
        [sys.executable, "-m", "ftctl.cli", *map(str, words), "--html", path, "--json"],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    assert ran.returncode in (0, 4), ran.stderr
    return Kept(path, json.loads(ran.stdout))


@pytest.fixture(params=[360, 1280], ids=lambda width: f"{width}px")
def width(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> Literal["light", "dark"]:
    return "dark" if request.param == "dark" else "light"
