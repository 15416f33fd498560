"""The formats by their names, each with its reader and its writer."""

import difflib
from collections.abc import Callable
from typing import NamedTuple

from ftctl.datasets.convert import (
    alpaca,
    fireworks,
    gemini,
    mistral,
    openai,
    openai_dpo,
    openai_legacy,
    openai_rft,
    sharegpt,
    text,
    together,
    trl,
)
from ftctl.datasets.convert.example import Example, Notes
from ftctl.datasets.rules.types import JsonObject
from ftctl.errors import UsageError


class Codec(NamedTuple):
    """How a format is read and written; both raise `CannotCarryError`.

    Attributes:
        read: From a row to an example.
        write: From an example to a row; None where all of it is left out.
    """

    read: Callable[[JsonObject, Notes], Example]
    write: Callable[[Example, Notes], JsonObject | None]


FORMATS: dict[str, Codec] = {
    "openai": Codec(openai.read, openai.write),
    "openai-legacy": Codec(openai_legacy.read, openai_legacy.write),
    "openai-dpo": Codec(openai_dpo.read, openai_dpo.write),
    "openai-rft": Codec(openai_rft.read, openai_rft.write),
    "mistral": Codec(mistral.read, mistral.write),
    "trl": Codec(trl.read, trl.write),
    "sharegpt": Codec(sharegpt.read, sharegpt.write),
    "alpaca": Codec(alpaca.read, alpaca.write),
    "together": Codec(together.read, together.write),
    "fireworks": Codec(fireworks.read, fireworks.write),
    "gemini": Codec(gemini.read, gemini.write),
    "text": Codec(text.read, text.write),
}


def codec(name: str) -> Codec:
    """The format of this name.

    Raises:
        UsageError: there is none; names the nearest.
    """
    found = FORMATS.get(name)
    if found is None:
        near = difflib.get_close_matches(name.lower(), FORMATS, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise UsageError(
            f"no dataset format is called {name!r}", hint=f"{meant}known: {', '.join(FORMATS)}"
        )
    return found
