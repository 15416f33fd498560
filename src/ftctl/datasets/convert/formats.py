"""The formats by their names, each with its reader and its writer."""

import difflib
from collections.abc import Callable
from typing import NamedTuple

from ftctl.datasets.convert import (
    alpaca,
    axolotl,
    bedrock,
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
from ftctl.datasets.convert.example import (
    Conversation,
    Example,
    Notes,
    PlainText,
    Preference,
    PromptCompletion,
    Segments,
    Stepwise,
    Task,
    Unpaired,
)
from ftctl.datasets.convert.holders import TABLES
from ftctl.datasets.convert.says import Says
from ftctl.datasets.rules.types import JsonObject
from ftctl.errors import UsageError


class Codec(NamedTuple):
    """How a format is read and written; both raise `CannotCarryError`.

    Attributes:
        read: From a row to an example; raises where it isn't one.
        write: From an example to a row; None where all of it is left out. Raises where the format
            can't say it.
        says: What it can say of a conversation.
        kinds: The kinds of examples that come back from it as what they were.
    """

    read: Callable[[JsonObject, Notes], Example]
    write: Callable[[Example, Notes], JsonObject | None]
    says: Says
    kinds: tuple[type[Example], ...] = (Conversation,)


_PAIRED = (Conversation, Preference)
_JUDGED = (*_PAIRED, Unpaired)
_BARE = (PromptCompletion, PlainText)
FORMATS: dict[str, Codec] = {
    "openai": Codec(openai.read, openai.write, openai.SAYS),
    "openai-legacy": Codec(openai_legacy.read, openai_legacy.write, openai_legacy.SAYS),
    "openai-dpo": Codec(openai_dpo.read, openai_dpo.write, openai_dpo.SAYS, (Preference,)),
    "openai-rft": Codec(openai_rft.read, openai_rft.write, openai_rft.SAYS, (Task,)),
    "mistral": Codec(mistral.read, mistral.write, mistral.SAYS),
    "trl": Codec(trl.read, trl.write, trl.SAYS, (*_JUDGED, Task, *_BARE, Stepwise)),
    "sharegpt": Codec(sharegpt.read, sharegpt.write, sharegpt.SAYS, _PAIRED),
    "alpaca": Codec(alpaca.read, alpaca.write, alpaca.SAYS, _JUDGED),
    "axolotl": Codec(
        axolotl.read, axolotl.write, axolotl.SAYS, (*_PAIRED, *_BARE, Segments, Stepwise)
    ),
    "together": Codec(together.read, together.write, together.SAYS, (*_PAIRED, *_BARE)),
    "fireworks": Codec(fireworks.read, fireworks.write, fireworks.SAYS, _PAIRED),
    "gemini": Codec(gemini.read, gemini.write, gemini.SAYS, _PAIRED),
    "bedrock": Codec(bedrock.read, bedrock.write, bedrock.SAYS, _PAIRED),
    "text": Codec(text.read, text.write, text.SAYS, (PlainText,)),
}


def codec(name: str) -> Codec:
    """The format of this name.

    Raises:
        UsageError: there is none; names the nearest.
    """
    found = FORMATS.get(name)
    if found is None:
        names = (*FORMATS, *TABLES)
        near = difflib.get_close_matches(name.lower(), names, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise UsageError(
            f"no dataset format is called {name!r}", hint=f"{meant}known: {', '.join(names)}"
        )
    return found
