"""Tiny models of the families that GGUF can hold, with tokenizers that merge and split."""

import json
from pathlib import Path
from typing import Any

CHATML = (
    "{% for m in messages %}{% if loop.first and m.role != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% set said = messages[0].content if messages[0].role == 'system' else '' %}"
    "{% for m in messages %}{% if m.role == 'user' %}[INST] "
    "{% if said and loop.last %}{{ said }}\n\n{% endif %}{{ m.content }}[/INST]"
    "{% elif m.role == 'assistant' %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% set said = messages[0].content if messages[0].role == 'system' else '' %}"
    "{% for m in messages if m.role != 'system' %}"
    "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{% if said and loop.first %}{{ said }}\n\n{% endif %}{{ m.content | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}"
    "{% endif %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
COUNTING = (
    "{% for m in messages %}<|im_start|>{{ m.role }} {{ loop.index }}\n{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SPECIAL = (
    *("<s>", "<|im_start|>", "<|im_end|>", "<pad>", "<|start_header_id|>", "<|end_header_id|>"),
    *("<|eot_id|>", "[INST]", "[/INST]", "</s>", "<start_of_turn>", "<end_of_turn>"),
)
_SPLITS = {  # as in the tokenizer.json of each family
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
TEXTS = (
    "Item 7: it looks green indeed, doesn't it?",
    "The years 1789 and 2026;  two  spaces,\ttabs\n\nand lines.\r\n",
    "naïve café – 是吗？ 🙂 {a: [1, 2]} <|im_start|>",
    "I'LL say we've, YOU'RE x=3.14159 #hash @at /path/to",
)


def write_sentencepiece(folder: Path, template: str, kind: str, **special: str) -> Any:
    """SentencePiece as Llama 2 (`always`), Mistral (`first`) and Gemma keep it in their files."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast
    from transformers.tokenization_utils_base import generate_merges

    spaces = normalizers.Replace(" ", "▁")
    learnt = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    learnt.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaces])
    learnt.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    marks = ["<unk>", *_SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=marks, show_progress=False)
    learnt.train_from_iterator([*TEXTS, "user system assistant model " * 3] * 3, trainer)
    order = learnt.get_vocab()
    merges = generate_merges(order, {token: -float(i) for token, i in order.items()})
    model = models.BPE(
        vocab=order, merges=merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"
    )
    bare = Tokenizer(model)
    if kind == "always":
        bare.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaces])
    elif kind == "gemma":
        bare.normalizer = spaces
    else:
        bare.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    bare.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    names = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"} | special
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bare, additional_special_tokens=list(_SPECIAL), **names
    )
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return tokenizer


def write_tokenizer(folder: Path, template: str, split: str = "gpt-2", **special: str) -> Any:
    """A byte-level BPE tokenizer with some hundred merges and one family's way to split text."""
    if split in ("always", "first", "gemma"):
        return write_sentencepiece(folder, template, split, **special)
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bare = Tokenizer(models.BPE(ignore_merges=split == "llama-bpe"))
    if split == "gpt-2":
        bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        first = (
            pre_tokenizers.Digits(individual_digits=True)
            if split == "smollm"
            else pre_tokenizers.Split(Regex(_SPLITS.get(split, split)), "isolated")
        )
        later = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split == "smollm")
        bare.pre_tokenizer = pre_tokenizers.Sequence([first, later])
    bare.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bare.train_from_iterator([*TEXTS, "user system assistant model " * 3] * 3, trainer)
    bare.add_tokens([AddedToken("<think>", normalized=False)])
    marks = {"eos_token": "<|im_end|>", "pad_token": "<pad>"} | special
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bare, additional_special_tokens=list(_SPECIAL), **marks
    )
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return tokenizer


def write_family(
    folder: Path, family: str, template: str = CHATML, split: str = "gpt-2", **more: Any
) -> Path:
    """A tiny model with random weights, and its tokenizer.

    Args:
        folder: Where to.
        family: A model type that transformers knows.
        template: Its chat template.
        split: How its tokenizer splits text.
        more: Of its configuration.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    special = {"bos_token": "<s>"} if "bos_token" in template else {}
    tokenizer = write_tokenizer(folder, template, split, **special)
    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer) + 3,  # rows that no token has, as in Qwen
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 512,
        "initializer_range": 0.1,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    config = AutoConfig.for_model(family, **shape | more)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():  # norms that are all one would hide a mistake
        for name, weight in model.named_parameters():
            if "norm" in name or name.endswith("bias"):
                weight.add_(torch.rand_like(weight) / 4)
    # Every fourth token ends an answer: random models would never come to an end.
    ends = [tokenizer.eos_token_id, *range(100, len(tokenizer), 4)]
    model.generation_config.eos_token_id = ends
    model.save_pretrained(folder)
    return folder


def write_rows(file: Path, *, tools: bool = False) -> Path:
    """Conversations in OpenAI's format."""
    rows = []
    for i, text in enumerate(TEXTS):
        messages = [{"role": "user", "content": text}, {"role": "assistant", "content": f"{i}"}]
        if i % 2:
            messages.insert(0, {"role": "system", "content": "Be brief."})
        row: dict[str, Any] = {"messages": messages}
        if tools:
            row["tools"] = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
        rows.append(row)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file
