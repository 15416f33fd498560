"""What `estimate` plans for one's own cards: verdict, terms, what else fits, what to choose."""

import json
from pathlib import Path

import pytest
from command_line import Cli
from specimens import write_chats
from tiny_model import write_data, write_model

from ftctl.api.estimating import JobEstimate, estimate
from ftctl.errors import UsageError
from ftctl.estimation.home_plan import HomePlan

EIGHT = "llama-3.1-8b"


def ask(**asked: object) -> JobEstimate:
    return estimate(**({"provider": "local", "model": EIGHT} | asked))  # type: ignore[arg-type]


def plan(**asked: object) -> HomePlan:
    found = ask(**asked).plan
    assert found is not None
    return found


def test_neither_file_nor_numbers_are_needed_to_plan() -> None:
    found = ask(gpu="h100")
    assert (found.counted, found.rows, found.tokens) == ("none", None, None)
    assert (found.trained_tokens, found.time) == (None, None)
    assert "--data FILE" in found.unknown["time"]
    assert found.memory is not None
    assert found.plan is not None
    assert found.plan.verdict == "fits"
    assert found.plan.setting.tokens == 8192
    assert found.plan.choose.startswith("LoRA, nothing recomputed, up to 10,")
    assert [reach.tuning for reach in found.plan.reach] == ["lora", "qlora", "full"]


def test_a_smaller_card_recomputes_and_then_packs_and_then_says_no() -> None:
    chosen = [plan(gpu=gpu).recommended for gpu in ("h100", "l4", "t4")]
    assert [c and (c.tuning, c.recompute) for c in chosen] == [
        ("lora", "off"),
        ("lora", "all"),
        ("qlora", 2),
    ]
    t4 = plan(gpu="t4")
    assert t4.verdict == "no"  # with LoRA, as was asked for
    assert plan(gpu="t4", tuning="qlora").verdict in ("fits", "tight")
    none = plan(gpu="t4", model="qwen3-32b")
    assert none.recommended is None
    assert "a smaller model, or a larger card" in none.choose
    assert {reach.verdict for reach in none.reach} == {"no"}


def test_two_cards_share_what_one_cannot_hold() -> None:
    assert plan(gpu="l4", model="qwen3-32b").recommended is None
    four = plan(gpu="l4", gpu_count=4, model="qwen3-32b").recommended
    assert four is not None
    assert (four.tuning, four.processes, four.sharding) == ("lora", 4, "full_shard")
    full = plan(gpu="h100", gpu_count=8, tuning="full", model="qwen3-32b")
    assert (full.setting.sharding, full.verdict) == ("full_shard", "tight")


def test_the_largest_micro_batch_and_example_are_told() -> None:
    lora, qlora, full = plan(gpu="h100").reach
    assert lora.micro_batch_tokens == pytest.approx(11_000, rel=0.2)
    assert lora.micro_batch_tokens < qlora.micro_batch_tokens
    assert lora.sequence_tokens > 100_000
    assert (full.verdict, full.micro_batch_tokens) == ("no", 0)
    small = plan(gpu="h100", model="smollm2-135m-instruct").reach[0]
    assert small.sequence_tokens == 8192  # the model takes no more


def test_dpo_holds_two_sequences_of_each_row_and_no_second_model() -> None:
    asked = {
        "gpu": "h100",
        "rows": 100,
        "tokens": 40_000,
        "hyperparameters": {"micro_batch_size": 2},
    }
    sft, dpo = ask(**asked), ask(**asked, method="dpo")
    assert sft.memory is not None
    assert dpo.memory is not None
    assert dpo.plan is not None
    assert sft.plan is not None
    assert dpo.plan.setting.tokens == 1.5 * sft.plan.setting.tokens
    assert dpo.plan.terms[0] == sft.plan.terms[0]  # weights, once
    assert sft.memory.likely < dpo.memory.likely < 1.5 * sft.memory.likely


@pytest.mark.parametrize("tuning", ["qlora", "full"])
def test_other_tunings_have_a_memory_of_their_own(tuning: str) -> None:
    plain, other = (
        ask(gpu="h200", model="qwen3-4b"),
        ask(gpu="h200", model="qwen3-4b", tuning=tuning),
    )
    assert plain.memory is not None
    assert other.memory is not None
    assert (other.memory.likely > plain.memory.likely) is (tuning == "full")


