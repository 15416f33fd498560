"""Rows for people to label: from our file to what a tool reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from ftctl.datasets.convert.rows import RowReader
from ftctl.datasets.curation.ask import Ask, asked_of
from ftctl.datasets.curation.tools import ASKING, tool
from ftctl.datasets.curation.types import FaultError
from ftctl.datasets.curation.view import View, view
from ftctl.datasets.document import Document
from ftctl.errors import DataInvalid, UsageError


class Exported(Document):
    """What was written for a tool: `ftctl.data-export/1`."""

    schema_: Literal["ftctl.data-export/1"] = Field("ftctl.data-export/1", alias="schema")
    ok: bool = True
    file: str
    tool: str
    out: str
    rows: int
    asked: tuple[str, ...]
    next: str


def export_rows(file: Path, out: Path, name: str, asked: tuple[Ask, ...] = ()) -> Exported:
    """Write chat rows, or pairs, as a tool reads them.

    Args:
        file: JSONL in OpenAI's chat or preference format.
        out: What to write: a file, for Argilla a folder; it must not exist.
        name: The tool.
        asked: What people are asked; by default the answer, or which of a pair is better.

    Raises:
        UsageError: a file can't be read or written, or the tool can't ask that.
        DataInvalid: a row is neither chat nor a pair, or both are in the file.
    """
    writer = tool(name).write
    if writer is None:
        known = ", ".join(ASKING)
        raise UsageError(f"nobody is asked anything in {tool(name).title}", hint=f"known: {known}")
    if out.exists():
        raise UsageError(f"{out} exists already", hint="name another with -o")
    views = list(_views(file))
    if not views:
        raise DataInvalid(f"{file}: it has no rows", hint="name a file with examples")
    shapes = {tuple(one.texts) for one in views}
    if len(shapes) > 1:
        hint = "export chat rows and pairs apart"
        raise DataInvalid(f"{file}: it holds chat rows and pairs", hint=hint)
    questions = asked_of(pairs="left" in views[0].texts, asked=asked)
    said = writer(out, views, questions)
    names = tuple(one.name for one in questions)
    return Exported(
        schema="ftctl.data-export/1",
        file=str(file), tool=name, out=str(out), rows=len(views), asked=names, next=said,
    )  # fmt: skip


def _views(file: Path) -> Iterator[View]:
    """Each row as it is shown; a row that comes again gets a number at its id."""
    seen: dict[str, int] = {}
    hint = "ftctl data convert FILE -o OUT --to openai"
    with RowReader(file) as rows:
        for row in rows:
            if row.value is None:
                raise DataInvalid(f"{file}:{row.line}: {row.problem}", hint="ftctl data check FILE")
            try:
                one = view(row.value)
            except FaultError as error:
                where = f"{file}:{row.line}: {error.path}"
                raise DataInvalid(f"{where}: {error.what}", hint=hint) from None
            seen[one.id] = times = seen.get(one.id, 0) + 1
            yield one if times == 1 else one._replace(id=f"{one.id}-{times}")
