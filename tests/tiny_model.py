"""Tiny models with random weights and a tokenizer, written to a folder; nothing is downloaded."""

import json
from pathlib import Path
from typing import Any

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_COLOURS = ("red", "green", "blue", "white", "black", "grey", "pink", "brown")
SYSTEM = "Name the colour."


def write_model(folder: Path, seed: int = 0) -> Path:
    """A Llama in a folder that loads like any other: config, safetensors, tokenizer, template."""
    return write_family(folder, "llama", seed)


def write_family(folder: Path, kind: str, seed: int = 0, **more: Any) -> Path:
    """A model of any architecture that transformers has by this name, as `write_model`'s."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    specials = ["<|im_start|>", "<|im_end|>", "<pad>"]
    vocabulary = {token: i for i, token in enumerate([*specials, *letters])}
    bare = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bare,
        eos_token="<|im_end|>",
        pad_token="<pad>",
        additional_special_tokens=["<|im_start|>"],
    )
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(seed)
    settings = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.3,
        "eos_token_id": 1,
        "pad_token_id": 2,
    }
    config = AutoConfig.for_model(kind, **settings | more)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_data(file: Path, count: int = 24) -> Path:
    """Chat examples of different lengths with one system line and short answers."""
    rows = []
    for i in range(count):
        colour = _COLOURS[i % len(_COLOURS)]
        question = f"Item {i}: it looks {colour}" + " indeed" * (i % 3)
        rows.append(
            {
                "messages": [
                    {"role": "system", "content": SYSTEM},
                    {"role": "user", "content": question},
                    {"role": "assistant", "content": colour},
                ]
            }
        )
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file
