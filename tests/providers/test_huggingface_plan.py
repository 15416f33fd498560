"""Which machine a job at Hugging Face gets, and after how long it is stopped."""

from pathlib import Path
from typing import Any

import pytest

from ftctl.errors import Unsupported, UsageError
from ftctl.estimation.quote import quote
from ftctl.job import Hyperparameters, JobSpec, Method
from ftctl.providers.huggingface.plan import Plan, beta_of, plan_of


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "train.jsonl"
    file.write_bytes(b"x" * 4_000_000)
    return file


def planned(data: Path, model: str = "qwen2.5-0.5b-instruct", **fields: Any) -> Plan:
    spec = JobSpec(
        provider="huggingface", model=model, data=data, data_sha256="0", name="n", **fields
    )
    return plan_of(spec)


def test_the_machine_is_the_one_that_the_quote_is_of(data: Path) -> None:
    quoted = quote("huggingface", "qwen2.5-0.5b-instruct", rows=100, tokens=1_000_000)
    assert quoted.lines[0].says.startswith(planned(data).machine.name)


@pytest.mark.parametrize("model", ["qwen2.5-0.5b-instruct", "llama-3.1-8b-instruct"])
@pytest.mark.parametrize("flavor", [None, "a100-large"])
def test_a_job_is_not_stopped_before_the_quotes_slow_end(
    data: Path, model: str, flavor: str | None
) -> None:
    options = {} if flavor is None else {"flavor": flavor}
    plan = planned(data, model, options=options)
    quoted = quote("huggingface", model, rows=100, tokens=1_000_000, epochs=3, machine=flavor)
    assert quoted.time is not None
    assert quoted.cost is not None
    assert plan.timeout_s >= quoted.time.high
    assert plan.most_usd >= quoted.cost.likely


def test_a_job_never_gets_less_than_the_vendors_half_hour(tmp_path: Path) -> None:
    tiny = tmp_path / "tiny.jsonl"
    tiny.write_text("{}\n", "utf-8")
    assert planned(tiny).timeout_s >= 1800


def test_more_epochs_get_more_time(data: Path) -> None:
    once, often = (
        planned(data, hyperparameters=Hyperparameters(epochs=epochs)).timeout_s
        for epochs in (1, 10)
    )
    assert often > 2 * once


def test_a_limit_that_is_given_is_kept_with_room_to_start_and_save(data: Path) -> None:
    plan = planned(data, hyperparameters=Hyperparameters(max_minutes=90))
    assert plan.timeout_s == (90 + 30) * 60


@pytest.mark.parametrize("minutes", [None, 600])
@pytest.mark.parametrize("limit", [0.25, 0.3])
def test_no_job_can_run_for_more_than_its_limit_pays(
    data: Path, limit: float, minutes: float | None
) -> None:
    settings = Hyperparameters(max_minutes=minutes)
    free = planned(data, hyperparameters=settings)
    held = planned(data, hyperparameters=settings, max_cost_usd=limit)
    assert held.machine == free.machine
    assert held.most_usd <= limit < free.most_usd
    assert limit - held.most_usd < held.machine.usd_per_hour / 60  # to the minute


def test_steps_that_are_given_bound_the_time(data: Path) -> None:
    few = planned(data, hyperparameters=Hyperparameters(max_steps=1)).timeout_s
    assert few < planned(data).timeout_s


def test_an_unknown_flavor_names_the_nearest(data: Path) -> None:
    with pytest.raises(UsageError, match="did you mean t4-small") as caught:
        planned(data, options={"flavor": "t4-smal"})
    assert "a100-large" in caught.value.hint


def test_machines_of_many_cards_are_refused(data: Path) -> None:
    with pytest.raises(Unsupported, match="4 cards"):
        planned(data, options={"flavor": "l4x4"})


def test_a_card_that_is_too_small_is_refused(data: Path) -> None:
    with pytest.raises(Unsupported, match="GiB"):
        planned(data, "llama-3.1-8b-instruct", options={"flavor": "t4-small"})


def test_a_model_that_no_card_holds_is_refused(data: Path) -> None:
    with pytest.raises(Unsupported, match="any one card"):
        planned(data, "gpt-oss-120b")


def test_a_model_of_unknown_size_needs_flavor_and_limit(data: Path) -> None:
    with pytest.raises(UsageError, match="size") as caught:
        planned(data, "org/unknown")
    assert "flavor=" in caught.value.hint
    with pytest.raises(UsageError, match="size"):
        planned(data, "org/unknown", options={"flavor": "t4-small"})
    asked = Hyperparameters(max_minutes=60)
    plan = planned(data, "org/unknown", options={"flavor": "t4-small"}, hyperparameters=asked)
    assert (plan.base, plan.machine.name) == ("org/unknown", "t4-small")


@pytest.mark.parametrize("model", ["gpt-4o-mini-2024-07-18", "a/b/c", "model.gguf"])
def test_what_no_hub_has_is_refused(data: Path, model: str) -> None:
    with pytest.raises(Unsupported, match="isn't on a hub"):
        planned(data, model)


def test_preferences_take_longer_than_answers_and_are_quoted_so(data: Path) -> None:
    once = Hyperparameters(epochs=1)
    sft, dpo = (planned(data, method=m, hyperparameters=once).timeout_s for m in ("sft", "dpo"))
    assert dpo > sft
    quoted = quote("huggingface", "qwen2.5-0.5b-instruct", rows=9, tokens=1_000_000, method="dpo")
    assert quoted.cost is not None


@pytest.mark.parametrize(
    ("method", "beta"), [("dpo", "0"), ("dpo", "3"), ("dpo", "much"), ("sft", "0.1")]
)
def test_a_beta_that_makes_no_sense_is_refused(data: Path, method: Method, beta: str) -> None:
    spec = JobSpec(
        provider="huggingface", model="x", data=data, data_sha256="0", name="n", method=method,
        options={"beta": beta},
    )  # fmt: skip
    with pytest.raises(UsageError, match="beta"):
        beta_of(spec)
