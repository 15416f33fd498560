"""A packed row gives each example's loss and gradient as if it stood alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ftctl.datasets.render import Rendered
from ftctl.errors import UsageError
from ftctl.job import Hyperparameters
from ftctl.local_backend.attention import Way
from ftctl.local_backend.data import Batch, Example, Pack, collate, collate_pack, shared_prefix
from ftctl.local_backend.losses import summed_by_row, token_losses
from ftctl.local_backend.model import add_adapter
from ftctl.local_backend.probe import _difference
from ftctl.local_backend.recompute import set_recompute

pytestmark = [pytest.mark.medium, pytest.mark.timeout(300)]

SIZES: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "pad_token_id": 0,
}
GRANITE = {"logits_scaling": 3.0, "embedding_multiplier": 2.0, "attention_multiplier": 0.2}
GEMMA2 = {"final_logit_softcapping": 5.0, "sliding_window": 64, "query_pre_attn_scalar": 8}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {},
    "qwen3": {},
    "mistral": {"sliding_window": 64},
    "gemma3_text": {"sliding_window": 64},
    "granite": GRANITE,
    "cohere": {"logit_scale": 0.3},
    "gemma2": GEMMA2 | {"attn_logit_softcapping": None},
}


def model_of(kind: str, **values: Any) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **SIZES | ARCHITECTURES.get(kind, {}) | values)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def adapted(kind: str, **values: Any) -> Any:
    """A model with an adapter that isn't zero."""
    import torch

    found = add_adapter(model_of(kind, **values), Hyperparameters(lora_r=4)).train()
    with torch.no_grad():
        for name, weight in found.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.2)
    return found


def examples_of(*, prefix: int = 6, count: int = 7) -> list[Example]:
    """Examples of different lengths with one beginning, and trained tokens here and there."""
    import torch

    generator = torch.Generator().manual_seed(3)
    begin = list(range(10, 10 + prefix))
    found = []
    for line in range(count):
        length = 5 + 4 * line
        rest = torch.randint(20, 97, (length,), generator=generator).tolist()
        mask = [0] * (prefix + 2 + line % 2) + [1] * 2 + [0, 1] * length
        ids = [*begin, line + 1, *rest]
        said = Rendered(ids, mask[: len(ids)])
        found.append(Example(line, said, [], None))
    return found


def gradient_of(model: Any) -> Any:
    import torch

    found = [weight.grad for weight in model.parameters() if weight.requires_grad]
    assert found
    return torch.cat([torch.zeros(1) if grad is None else grad.ravel() for grad in found])


def seen(model: Any, losses: Callable[[], list[Any]]) -> tuple[Any, Any]:
    """The losses of each example, and the gradient of their weighted sum."""
    import torch

    model.zero_grad()
    each = torch.cat(losses())
    (each * torch.linspace(0.5, 2, len(each))).sum().backward()
    return each.detach(), gradient_of(model)


def separate(model: Any, examples: list[Example]) -> tuple[Any, Any]:
    """Each example alone, by the model's own logits."""

    def losses() -> list[Any]:
        batches = [collate([example], 0, 0, "cpu") for example in examples]
        return [summed_by_row(token_losses(model, b, plain=True), b) for b in batches]

    return seen(model, losses)


def together(model: Any, batch: Batch | Pack, packed: Way = "documents") -> tuple[Any, Any]:
    return seen(
        model,
        lambda: [summed_by_row(token_losses(model, batch, plain=False, packed=packed), batch)],
    )


def assert_equal(found: tuple[Any, Any], expected: tuple[Any, Any]) -> None:
    import torch

    torch.testing.assert_close(found[0], expected[0], rtol=1e-4, atol=1e-4)
    assert expected[1].norm() > 0.1
    assert (found[1] - expected[1]).norm() < 1e-4 * expected[1].norm()


@pytest.mark.parametrize("way", ["documents", "masked"])
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_packed_is_separate_in_loss_and_gradient(kind: str, way: Way) -> None:
    examples, model = examples_of(), adapted(kind)
    expected = separate(model, examples)
    prefix = shared_prefix(examples)
    assert prefix == 6
    for shared in (prefix, 0):
        assert_equal(together(model, collate_pack(examples, shared, "cpu"), way), expected)
    assert_equal(together(model, collate(examples, 0, 0, "cpu")), expected)


@pytest.mark.parametrize("prefix", [6, 0])
@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_blocks_of_flex_attention_keep_documents_apart(kind: str, prefix: int) -> None:
    """The loss alone: off CUDA torch has no backward pass for it."""
    import torch

    examples, model = examples_of(), adapted(kind)
    pack = collate_pack(examples, prefix, "cpu")
    with torch.no_grad():
        found = summed_by_row(token_losses(model, pack, plain=False, packed="flex"), pack)
    torch.testing.assert_close(found, separate(model, examples)[0], rtol=1e-4, atol=1e-4)


