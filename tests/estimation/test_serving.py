"""Training that succeeded is no model that answers: what is missing is said, with its price."""

from datetime import date

import pytest

from ftctl.catalog.load import load_shipped
from ftctl.estimation.money import HOURS_PER_MONTH
from ftctl.estimation.quote import quote
from ftctl.estimation.serving import endpoint_needed

DAY = date(2026, 11, 24)


@pytest.mark.parametrize("provider", ["together", "fireworks"])
def test_an_endpoint_and_its_month_are_computed_from_the_catalogs_row(provider: str) -> None:
    serving = load_shipped().get_provider(provider).serving
    assert serving.usd_per_gpu_hour is not None
    said = endpoint_needed(provider, as_of=DAY)
    assert f"{serving.usd_per_gpu_hour:g} USD an hour" in said
    assert f"{serving.usd_per_gpu_hour * HOURS_PER_MONTH:,.0f} USD a month" in said
    assert str(serving.as_of) in said


def test_one_card_all_month_is_three_to_six_thousand_dollars() -> None:
    for provider in ("together", "fireworks"):
        lines = quote(provider, "qwen3-8b", rows=10, tokens=1000, as_of=DAY).lines
        (serving,) = (line for line in lines if line.name == "serving")
        assert serving.amount is not None
        assert 3_000 < serving.amount.likely < 6_000
        assert "which you make" in serving.says


@pytest.mark.parametrize("provider", ["openai", "local", "nobody"])
def test_where_a_model_just_answers_nothing_is_said(provider: str) -> None:
    assert endpoint_needed(provider, as_of=DAY) == ""


def test_a_gateways_prices_are_its_own() -> None:
    said = endpoint_needed("together", "https://gateway.example/v1", as_of=DAY)
    assert "endpoint" in said
    assert "USD" not in said
