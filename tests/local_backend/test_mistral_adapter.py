"""mistral-finetune's adapters: the same logits by Mistral's own arithmetic and by transformers'."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tiny_model import write_model

from ftctl.errors import Unsupported, UsageError
from ftctl.local_backend.mistral_adapter import import_adapter, is_mistral_adapter
from ftctl.local_backend.output import is_whole

if TYPE_CHECKING:
    from torch import Tensor

pytestmark = pytest.mark.medium
DIM, LAYERS, HEADS, KV_HEADS, HEAD_DIM, HIDDEN = 32, 3, 4, 2, 8, 64
RANK, SCALING = 4, 1.5
PLACES = {
    "attention.wq": ("self_attn.q_proj", DIM, HEADS * HEAD_DIM),
    "attention.wk": ("self_attn.k_proj", DIM, KV_HEADS * HEAD_DIM),
    "attention.wv": ("self_attn.v_proj", DIM, KV_HEADS * HEAD_DIM),
    "attention.wo": ("self_attn.o_proj", HEADS * HEAD_DIM, DIM),
    "feed_forward.w1": ("mlp.gate_proj", DIM, HIDDEN),
    "feed_forward.w2": ("mlp.down_proj", HIDDEN, DIM),
    "feed_forward.w3": ("mlp.up_proj", DIM, HIDDEN),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base"))


def adapter() -> dict[str, "Tensor"]:
    """Random weights under mistral-finetune's names; both halves matter."""
    import torch

    made = {}
    generator = torch.Generator().manual_seed(3)
    for layer in range(LAYERS):
        for place, (_, wide, tall) in PLACES.items():
            key = f"layers.{layer}.{place}"
            made[f"{key}.lora_A.weight"] = torch.randn(RANK, wide, generator=generator) * 0.2
            made[f"{key}.lora_B.weight"] = torch.randn(tall, RANK, generator=generator) * 0.2
    return made


def checkpoint(folder: Path, **changes: Any) -> Path:
    from safetensors.torch import save_file

    folder.mkdir()
    save_file(adapter(), folder / "lora.safetensors")
    lora = {"enable": True, "rank": RANK, "dropout": 0.0, "scaling": SCALING}
    params = {
        "dim": DIM, "n_layers": LAYERS, "head_dim": HEAD_DIM, "hidden_dim": HIDDEN,
        "n_heads": HEADS, "n_kv_heads": KV_HEADS, "norm_eps": 1e-6, "vocab_size": 259,
        "rope_theta": 10000.0, "lora": lora, "moe": None,
    }  # fmt: skip
    (folder / "params.json").write_text(json.dumps(params | changes), encoding="utf-8")
    return folder


def neighbours(weight: "Tensor", heads: int) -> "Tensor":
    """Rows of each head in Mistral's order: what turns together stands together."""
    rows, columns = weight.shape
    return weight.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


