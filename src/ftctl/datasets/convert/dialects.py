"""Which format a provider's dialect takes, and how a file comes to be in it: the one table."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ftctl.datasets.check import check
from ftctl.datasets.convert.convert import Wish, convert_into
from ftctl.datasets.convert.report import Conversion
from ftctl.datasets.convert.rows import RowReader
from ftctl.datasets.formats import id_of
from ftctl.errors import Unsupported
from ftctl.job import Method


class Takes(NamedTuple):
    """What a dialect takes for one method.

    Attributes:
        accepts: Formats that it reads as they are, as long as its rules find no error.
        writes: The format to bring other files into.
    """

    accepts: frozenset[str]
    writes: str


# By dialect, as `Capabilities.dialect` and `ftctl data check --for` name them, and method. Every
# chat file looks like OpenAI's, and not all that Mistral's validators refuse is an error by every
# tokenizer's rules: so its dialect accepts none unseen, and converting shows whether one will do.
# OpenAI and Azure still read legacy functions; local chat templates don't.
_CHAT = Takes(frozenset({"openai"}), "openai")
_LEGACY_TOO = Takes(frozenset({"openai", "openai-legacy"}), "openai")
_PAIRS = Takes(frozenset({"openai-dpo"}), "openai-dpo")
_PROMPTS = Takes(frozenset({"openai-rft"}), "openai-rft")
TAKES: dict[tuple[str, Method], Takes] = {
    ("openai", "sft"): _LEGACY_TOO,
    ("openai", "dpo"): _PAIRS,
    ("openai", "rft"): _PROMPTS,
    ("azure", "sft"): _LEGACY_TOO,
    ("azure", "dpo"): _PAIRS,
    ("azure", "rft"): _PROMPTS,
    ("mistral", "sft"): Takes(frozenset(), "mistral"),
    ("huggingface", "sft"): _CHAT,
    ("huggingface", "dpo"): _PAIRS,
    ("together", "sft"): _CHAT._replace(writes="together"),
    ("together", "dpo"): _PAIRS._replace(writes="together"),
    ("fireworks", "sft"): _CHAT._replace(writes="fireworks"),
    ("fireworks", "dpo"): _PAIRS._replace(writes="fireworks"),
    ("bedrock", "rft"): _PROMPTS,
    ("local", "sft"): _CHAT,
    ("local", "dpo"): _PAIRS,
}


def converted_for(dialect: str, method: Method, file: Path, folder: Path) -> Conversion | None:
    """A file in the format that a dialect takes.

    Args:
        dialect: The provider's.
        method: How the model will be tuned.
        file: The dataset as it is.
        folder: Where a file that has to change is written, under the name of its hash.

    Returns:
        What was done; None where the file is taken as it is, where converting would change
        nothing, or where nothing is known of the dialect.

    Raises:
        UsageError: a file can't be read or written, or its format isn't known.
    """
    takes = TAKES.get((dialect, method))
    if takes is None:
        return None
    with RowReader(file) as rows:
        found = {id_of(row.value) for row in rows if row.value is not None}
    if not found or (found <= takes.accepts and _valid(file, dialect, method)):
        return None
    done = convert_into(folder, file, Wish(target=takes.writes))
    return None if done.ok and done.same else done


def _valid(file: Path, dialect: str, method: Method) -> bool:
    """Whether the dialect's rules find no error; True where none are known for the method."""
    with suppress(Unsupported):
        return check([file], providers=[dialect], method=method, max_errors=1).ok
    return True
