"""Memory of training against published and measured figures, and what is chosen by it."""

from itertools import pairwise

import pytest

from ftctl.catalog.load import load_shipped
from ftctl.estimation.activations import saved_bytes
from ftctl.estimation.adam_table import adam_table, size_text
from ftctl.estimation.decoder import Decoder, find_decoder
from ftctl.estimation.estimate import Estimate
from ftctl.estimation.machine import named_cards
from ftctl.estimation.memory import GIB, memory_need, memory_parts, training_memory, verdict
from ftctl.estimation.recommend import fits, largest_models, largest_tokens, recommend
from ftctl.estimation.setting import Cards, Setting, Ways
from ftctl.estimation.speed import flops_per_token

CATALOG = load_shipped()


def decoder(name: str = "llama-3.1-8b") -> Decoder:
    found = find_decoder(CATALOG.get_model(name))
    assert isinstance(found, Decoder)
    return found


def cards(gib: float, count: int = 1) -> Cards:
    return Cards(name="card", memory_gib=gib, count=count)


EIGHT = decoder()
H100 = named_cards(CATALOG.get_gpu("h100"))


@pytest.mark.parametrize(
    ("model", "adapters_m", "mib_per_token"),
    [("llama-3.1-8b", 41.9, 5.64), ("qwen2.5-1.5b", 18.5, 2.6), ("qwen2.5-0.5b", 8.8, 1.24)],
)
def test_adapters_and_activations_are_the_published_ones(
    model: str, adapters_m: float, mib_per_token: float
) -> None:
    found = decoder(model)
    assert found.adapter_weights(16) / 1e6 == pytest.approx(adapters_m, abs=0.05)
    mib = saved_bytes(found, Setting()).layer * found.layers / 2**20
    assert mib == pytest.approx(mib_per_token, abs=0.01)


@pytest.mark.parametrize(
    ("setting", "bytes_"),
    [
        (Setting(), 184_680),
        (Setting(adapters="fp32"), 295_496),
        (Setting(dropout=True), 295_272),
    ],
)
def test_a_layer_of_8b_keeps_what_was_measured_of_it(setting: Setting, bytes_: int) -> None:
    assert saved_bytes(EIGHT, setting).layer == bytes_


def test_weights_and_states_of_8b() -> None:
    plain, packed = memory_parts(EIGHT, Setting()), memory_parts(EIGHT, Setting(tuning="qlora"))
    assert plain.weights / GIB == pytest.approx(14.96, abs=0.01)
    assert packed.weights / GIB == pytest.approx(5.3, abs=0.05)
    assert packed.unpacked == pytest.approx(117e6, rel=0.01)
    bare = memory_parts(EIGHT, Setting(adapters="fp32")).trainable
    assert bare / GIB == pytest.approx(0.62, abs=0.01)  # 16 bytes of each, two more with masters
    assert plain.trainable == pytest.approx(bare * 18 / 16)
    naive = memory_parts(EIGHT, Setting(whole_head=True, tokens=1))
    assert naive.head / 2**20 == pytest.approx(1.47, abs=0.01)


def test_full_fine_tuning_holds_18_bytes_a_weight_in_bf16_and_16_in_fp32() -> None:
    for weights, each in (("bf16", 18), ("fp32", 16)):
        parts = memory_parts(EIGHT, Setting(tuning="full", weights=weights))
        assert parts.weights + parts.trainable == each * EIGHT.parameters


def test_processes_split_what_their_sharding_says() -> None:
    def parts(sharding: str, processes: int = 4) -> tuple[float, float]:
        setting = Setting(tuning="full", sharding=sharding, processes=processes)
        found = memory_parts(EIGHT, setting)
        return found.weights / EIGHT.parameters, found.trainable / EIGHT.parameters

    assert parts("ddp") == (2, 16)
    assert parts("shard_grad_op") == (2, 4)
    assert parts("full_shard") == (0.5, 4)
    assert parts("full_shard", processes=1) == (2, 16)


def test_what_is_computed_again_isnt_kept() -> None:
    def activations(recompute: str | int, last: int | None = None) -> float:
        setting = Setting(recompute=recompute, tokens=1, last_layers=last)
        return memory_parts(EIGHT, setting).activations - saved_bytes(EIGHT, setting).around

    layer = saved_bytes(EIGHT, Setting()).layer
    assert activations("off") == 32 * layer
    assert activations(4) == 24 * layer + 8 * 2 * 4096
    assert activations("all") == 32 * 2 * 4096
    assert activations("off", last=2) == 2 * layer
    # The last layer is the first to have its gradients: nothing is gone yet when it comes anew.
    for recompute, anew in (("all", True), (31, True), (30, False), ("off", False)):
        backward = memory_parts(EIGHT, Setting(recompute=recompute, tokens=1)).backward
        assert (backward > layer) is anew


def test_the_terms_add_up_to_the_likely_peak() -> None:
    for setting in (Setting(), Setting(tuning="qlora", recompute="all"), Setting(tuning="full")):
        need = memory_need(EIGHT, setting)
        sizes = {term.name: term.gib for term in need.terms}
        sizes.pop(min(("loss head", "backward pass"), key=lambda name: sizes[name]))
        assert sum(sizes.values()) == pytest.approx(need.peak.likely)


def test_token_budget_on_80_gib_is_near_the_published_eleven_thousand() -> None:
    assert largest_tokens(EIGHT, Setting(), H100) == pytest.approx(11_000, rel=0.1)
    fp32 = largest_tokens(EIGHT, Setting(adapters="fp32"), H100)
    assert fp32 == pytest.approx(6_900, rel=0.1)


