"""The tools by name: how an export of each is recognised, read, and written."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ftctl.datasets.curation import argilla, label_studio, lilac, pigeonxt, traces
from ftctl.datasets.curation.ask import Ask
from ftctl.datasets.curation.records import table
from ftctl.datasets.curation.types import Read
from ftctl.datasets.curation.view import View
from ftctl.datasets.curation.writing import (
    write_argilla,
    write_label_studio,
    write_lilac,
    write_pigeonxt,
)
from ftctl.datasets.rules.types import JsonObject
from ftctl.errors import UsageError

Write = Callable[[Path, Iterable[View], Sequence[Ask]], str]


class Tool(NamedTuple):
    """One tool.

    Attributes:
        title: As its makers call it.
        read: From an export to items.
        is_record: Whether a record is one of its export's.
        is_folder: Whether a folder is one of its exports.
        write: From rows to what it reads; returns what to do with that. None where it asks nobody.
    """

    title: str
    read: Read
    is_record: Callable[[JsonObject], bool]
    is_folder: Callable[[Path], bool] | None = None
    write: Write | None = None


TOOLS: dict[str, Tool] = {
    "argilla": Tool(
        "Argilla", argilla.read, argilla.recognised_record, argilla.recognised, write_argilla
    ),
    "lilac": Tool("Lilac", lilac.read, lilac.recognised_record, lilac.recognised, write_lilac),
    "pigeonxt": Tool("PigeonXT", pigeonxt.read, pigeonxt.recognised_record, write=write_pigeonxt),
    "label-studio": Tool(
        "Label Studio", label_studio.read, label_studio.recognised_record, write=write_label_studio
    ),
    "langsmith": Tool("LangSmith", traces.read_langsmith, traces.langsmith_record),
    "langfuse": Tool("Langfuse", traces.read_langfuse, traces.langfuse_record),
    "openai-completions": Tool(
        "OpenAI's stored completions", traces.read_stored, traces.stored_record
    ),
}
_LOOK_BYTES = 2**20
ASKING = tuple(name for name, tool in TOOLS.items() if tool.write is not None)


def tool(name: str) -> Tool:
    """The tool of this name.

    Raises:
        UsageError: there is none; names the nearest.
    """
    found = TOOLS.get(name)
    if found is None:
        near = difflib.get_close_matches(name.lower(), TOOLS, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"no tool is called {name!r}", hint=f"{meant}known: {', '.join(TOOLS)}")
    return found


def recognise(path: Path) -> str:
    """Which tool wrote an export, by a folder's files or the first records; "" where none did."""
    if path.is_dir():
        folders = (name for name, one in TOOLS.items() if one.is_folder and one.is_folder(path))
        return next(folders, "")
    for record in islice(table(path, _LOOK_BYTES), 20):
        if record.value is not None:
            for name, one in TOOLS.items():
                if one.is_record(record.value):
                    return name
    return ""
