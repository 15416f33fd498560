"""Which format a provider's dialect takes, and how a file comes to be in it: the one table."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from ftctl.datasets.convert.convert import Wish, convert_into
from ftctl.datasets.convert.report import Conversion
from ftctl.datasets.convert.rows import RowReader
from ftctl.datasets.formats import id_of
from ftctl.job import Method


class Takes(NamedTuple):
    """What a dialect takes for one method.

    Attributes:
        accepts: Formats that it reads as they are, whatever their rows say.
        writes: The format to bring other files into.
        lines: Whether it wants plain lines: no compression, no byte order mark.
    """

    accepts: frozenset[str]
    writes: str
    lines: bool


_CHAT = frozenset({"openai"})

# By dialect, as `Capabilities.dialect` and `ftctl data check --for` name them, and method. Every
# chat file looks like OpenAI's, so Mistral's accepts none unseen: converting shows whether one
# does. OpenAI still reads legacy functions; local chat templates don't.
TAKES: dict[tuple[str, Method], Takes] = {
    ("openai", "sft"): Takes(_CHAT | {"openai-legacy"}, "openai", lines=True),
    ("openai", "dpo"): Takes(frozenset({"openai-dpo"}), "openai-dpo", lines=True),
    ("openai", "rft"): Takes(frozenset({"openai-rft"}), "openai-rft", lines=True),
    ("mistral", "sft"): Takes(frozenset(), "mistral", lines=True),
    ("local", "sft"): Takes(_CHAT, "openai", lines=False),
}


def converted_for(dialect: str, method: Method, file: Path, folder: Path) -> Conversion | None:
    """A file in the format that a dialect takes.

    Args:
        dialect: The provider's.
        method: How the model will be tuned.
        file: The dataset as it is.
        folder: Where a file that has to change is written, under the name of its hash.

    Returns:
        What was done; None where the file is taken as it is, or nothing is known of the dialect.

    Raises:
        UsageError: a file can't be read or written, or its format isn't known.
    """
    takes = TAKES.get((dialect, method))
    if takes is None:
        return None
    found: Counter[str] = Counter()
    with RowReader(file) as rows:
        packed = rows.packed
        found.update(id_of(row.value) for row in rows if row.value is not None)
    if not found or (set(found) <= takes.accepts and not (takes.lines and packed)):
        return None
    done = convert_into(folder, file, Wish(target=takes.writes))
    return None if done.ok and done.same else done
