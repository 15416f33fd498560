"""An export as rows to train on, and who said what beside them."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import Field

from ftctl.datasets.curation.decide import SAYS, Rule, decide, decide_all
from ftctl.datasets.curation.planning import Seen, look, plan_for
from ftctl.datasets.curation.rows import Made, Plan, make_row
from ftctl.datasets.curation.tools import TOOLS, recognise, tool
from ftctl.datasets.curation.types import Fault, FaultError, Hints, Item
from ftctl.datasets.curation.view import row_id
from ftctl.datasets.digest import file_sha256
from ftctl.datasets.document import Document, Value
from ftctl.datasets.report import printable
from ftctl.datasets.write import beside, encoded
from ftctl.errors import DataInvalid, UsageError

_MOST = 50  # places kept of each reason; all are counted
_MOST_FAULTS = 20


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of an import.

    Attributes:
        source: The tool; told by the export when "".
        annotations: Where who said what goes; beside the rows when None.
        hints: What the export doesn't say itself.
        pair: The fields that were compared, left and right.
        disagree: What to do where people disagree.
        only: Rows are kept only where this was decided, by question.
        keep_unlabelled: Whether rows that nobody has answered are kept, where they have an answer.
    """

    source: str = ""
    annotations: Path | None = None
    hints: Hints = field(default_factory=Hints)
    pair: tuple[str, str] | None = None
    disagree: Rule = "skip"
    only: dict[str, str] = field(default_factory=dict)
    keep_unlabelled: bool = False


class LeftOut(Value):
    """An item that gives no row, and why."""

    place: str
    id: str
    why: str


class Imported(Document):
    """What was imported: `ftctl.data-import/1`.

    `left_out` holds the first items of each reason, `reasons` counts all; `dropped` counts what a
    row couldn't carry; `disputed` how many items had different answers, by the rule `disagree`.
    """

    schema_: Literal["ftctl.data-import/1"] = Field("ftctl.data-import/1", alias="schema")
    ok: bool
    file: str
    source: str
    out: str
    sha256: str
    annotations: str
    items: int
    rows: int
    answers: int
    question: str
    disagree: Rule
    disputed: int
    reasons: dict[str, int]
    left_out: tuple[LeftOut, ...]
    dropped: dict[str, int]
    warnings: tuple[str, ...]


def import_rows(path: Path, out: Path, wish: Wish | None = None) -> Imported:
    """Write the rows of an export, and a sidecar of who said what.

    Args:
        path: A file, or the folder that Argilla or Lilac keeps.
        out: JSONL that doesn't exist, or holds what would be written.
        wish: What isn't told by the export.

    Raises:
        UsageError: a file can't be read or written, or how to read it isn't clear.
        DataInvalid: a record can't be read; nothing is written.
        ExtraMissing: pyarrow isn't installed, and the export is Parquet.
    """
    wish = wish or Wish()
    name = wish.source or _recognised(path)
    read = tool(name).read
    seen = look(read(path, wish.hints))
    _refuse(path, seen.faults)
    if not seen.items:
        raise DataInvalid(f"{path}: the export holds nothing", hint="export it again")
    plan = plan_for(seen, wish.hints, wish.pair)
    side = wish.annotations or out.with_name(f"{out.stem}.annotations.jsonl")
    if side == out:
        raise UsageError(f"{out} can't hold rows and annotations", hint="--annotations FILE")
    done = _Pass(path, name, plan, wish)
    with ExitStack() as stack:
        rows, sides = (stack.enter_context(beside(to, mode=0o666)) for to in (out, side))
        items = (item for item in read(path, wish.hints) if isinstance(item, Item))
        done.run(items, rows[0], sides[0])
        _refuse(path, done.faults)
        for (stream, partial), to in ((rows, out), (sides, side)):
            stream.flush()
            os.fsync(stream.fileno())
            _refuse_other(to, partial)
        rows[1].replace(out)
        sides[1].replace(side)
    return done.report(seen, out, side)


def _recognised(path: Path) -> str:
    found = recognise(path)
    if not found:
        raise UsageError(
            f"{path}: this is no export of a tool known here",
            hint=f"--from names it: {', '.join(TOOLS)}",
        )
    return found


def _refuse(path: Path, faults: list[Fault]) -> None:
    if not faults:
        return
    first = faults[:_MOST_FAULTS]
    lines = [
        printable(": ".join(filter(None, (fault.place, fault.path, fault.what)))) for fault in first
    ]
    more = f"\n  and {len(faults) - len(first):,} more" if len(faults) > len(first) else ""
    raise DataInvalid(
        f"{path}, {lines[0]}" + "".join(f"\n  {line}" for line in lines[1:]) + more,
        hint="nothing was written; export it again, or mend the file there",
    )


