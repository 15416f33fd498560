"""`ftctl data check --model`: exact counts in the document and in words."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Cli = Callable[..., CompletedProcess[str]]

pytestmark = pytest.mark.medium


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    rows = [
        [
            {"role": "user", "content": f"question {i}"},
            {"role": "assistant", "content": "word " * i},
        ]
        for i in range(1, 13)
    ]
    file.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    return file


def test_the_document_says_whose_tokens_and_how_exactly(cli: Cli, rows: Path) -> None:
    done = cli("data", "check", rows, "--model", "ft:gpt-4.1:org::id", "--for", "openai", "--json")
    tokens = json.loads(done.stdout)["tokens"]
    assert tokens["exact"] is True
    assert tokens["method"] == "exact"
    assert tokens["encoding"] == "o200k_base"
    assert tokens["total"] == tokens["total_tokens"] == 12 * (4 + 3 + 4 + 3) + tokens["trained"]
    assert tokens["max_example_line"] == 12
    assert tokens["max_example"] == tokens["max_example_tokens"]
    assert (tokens["limit"], tokens["above_limit"]) == (65_536, 0)
    assert "toktok-rs" in tokens["says"]
    assert tokens["error"] == ""


def test_without_a_model_it_is_an_estimate_that_says_so(cli: Cli, rows: Path) -> None:
    tokens = json.loads(cli("data", "check", rows, "--json").stdout)["tokens"]
    assert tokens["exact"] is False
    assert "no model was named" in tokens["says"]
    assert "Hindi" in tokens["error"]
    assert tokens["trained"] is None


def test_words_tell_an_exact_count_from_an_estimate(cli: Cli, rows: Path) -> None:
    exact = cli("data", "check", rows, "--model", "gpt-4o").stdout
    assert "about" not in exact.split("examples")[1].split("tokens")[0]
    assert "trained on" in exact
    unknown = " ".join(cli("data", "check", rows, "--model", "llama-3.1-8b").stdout.split())
    assert "about" in unknown
    assert "the tokenizer of llama-3.1-8b isn't here" in unknown


def test_a_path_that_leads_nowhere_exits_2_with_a_hint(cli: Cli, rows: Path) -> None:
    done = cli("data", "check", rows, "--model", "none.gguf")
    assert done.returncode == 2
    assert "a .gguf file" in done.stderr


def test_a_quote_counts_what_the_vendor_counts(cli: Cli, rows: Path) -> None:
    """An estimate spreads by a tenth, for another tokenizer's sake; a count doesn't."""
    model = "gpt-4.1-mini-2025-04-14"
    checked = cli("data", "check", rows, "--model", model, "--for", "openai", "--json")
    tokens = json.loads(checked.stdout)["tokens"]["total"]
    asked = ("--data", rows, "--set", "epochs=2", "--as-of", "2026-12-01", "--json")
    done = cli("estimate", "--provider", "openai", "--model", model, *asked)
    trained = json.loads(done.stdout)["trained_tokens"]
    assert (trained["low"], trained["likely"], trained["high"]) == (2 * tokens,) * 3
    assert "own tokenizer" in done.stdout
    elsewhere = cli("estimate", "--provider", "together", "--model", "llama-3.1-8b", *asked)
    spread = json.loads(elsewhere.stdout)["trained_tokens"]
    assert spread["low"] < spread["likely"] < spread["high"]
