"""A SentencePiece vocabulary that stands in a tokenizer.json, in the words of llama.cpp.

llama.cpp joins the two neighbours whose union has the best score, whichever two they are. A
tokenizer.json lists pairs by rank instead. Both do the same where every way to split a token is
listed, and pairs are ranked by the token that they make: a token's score follows from its rank.
"""

from typing import Any

_SPACE = "▁"


def scores_of(model: dict[str, Any]) -> dict[str, float] | None:
    """The score of each token that is made by joining; None where ranks can't be said so.

    Args:
        model: A tokenizer.json's `model`.
    """
    vocabulary = model["vocab"]
    pairs = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]
    scores: dict[str, float] = {}
    listed: dict[str, int] = {}
    last = ""
    for rank, (left, right) in enumerate(pairs):
        token = left + right
        if token != last and token in scores:  # ranked twice, others in between
            return None
        scores.setdefault(token, -float(rank + 1))
        listed[token] = listed.get(token, 0) + 1
        last = token
    for token, count in listed.items():
        ways = ((token[:i], token[i:]) for i in range(1, len(token)))
        if count != sum(left in vocabulary and right in vocabulary for left, right in ways):
            return None
    return scores


def puts_space_first(known: dict[str, Any]) -> bool | None:
    """Whether a text gets a space put before it; None where that can't be said in one word.

    Args:
        known: A tokenizer.json.
    """
    steps = known["normalizer"] or {}
    steps = steps.get("normalizers", [steps])
    kinds = [step.get("type") for step in steps]
    split = known["pre_tokenizer"] or {}
    if kinds == ["Prepend", "Replace"] and not split:
        return True
    # Gemma's splits at spaces, of which its normalizer has left none.
    if kinds == ["Replace"] and split.get("type") in (None, "Split"):
        return False
    if kinds == [None] and split.get("type") == "Metaspace" and not split.get("split", True):
        # `first` puts it before the whole text alone, which in a chat begins with a special token.
        return {"always": True, "never": False, "first": False}.get(
            str(split.get("prepend_scheme"))
        )
    return None


def write_sentencepiece(
    writer: Any,  # noqa: ANN401 - gguf's writer
    known: dict[str, Any],
    tokens: list[str],
    types: list[int],
) -> None:
    """Write the vocabulary with its scores.

    Args:
        writer: gguf's writer.
        known: A tokenizer.json for which `scores_of` and `puts_space_first` had answers.
        tokens: The text of each id.
        types: The type of each id, byte tokens still among the normal ones.
    """
    from gguf import TokenType

    scores = scores_of(known["model"]) or {}
    for i, token in enumerate(tokens):
        if token.startswith("<0x") and len(token) == 6 and types[i] == TokenType.NORMAL:
            types[i] = int(TokenType.BYTE)
        elif types[i] == TokenType.USER_DEFINED:
            tokens[i] = token.replace(_SPACE, " ")
        elif token == known["model"].get("unk_token"):
            types[i] = int(TokenType.UNKNOWN)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_scores([scores.get(token, 0.0) for token in tokens])
    writer.add_add_space_prefix(bool(puts_space_first(known)))
