"""Availability and privacy: pure functions of the catalog and a day."""

import contextlib
from datetime import date

import pytest

from ftctl.config import is_loopback
from ftctl.errors import PrivacyForbids, ProviderClosed, UsageError
from ftctl.policy import (
    Account,
    availability,
    privacy_allows,
    require_base_open,
    require_open,
    require_privacy,
)

TODAY = date(2026, 11, 24)
ACTIVE = Account(since=date(2025, 3, 1), last_used=date(2026, 11, 1))


@pytest.mark.parametrize(
    ("day", "account", "status", "open_to_you"),
    [
        (date(2024, 6, 10), None, "open", True),
        (date(2026, 5, 6), None, "open", True),
        (date(2026, 5, 7), None, "existing_only", None),
        (date(2026, 5, 7), Account(), "existing_only", False),
        (date(2026, 5, 7), Account(since=date(2025, 3, 1)), "existing_only", True),
        (date(2026, 7, 2), Account(since=date(2025, 3, 1)), "existing_only", False),
        (TODAY, ACTIVE, "existing_only", True),
        (TODAY, Account(since=date(2026, 6, 1), last_used=TODAY), "existing_only", False),
        (date(2027, 1, 5), ACTIVE, "existing_only", False),  # 65 days without use
        (date(2027, 1, 6), ACTIVE, "closed", False),
        # Of an account whose list of jobs is all that was seen:
        (date(2026, 5, 7), Account(last_job=date(2025, 3, 1)), "existing_only", True),
        (TODAY, Account(last_job=date(2026, 9, 25)), "existing_only", True),
        (TODAY, Account(last_job=date(2026, 9, 24)), "existing_only", None),  # 61 days ago
        (date(2026, 7, 3), Account(last_job=date(2026, 7, 1)), "existing_only", None),
        (date(2027, 1, 6), Account(last_job=date(2027, 1, 5)), "closed", False),
    ],
)
def test_openai_closes_in_steps(
    day: date, account: Account | None, status: str, open_to_you: bool | None
) -> None:
    found = availability("openai", as_of=day, account=account)
    assert (found.status, found.open_to_you) == (status, open_to_you)


def test_the_next_closing_date_is_named() -> None:
    assert availability("openai", as_of=TODAY).closes_on == date(2027, 1, 6)
    assert availability("together", as_of=TODAY).closes_on is None


@pytest.mark.parametrize(
    ("day", "status"),
    [
        (date(2024, 6, 4), "closed"),
        (date(2024, 6, 5), "open"),
        (date(2026, 7, 14), "open"),
        (date(2026, 7, 15), "closed"),
    ],
)
def test_mistral_opened_and_closed(day: date, status: str) -> None:
    assert availability("mistral", as_of=day).status == status


@pytest.mark.parametrize(
    ("provider", "model", "day", "base_url", "open_"),
    [
        ("azure", "gpt-4.1", date(2027, 4, 13), None, True),
        ("azure", "gpt-4.1", date(2027, 4, 14), None, False),
        ("foundry", "gpt-4.1-2025-04-14", date(2027, 4, 14), None, False),
        ("azure", "ft:gpt-4.1:me::1", date(2027, 4, 14), None, False),
        ("azure", "gpt-4.1", date(2027, 4, 14), "https://gateway.example/v1", True),
        ("openai", "gpt-4o", date(2027, 1, 5), None, True),
        ("openai", "gpt-3.5-turbo", date(2026, 10, 22), None, True),
        ("openai", "gpt-3.5-turbo", date(2026, 10, 23), None, False),
        ("together", "qwen3-8b", date(2030, 1, 1), None, True),
        ("azure", "nobody-knows-it", date(2030, 1, 1), None, True),
    ],
)
def test_a_base_is_tuned_until_its_own_last_day(
    provider: str, model: str, day: date, base_url: str | None, open_: bool
) -> None:
    refused = contextlib.nullcontext() if open_ else pytest.raises(ProviderClosed, match="stopped")
    with refused:
        require_base_open(provider, model, as_of=day, base_url=base_url)


def test_a_refusal_names_date_source_and_way_out() -> None:
    with pytest.raises(ProviderClosed) as caught:
        require_open("mistral", as_of=TODAY)
    assert "2026-07-15" in caught.value.message
    assert "mistralai/client-ts#255" in caught.value.message
    assert "ftctl submit --provider local" in caught.value.hint
    assert caught.value.exit_code == 3


def test_an_unknown_account_passes_where_some_customers_may() -> None:
    assert "nothing is known" in require_open("openai", as_of=TODAY).reason
    with pytest.raises(ProviderClosed, match="2026-07-02"):
        require_open("openai", as_of=TODAY, account=Account())


@pytest.mark.parametrize(
    ("base_url", "gateway"),
    [
        (None, False),
        ("https://api.mistral.ai/v1", False),
        ("https://API.MISTRAL.AI/v1", False),
        ("https://api.mistral.ai./v1", False),
        ("http://127.0.0.1:8321/v1", True),
        ("https://api.mistral.ai.example.org/v1", True),
        ("https://notapi.mistral.ai/v1", True),
    ],
)
def test_closing_dates_do_not_bind_a_gateway(base_url: str | None, gateway: bool) -> None:
    found = availability("mistral", as_of=TODAY, base_url=base_url)
    assert found.gateway is gateway
    assert found.status == ("open" if gateway else "closed")
    assert ("gateway" in found.reason) is gateway


@pytest.mark.parametrize(
    ("provider", "privacy", "base_url", "allowed"),
    [
        ("local", "stays_inside", None, True),
        ("openai", "stays_inside", None, False),
        ("openai", "stays_inside", "http://localhost:8321/v1", True),
        ("openai", "stays_inside", "http://[::1]:8321/v1", True),
        ("openai", "stays_inside", "http://127.0.0.1.example.org/v1", False),
        ("openai", "stays_inside", "http://10.0.0.7/v1", False),
        ("local", "stays_inside", "http://example.org/v1", False),
        ("local", "regulated", None, True),
        ("together", "regulated", None, False),
        ("azure", "regulated", None, True),
        ("azure", "regulated", "https://gateway.example.org/v1", False),
        ("together", "contractual", None, True),
        ("together", "public", None, True),
        ("together", None, None, True),
    ],
)
def test_privacy(provider: str, privacy: object, base_url: str | None, allowed: bool) -> None:
    assert privacy_allows(provider, privacy, base_url).allowed is allowed  # type: ignore[arg-type]


def test_a_privacy_refusal_says_where_the_rows_would_go() -> None:
    with pytest.raises(PrivacyForbids, match="OpenAI is outside") as caught:
        require_privacy("openai", "stays_inside")
    assert caught.value.exit_code == 3
    with pytest.raises(PrivacyForbids, match="no residency fact"):
        require_privacy("together", "regulated")


def test_an_alias_is_the_provider_and_a_typo_names_the_nearest() -> None:
    assert availability("autotrain", as_of=TODAY).provider == "huggingface"
    with pytest.raises(UsageError, match="did you mean openai"):
        availability("opnai", as_of=TODAY)


def test_loopback() -> None:
    assert is_loopback("http://127.9.9.9/")
    assert not is_loopback("nonsense")
