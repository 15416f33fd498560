"""`ftctl data stats`: one JSON document, small charts, a page that needs nothing else."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from command_line import Cli


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    lines = [
        [
            {"role": "user", "content": f"question {i} of jane.roe{i}@example.org"},
            {"role": "assistant", "content": "<b>yes</b>" if i % 3 else "no"},
        ]
        for i in range(30)
    ]
    path.write_text("".join(json.dumps({"messages": line}) + "\n" for line in lines))
    return path


def test_a_person_sees_numbers_bars_and_what_to_do(cli: Cli, file: Path) -> None:
    done = cli("data", "stats", file)
    assert done.returncode == 0, done.stderr
    assert "e-mail 30" in done.stdout
    assert "jane" not in done.stdout
    assert "█" in done.stdout
    assert "→ 30 rows: start with 50-100 good ones" in done.stdout


def test_json_is_one_document(cli: Cli, file: Path) -> None:
    done = cli("data", "stats", file, "--json")
    document = json.loads(done.stdout)
    assert document["schema"] == "ftctl.data-stats/1"
    assert document["rows"] == 30
    assert document["personal_data"] == {"e-mail": 30}
    assert document["labels"]["majority_share"] == pytest.approx(2 / 3)


def test_the_page_holds_charts_and_no_markup_of_the_data(
    cli: Cli, file: Path, tmp_path: Path
) -> None:
    page = tmp_path / "stats.html"
    done = cli("data", "stats", file, "--html", page)
    assert done.returncode == 0, done.stderr
    text = page.read_text("utf-8")
    assert "&lt;b&gt;yes&lt;/b&gt;" in text
    assert "<b>" not in text
    assert "://" not in text
    assert "default-src 'none'" in text
    assert text.count("<svg role") == text.count("<details>") == 6
    assert text.count("<rect") >= 10
    assert "Labels</title>" in text
    HTMLParser().feed(text)
    assert cli("data", "stats", file, "--html", page).returncode == 0  # ours is replaced


def test_a_page_never_takes_the_place_of_something_else(cli: Cli, file: Path) -> None:
    before = file.read_bytes()
    done = cli("data", "stats", file, "--html", file)
    assert done.returncode == 2
    assert "holds something else" in done.stderr
    assert file.read_bytes() == before


def test_a_page_that_cant_be_written_is_a_usage_error(cli: Cli, file: Path, tmp_path: Path) -> None:
    done = cli("data", "stats", file, "--html", tmp_path / "no" / "stats.html")
    assert done.returncode == 2
    assert "can't be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file_is_a_usage_error(cli: Cli, tmp_path: Path) -> None:
    assert cli("data", "stats", tmp_path / "no.jsonl").returncode == 2


def test_near_duplicates_are_counted_and_named_on_request(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "near.jsonl"
    words = [f"word{i}" for i in range(60)]
    lines = [
        [
            {"role": "user", "content": " ".join([*words[:30], f"no{i}", *words[30:]])},
            {"role": "assistant", "content": "yes"},
        ]
        for i in range(2)
    ]
    path.write_text("".join(json.dumps({"messages": line}) + "\n" for line in lines))
    shown = " ".join(cli("data", "stats", path, "--near").stdout.split())
    assert "1 more with nearly the same words" in shown
    checked = cli("data", "check", path, "--near", "--json")
    rules = [(issue["rule"], issue["line"]) for issue in json.loads(checked.stdout)["issues"]]
    assert ("near-duplicate", 2) in rules
