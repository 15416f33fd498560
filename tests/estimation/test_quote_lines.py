"""A quote says line by line what is billed, what is unknown, and what rests on an old price."""

from datetime import date
from typing import Any

import pytest

from ftctl.catalog.load import load_shipped
from ftctl.catalog.types import Fee, TrainingPrice
from ftctl.estimation.estimate import Assumption, Estimate
from ftctl.estimation.money import dedicated_usd, training_usd, widened
from ftctl.estimation.quote import Quote, quote

DAY = date(2026, 11, 24)
CATALOG = load_shipped()
MILLION = Estimate.exact(1e6, "tokens")


def ask(provider: str, model: str, day: date = DAY, **job: Any) -> Quote:
    return quote(
        provider, model, rows=1000, tokens=1_000_000, epochs=1, as_of=day, catalog=CATALOG, **job
    )


def amounts(found: Quote) -> dict[str, Estimate | None]:
    return {line.name: line.amount for line in found.lines}


def test_an_old_price_halves_the_low_and_doubles_the_high_end_and_says_so() -> None:
    price = CATALOG.find_training_price("together", CATALOG.get_model("llama-3.1-8b"))
    assert price is not None
    assert price.as_of == date(2026, 7, 31)
    fresh = training_usd(price, MILLION, date(2026, 10, 29))
    old = training_usd(price, MILLION, date(2026, 10, 30))
    assert (fresh.low, fresh.likely, fresh.high) == (0.48, 0.48, 0.48)
    assert (old.low, old.likely, old.high) == (0.24, 0.48, 0.96)
    assert any("checked on 2026-07-31" in note.value for note in old.basis)
    assert len(old.basis) == len(fresh.basis) + 1
    assert widened(fresh, price, None) == fresh


def test_a_users_price_is_told_as_the_users() -> None:
    price = CATALOG.training[0].model_copy(update={"confidence": "user"})
    assert Assumption.from_fact("training", "x", price).origin == "user"
    assert Assumption.from_fact("training", "x", CATALOG.training[0]).origin == "catalog"


def test_a_dedicated_endpoint_is_billed_while_idle_unless_it_goes_away() -> None:
    together, fireworks = (amounts(ask(name, "llama-3.1-8b")) for name in ("together", "fireworks"))
    assert (
        together["idle"]
        == together["serving"]
        == dedicated_usd(CATALOG.get_provider("together"), 1, DAY)
    )
    idle = fireworks["idle"]
    assert idle is not None
    assert (idle.low, idle.likely, round(idle.high)) == (0, 0, 5840)


def test_a_model_billed_by_the_token_costs_nothing_idle() -> None:
    found = amounts(ask("openai", "gpt-4.1-mini"))
    serving, idle = found["serving"], found["idle"]
    assert serving is not None
    assert idle is not None
    # A million requests of 1,000 in at 0.80 and 200 out at 3.20 per million tokens.
    assert serving.likely == pytest.approx(1440)
    assert idle.high == 0
    assert idle.basis


def test_a_minimum_lifts_the_bill_and_storage_stands_apart() -> None:
    nemo = CATALOG.get_model("open-mistral-nemo")
    price = TrainingPrice(
        provider="mistral", model=nemo.name, usd=1.0, as_of=DAY, source="x", confidence="vendor"
    )
    minimum = Fee(
        provider="mistral", kind="minimum", usd=4.0, as_of=DAY, source="x", confidence="vendor"
    )
    storage = minimum.model_copy(update={"kind": "storage", "usd": 2.0})
    priced = CATALOG.model_copy(update={"training": (price,), "fees": (minimum, storage)})
    found = quote(
        "mistral", nemo.name, rows=9, tokens=1_000_000, epochs=1, as_of=DAY, catalog=priced
    )
    assert found.cost is not None
    assert (found.cost.low, found.cost.likely, found.cost.high) == (4.0, 4.0, 4.0)
    units = {line.name: line.amount.unit for line in found.lines if line.amount is not None}
    assert (units["minimum fee"], units["storage"]) == ("USD", "USD/month")
    assert amounts(found)["serving"] is None  # its price was not found, and isn't 0


@pytest.mark.parametrize(
    ("provider", "model", "method", "says"),
    [
        ("google", "gemini-2.5-flash", "sft", "no price of Gemini"),
        ("openai", "o4-mini", "rft", "100 USD per hour of rft, of how many isn't known"),
        ("huggingface", "llama-3.3-70b", "sft", "no price of Hugging Face"),
        ("elsewhere", "llama-3.1-8b", "sft", "no price of elsewhere is known"),
    ],
)
def test_an_unknown_bill_says_why(provider: str, model: str, method: str, says: str) -> None:
    found = ask(provider, model, method=method)
    assert found.cost is None
    assert found.lines[0].amount is None
    assert says in found.lines[0].says


def test_a_gateway_has_prices_of_its_own() -> None:
    gateway = ask("openai", "gpt-4.1-mini", base_url="https://gateway.example/v1")
    assert gateway.cost is None
    assert gateway.lines[0].says == "no price of https://gateway.example/v1 is known"
    own = ask("openai", "gpt-4.1-mini", base_url="https://api.openai.com/v1")
    assert own.cost == ask("openai", "gpt-4.1-mini").cost


def test_methods_and_full_weights_have_their_own_price() -> None:
    prices = {
        (method, tuning): ask("fireworks", "llama-3.1-8b", method=method, tuning=tuning).cost
        for method in ("sft", "dpo")
        for tuning in ("lora", "full")
    }
    assert [cost and cost.likely for cost in prices.values()] == [0.5, 1.0, 1.0, 2.0]


def test_a_rented_machine_is_the_cheapest_that_holds_the_model() -> None:
    small, large = ask("huggingface", "qwen2.5-0.5b"), ask("huggingface", "qwen3-32b")
    for found in (small, large):
        assert found.cost is not None
        assert found.time is not None
        assert 0 < found.cost.low < found.cost.likely < found.cost.high
    # 72 GiB: the cheaper cards of 16, 24 and 48 GiB don't hold it.
    assert large.lines[0].says.split()[0] in ("a100-large", "h200", "rtx-pro-6000")
    assert large.cost is not None
    assert small.cost is not None
    assert large.cost.likely > small.cost.likely
    # The rent is of 2026-08-22: old on the day, so its ends are twice as far.
    fresh = ask("huggingface", "qwen3-32b", date(2026, 9, 1)).cost
    assert fresh is not None
    assert large.cost.high == pytest.approx(2 * fresh.high)


def test_dpo_at_home_looks_at_both_sequences_and_once_at_the_base() -> None:
    one = ask("local", "smollm2-135m-instruct", exact=True).time
    two = ask("local", "smollm2-135m-instruct", exact=True, method="dpo").time
    assert one is not None
    assert two is not None
    # One pass at 4N and one at 2N, over tokens that count once to twice.
    assert two.low == pytest.approx(one.low * 1.5)
    assert two.likely == pytest.approx(one.likely * 1.5 * 1.5)
    assert two.high == pytest.approx(one.high * 1.5 * 2)
    assert "tokens of both sequences" in [said.name for said in two.basis]
