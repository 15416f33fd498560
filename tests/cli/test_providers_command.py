"""`ftctl providers` and `ftctl models`: the catalog for people and scripts, of any day."""

import json

import pytest
from click.testing import CliRunner, Result
from command_line import Cli

from ftctl.cli.models import command as models
from ftctl.cli.providers import command as providers
from ftctl.errors import UsageError


def ask(name: str, *args: str) -> Result:
    made = {"providers": providers, "models": models}[name]
    result = CliRunner().invoke(made, args, catch_exceptions=False)
    assert result.exit_code == 0
    return result


@pytest.mark.parametrize(
    ("day", "openai", "mistral"),
    [
        ("2024-06-10", "open", "open"),
        ("2026-11-24", "existing_only", "closed"),
        ("2027-01-06", "closed", "closed"),
    ],
)
def test_providers_answer_for_a_day(day: str, openai: str, mistral: str) -> None:
    document = json.loads(ask("providers", "--json", "--as-of", day).stdout)
    assert document["schema"] == "ftctl.providers/1"
    status = {row["name"]: row["availability"]["status"] for row in document["providers"]}
    assert (status["openai"], status["mistral"], status["local"]) == (openai, mistral, "open")
    for row in document["providers"]:
        assert row["source"]
        assert row["as_of"]
        assert row["confidence"]


def test_old_facts_are_marked_for_people() -> None:
    fresh = ask("providers", "azure", "--as-of", "2026-08-01").stdout
    old = ask("providers", "azure", "--as-of", "2026-11-24").stdout
    assert "2026-07-07, vendor" in fresh
    assert "2026-07-07 (old), vendor" in old


def test_one_provider_is_told_whole() -> None:
    text = ask("providers", "autotrain", "--as-of", "2026-11-24").stdout
    assert "Hugging Face Jobs with TRL (huggingface) on 2026-11-24: open." in text
    assert "dormant since 2025-01-21" in text
    with pytest.raises(UsageError, match="did you mean openai"):
        ask("providers", "opnai")


def test_models_say_where_they_can_be_tuned_that_day() -> None:
    def rows(day: str) -> dict[str, dict[str, object]]:
        document = json.loads(ask("models", "--json", "--as-of", day).stdout)
        assert document["schema"] == "ftctl.models/1"
        return {row["name"]: row for row in document["models"]}

    today, later = rows("2026-11-24"), rows("2027-01-14")
    assert today["gpt-4.1-mini"]["tuned_at"] == ["openai", "azure"]
    assert today["gpt-3.5-turbo"]["alive"] is False
    assert later["gpt-4.1-mini"]["alive"] is False
    assert "local" in str(later["smollm2-135m-instruct"]["tuned_at"])


def test_models_table_has_price_source_and_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    text = " ".join(ask("models", "gpt-4.1-mini", "--as-of", "2026-11-24").stdout.split())
    assert "2027-01-14" in text
    assert "0.4, 1.6" in text
    assert "examples up to 65,536 tokens mirror of OpenAI's deprecations page" in text
    assert "Apache-2.0" in ask("models", "smollm2-135m-instruct", "--as-of", "2026-11-24").stdout


def test_a_provider_names_the_bases_that_it_tunes_on_a_day(cli: Cli) -> None:
    before = cli("providers", "openai", "--as-of", "2026-11-24", "--json").json()["providers"][0]
    after = cli("providers", "openai", "--as-of", "2027-01-06", "--json").json()["providers"][0]
    tuned = {row["model"]: row for row in before["bases"]}
    assert tuned["gpt-4.1-mini"]["until"] == "2027-01-06"
    assert tuned["gpt-4.1-mini"]["source"]
    assert after["bases"] == []
    assert "base gpt-4.1-mini" in cli("providers", "openai", "--as-of", "2026-11-24").stdout
