"""Memory, speed and money against published figures."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from ftctl.catalog.load import load_catalog
from ftctl.estimation.estimate import Estimate, total
from ftctl.estimation.memory import serving_memory
from ftctl.estimation.money import Usage, dedicated_usd, inference_usd, request_usd
from ftctl.estimation.quote import billed_usd, openai_epochs, quote
from ftctl.estimation.speed import answer_floor_s, answer_s, capacity_per_s, token_floor_s
from ftctl.job import JobSpec

CATALOG = load_catalog()
EIGHT = CATALOG.get_model("llama-3.1-8b")
PARAMETERS = EIGHT.parameters or 0


def test_an_estimate_is_ordered_and_adds_up() -> None:
    with pytest.raises(ValidationError, match="not in order"):
        Estimate(low=2, likely=1, high=3, unit="s")
    both = total([Estimate(low=1, likely=2, high=3, unit="s"), Estimate.exact(4, "s")], "s")
    assert (both.low, both.likely, both.high) == (5, 6, 7)
    with pytest.raises(ValueError, match="not all in s"):
        total([Estimate.exact(1, "USD")], "s")


def test_serving_needs_weights_and_cache() -> None:
    empty, full = serving_memory(EIGHT, 0), serving_memory(EIGHT, 100_000)
    assert empty is not None
    assert full is not None
    # 8 kv heads of 128, two tensors of two bytes, 32 layers: 128 KiB a token.
    assert (full.low - empty.low) * 2**30 == pytest.approx(100_000 * 131_072)


@pytest.mark.parametrize(
    ("card", "ms_per_token", "first_ms"),
    [("l4", 89, 330), ("rtx-4090", 27, 240), ("a100", 13, 130), ("h100", 8, 40)],
)
def test_latency_is_the_published_table(card: str, ms_per_token: float, first_ms: float) -> None:
    gpu = CATALOG.get_gpu(card)
    one, first = answer_s(PARAMETERS, 0, 1, gpu), answer_s(PARAMETERS, 1000, 0, gpu)
    assert one.likely * 1000 == pytest.approx(ms_per_token, rel=0.02)
    assert first.likely * 1000 == pytest.approx(first_ms, rel=0.03)


def test_the_floor_is_reading_every_weight_once() -> None:
    gpu = CATALOG.get_gpu("h100")
    assert token_floor_s(PARAMETERS, gpu) == pytest.approx(PARAMETERS * 2 / 3346e9)
    assert answer_floor_s(PARAMETERS, 0, 10, gpu) == pytest.approx(PARAMETERS * 20 / 3346e9)
    estimate = answer_s(PARAMETERS, 1000, 100, gpu)
    assert estimate.low == answer_floor_s(PARAMETERS, 1000, 100, gpu) < estimate.likely


def test_longer_answers_lower_the_capacity() -> None:
    gpu = CATALOG.get_gpu("l4")
    assert (
        capacity_per_s(PARAMETERS, 100, 10, gpu).low > capacity_per_s(PARAMETERS, 100, 100, gpu).low
    )


def test_cached_tokens_cost_the_cached_rate() -> None:
    price = CATALOG.find_inference_price("gpt-6-luna")
    assert price is not None
    month = inference_usd(price, Usage(1_000_000, 3_000, 2_000, 200))
    assert month.likely == pytest.approx(220)
    assert month.basis[0].as_of is not None
    # A prefix longer than the whole input can't make a request cheaper than free.
    assert request_usd(price, Usage(1, 10, 50, 0)) == pytest.approx(10 * 0.01 / 1e6)


def test_a_dedicated_endpoint_is_the_hour_times_730() -> None:
    month = dedicated_usd(CATALOG.get_provider("together"), 1)
    assert month is not None
    assert month.likely == pytest.approx(4_738, abs=1)
    assert dedicated_usd(CATALOG.get_provider("google"), 1) is None


@pytest.mark.parametrize(
    ("rows", "epochs"), [(10, 10), (4, 25), (33, 3), (100, 3), (10_000, 2), (100_000, 1)]
)
def test_openais_own_epochs(rows: int, epochs: int) -> None:
    assert openai_epochs(rows) == epochs


def test_a_quote_for_openai_is_tokens_times_epochs_times_price() -> None:
    found = quote("openai", "gpt-4.1-mini", rows=1000, tokens=1_000_000, epochs=3)
    assert found.cost is not None
    assert found.cost.likely == pytest.approx(15.0)
    assert found.cost.low < 15 < found.cost.high
    assert found.time is None


def test_a_quote_at_home_costs_no_vendor_and_takes_time() -> None:
    found = quote("local", "smollm2-135m-instruct", rows=953, tokens=61_000, epochs=2)
    assert found.cost is not None
    assert found.time is not None
    assert found.cost.high == 0
    # The demo trained 134k padded tokens in 145 to 277 s on two cores.
    assert found.time.low < 200 < found.time.high
    assert quote("local", "org/unknown", rows=1, tokens=1).time is None


def test_an_unknown_price_is_none_and_not_zero() -> None:
    assert quote("mistral", "llama-3.1-8b", rows=100, tokens=1000).cost is None
    assert quote("together", "unheard-of", rows=100, tokens=1000).cost is None


def test_a_finished_job_s_bill_is_what_was_trained_times_the_price() -> None:
    spec = JobSpec(
        provider="openai",
        model="gpt-4.1-mini",
        data=Path("x"),
        data_sha256="0" * 64,
        name="n",
    )
    price = load_catalog().find_training_price("openai", load_catalog().get_model("gpt-4.1-mini"))
    assert price is not None
    assert billed_usd(spec, 2_000_000) == pytest.approx(2 * price.usd)
    assert billed_usd(spec.model_copy(update={"base_url": "http://127.0.0.1:1/v1"}), 1e6) is None
    assert billed_usd(spec.model_copy(update={"provider": "fake"}), 1e6) is None