def logits_by_mistral(model: Any, ids: "Tensor") -> "Tensor":
    """The forward pass as Mistral's models are defined: neighbouring dimensions turn as one."""
    import torch

    state, lora, length = model.state_dict(), adapter(), len(ids)
    theta = 10000.0 ** (-torch.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    turn = torch.polar(torch.ones(length, HEAD_DIM // 2), torch.outer(torch.arange(length), theta))

    def weight(layer: int, place: str) -> "Tensor":
        base = state[f"model.layers.{layer}.{PLACES[place][0]}.weight"]
        heads = {"attention.wq": HEADS, "attention.wk": KV_HEADS}.get(place)
        base = base if heads is None else neighbours(base, heads)
        key = f"layers.{layer}.{place}.lora"
        return base + SCALING * lora[f"{key}_B.weight"] @ lora[f"{key}_A.weight"]

    def norm(x: "Tensor", name: str) -> "Tensor":
        scaled = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
        return scaled * state[f"model.{name}.weight"]

    def turned(x: "Tensor") -> "Tensor":  # [T, head, head_dim]
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * turn[:, None, :]).flatten(2)

    def attention(x: "Tensor", w: Callable[[str], "Tensor"]) -> "Tensor":
        q = turned((x @ w("attention.wq").T).view(length, HEADS, HEAD_DIM))
        k = turned((x @ w("attention.wk").T).view(length, KV_HEADS, HEAD_DIM))
        v = (x @ w("attention.wv").T).view(length, KV_HEADS, HEAD_DIM)
        k, v = (y.repeat_interleave(HEADS // KV_HEADS, 1) for y in (k, v))
        scores = torch.einsum("thd,shd->hts", q, k) / HEAD_DIM**0.5
        scores += torch.full((length, length), float("-inf")).triu(1)
        mixed = torch.einsum("hts,shd->thd", scores.softmax(-1), v).reshape(length, -1)
        return mixed @ w("attention.wo").T

    h = state["model.embed_tokens.weight"][ids]
    for layer in range(LAYERS):

        def w(place: str, layer: int = layer) -> "Tensor":
            return weight(layer, place)

        h = h + attention(norm(h, f"layers.{layer}.input_layernorm"), w)
        x = norm(h, f"layers.{layer}.post_attention_layernorm")
        gate = torch.nn.functional.silu(x @ w("feed_forward.w1").T)
        h = h + (gate * (x @ w("feed_forward.w3").T)) @ w("feed_forward.w2").T
    return norm(h, "norm") @ state["lm_head.weight"].T


def test_both_layouts_give_the_same_logits(model: Path, tmp_path: Path) -> None:
    import torch
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM

    folder = checkpoint(tmp_path / "consolidated")
    assert is_mistral_adapter(folder)
    out = import_adapter(folder, str(model), tmp_path / "peft", tmp_path / "home")
    assert is_whole(out)
    assert json.loads((out / "adapter_config.json").read_bytes())["lora_alpha"] == RANK * SCALING
    ids = torch.tensor([5, 9, 40, 77, 200, 13, 8, 91])
    with torch.no_grad():
        base = AutoModelForCausalLM.from_pretrained(model)
        tuned = AutoPeftModelForCausalLM.from_pretrained(out)
        ours = tuned(ids[None]).logits[0]
        theirs = logits_by_mistral(base, ids)
        assert (ours - base(ids[None]).logits[0]).abs().max() > 0.1
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=2e-4)


def test_the_same_again_does_no_harm(model: Path, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "consolidated")
    for _ in range(2):
        import_adapter(folder, str(model), tmp_path / "peft", tmp_path / "home")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["consolidated", "peft"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="isn't this job's adapter"):
        import_adapter(folder, str(model), tmp_path / "mine", tmp_path / "home")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_layers": 4}, "n_layers is 4 in params.json, 3 in the model"),
        ({"n_heads": 8}, "n_heads is 8"),
        ({"dim": "wide"}, "not what mistral-finetune writes"),
        ({"lora": None}, "not what mistral-finetune writes"),
    ],
)
def test_an_adapter_of_another_base_is_refused(
    model: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    folder = checkpoint(tmp_path / "consolidated", **changes)
    with pytest.raises(UsageError, match=said):
        import_adapter(folder, str(model), tmp_path / "peft", tmp_path / "home")
    assert not (tmp_path / "peft").exists()


def test_what_is_no_adapter_is_refused(model: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    experts = checkpoint(tmp_path / "experts", moe={"num_experts": 8})
    with pytest.raises(Unsupported, match="mixture of experts"):
        import_adapter(experts, str(model), tmp_path / "peft", tmp_path / "home")
    folder = checkpoint(tmp_path / "whole")
    save_file(
        {"tok_embeddings.weight": next(iter(adapter().values()))}, folder / "lora.safetensors"
    )
    with pytest.raises(UsageError, match=r"tok_embeddings\.weight"):
        import_adapter(folder, str(model), tmp_path / "peft", tmp_path / "home")
    (folder / "lora.safetensors").write_bytes(b"x")
    with pytest.raises(UsageError, match="can't be read"):
        import_adapter(folder, str(model), tmp_path / "peft", tmp_path / "home")
    (folder / "params.json").unlink()
    with pytest.raises(UsageError, match=r"params\.json"):
        import_adapter(folder, str(model), tmp_path / "peft", tmp_path / "home")
    shutil.rmtree(folder)
    assert not is_mistral_adapter(folder)