def test_what_the_user_set_is_what_is_planned() -> None:
    found = plan(gpu="h100", hyperparameters={"recompute": "4", "adapter_format": "fp32"})
    assert (found.setting.recompute, found.setting.adapters) == (4, "fp32")
    shared = plan(gpu="l4", hyperparameters={"processes": "2", "sharding": "zero3"})
    assert (shared.setting.sharding, shared.cards.count) == ("full_shard", 2)


def test_a_named_card_goes_by_its_share_of_its_speed() -> None:
    asked = {"rows": 1000, "tokens": 2_048_000, "hyperparameters": {"epochs": 1}}
    time = ask(gpu="h100", **asked).time
    assert time is not None
    # 2.05M tokens at 24.8k a second would be 798 TFLOP/s, and 12.5k is what was published.
    assert time.low < 2_048_000 / 12_500 < time.high
    two = ask(gpu="h100", gpu_count=2, **asked).time
    assert two is not None
    assert two.likely == pytest.approx(time.likely / 2)


@pytest.mark.parametrize("model", ["gpt-oss-20b", "gpt-j-6b", "a-folder-of-mine"])
def test_an_architecture_that_was_not_measured_is_unknown_and_no_guess(model: str) -> None:
    found = ask(model=model)
    assert (found.plan, found.memory) == (None, None)
    assert found.unknown["memory"]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"gpu": "h1000"}, "h100"),
        ({"provider": "together", "gpu": "h100"}, "your own cards"),
        ({"gpu_count": 2}, "your own cards"),
        ({"gpu": "h100", "gpu_count": 0}, "at least 1"),
        ({"calibrate": True}, "three steps on a file"),
        ({"calibrate": True, "data": "x.jsonl", "gpu": "h100"}, "three steps on a file"),
        ({"rows": 5}, "isn't said"),
    ],
)
def test_a_wrong_question_about_cards_is_named(asked: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        ask(**asked)


def test_the_command_shows_verdict_terms_and_choice(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    words = ("--provider", "local", "--model", EIGHT, "--gpu", "l4", "--gpu-count", "2")
    ran = cli("estimate", *words, "--data", write_chats(tmp_path / "train.jsonl"))
    assert ran.returncode == 0, ran.stderr
    text = " ".join(ran.stdout.split())
    for said in (
        "on 2 × NVIDIA L4, 24.0 GiB each: ",
        "weights 14.96 8,030,261,248, bf16",
        "the input of 32 layers that are computed again",
        "float32 29.92 GiB 29.92 GiB 59.83 GiB 119.66 GiB 119.66 GiB",
        "choose: LoRA, ",
        "--set processes=2",
    ):
        assert said in text, said
    document = cli("estimate", *words, "--json").json()
    assert document["plan"]["verdict"] in ("fits", "tight")
    assert set(document["plan"]) == {
        *("cards", "verdict", "setting", "says", "terms", "adam", "reach", "largest_models"),
        *("recommended", "choose"),
    }


@pytest.mark.medium
def test_a_folder_is_read_and_three_steps_on_it_replace_the_prior(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "tiny")
    data = write_data(tmp_path / "train.jsonl")
    config = json.loads((folder / "config.json").read_bytes())
    found = ask(model=str(folder), data=data, hyperparameters={"epochs": 1})
    assert found.plan is not None
    weights = found.plan.terms[0]
    assert f"{config['num_hidden_layers']} layers" in str(found.memory)
    assert weights.gib < 0.001
    assert found.time is not None
    assert {fact.origin for fact in found.time.basis if "CPU" in fact.name} == {"prior"}
    for method in ("full", "lora"):
        timed = ask(
            model=str(folder),
            data=data,
            tuning=method,
            calibrate=True,
            hyperparameters={"epochs": 1},
        ).time
        assert timed is not None
        (speed,) = (fact for fact in timed.basis if fact.name == "speed here")
        assert speed.origin == "measured"
        assert 0 < timed.low < timed.likely < timed.high