def _of_2_10(
    query: Any,
    key: Any,
    value: Any,
    cu_q: Any,
    cu_k: Any,
    max_q: int,
    max_k: int,
    *,
    is_causal: bool,
) -> Any:
    """What torch 2.10's kernel computes, as its documentation says it."""
    return _of_2_12(
        query, key, value, cu_q, cu_k, max_q, max_k, window_size=(-1, 0) if is_causal else (-1, -1)
    )


def _of_2_12(
    query: Any,
    key: Any,
    value: Any,
    cu_q: Any,
    cu_k: Any,
    max_q: int,
    max_k: int,
    *,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
    enable_gqa: bool = False,
) -> Any:
    """The same of 2.12: causal is a window that ends at the last query's own key."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention as attend

    assert cu_q.dtype == cu_k.dtype == torch.int32
    before, after = window_size
    assert after == 0
    assert int(cu_q.diff().max()) == max_q
    assert int(cu_k.diff().max()) == max_k
    found = []
    spans = zip(cu_q.diff().tolist(), cu_k.diff().tolist(), strict=True)
    splits = [x.split(cu.diff().tolist()) for x, cu in ((query, cu_q), (key, cu_k), (value, cu_k))]
    for (rows, columns), q, k, v in zip(spans, *splits, strict=True):
        mask = torch.ones(rows, columns, dtype=torch.bool).tril(columns - rows)
        if before >= 0:
            mask = mask.triu(columns - rows - before)
        q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
        each = attend(q, k, v, attn_mask=mask, scale=scale, enable_gqa=enable_gqa)
        found.append(each[0].transpose(0, 1))
    return torch.cat(found)


@pytest.mark.parametrize("kernel", [_of_2_10, _of_2_12])
@pytest.mark.parametrize("kind", ["llama", "qwen3", "granite"])
def test_a_varlen_kernel_gets_the_bounds_that_keep_documents_apart(
    kind: str, kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch's own runs on CUDA alone, so that one in its place takes the same arguments here."""
    monkeypatch.setattr("ftctl.local_backend.attention._varlen_attention", lambda: kernel)
    examples, model = examples_of(), adapted(kind)
    expected = separate(model, examples)
    for prefix in (6, 0):
        assert_equal(together(model, collate_pack(examples, prefix, "cpu"), "varlen"), expected)


@pytest.mark.parametrize("kind", ["mistral", "gemma3_text"])
def test_a_window_shorter_than_the_examples_is_kept_in_a_pack(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr("ftctl.local_backend.attention._varlen_attention", lambda: _of_2_12)
    examples, model = examples_of(), adapted(kind, sliding_window=8)
    expected, wide = separate(model, examples), separate(adapted(kind), examples)
    assert (expected[0] - wide[0]).abs().max() > 0.1
    ways: tuple[Way, ...] = ("documents", "masked", "varlen")
    for prefix in (6, 0):
        pack = collate_pack(examples, prefix, "cpu")
        for way in ways:
            assert_equal(together(model, pack, way), expected)
        with torch.no_grad():  # off CUDA torch has no backward pass for it
            found = summed_by_row(token_losses(model, pack, plain=False, packed="flex"), pack)
        torch.testing.assert_close(found, expected[0], rtol=1e-4, atol=1e-4)
        assert_equal(together(model, collate(examples, 0, prefix, "cpu")), expected)


def test_torch_2_10_has_no_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftctl.local_backend.attention._varlen_attention", lambda: _of_2_10)
    model = adapted("mistral", sliding_window=8)
    with pytest.raises(ValueError, match="has a window"):
        together(model, collate_pack(examples_of(), 6, "cpu"), "varlen")


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "mistral"])
def test_padded_rows_behind_a_shared_prefix_are_separate(kind: str) -> None:
    examples, model = examples_of(), adapted(kind)
    expected = separate(model, examples)
    assert_equal(together(model, collate(examples, 0, 6, "cpu")), expected)


