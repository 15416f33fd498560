"""Which encoding an OpenAI model uses: our own table, because tiktoken's errs on tuned models.

tiktoken 0.14 takes `ft:gpt-4.1…` for cl100k_base, though its base is o200k_base, and doesn't know
`ft:o4-mini…` or gpt-6 (run, 2026-11-24).
"""

import re
from typing import NamedTuple

CL100K = "cl100k_base"
O200K = "o200k_base"
HARMONY = "o200k_harmony"  # o200k_base with other special tokens: texts count the same

# Source: tiktoken 0.14's table, read 2026-11. `gpt-35` is Azure's spelling.
_FAMILIES = {
    HARMONY: re.compile(r"gpt-oss(?=-|$)"),
    O200K: re.compile(r"(?:chatgpt-4o|gpt-4o|gpt-4\.[15]|gpt-5(?:\.\d+)?|o[134])(?=-|$)"),
    CL100K: re.compile(r"(?:gpt-4|gpt-3\.5|gpt-35|babbage-002|davinci-002)(?=-|$)"),
}


class Encoding(NamedTuple):
    """An encoding, and whether a source says that it is the model's."""

    name: str
    known: bool


def base_name(model: str) -> str:
    """A base model's name, of it or of a model tuned from it, without whose it is.

    Args:
        model: A name such as `gpt-4.1-mini`, `openai/gpt-oss-20b` or `ft:gpt-4.1:org::id`.
    """
    return model.strip().lower().removeprefix("ft:").partition(":")[0].rpartition("/")[2]


def openai_encoding(model: str) -> Encoding | None:
    """The encoding of an OpenAI model, tuned or not; None where the name isn't one of OpenAI's.

    A GPT newer than any source is taken to use the newest encoding, and `known` is False.

    Args:
        model: A name such as `gpt-4.1-mini-2025-04-14`, `openai/gpt-oss-20b`, or a tuned model's
            `ft:gpt-4.1:org::id`.
    """
    base = base_name(model)
    for name, pattern in _FAMILIES.items():
        if pattern.match(base):
            return Encoding(name, known=True)
    return Encoding(O200K, known=False) if re.match(r"gpt-\d", base) else None
