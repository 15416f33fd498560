"""What one free question shows of an account: known, dated or unknown; a no is an error."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from typing_extensions import override

from ftctl.account import ask_account
from ftctl.errors import (
    AuthError,
    FtctlError,
    InvalidRequest,
    NoBalance,
    NotFound,
    ProviderClosed,
    RateLimited,
    Retired,
    Unavailable,
    Unsupported,
)
from ftctl.job import JobState, Snapshot
from ftctl.providers.base import Probe, Provider
from ftctl.providers.fake import FakeProvider

TODAY = date(2026, 11, 24)
AWAY = replace(FakeProvider.capabilities, data_stays_here=False)


class Listing(FakeProvider):
    """Somebody else's machine, whose list of jobs has these pages or is refused."""

    capabilities = AWAY

    def __init__(self, *pages: int, error: FtctlError | None = None) -> None:
        super().__init__(Path("nowhere"))
        self._pages = pages
        self._error = error
        self.read = 0

    @override
    def list_jobs(self) -> Iterator[Mapping[str, Snapshot]]:
        if self._error is not None:
            raise self._error
        for size in self._pages:
            self.read += 1
            seen = Snapshot(state=JobState.RUNNING, provider_status="running")
            yield {f"job-{n}": seen for n in range(size)}


class Probing(Listing):
    """One that says more."""

    def __init__(self, seen: Probe) -> None:
        super().__init__()
        self._seen = seen

    def probe(self, model: str | None) -> Probe:
        if model == "not-yours":
            raise Unsupported("this account can't tune not-yours")
        return self._seen


def word(driver: Provider, provider: str, model: str | None = None, day: date = TODAY) -> str:
    may = ask_account(driver, provider, model=model, as_of=day)
    assert (may.word == "dated") <= (may.until is not None)
    return f"{may.word} {may.until}" if may.until else may.word


def test_one_page_of_the_list_is_enough() -> None:
    driver = Listing(2, 2, 2)
    assert word(driver, "together") == "known"
    assert driver.read == 1


def test_an_account_without_a_job_may_make_its_first_one() -> None:
    assert word(Listing(), "together") == "known"
    assert word(Listing(0), "together") == "known"


def test_a_list_without_days_leaves_open_whether_the_account_is_one_of_the_chosen() -> None:
    may = ask_account(Listing(3), "openai", as_of=TODAY)
    assert (may.word, may.until) == ("unknown", date(2027, 1, 6))
    assert "it has jobs already" in may.reason
    assert "third parties, checked 2026-11-24" in may.source


@pytest.mark.parametrize(
    ("seen", "day", "says"),
    [
        (Probe(has_jobs=True, last_job=date(2026, 11, 20)), TODAY, "dated 2027-01-06"),
        (Probe(has_jobs=True, last_job=date(2026, 5, 1)), TODAY, "unknown 2027-01-06"),
        (Probe(has_jobs=False), TODAY, "unknown 2027-01-06"),
        (Probe(), TODAY, "unknown 2027-01-06"),
        (Probe(has_jobs=True, last_job=date(2026, 5, 1)), date(2026, 5, 8), "dated 2026-07-02"),
    ],
)
def test_a_recent_job_shows_that_the_account_is_one_of_the_chosen(
    seen: Probe, day: date, says: str
) -> None:
    assert word(Probing(seen), "openai", day=day) == says


@pytest.mark.parametrize(
    ("provider", "model", "last"),
    [("openai", "gpt-4.1", date(2027, 1, 5)), ("azure", "gpt-4.1", date(2027, 4, 13))],
)
def test_a_good_key_opens_no_route_that_is_closed(provider: str, model: str, last: date) -> None:
    seen = Probe(has_jobs=True, last_job=last)
    word(Probing(seen), provider, model, last)
    with pytest.raises(ProviderClosed):
        word(Probing(seen), provider, model, last + timedelta(days=1))


def test_the_first_of_all_ends_is_named() -> None:
    own = Probe(has_jobs=True, last_job=date(2026, 11, 20), closes_on=date(2026, 12, 1))
    assert word(Probing(own), "openai") == "dated 2026-12-01"
    assert word(Probing(own), "together") == "dated 2026-12-01"
    past = Probe(closes_on=date(2026, 11, 1))
    assert word(Probing(past), "together") == "known"


def test_a_model_for_existing_customers_asks_for_a_job_and_ends_with_the_model() -> None:
    jobs = Probe(has_jobs=True, last_job=date(2026, 8, 1))
    assert word(Probing(jobs), "azure", "gpt-4.1") == "dated 2027-04-14"
    assert word(Listing(0), "azure", "gpt-4.1") == "unknown 2027-04-14"
    assert word(Listing(0), "azure") == "known"


def test_a_gateway_and_a_stranger_are_unknown() -> None:
    may = ask_account(Listing(1), "openai", base_url="http://127.0.0.1:1/v1", as_of=TODAY)
    assert (may.word, may.until) == ("unknown", None)
    assert "is a gateway" in may.reason
    assert "stands in no catalog" in ask_account(Listing(1), "acme", as_of=TODAY).reason


@pytest.mark.parametrize("kind", [InvalidRequest, NotFound])
def test_a_provider_without_a_list_is_no_no(kind: type[FtctlError]) -> None:
    may = ask_account(Listing(error=kind("no list")), "together", as_of=TODAY)
    assert (may.word, "no free question" in may.reason) == ("unknown", True)


@pytest.mark.parametrize(("kind", "exit_code"), [(AuthError, 3), (NoBalance, 3), (Retired, 1)])
def test_a_definite_no_is_an_error(kind: type[FtctlError], exit_code: int) -> None:
    driver = Listing(error=kind("no"))
    for must_answer in (True, False):
        with pytest.raises(kind) as caught:
            ask_account(driver, "together", as_of=TODAY, must_answer=must_answer)
        assert caught.value.exit_code == exit_code


def test_a_model_that_is_not_the_accounts_is_an_error() -> None:
    with pytest.raises(Unsupported):
        ask_account(Probing(Probe()), "together", model="not-yours", as_of=TODAY)


@pytest.mark.parametrize("kind", [Unavailable, RateLimited])
def test_who_cannot_be_reached_is_an_error_only_before_an_upload(kind: type[FtctlError]) -> None:
    driver = Listing(error=kind("nobody is there"))
    with pytest.raises(kind):
        ask_account(driver, "together", as_of=TODAY)
    may = ask_account(driver, "together", as_of=TODAY, must_answer=False)
    assert (may.word, "nobody is there" in may.reason) == ("unknown", True)


def test_nobody_is_asked_where_the_rows_stay() -> None:
    here = Listing(error=AuthError("no"))
    here.capabilities = replace(AWAY, data_stays_here=True)
    assert word(here, "local") == "known"