def test_a_pack_leaks_where_transformers_is_left_to_itself() -> None:
    """What the asserted ways guard against: the same row with a cache or with a mask of ones."""
    import torch

    examples, model = examples_of(), adapted("llama").get_base_model()
    pack = collate_pack(examples, 0, "cpu")
    trained = [sum(example.rendered.mask) for example in examples]

    def apart(**how: Any) -> Any:
        with torch.no_grad():
            logits = model(input_ids=pack.ids, position_ids=pack.positions, **how).logits[0]
        each = torch.nn.functional.cross_entropy(
            logits[pack.predicts], pack.targets, reduction="none"
        )
        return torch.stack([part.sum() for part in each.split(trained)])

    expected = separate(adapted("llama"), examples)[0]
    ones = torch.ones_like(pack.ids)
    assert (apart(use_cache=True) - expected).abs().max() > 1
    assert (apart(use_cache=False, attention_mask=ones) - expected).abs().max() > 1
    torch.testing.assert_close(apart(use_cache=False), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "values", "why"),
    [
        ("gemma2", {"attn_logit_softcapping": 20.0}, "softcap"),
        ("llama", {"attention_dropout": 0.1}, "dropout"),
    ],
)
def test_attention_that_a_pack_would_change_is_refused(
    kind: str, values: dict[str, Any], why: str
) -> None:
    model = adapted(kind, **values)
    with pytest.raises(ValueError, match=why):
        token_losses(model, collate_pack(examples_of(), 6, "cpu"), plain=False)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("qwen3_next", "hand a state from token to token"),
        ("falcon_h1", "hand a state from token to token"),
        ("nemotron", "3 of 3 layers mix tokens their own way"),
        ("stablelm", "3 of 3 layers mix tokens their own way"),
    ],
)
def test_layers_in_which_documents_would_meet_are_refused(kind: str, why: str) -> None:
    """By what they are, as in bf16 rounding may hide what they do."""
    with pytest.raises(ValueError, match=why):
        token_losses(model_of(kind), collate_pack(examples_of(), 0, "cpu"), plain=False)


def test_losses_that_are_off_are_seen_where_their_sum_is_not() -> None:
    import torch

    apart = torch.tensor([60.0, 30.0, 10.0])
    assert _difference(apart + torch.tensor([2.0, -1.0, -1.0]), apart) > 2e-2
    assert _difference(apart * 1.001, apart) == pytest.approx(1e-3, rel=1e-2)


def test_a_model_that_has_seen_packs_answers_as_before() -> None:
    import torch

    model, ids = model_of("llama"), torch.tensor([[0, 0, 30, 31, 32], [33, 34, 35, 36, 37]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])  # padded on the left
    with torch.no_grad():
        before = model(input_ids=ids, attention_mask=mask).logits
        token_losses(model, collate_pack(examples_of(), 6, "cpu"), plain=False)
        after = model(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(after[:, 2:], before[:, 2:])


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_a_chunked_head_is_exact_when_it_is_trained_too(
    kind: str, tied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftctl.local_backend.losses.tokens_at_once", lambda _vocabulary: 5)
    examples, model = examples_of(), model_of(kind, tie_word_embeddings=tied).train()
    pack = collate_pack(examples, 6, "cpu")
    assert len(pack.targets) > 10
    assert_equal(together(model, pack), separate(model, examples))


def test_a_frozen_head_keeps_no_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr("ftctl.local_backend.losses.tokens_at_once", lambda _vocabulary: 5)
    examples, model = examples_of(), adapted("llama")
    pack, shapes = collate_pack(examples, 6, "cpu"), list[tuple[int, ...]]()
    expected = separate(model, examples)

    def keep(saved: Any) -> Any:
        shapes.append(tuple(saved.shape))
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        found = together(model, pack)
    assert_equal(found, expected)
    assert len(pack.targets) > 10
    assert (5, 97) in shapes
    assert (len(pack.targets), 97) not in shapes


def kept_bytes(model: Any, pack: Pack) -> int:
    """Bytes of what autograd keeps of a forward pass, each storage once, weights left out."""
    import torch

    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def keep(saved: Any) -> Any:
        storage = saved.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        losses = token_losses(model, pack, plain=False)
    losses.sum().backward()
    return sum(kept.values())


def test_layers_computed_again_keep_less_and_change_nothing() -> None:
    examples, model = examples_of(count=12), adapted("qwen3", num_hidden_layers=6)
    pack = collate_pack(examples, 6, "cpu")
    found, kept = [], []
    for every, count in (("off", 0), (3, 2), (2, 3), ("all", 6)):
        assert set_recompute(model, every) == count  # type: ignore[arg-type]
        found.append(together(model, pack))
        kept.append(kept_bytes(model, pack))
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] < 0.3 * kept[0]
    for other in found[1:]:
        assert other[0].equal(found[0][0])
        assert other[1].equal(found[0][1])


def test_layers_before_the_first_tuned_one_are_not_computed_again() -> None:
    model = add_adapter(model_of("llama"), Hyperparameters(last_layers=2)).train()
    assert set_recompute(model, "all") == 2
    assert set_recompute(model, 2) == 1


def test_layers_that_cannot_be_computed_again_are_named() -> None:
    import torch

    class Other(torch.nn.Module):  # type: ignore[misc]  # torch is untyped here
        layers = torch.nn.ModuleList([torch.nn.Linear(2, 2)])

        def get_decoder(self) -> Any:
            return self

    with pytest.raises(UsageError, match="recompute=all: the layers of Other can't"):
        set_recompute(Other(), "all")


def test_a_padded_batch_without_its_prefix_is_the_same_batch() -> None:
    model, examples = adapted("llama"), examples_of()
    batch = collate(examples, 0, 6, "cpu")
    assert_equal(together(model, replace(batch, prefix=0)), together(model, batch))
