"""The lint finds what is wrong with a row, and where other price lists differ."""

from datetime import date
from typing import Any

import pytest

from ftctl.catalog.changes import changes_between
from ftctl.catalog.lint import iter_facts, lint
from ftctl.catalog.load import Catalog, load_shipped
from ftctl.catalog.market import find_market_price, find_price

DAY = date(2026, 11, 24)
SHIPPED = load_shipped()


def changed(section: str, name: str, fields: dict[str, Any]) -> Catalog:
    """The shipped catalog with other values in the row of that name."""
    rows = list(getattr(SHIPPED, section))
    index = [row.name for row in rows].index(name)
    rows[index] = type(rows[index]).model_validate(rows[index].model_dump() | fields)
    return SHIPPED.model_copy(update={section: tuple(rows)})


def errors(catalog: Catalog) -> list[str]:
    return [f"{f.where}: {f.message}" for f in lint(catalog, DAY) if f.severity == "error"]


def test_the_shipped_catalog_is_clean_and_nobody_differs() -> None:
    found = [finding for finding in lint(SHIPPED, DAY) if "LiteLLM" not in finding.message]
    assert found == []
    assert not [where for where, fact in iter_facts(SHIPPED) if fact.confidence == "user"]


PHASE = {"as_of": DAY, "source": "x", "confidence": "vendor", "says": "x"}
OPEN, CLOSED = PHASE | {"who": "everybody"}, PHASE | {"who": "nobody", "starts": date(2026, 1, 1)}


@pytest.mark.parametrize(
    ("section", "name", "fields", "says"),
    [
        ("providers", "nebius", {"phases": [CLOSED, OPEN]}, "not in the order"),
        ("providers", "nebius", {"phases": []}, "are missing"),
        ("providers", "nebius", {"phases": [PHASE | {"who": "existing"}]}, "existing_before"),
        ("providers", "nebius", {"phases": [OPEN | {"active_within_days": 9}]}, "who = active"),
        ("providers", "nebius", {"aliases": ["OpenAI"]}, "the name OpenAI is taken"),
        ("providers", "nebius", {"source": " "}, "has no source"),
        ("providers", "nebius", {"as_of": date(2027, 1, 1)}, "after 2026-11-24"),
        ("models", "gpt-4.1", {"shutdown": date(2020, 1, 1)}, "shuts down before"),
        ("models", "gpt-4.1", {"replacement": "gpt-99"}, "no replacement gpt-99"),
        ("gpus", "l4", {"name": "l4x"}, "there is no gpu l4"),
    ],
)
def test_a_wrong_row_is_an_error(
    section: str, name: str, fields: dict[str, Any], says: str
) -> None:
    assert any(says in line for line in errors(changed(section, name, fields)))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"starts": date(2027, 2, 1)}, "closes before it opens"),
        ({"serves_until": date(2026, 12, 1)}, "longer than their results answer"),
        ({"methods": ["sft", "rft"], "provider": "mistral"}, "rft isn't offered there"),
    ],
)
def test_dates_of_a_tunable_base_are_in_order(fields: dict[str, Any], says: str) -> None:
    row = SHIPPED.get_model("gpt-4.1").tunable[0].model_dump() | fields
    assert any(says in line for line in errors(changed("models", "gpt-4.1", {"tunable": [row]})))


def test_a_price_of_nothing_is_an_error_and_one_that_differs_a_warning() -> None:
    free = SHIPPED.inference[0].model_copy(update={"input_usd": 0.0, "cached_usd": 0.0})
    zero = SHIPPED.model_copy(update={"inference": (free,)})
    assert any("price of 0" in line for line in errors(zero))
    luna = SHIPPED.find_inference_price("gpt-6-luna")
    assert luna is not None
    dear = luna.model_copy(update={"output_usd": 0.55})
    found = lint(SHIPPED.model_copy(update={"inference": (dear,)}), DAY)
    assert [finding.severity for finding in found] == ["warning"]
    assert "0.55 out, genai-prices" in found[0].message


def test_prices_that_we_lack_come_from_genai_prices() -> None:
    pro = SHIPPED.get_model("gemini-2.5-pro")
    assert SHIPPED.find_inference_price(pro.name) is None
    price = find_price(SHIPPED, pro, day=DAY)
    assert price is not None
    assert (price.provider, price.confidence) == ("google", "third_party")
    assert 0 < price.cached_usd < price.input_usd < price.output_usd
    assert date(2026, 1, 1) < price.as_of <= DAY
    luna = find_price(SHIPPED, SHIPPED.get_model("gpt-6-luna"), day=DAY)
    assert luna in SHIPPED.inference
    assert find_market_price(SHIPPED.get_model("smollm2-135m-instruct"), "openai", DAY) is None


def test_two_days_differ_by_what_closes_between_them() -> None:
    same = changes_between(SHIPPED, DAY, DAY)
    found = {c.where: (c.before, c.after) for c in changes_between(SHIPPED, DAY, date(2027, 1, 6))}
    assert same == []
    assert found["openai: jobs from"] == ("active", "nobody")
    assert found["gpt-4.1 at openai: takes jobs"] == ("yes", "no")
    assert "gpt-4.1: answers" not in found
