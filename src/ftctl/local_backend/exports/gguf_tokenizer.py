"""A tokenizer.json in the words of llama.cpp: tokens, merges, how text is split, special ids."""

import json
from pathlib import Path
from typing import Any

from ftctl.datasets.render import Tokenizer, prompt_text, render
from ftctl.errors import Unsupported
from ftctl.local_backend.exports.gguf_sentencepiece import (
    puts_space_first,
    scores_of,
    write_sentencepiece,
)

# How a text is split before merges apply: the pattern in tokenizer.json, and llama.cpp's name for
# it with whether a whole word in the vocabulary is taken without merging. Source: Llama 3's, Qwen
# 2.5's and Mistral Nemo's tokenizer.json; llama.cpp's llama-vocab.cpp.
_LETTERS = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_SMALL = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SPLITS = {
    rf"{_ENDINGS}|\p{{N}}{{1,3}}|{_SIGNS}": ("llama-bpe", True),
    rf"{_ENDINGS}|\p{{N}}|{_SIGNS}": ("qwen2", False),
    rf"[^\r\n\p{{L}}\p{{N}}]?{_LETTERS}*{_SMALL}+|[^\r\n\p{{L}}\p{{N}}]?{_LETTERS}+{_SMALL}*|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+": ("tekken", True),
}


SENTENCEPIECE = "sentencepiece"  # not one of llama.cpp's names: it splits nothing


def write_tokenizer(writer: Any, folder: Path, tokenizer: Tokenizer, size: int) -> None:  # noqa: ANN401
    """Write a folder's tokenizer into a GGUF file, its chat template too.

    Args:
        writer: gguf's writer.
        folder: With tokenizer.json.
        tokenizer: The same, loaded.
        size: Rows of the embedding; ids without a token are filled up.

    Raises:
        Unsupported: it splits or merges text in a way that llama.cpp has no name for.
    """
    from gguf import SpecialVocab, TokenType

    known, name = require_known(folder)
    tokens = [f"[PAD{i}]" for i in range(size)]
    types = [int(TokenType.UNUSED)] * size
    for token, i in known["model"]["vocab"].items():
        tokens[i], types[i] = token, int(TokenType.NORMAL)
    for row in known["added_tokens"]:
        kind = TokenType.CONTROL if row["special"] else TokenType.USER_DEFINED
        tokens[row["id"]], types[row["id"]] = row["content"], int(kind)
    if name == SENTENCEPIECE:
        scheme = (known["pre_tokenizer"] or {}).get("prepend_scheme")
        if scheme == "first" and not begins_with_bos(tokenizer):
            raise _unsupported("a space before conversations alone")
        write_sentencepiece(writer, known, tokens, types)
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(name)
        writer.add_token_list(tokens)
        writer.add_token_types(types)
        writer.add_token_merges(SpecialVocab(folder, load_merges=True).merges)
    for special in ("bos", "eos", "unk", "pad"):
        number = getattr(tokenizer, f"{special}_token_id", None)
        if number is not None:
            getattr(writer, f"add_{special}_token_id")(number)
    ends = end_of_turn(tokenizer)
    if ends is not None:
        writer.add_eot_token_id(ends)
    writer.add_add_bos_token(begins_with_bos(tokenizer))
    writer.add_add_eos_token(False)
    writer.add_chat_template(tokenizer.get_chat_template())  # type: ignore[attr-defined]


def require_known(folder: Path) -> tuple[dict[str, Any], str]:
    """A folder's tokenizer.json, and llama.cpp's name for how it splits text, or `sentencepiece`.

    Raises:
        Unsupported: llama.cpp has none.
    """
    try:
        known = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    except OSError:
        raise _unsupported("a tokenizer without tokenizer.json") from None
    if known["model"]["type"] != "BPE" or not known["model"]["merges"]:
        raise _unsupported(f"a {known['model']['type']} vocabulary without merges")
    if not known["model"].get("byte_fallback"):
        return known, _split_of(known)
    if puts_space_first(known) is None or scores_of(known["model"]) is None:
        raise _unsupported("a SentencePiece vocabulary whose merges don't follow its scores")
    return known, SENTENCEPIECE


def _split_of(known: dict[str, Any]) -> str:
    """llama.cpp's name of the way in which a tokenizer.json splits text.

    Raises:
        Unsupported: it has none.
    """
    steps = known["pre_tokenizer"] or {}
    steps = steps.get("pretokenizers", [steps])
    last = steps[-1] if steps else {}
    name, takes_whole = "", False
    if last.get("type") == "ByteLevel" and not last.get("add_prefix_space"):
        first = steps[0] if len(steps) == 2 else {}
        if len(steps) == 1 and last.get("use_regex", True):
            name = "gpt-2"
        elif first.get("type") == "Digits" and first.get("individual_digits"):
            name = "smollm"
        elif first.get("type") == "Split" and not last.get("use_regex", True):
            pattern = first["pattern"].get("Regex", "")
            name, takes_whole = _SPLITS.get(pattern, ("", False))
    if not name or bool(known["model"].get("ignore_merges")) != takes_whole:
        raise _unsupported("text split as this tokenizer.json says")
    return name


def _unsupported(what: str) -> Unsupported:
    return Unsupported(
        f"{what} can't be written as GGUF here; byte-level BPE as of Llama 3, Qwen, SmolLM, GPT-2 "
        "and Mistral's Tekken can, and SentencePiece BPE as of Llama 2, Mistral and Gemma",
        hint="--to merged, then llama.cpp's own converter",
    )


def begins_with_bos(tokenizer: Tokenizer) -> bool:
    """Whether conversations begin with the beginning token: what the template renders decides.

    One that stands before every message, as ChatML's mark does in SmolLM, is the template's own.
    """
    bos = getattr(tokenizer, "bos_token_id", None)
    roles = ("user", "assistant", "user")
    text = prompt_text(tokenizer, [{"role": role, "content": "x"} for role in roles])
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return bos is not None and ids[:1] == [bos] and ids.count(bos) == 1


def end_of_turn(tokenizer: Tokenizer) -> int | None:
    """The special token that ends an answer in the chat template; None where none does."""
    asked = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
    last = render(tokenizer, asked).ids[-1:]
    special = set(getattr(tokenizer, "all_special_ids", ()))
    return last[0] if last and last[0] in special else None
