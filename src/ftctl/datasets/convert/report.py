"""What a conversion says: the document of `ftctl data convert --json`, and how it is collected."""

from collections import Counter
from typing import Literal

from pydantic import Field

from ftctl.datasets.convert.example import Kind, Notes
from ftctl.datasets.convert.rows import Row
from ftctl.datasets.document import Document, Value
from ftctl.datasets.report import printable

_MOST_WORDS = 200  # different things told of; keys that differ from row to row are endless
_OTHERS = "another key that has no place"


class Loss(Value):
    """Something that couldn't be carried as it was; `path` is a JSON path in the old row."""

    file: str
    line: int
    path: str
    kind: Kind
    what: str


class LossCount(Value):
    """How often one thing was dropped or changed in the whole file."""

    kind: Kind
    what: str
    count: int


class Unreadable(Value):
    """A row that can't be converted, and why."""

    file: str
    line: int
    path: str
    message: str


class Conversion(Document):
    """The result of a conversion: `ftctl.data-convert/1`.

    Nothing is written unless `ok`; `out` and `sha256` say what was. `same` when the old file would
    do as well: no row says anything in other words, and they stand one a line. `altered` is how
    many rows differ, `dropped` and `changed` count single places; `losses` and `issues` hold the
    first of each kind.
    """

    schema_: Literal["ftctl.data-convert/1"] = Field("ftctl.data-convert/1", alias="schema")
    ok: bool
    same: bool
    file: str
    out: str | None
    sha256: str | None
    source_format: str
    target_format: str
    rows: int
    written: int
    altered: int
    dropped: int
    changed: int
    counts: tuple[LossCount, ...]
    losses: tuple[Loss, ...]
    errors: int
    issues: tuple[Unreadable, ...]


class Collector:
    """What is told of a file's rows: the first of each kind are kept, all are counted.

    Attributes:
        rows: How many were read.
        written: How many were written.
        altered: How many of those say anything in other words.
    """

    def __init__(self, file: str, most: int) -> None:
        self._file = file
        self._most = most
        self._counts: Counter[tuple[Kind, str]] = Counter()
        self._losses: list[Loss] = []
        self._issues: list[Unreadable] = []
        self._errors = self.rows = self.written = self.altered = 0

    @property
    def ok(self) -> bool:
        """Whether every row could be converted."""
        return not self._errors

    @property
    def dropped(self) -> int:
        """How many places are gone."""
        return self._total("dropped")

    def _total(self, kind: Kind) -> int:
        return sum(count for (of, _), count in self._counts.items() if of == kind)

    def lose(self, row: Row, notes: Notes) -> None:
        """Count what was told of a row, and keep it where there is room."""
        for kind, path, what in notes:
            if (kind, what) not in self._counts and len(self._counts) >= _MOST_WORDS:
                what = _OTHERS
            self._counts[kind, what] += 1
            if self._counts[kind, what] <= self._most:
                self._losses.append(
                    Loss(
                        file=self._file,
                        line=row.line,
                        path=printable(within(row.path, path)),
                        kind=kind,
                        what=printable(what),
                    )
                )

    def refuse(self, row: Row, path: str, message: str) -> None:
        """Count a row that can't be converted, and keep it where there is room."""
        self._errors += 1
        if self._errors <= self._most:
            self._issues.append(
                Unreadable(
                    file=self._file,
                    line=row.line,
                    path=printable(within(row.path, path)),
                    message=printable(message),
                )
            )

    def report(
        self,
        formats: tuple[str, str],
        *,
        ok: bool,
        same: bool,
        out: str | None = None,
        sha256: str | None = None,
    ) -> Conversion:
        """Everything collected, as a document; `formats` are the old and the new one."""
        return Conversion(
            schema="ftctl.data-convert/1",
            ok=ok,
            same=same,
            file=self._file,
            out=out,
            sha256=sha256,
            source_format=formats[0],
            target_format=formats[1],
            rows=self.rows,
            written=self.written,
            altered=self.altered,
            dropped=self.dropped,
            changed=self._total("changed"),
            counts=tuple(
                LossCount(kind=kind, what=printable(what), count=count)
                for (kind, what), count in sorted(
                    self._counts.items(), key=lambda item: (item[0][0] != "dropped", -item[1])
                )
            ),
            losses=tuple(self._losses),
            errors=self._errors,
            issues=tuple(self._issues),
        )


def within(outer: str, path: str) -> str:
    """A path below the place of its row on a line."""
    return f"{outer}.{path}" if outer and path and path[0] != "[" else outer + path
