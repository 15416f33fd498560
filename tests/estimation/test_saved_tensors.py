"""What the formula says is kept of each token, against what autograd keeps."""

from typing import Any

import pytest

from ftctl.estimation.activations import saved_bytes
from ftctl.estimation.decoder import Decoder
from ftctl.estimation.estimate import Assumption
from ftctl.estimation.setting import Setting

pytestmark = pytest.mark.medium

TOKENS = 16
LAYERS = 2
RANK = 8
LINEAR = [f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down")]
# (hidden, heads, key heads, size of a head, width of the blocks): no two ratios are the same.
SHAPES = [(64, 4, 2, 16, 96), (96, 6, 3, 24, 256)]
SETTINGS = {
    "bf16 adapters": Setting(rank=RANK),
    "fp32 adapters": Setting(rank=RANK, adapters="fp32"),
    "bf16 adapters with dropout": Setting(rank=RANK, dropout=True),
    "fp32 adapters with dropout": Setting(rank=RANK, adapters="fp32", dropout=True),
    "full": Setting(tuning="full"),
    "all in fp32": Setting(rank=RANK, weights="fp32", adapters="fp32"),
    "all in fp32 with dropout": Setting(rank=RANK, weights="fp32", adapters="fp32", dropout=True),
    "full in fp32": Setting(tuning="full", weights="fp32"),
    "adapters on the last layer": Setting(rank=RANK, last_layers=1),
}


def random_model(family: str, shape: tuple[int, ...], setting: Setting) -> Any:
    """A small model with random weights, tuned as the setting says."""
    import torch
    import transformers
    from peft import LoraConfig, get_peft_model

    hidden, heads, kv_heads, head_size, ffn = shape
    config = getattr(transformers, f"{family}Config")(
        vocab_size=64,
        hidden_size=hidden,
        intermediate_size=ffn,
        num_hidden_layers=LAYERS,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_size,
        attn_implementation="sdpa",
    )
    dtype = torch.bfloat16 if setting.weights == "bf16" else torch.float32
    model = getattr(transformers, f"{family}ForCausalLM")(config).to(dtype).train()
    if setting.tuning == "full":
        return model
    adapter = LoraConfig(
        r=setting.rank,
        lora_dropout=0.1 if setting.dropout else 0.0,
        target_modules=LINEAR,
        layers_to_transform=list(range(LAYERS - setting.layers_kept(LAYERS), LAYERS)),
        task_type="CAUSAL_LM",
    )
    tuned = get_peft_model(model, adapter)
    if setting.adapters == "bf16":
        tuned.to(torch.bfloat16)
    return model


def kept_bytes(model: Any) -> int:
    """Bytes of all storages that autograd keeps of a forward pass, but for the weights'."""
    import torch

    weights = {tensor.untyped_storage().data_ptr() for tensor in model.parameters()}
    found: dict[int, int] = {}
    alive = []  # an address must not be used twice

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            found[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    ids = torch.randint(0, 64, (1, TOKENS))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.get_decoder()(input_ids=ids, use_cache=False)
    return sum(found.values())


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("family", ["Llama", "Mistral", "Qwen2", "Qwen3"])
def test_the_formula_is_what_autograd_keeps(family: str, name: str) -> None:
    setting = SETTINGS[name]
    for shape in SHAPES:
        hidden, heads, kv_heads, head_size, ffn = shape
        decoder = Decoder(
            name=family,
            layers=LAYERS,
            hidden=hidden,
            heads=heads,
            kv_heads=kv_heads,
            head_size=head_size,
            ffn=ffn,
            vocab=64,
            parameters=1,
            normed=family == "Qwen3",
            shape=Assumption.prior("shape", "random", "made here"),
        )
        layer, around = saved_bytes(decoder, setting)
        said = TOKENS * (layer * setting.layers_kept(LAYERS) + around)
        assert kept_bytes(random_model(family, shape, setting)) == said  # exactly, not within 0.1 %
