"""`ftctl catalog lint|stale|diff`: documents, tables and exit codes."""

import json
from pathlib import Path

import pytest
from command_line import Cli

DAY = "2026-11-24"


def test_lint_is_clean_as_shipped_and_fails_on_a_wrong_row(
    cli: Cli, clean_environment: Path
) -> None:
    ran = cli("catalog", "lint", "--as-of", DAY, "--json")
    assert ran.returncode == 0
    assert ran.json()["schema"] == "ftctl.catalog-lint/1"
    assert ran.json()["errors"] == 0
    clean_environment.mkdir()
    (clean_environment / "catalog.toml").write_text(
        '[[models]]\nname = "gpt-4.1"\nreplacement = "gpt-99"\nas_of = 2026-11-24\nsource = "us"\n'
    )
    ran = cli("catalog", "lint", "--as-of", DAY)
    assert ran.returncode == 1
    assert "there is no replacement gpt-99" in ran.stdout
    assert "1 errors" in ran.stdout


def test_litellms_file_is_read_as_data(
    cli_process: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    (site / "litellm").mkdir(parents=True)
    (site / "litellm" / "__init__.py").write_text('raise ImportError("imported")')
    info = site / "litellm-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: litellm\nVersion: 9.9\n")
    prices = {
        "gpt-6-luna": {"deprecation_date": "2027-05-01"},
        "gpt-6.1-terra": {"deprecation_date": "when it is done"},
        "ft:gpt-4.1-2025-04-14": {"input_cost_per_token": 4e-6, "output_cost_per_token": 12e-6},
    }
    file = site / "litellm" / "model_prices_and_context_window_backup.json"
    file.write_text(json.dumps(prices))
    monkeypatch.setenv("PYTHONPATH", str(site))
    ran = cli_process("catalog", "lint", "--as-of", DAY, "--json")
    assert ran.returncode == 0
    found = {finding["where"]: finding["message"] for finding in ran.json()["findings"]}
    assert found["models gpt-6-luna"] == "we say no day, LiteLLM 9.9 price file says 2027-05-01"
    assert "LiteLLM 9.9 price file says 4 in" in found["inference openai gpt-4.1 tuned"]
    assert len(found) == 2


def test_stale_lists_the_oldest_first_and_exits_1(cli: Cli) -> None:
    ran = cli("catalog", "stale", "--as-of", DAY, "--json")
    assert ran.returncode == 1
    facts = ran.json()["facts"]
    assert all(fact["days"] > 90 for fact in facts)
    assert facts == sorted(facts, key=lambda fact: str(fact["as_of"]))
    assert "training openai gpt-4.1 sft lora" in {fact["where"] for fact in facts}
    assert cli("catalog", "stale", "--as-of", "2025-01-01").returncode == 0


def test_diff_shows_the_users_rows_or_what_days_change(cli: Cli, clean_environment: Path) -> None:
    assert "no difference" in cli("catalog", "diff").stdout
    clean_environment.mkdir()
    (clean_environment / "catalog.toml").write_text(
        '[[fees]]\nprovider = "mistral"\nkind = "minimum"\nusd = 5\n'
        'as_of = 2026-11-24\nsource = "us"\n'
    )
    changes = cli("catalog", "diff", "--json").json()["changes"]
    told = {change["where"]: (change["before"], change["after"]) for change in changes}
    assert told["fees mistral minimum usd"] == ("4.0", "5.0")
    assert told["fees mistral minimum confidence"] == ("vendor", "user")
    ran = cli("catalog", "diff", "--from", DAY, "--to", "2027-01-14", "--json")
    assert {"where": "gpt-4o: answers", "before": "yes", "after": "no"} in ran.json()["changes"]
    assert cli("catalog", "diff", "--to", DAY).returncode == 2
