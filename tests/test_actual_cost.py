"""What a job came to stands beside its quote, whoever says it: the vendor, or the catalog."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats
from typing_extensions import override

from ftctl.catalog.load import load_catalog
from ftctl.config import load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.estimation.quote import quote
from ftctl.job import JobRecord, JobSpec, JobState, Snapshot
from ftctl.providers.fake import FakeProvider
from ftctl.store import Store
from ftctl.submission import submit
from ftctl.watcher import refresh

DAY = date(2026, 11, 24)
MILLION = {"trained_tokens": 1_000_000.0}
# One base model that each provider bills by the token, and what a million of them cost, in USD.
BILLED = {
    "openai": ("gpt-4.1-mini", 5.00),
    "together": ("qwen2.5-7b-instruct", 4.00),  # the minimum of a job, above 0.48
    "fireworks": ("qwen2.5-7b-instruct", 0.50),
    "nebius": ("gpt-oss-20b", 2.00),
    "local": ("smollm2-135m-instruct", 0.00),
}


class Ends(FakeProvider):
    """Its jobs have ended at the first look, and report so much."""

    def __init__(self, folder: Path, reports: dict[str, float], state: JobState) -> None:
        super().__init__(folder)
        self._reports = reports
        self._state = state

    @override
    def poll(self, remote_id: str) -> Snapshot:
        done = self._state is JobState.SUCCEEDED
        return Snapshot(
            state=self._state,
            provider_status=self._state.value,
            fine_tuned_model="model-1" if done else None,
            progress=self._reports,
        )


@pytest.fixture
def store() -> Iterator[Store]:
    with Store(load_settings().database_url) as opened:
        yield opened


def ended(
    store: Store,
    folder: Path,
    provider: str,
    reports: dict[str, float],
    *,
    state: JobState = JobState.SUCCEEDED,
    base_url: str | None = None,
    name: str = "n",
) -> JobRecord:
    """A job that was quoted, sent and has ended."""
    data = write_chats(folder / "train.jsonl")
    model = BILLED[provider][0]
    spec = JobSpec(
        provider=provider,
        model=model,
        data=data,
        data_sha256=file_sha256(data),
        name=name,
        base_url=base_url,
    )
    driver = Ends(folder / "fake", reports, state)
    quoted = quote(provider, model, rows=12, tokens=300_000, epochs=3, as_of=DAY)
    return refresh(store, driver, submit(spec, store=store, provider=driver, quoted=quoted))


def test_every_provider_that_bills_by_the_token_is_here() -> None:
    catalog = load_catalog()
    by_token = {price.provider for price in catalog.training}
    known = {
        provider
        for provider in by_token
        if any(
            row.provider == provider and row.open_on(DAY)
            for model in catalog.models
            for row in model.tunable
        )
    }
    assert known <= set(BILLED)


@pytest.mark.parametrize("provider", BILLED)
def test_trained_tokens_become_money_by_the_catalogs_price(
    store: Store, tmp_path: Path, cli: Cli, provider: str
) -> None:
    job = ended(store, tmp_path, provider, MILLION)
    usd = BILLED[provider][1]
    assert job.actual == MILLION | {"cost_usd": pytest.approx(usd)}
    shown = " ".join(cli("job", job.id).stdout.split())
    assert "cost quoted " in shown
    assert f"was {usd:.2f} USD" in shown
    assert "trained_tokens quoted 810,000 to 990,000; was 1,000,000" in shown
    known = cli("job", job.id, "--json").json()
    assert known["actual"]["cost_usd"] == pytest.approx(usd)
    assert known["estimate"]["cost"] is not None


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
def test_the_vendors_own_total_comes_before_any_price_of_ours(
    store: Store, tmp_path: Path, state: JobState
) -> None:
    job = ended(store, tmp_path, "openai", MILLION | {"cost_usd": 1.25}, state=state)
    assert (job.state, job.actual) == (state, MILLION | {"cost_usd": 1.25})


def test_what_a_gateway_bills_is_unknown_which_is_not_zero(
    store: Store, tmp_path: Path, cli: Cli
) -> None:
    job = ended(store, tmp_path, "openai", MILLION, base_url="http://127.0.0.1:1/v1")
    assert job.actual == MILLION
    assert "was 0.00" not in cli("job", job.id).stdout


def test_how_quotes_held_is_counted_by_quantity_and_provider(
    store: Store, tmp_path: Path, cli: Cli
) -> None:
    assert "nothing to judge by yet" in cli("advise", "--calibration").stdout
    for number, tokens in enumerate([900_000.0, 850_000.0, 10.0, 5_000_000.0]):
        reports = {"trained_tokens": tokens, "seconds": 60.0}
        ended(store, tmp_path, "openai", reports, name=f"job {number}")
    stopped = {"trained_tokens": 1.0}
    ended(store, tmp_path, "openai", stopped, state=JobState.CANCELLED, name="stopped")

    found = cli("advise", "--calibration", "--json").json()
    assert (found["schema"], found["target"]) == ("ftctl.calibration/1", 0.8)
    lines = {(line["quantity"], line["provider"]): line for line in found["coverage"]}
    tokens_line = lines["trained_tokens", "openai"]
    counts = ("jobs", "held", "below", "above", "share")
    assert [tokens_line[name] for name in counts] == [4, 2, 1, 1, 0.5]
    low, high = tokens_line["interval"]
    assert 0.14 < low < 0.5 < high < 0.86
    assert lines["cost", "openai"]["jobs"] == 4
    assert ("memory", "openai") not in lines
    assert "trained tokens" in cli("advise", "--calibration").stdout


def test_a_bill_of_nothing_shows_no_skill(store: Store, tmp_path: Path, cli: Cli) -> None:
    ended(store, tmp_path, "local", {"trained_tokens": 900_000.0, "seconds": 60.0})
    found = cli("advise", "--calibration", "--json").json()
    assert {line["quantity"] for line in found["coverage"]} == {"trained_tokens", "time"}