@pytest.mark.parametrize(
    ("need", "word"), [(84.9, "fits"), (85.1, "tight"), (100.0, "tight"), (100.1, "no")]
)
def test_three_words(need: float, word: str) -> None:
    assert verdict(Estimate.exact(need, "GiB"), 100) == word


def test_the_plainest_setting_that_fits_is_chosen_in_this_order() -> None:
    ways = (("lora", "ddp"), ("qlora", "ddp"), ("lora", "full_shard"))
    order = [(tuning, again, way) for tuning, way in ways for again in ("off", "k", "all")]
    for count in (1, 4):
        places = []
        for gib in range(80, 4, -1):
            chosen = recommend(EIGHT, cards(gib, count))
            if chosen is not None:
                again = chosen.recompute if isinstance(chosen.recompute, str) else "k"
                places.append(order.index((chosen.tuning, again, chosen.sharding)))
        assert places == sorted(places)
        assert {0, 1, 2, 4, 5} <= set(places)
        # Four cards that share go on where one of them gives up.
        assert any(place > 5 for place in places) is (count == 4)


@pytest.mark.parametrize("gib", [10, 14, 20, 24, 40, 80, 141])
@pytest.mark.parametrize("name", ["smollm2-135m-instruct", "qwen3-4b", "llama-3.1-8b", "qwen3-32b"])
def test_what_is_chosen_fits_and_the_step_before_it_does_not(name: str, gib: float) -> None:
    base, card = decoder(name), cards(gib)
    chosen = recommend(base, card)
    if chosen is None:
        frugal = Setting(tuning="qlora", recompute="all", tokens=2048)
        assert not fits(base, frugal, card)
        return
    assert fits(base, chosen, card)
    assert chosen.tokens >= 2048
    if isinstance(chosen.recompute, int):
        fewer = chosen.model_copy(update={"recompute": chosen.recompute + 1, "tokens": 2048})
        assert not fits(base, fewer, card)


def test_more_memory_never_chooses_more_work() -> None:
    work = [
        flops_per_token(EIGHT, chosen, 2048) + (1e12 if chosen.tuning == "qlora" else 0)
        for gib in range(12, 100, 4)
        if (chosen := recommend(EIGHT, cards(gib)))
    ]
    assert len(work) > 15
    assert all(more >= less for more, less in pairwise(work))


def test_what_the_user_settled_stays() -> None:
    ways = Ways.of({"recompute": "all", "sharding": "zero3", "processes": "2", "beta": "0.1"})
    assert ways == Ways("all", None, "full_shard", 2)
    chosen = recommend(EIGHT, cards(80, 2), ways=ways, tunings=("full",))
    assert chosen is not None
    assert (chosen.recompute, chosen.sharding, chosen.tuning) == ("all", "full_shard", "full")
    assert Ways.of({"recompute": "auto", "adapter_format": "auto"}) == Ways()
    assert chosen.flags() == (
        "--tuning full --set recompute=all --set processes=2 --set sharding=full_shard"
    )


def test_packed_weights_take_a_gpu() -> None:
    memory = Cards(name="main memory", memory_gib=16, kind="memory", weights="bf16")
    assert recommend(EIGHT, memory) is None
    assert {found.tuning for found in largest_models(CATALOG.models, memory)} == {"lora", "full"}


def test_the_largest_models_of_a_card() -> None:
    found = {each.tuning: each.model.name for each in largest_models(CATALOG.models, H100)}
    assert found == {
        "lora": "qwen3-32b",
        "qlora": "qwen3-32b",
        "full": "qwen3-4b",
    }


def test_the_table_of_accelerate_for_bert_base() -> None:
    rows = {row.dtype: row for row in adam_table(108_310_272)}
    shown = {
        dtype: [
            size_text(row.model),
            size_text(row.gradients),
            size_text(row.backward_pass),
            size_text(row.optimiser_step),
            size_text(row.highest),
        ]
        for dtype, row in rows.items()
    }
    half = ["413.2 MiB", "206.6 MiB", "413.2 MiB", "826.3 MiB", "826.3 MiB"]
    assert shown == {
        "float32": ["413.2 MiB", "413.2 MiB", "826.3 MiB", "1.61 GiB", "1.61 GiB"],
        "float16": half,
        "bfloat16": half,
    }


@pytest.mark.parametrize(
    ("length", "plain", "again"),
    [(512, 30.7, 44.9), (2048, 32.2, 46.7), (4096, 34.0, 49.1), (8192, 37.8, 54.0)],
)
def test_work_of_a_token_is_the_published_one(length: int, plain: float, again: float) -> None:
    for recompute, gflop in (("off", plain), ("all", again)):
        found = flops_per_token(EIGHT, Setting(recompute=recompute), length) / 1e9
        assert found == pytest.approx(gflop, rel=0.003)


def test_the_head_works_only_for_trained_tokens_and_full_tuning_half_as_much_again() -> None:
    some, whole = (flops_per_token(EIGHT, Setting(trained=share), 1) for share in (0.3, 1.0))
    assert 1 - some / whole == pytest.approx(0.05, abs=0.005)
    full = flops_per_token(EIGHT, Setting(tuning="full"), 0)
    assert full == pytest.approx(6 * EIGHT.parameters, rel=0.07)  # but for the embedding


def test_elsewhere_less_is_kept_when_all_is_computed_again() -> None:
    model = CATALOG.get_model("llama-3.1-8b")
    off, again = training_memory(model, 15_000), training_memory(model, 15_000, checkpointing=True)
    assert off is not None
    assert again is not None
    assert verdict(off, 80) == "no"
    assert again.high < off.low
    assert training_memory(CATALOG.get_model("gpt-4.1-mini"), 1) is None
