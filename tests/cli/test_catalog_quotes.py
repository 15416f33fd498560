"""What is old, and whose word a price is, wherever a price is shown."""

import json
from pathlib import Path

import pytest
from command_line import Cli

DAY = "2026-11-24"
OURS = """
[[inference]]
provider = "openai"
model = "gpt-4.1-mini"
input_usd = 0.30
cached_usd = 0.08
output_usd = 1.20
as_of = 2026-05-01
source = "contract 12"

[[training]]
provider = "together"
max_parameters = 16_000_000_000
usd = 0.30
as_of = 2026-11-20
source = "offer 4711"
"""


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")


def own_rows(home: Path) -> None:
    home.mkdir(exist_ok=True)
    (home / "catalog.toml").write_text(OURS)


def test_models_and_providers_show_the_users_price_and_its_age(
    cli: Cli, clean_environment: Path
) -> None:
    own_rows(clean_environment)
    text = " ".join(cli("models", "gpt-4.1-mini", "--as-of", DAY).stdout.split())
    assert "0.3, 1.2 (old) (user)" in text
    assert "contract 12 2026-05-01 (old), user" in text
    assert "is published today 2025-12-31 (old), vendor" in text
    model = cli("models", "gpt-4.1-mini", "--as-of", DAY, "--json").json()["models"][0]
    price = model["inference_prices"][0]
    assert (price["confidence"], price["old"], model["old"]) == ("user", True, False)
    text = " ".join(cli("providers", "together", "--as-of", DAY).stdout.split())
    assert "0.3 USD per million trained tokens offer 4711 2026-11-20, user" in text
    assert "0 to 4 USD a job" in text
    provider = cli("providers", "together", "--as-of", DAY, "--json").json()["providers"][0]
    ours = [row for row in provider["training_prices"] if row["confidence"] == "user"]
    assert [(row["usd"], row["old"]) for row in ours] == [(0.3, False)]


def test_a_model_without_a_price_of_ours_shows_what_others_say(cli: Cli) -> None:
    text = " ".join(cli("models", "gemini-2.5-pro", "--as-of", DAY).stdout.split())
    assert "prompted at google 1.25 in" in text
    assert "genai-prices" in text


def test_a_dry_run_shows_every_line_with_origin_and_day(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "train.jsonl"
    roles = ("user", "assistant")
    chats = [[{"role": role, "content": f"{role} {n}"} for role in roles] for n in range(12)]
    data.write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nobody is there: a dry run goes on
    asked = ("submit", "--provider", "openai", "--model", "gpt-4.1-mini", "--data", data)
    ran = cli(*asked, "--as-of", DAY, "--dry-run")
    text = " ".join(ran.stdout.split())
    assert ran.returncode == 0, ran.stderr
    assert "5 USD per million trained tokens" in text
    assert "half to twice" in text
    assert "2025-12-31 (old)" in text
    assert "idle 0.00 USD/month" in text
    assert "may it create a job? unknown" in text
    assert "it can't be asked now: asked to list jobs, OpenAI gave no answer" in text
