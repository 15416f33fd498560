"""`ftctl data show`: colours, marks, the page, the document, exit codes."""

import json
import sys
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest
from command_line import Cli
from tiny_model import write_model
from typing_extensions import override

pytestmark = pytest.mark.medium

ROW = {
    "messages": [
        {"role": "user", "content": "2+2? <script>alert(1)</script>\u202e"},
        {"role": "assistant", "content": "4\x1b[2J"},
    ]
}


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("shown") / "tiny")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text(f"{json.dumps(ROW)}\n" * 4)
    return file


class Spans(HTMLParser):
    """The texts of a page by the class of their span, and every tag in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self.tags: set[str] = set()
        self.values: list[str] = []
        self._kind = ""
        self.feed(page)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.values += [value or "" for name, value in attrs if name in ("src", "href", "style")]
        self._kind = (dict(attrs).get("class") or "") if tag == "span" else ""

    @override
    def handle_endtag(self, tag: str) -> None:
        self._kind = ""

    @override
    def handle_data(self, data: str) -> None:
        self.texts[self._kind] = self.texts.get(self._kind, "") + data


def test_marks_tell_the_kinds_apart_without_colour(cli: Cli, rows: Path, model: Path) -> None:
    args = ("data", "show", rows, "--line", "1", "--model", model, "--no-color")
    whole = cli(*args)
    assert whole.returncode == 0, whole.stderr
    assert whole.stdout.count("line ") == 1
    assert "{+4\\u001b[2J<|im_end|>+}" in whole.stdout
    assert "[-<|im_start|>user↵\n2+2? <script>" in whole.stdout
    assert "\x1b" not in whole.stdout
    assert "\u202e" not in whole.stdout
    assert whole.stderr == "{+trained on+}; [-not trained on-]; [xcutx]\n"
    total = cli(*args, "--json").json()["examples"][0]["total_tokens"]
    cut = cli(*args, "--max-length", str(total - 1))
    assert "{+4\\u001b[2J+}[x<|im_end|>x]" in cut.stdout
    assert "tokens are beyond" in cut.stdout


def test_colours_tell_them_apart_at_a_terminal(
    cli: Cli, rows: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    total = cli("data", "show", rows, "--model", model, "--json").json()["examples"][0][
        "total_tokens"
    ]
    ran = cli(
        "data", "show", rows, "-n", "1", "--model", model, "--max-length", str(total - 1)
    ).stdout
    assert "\x1b[32m4" in ran or "\x1b[4;32m4" in ran
    assert "31m<|im_start|>" in ran
    assert "90m<|im_end|>" in ran
    assert "{+" not in ran


def test_the_page_is_whole_in_itself_and_text_stays_text(
    cli: Cli, rows: Path, model: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    ran = cli("data", "show", rows, "--model", model, "--html", page)
    assert ran.returncode == 0, ran.stderr
    assert f"→ {page}" in ran.stdout
    text = page.read_text(encoding="utf-8")
    spans = Spans(text)
    assert spans.tags <= {
        "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "section", "span"
    }  # fmt: skip
    assert spans.values == []
    assert "<script>alert(1)</script>\\u202e" in spans.texts["untrained"]
    assert spans.texts["trained control"] == "<|im_end|>" * 3
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text
    assert text.count("<section") == 3
    assert "://" not in text
    assert cli("data", "show", rows, "--html", page).returncode == 0  # ours is replaced
    assert "tokens of" not in page.read_text(encoding="utf-8")


def test_a_page_never_takes_the_place_of_something_else(cli: Cli, rows: Path) -> None:
    before = rows.read_bytes()
    ran = cli("data", "show", rows, "--html", rows)
    assert ran.returncode == 2
    assert "holds something else" in ran.stderr
    assert rows.read_bytes() == before
    assert cli("data", "show", rows, "--line", "9", "--html", "new.html").returncode == 2
    assert [file.name for file in rows.parent.iterdir() if "html" in file.name] == []


def test_the_document_is_of_the_contract(cli: Cli, rows: Path, model: Path) -> None:
    document = cli("data", "show", rows, "-n", "2", "--model", model, "--json").json()
    assert list(document) == [
        "schema", "file", "source", "model", "max_length", "html", "examples", "broken",
    ]  # fmt: skip
    assert document["schema"] == "ftctl.data-show/1"
    assert (document["source"], document["max_length"]) == ("chat", 2048)
    assert [example["line"] for example in document["examples"]] == [1, 2]
    assert set(document["examples"][0]["tokens"][0]) == {"id", "text", "kind", "control"}


def test_without_a_model_it_shows_roles_and_what_is_trained_on(cli: Cli, rows: Path) -> None:
    ran = cli("data", "show", rows, "-n", "1")
    assert "user (not trained on)" in ran.stdout
    assert "assistant (trained on)" in ran.stdout
    assert "tokens" not in ran.stdout
    refused = cli("data", "show", rows, "--max-length", "9")
    assert refused.returncode == 2
    assert "add --model" in refused.stderr


def test_a_broken_line_is_named_and_passed_over(cli: Cli, rows: Path) -> None:
    rows.write_text("{oops\n" + rows.read_text())
    ran = cli("data", "show", rows, "-n", "1")
    assert ran.returncode == 0
    assert f"{rows}:1: can't be shown: not JSON" in ran.stderr
    assert "line 2" in ran.stdout
    alone = cli("data", "show", rows, "--line", "1", "--json")
    assert alone.returncode == 1
    assert [broken["line"] for broken in alone.json()["broken"]] == [1]
    assert alone.json()["examples"] == []


def test_a_model_whose_template_nobody_has_is_a_usage_error(cli: Cli, rows: Path) -> None:
    ran = cli("data", "show", rows, "--model", "gpt-4.1-mini-2025-04-14")
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert cli("data", "show", "none.jsonl").returncode == 2
    assert cli("data", "show", rows.parent).returncode == 2


def test_a_catalog_model_is_rendered_by_its_own_template(cli: Cli, rows: Path) -> None:
    ran = cli("data", "show", rows, "-n", "1", "--model", "smollm2-135m-instruct", "--no-color")
    assert ran.returncode == 0, ran.stderr
    assert "[-<|im_start|>system" in ran.stdout
    assert "<|im_end|>+}" in ran.stdout


def test_a_family_of_mistral_is_rendered_as_mistral_does_it(cli: Cli, rows: Path) -> None:
    ran = cli("data", "show", rows, "-n", "1", "--model", "open-mistral-nemo", "--no-color")
    assert ran.returncode == 0, ran.stderr
    assert "[-<s>[INST]2+2? " in ran.stdout
    assert "[/INST]-]{+4\\u001b[2J</s>+}" in ran.stdout


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    folder = tmp_path / "last_run_prepared" / "0a1b"
    folder.mkdir(parents=True)
    table = pa.table({"input_ids": [[10, 11, 1]], "labels": [[-100, 11, 1]]})
    with pa.ipc.new_stream(str(folder / "data-00000-of-00001.arrow"), table.schema) as stream:
        stream.write_table(table)
    return folder


def test_a_prepared_dataset_needs_no_chat_template(
    cli: Cli, prepared: Path, rows: Path, model: Path, tmp_path: Path
) -> None:
    ids = cli("data", "show", prepared)
    assert "[-10 -]{+11 1 +}" in ids.stdout
    base = tmp_path / "base"
    base.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (base / name).write_bytes((model / name).read_bytes())
    document = cli("data", "show", prepared.parent, "--model", base, "--json").json()
    assert (document["source"], document["max_length"]) == ("prepared", None)
    assert document["file"] == str(prepared)
    tokens = document["examples"][0]["tokens"]
    assert [token["kind"] for token in tokens] == ["untrained", "trained", "trained"]
    assert (tokens[-1]["text"], tokens[-1]["control"]) == ("<|im_end|>", True)
    refused = cli("data", "show", rows, "--model", base)
    assert refused.returncode == 2
    assert "no chat template" in refused.stderr


def test_without_pyarrow_the_extra_is_named(
    cli: Cli, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    ran = cli("data", "show", prepared)
    assert ran.returncode == 3
    assert "pip install 'ftctl[arrow]'" in ran.stderr
