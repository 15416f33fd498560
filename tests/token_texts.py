"""Texts on which tokenizers may differ, made from a seed."""

import random
from collections.abc import Iterator

from ftctl.datasets.tokens.new_code_points import RANGES

_WORDS = (
    *("the", "a", "Token", "IT'S", "don't", "we'LL", "naïve", "Größe", "ﬁne", "x²", "ǅ", "İ"),
    *("привет", "мир", "नमस्ते", "東京都", "안녕", "שלום", "مرحبا", "🙂", "👩‍👩‍👧", "🇫🇷", "e\u0301"),
    *("<|endoftext|>", "<|fim_suffix|>", "<|im_start|>", "<|endofprompt|>", "<|start|>", "</s>"),
    *(
        "12345",
        "1,000.50",
        "٣٤٥",
        "½",
        "def f(x):",
        "https://x.org/a?b=c",
        "a@b.cd",
        "\u200b",
        "\x00",
    ),
)
_SPACES = (" ", "  ", "\n", "\r\n", "\t", "\n\n\n", "\u00a0", "\u3000", "\u2028", "", "   \n")
_MARKS = (".", ",", "!?", "'", "'s", "/", "---", "…", "(", "){", "«", "_", "\\", "//\n", "$")


def fuzzed(count: int, seed: int) -> Iterator[str]:
    """So many texts: words of many scripts, marks, spaces, any code point, the new ones too."""
    rng = random.Random(seed)  # noqa: S311 - no secret depends on it
    for _ in range(count):
        yield "".join(_piece(rng) for _ in range(rng.randint(0, 24)))


def _piece(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.4:
        return rng.choice(_WORDS)
    if kind < 0.6:
        return rng.choice(_SPACES)
    if kind < 0.75:
        return rng.choice(_MARKS)
    if kind < 0.8:
        low, high = rng.choice(RANGES)
        return chr(rng.randint(low, high))
    if kind < 0.9:
        return "".join(chr(rng.randint(32, 126)) for _ in range(rng.randint(1, 12)))
    code = rng.choice((rng.randrange(0x110000), rng.randrange(0x3000)))
    return chr(code) if not 0xD800 <= code < 0xE000 else "\ud800"
