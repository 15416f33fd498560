"""A job's settings are put in the other provider's terms, and nothing is dropped in silence."""

from datetime import date
from pathlib import Path

import pytest

from ftctl.errors import UsageError
from ftctl.job import Hyperparameters, JobSpec
from ftctl.lifetime import lifetime
from ftctl.migration import Difference, translate
from ftctl.providers.fireworks.driver import FireworksProvider
from ftctl.providers.local import LocalProvider
from ftctl.providers.openai.driver import OpenAIProvider
from ftctl.providers.together.driver import TogetherProvider

TODAY = date(2026, 11, 24)


def spec(provider: str, model: str, **settings: float) -> JobSpec:
    return JobSpec(
        provider=provider,
        model=model,
        data=Path("train.jsonl"),
        data_sha256="0" * 64,
        name="n",
        hyperparameters=Hyperparameters.model_validate(settings),
    )


def by_setting(differences: tuple[Difference, ...]) -> dict[str, Difference]:
    return {d.setting: d for d in differences}


def test_from_openai_to_local_the_multiplier_becomes_a_rate() -> None:
    old = spec("openai", "gpt-4.1-mini", epochs=3, learning_rate_multiplier=0.5, batch_size=4)
    new, differences = translate(
        old, "local", LocalProvider.capabilities, model="qwen2.5-0.5b-instruct", as_of=TODAY
    )
    assert (new.provider, new.model) == ("local", "qwen2.5-0.5b-instruct")
    assert new.hyperparameters == Hyperparameters(epochs=3, learning_rate=1e-4, batch_size=4)
    rate = by_setting(differences)["learning_rate_multiplier"]
    assert (rate.kind, rate.after) == ("changed", "learning_rate=0.0001")
    assert "publishes no base rate" in rate.why


def test_there_and_back_is_the_same_rate() -> None:
    old = spec("local", "gpt-4.1-mini", learning_rate=3e-4)
    there, _ = translate(old, "openai", OpenAIProvider.capabilities, as_of=TODAY)
    assert there.hyperparameters.learning_rate_multiplier == pytest.approx(1.5)
    back, _ = translate(
        there, "local", LocalProvider.capabilities, model="qwen2.5-0.5b-instruct", as_of=TODAY
    )
    assert back.hyperparameters.learning_rate == pytest.approx(3e-4)


def test_at_a_gateway_the_vendors_dates_close_no_model() -> None:
    old = spec("openai", "gpt-4.1-mini")
    late, base_url = date(2027, 3, 1), "http://127.0.0.1:8321/v1"
    new, _ = translate(old, "openai", OpenAIProvider.capabilities, base_url=base_url, as_of=late)
    assert (new.model, new.base_url) == ("gpt-4.1-mini", base_url)


def test_what_the_other_does_not_take_is_dropped_and_said() -> None:
    old = spec("local", "gpt-4.1-mini", lora_r=8, epochs=2)
    new, differences = translate(old, "openai", OpenAIProvider.capabilities, as_of=TODAY)
    assert new.hyperparameters == Hyperparameters(epochs=2)
    dropped = by_setting(differences)["lora_r"]
    assert (dropped.kind, dropped.after) == ("dropped", None)
    assert "openai takes no lora_r" in dropped.why


def test_a_model_that_is_not_there_is_asked_for_with_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"gpt-4.1-mini isn't tuned at local") as refused:
        translate(spec("openai", "gpt-4.1-mini"), "local", LocalProvider.capabilities, as_of=TODAY)
    assert "qwen" in refused.value.hint


def test_the_limit_is_carried_over_and_the_old_gateway_is_not() -> None:
    old = spec("openai", "gpt-4.1-mini").model_copy(
        update={"base_url": "http://127.0.0.1:1/v1", "max_cost_usd": 5.0}
    )
    new, differences = translate(old, "openai", OpenAIProvider.capabilities, as_of=TODAY)
    assert (new.base_url, new.max_cost_usd) == (None, 5.0)
    place = by_setting(differences)["provider"]
    assert (place.before, place.after) == ("openai at http://127.0.0.1:1/v1", "openai")


def test_how_long_the_new_model_answers_is_said() -> None:
    assert "until 2027-01-14, 51 days" in lifetime("openai", "gpt-4.1-mini", as_of=TODAY)
    assert "until 2027-10-14" in lifetime("azure", "gpt-4.1", as_of=TODAY)  # Azure's own end
    tuned = lifetime("openai", "ft:gpt-4.1-mini:me::1", as_of=TODAY)
    assert "until 2027-01-14" in tuned
    assert "weights come home" in lifetime("local", "qwen2.5-0.5b-instruct", as_of=TODAY)
    assert "nothing is known" in lifetime("acme", "m", as_of=TODAY)


@pytest.mark.parametrize("vendor", [TogetherProvider, FireworksProvider])
def test_beta_is_carried_under_the_name_it_has_there(
    vendor: type[TogetherProvider] | type[FireworksProvider],
) -> None:
    old = spec("openai", "gpt-4.1-mini").model_copy(
        update={"method": "dpo", "options": {"beta": "0.2"}}
    )
    capabilities = vendor.capabilities
    there, differences = translate(
        old, vendor.name, capabilities, model="llama-3.1-8b-instruct", as_of=TODAY
    )
    assert there.options == {"dpo_beta": "0.2"}
    said = by_setting(differences)["beta"]
    assert (said.kind, said.before, said.after) == ("changed", "beta=0.2", "dpo_beta=0.2")
    back, _ = translate(there, "local", LocalProvider.capabilities, model="qwen3-8b", as_of=TODAY)
    assert back.options == {"beta": "0.2"}
