"""The vendor's own price takes the place of ours, and is held against the limit once more."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from specimens import write_chats

from ftctl.admission import quote_for, require_valid
from ftctl.api.submitting import make_spec
from ftctl.config import load_settings
from ftctl.errors import NoBalance, OverMaxCost, Unavailable
from ftctl.estimation.quote import Quote, quote
from ftctl.job import JobRecord, JobState
from ftctl.providers.together.driver import TogetherProvider
from ftctl.store import Store
from ftctl.submission import submit
from ftctl.testing.loopback import Fault
from ftctl.testing.together_vendor import TogetherVendor

pytestmark = pytest.mark.medium
PRICE = "POST */estimate-price"


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[TogetherVendor]:
    monkeypatch.setenv("TOGETHER_API_KEY", "tgp-1")
    with TogetherVendor("tgp-1") as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(f"sqlite:///{tmp_path / 'price.db'}") as opened:
        yield opened


class Submitting:
    """Submits the same job, again and again, within a limit or without."""

    def __init__(self, vendor: TogetherVendor, store: Store, folder: Path) -> None:
        self._vendor = vendor
        self._store = store
        self._data = write_chats(folder / "train.jsonl")
        self.told: list[str] = []

    def __call__(self, limit: float | None = None, *, quoting: bool = True) -> JobRecord:
        spec = make_spec(
            provider="together",
            model="qwen3-8b",
            data=self._data,
            name="n",
            base_url=self._vendor.base_url,
            max_cost_usd=limit,
        )
        day = date(2026, 11, 24)
        quoted = quote("together", "qwen3-8b", rows=12, tokens=1000, as_of=day)
        driver = TogetherProvider(load_settings(), self._vendor.base_url)
        return submit(
            spec,
            store=self._store,
            provider=driver,
            quoted=quoted if quoting else None,
            on_step=self.told.append,
        )


@pytest.fixture
def submitting(vendor: TogetherVendor, store: Store, tmp_path: Path) -> Submitting:
    return Submitting(vendor, store, tmp_path)


def test_the_quote_that_is_kept_says_whose_price_it_is(
    vendor: TogetherVendor, submitting: Submitting
) -> None:
    kept = Quote.model_validate(submitting(2.0).estimate)
    assert kept.cost is not None
    assert (kept.cost.low, kept.cost.high) == (1.25, 1.25)
    assert kept.cost.basis[0].origin == "vendor"
    training = next(line for line in kept.lines if line.name == "training")
    assert training.says.startswith("Together AI's own estimate; ours was 0.00 to")
    assert any(line.name == "serving" for line in kept.lines)
    assert "together itself estimates 1.25 USD" in submitting.told


@pytest.mark.parametrize(
    ("settings", "times"), [({}, 2), ({"n_evals": 3}, 4), ({"epochs": 4}, 8), ({"n_evals": 0}, 1)]
)
def test_evaluations_that_are_billed_are_in_our_quote(
    vendor: TogetherVendor, tmp_path: Path, settings: dict[str, int], times: int
) -> None:
    def tokens(**more: Any) -> float:
        spec = make_spec(
            provider="together",
            model="qwen3-8b",
            data=write_chats(tmp_path / "train.jsonl"),
            base_url=vendor.base_url,
            **more,
        )
        report = require_valid(spec, "together")
        return quote_for(spec, report, as_of=date(2026, 11, 24)).trained_tokens.likely

    held = write_chats(tmp_path / "validation.jsonl", "No.")  # about as long as the training file
    asked = tokens(validation=held, hyperparameters=settings)
    assert asked == pytest.approx(times * tokens(), rel=0.1)


def test_a_limit_without_any_price_is_not_held_by_silence(
    vendor: TogetherVendor, submitting: Submitting
) -> None:
    vendor.faults.append(Fault(PRICE, status=404))
    with pytest.raises(OverMaxCost, match="no price is known"):
        submitting(1000.0, quoting=False)
    assert vendor.jobs == {}


def test_above_the_limit_no_job_is_made_and_a_higher_one_goes_on(
    vendor: TogetherVendor, store: Store, submitting: Submitting
) -> None:
    with pytest.raises(OverMaxCost, match=r"itself estimates 1\.25 USD; the limit is 1\.00"):
        submitting(1.0)
    assert vendor.jobs == {}
    (cut,) = store.jobs()
    assert cut.state.open_intention
    assert "estimates" in cut.message
    job = submitting(1.25)
    assert (job.id, job.state) == (cut.id, JobState.QUEUED)
    assert len(vendor.jobs) == 1
    assert len(vendor.storage.asked("PUT *")) == 1


def test_more_than_the_account_may_spend_is_no_job(
    vendor: TogetherVendor, submitting: Submitting
) -> None:
    no = Fault(PRICE, "changed", change=lambda said: said | {"allowed_to_proceed": False})
    vendor.faults.append(no)
    with pytest.raises(NoBalance, match="more than the account may spend"):
        submitting()
    assert vendor.jobs == {}
    assert submitting().state is JobState.QUEUED


@pytest.mark.parametrize("status", [404, 400, 503, 429])
def test_without_an_answer_our_estimate_holds(
    vendor: TogetherVendor, submitting: Submitting, status: int
) -> None:
    vendor.faults.append(Fault(PRICE, status=status))
    kept = Quote.model_validate(submitting().estimate)
    assert kept.cost is not None
    assert kept.cost.basis[0].origin != "vendor"


def test_with_a_limit_a_vendor_that_does_not_answer_is_waited_for(
    vendor: TogetherVendor, submitting: Submitting
) -> None:
    vendor.faults.append(Fault(PRICE, status=503))
    with pytest.raises(Unavailable):
        submitting(2.0)
    assert vendor.jobs == {}
    assert submitting(2.0).state is JobState.QUEUED