def _refuse_other(out: Path, partial: Path) -> None:
    if out.exists() and (not out.is_file() or file_sha256(out) != file_sha256(partial)):
        raise UsageError(f"{out} exists and holds something else", hint="name another file")


class _Pass:
    """One way through an export's items.

    Attributes:
        faults: Items that can't become rows.
    """

    def __init__(self, path: Path, name: str, plan: Plan, wish: Wish) -> None:
        self.faults: list[Fault] = []
        self._path, self._name, self._plan, self._wish = path, name, plan, wish
        self._digest = hashlib.sha256()
        self._reasons: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._left: list[LeftOut] = []
        self._rows = self._disputed = self._answers = 0
        # Where nobody is ever asked anything, nothing is missing.
        self._keep = wish.keep_unlabelled or tool(name).write is None

    def run(self, items: Iterator[Item], rows: BinaryIO, sides: BinaryIO) -> None:
        """Write a row, and what was said, of each item."""
        for item in items:
            try:
                made = self._made(item)
                line = b"" if made.row is None else encoded(made.row)
                sides.writelines(self._side(item, made))
            except FaultError as error:
                self.faults.append(Fault(item.place, error.path, error.what))
                continue
            except (UnicodeEncodeError, RecursionError) as error:
                deep = isinstance(error, RecursionError)
                what = "it is nested too deeply" if deep else "half a character stands in a text"
                self.faults.append(Fault(item.place, "", what))
                continue
            if made.row is None:
                self._leave(item, made.why)
            self._rows += made.row is not None
            self._dropped.update(note.what for note in made.notes)
            self._digest.update(line)
            rows.write(line)

    def _made(self, item: Item) -> Made:
        if question := self._plan.answer:
            decision = decide(item.answers, question, self._wish.disagree)
        else:
            decision = decide_all(item.answers, self._wish.disagree)
        self._disputed += decision.disputed
        made = make_row(item, self._plan, decision, keep=self._keep)
        for question, wanted in self._wish.only.items():
            found = decide(item.answers, question, self._wish.disagree)
            if made.row is not None and not _is(found.value, wanted):
                return made._replace(row=None, why=f"{question} isn't {wanted}")
        return made

    def _side(self, item: Item, made: Made) -> Iterator[bytes]:
        row = None if made.row is None else row_id(made.row)
        for answer in item.answers:
            self._answers += 1
            yield encoded(
                {
                    "row": row,
                    "id": item.id,
                    "source": self._name,
                    "kind": answer.kind,
                    "question": answer.question,
                    "value": answer.value,
                    "annotator": answer.annotator,
                    "status": answer.status if answer.kind == "response" else None,
                    "score": answer.score,
                    "time": answer.time,
                }
            )

    def _leave(self, item: Item, why: str) -> None:
        self._reasons[why] += 1
        if self._reasons[why] <= _MOST:
            self._left.append(LeftOut(place=item.place, id=printable(item.id), why=why))

    def report(self, seen: Seen, out: Path, side: Path) -> Imported:
        """What was done."""
        return Imported(
            schema="ftctl.data-import/1",
            ok=self._rows > 0,
            file=str(self._path),
            source=self._name,
            out=str(out),
            sha256=self._digest.hexdigest(),
            annotations=str(side),
            items=seen.items,
            rows=self._rows,
            answers=self._answers,
            question=self._plan.answer if seen.answers else "",
            disagree=self._wish.disagree,
            disputed=self._disputed,
            reasons=dict(self._reasons.most_common()),
            left_out=tuple(self._left),
            dropped=dict(self._dropped.most_common()),
            warnings=tuple(self._warnings(seen)),
        )

    def _warnings(self, seen: Seen) -> Iterator[str]:
        if seen.unknown_status:
            yield (
                f"{seen.unknown_status:,} responses don't say whether they were submitted: drafts "
                "and discarded ones may be among them; Argilla's flat export "
                "(to_list(flatten=True)) says it"
            )
        if self._disputed:
            rule = self._wish.disagree
            yield f"people disagree on items: {self._disputed:,}; --disagree {rule}: {SAYS[rule]}"
        if not self._rows:
            yield "no row was left"


def _is(value: object, wanted: str) -> bool:
    return str(value) == wanted or (isinstance(value, list) and wanted in map(str, value))
