"""From token ids and a mask to tokens with their texts."""

from collections.abc import Sequence
from dataclasses import dataclass

from ftctl.datasets.render import Rendered, Tokenizer
from ftctl.datasets.show.types import Example, Kind, Token
from ftctl.datasets.tokens.mistral import MistralCounter
from ftctl.errors import DataInvalid

_PART_OF_A_CHARACTER = "\ufffd"
_LONGEST_CHARACTER = 4  # bytes, and so at most as many tokens


@dataclass(frozen=True, slots=True)
class Look:
    """How examples are looked at.

    Attributes:
        tokenizer: Whose tokens; None where no model was named.
        max_length: Tokens beyond so many are cut; None where none are.
        most_tokens: Most tokens shown of an example: its first and its last ones.
    """

    tokenizer: Tokenizer | MistralCounter | None = None
    max_length: int | None = None
    most_tokens: int = 4096


def example_of(line: int, made: Rendered, look: Look, remarks: Sequence[str] = ()) -> Example:
    """An example with the tokens that are shown of it.

    Raises:
        DataInvalid: an id can't be one of the tokenizer's.
    """
    total = len(made.ids)
    limit = total if look.max_length is None else min(look.max_length, total)
    left_out = max(0, total - look.most_tokens)
    first = total if not left_out else look.most_tokens - look.most_tokens // 2
    kinds: list[Kind] = ["trained" if trained else "untrained" for trained in made.mask[:limit]]
    kinds += ["cut"] * (total - limit)
    tokens: list[Token] = []
    for part in (slice(0, first), slice(first + left_out, total)):
        tokens += _tokens(made.ids[part], kinds[part], look.tokenizer)
    return Example(
        line=line,
        total_tokens=total,
        trained_tokens=kinds.count("trained"),
        cut_tokens=total - limit,
        left_out_tokens=left_out,
        left_out_after=first if left_out else 0,
        remarks=tuple(remarks),
        tokens=tuple(tokens),
    )


def _tokens(
    ids: Sequence[int], kinds: Sequence[Kind], tokenizer: Tokenizer | MistralCounter | None
) -> list[Token]:
    if tokenizer is None:
        texts, control = [f"{i} " for i in ids], frozenset[int]()
    else:
        texts, control = token_texts(tokenizer, ids), control_ids(tokenizer)
    return [
        Token(id=i, text=text, kind=kind, control=i in control)
        for i, text, kind in zip(ids, texts, kinds, strict=True)
    ]


def control_ids(tokenizer: Tokenizer | MistralCounter) -> frozenset[int]:
    """The tokens that the tokenizer calls special."""
    if isinstance(tokenizer, MistralCounter):
        return tokenizer.special_ids
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return frozenset(i for i, token in added.items() if token.special)


def token_texts(tokenizer: Tokenizer | MistralCounter, ids: Sequence[int]) -> list[str]:
    """What each token adds to the text; put together they are the decoded text.

    A token is decoded behind those before it, because some tokenizers drop the space that a text
    begins with. Where tokens make up a character together, the last one has it.

    Raises:
        DataInvalid: an id can't be one of the tokenizer's.
    """
    texts: list[str] = []
    before = done = 0  # the tokens from `before` to `done` are decoded again, as the text before
    for end in range(1, len(ids) + 1):
        known = _decoded(tokenizer, ids[before:done])
        text = _decoded(tokenizer, ids[before:end])
        waits = text.endswith(_PART_OF_A_CHARACTER) and end - done < _LONGEST_CHARACTER
        if waits and end < len(ids):
            texts.append("")
            continue
        texts.append(text[len(known) :])
        before, done = done, end
    return texts


def _decoded(tokenizer: Tokenizer | MistralCounter, ids: Sequence[int]) -> str:
    try:
        if isinstance(tokenizer, MistralCounter):
            return tokenizer.decode(ids)
        return tokenizer.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
    except (OverflowError, TypeError, ValueError, IndexError, KeyError):
        raise DataInvalid(
            "a token id isn't one of this model's",
            hint="name the model that the dataset was prepared for",
        ) from None
