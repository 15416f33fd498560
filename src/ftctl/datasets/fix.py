"""`data check --fix`: a corrected copy of a file, where the mend is certain."""

import codecs
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from pathlib import Path

from ftctl.datasets.convert.rows import UNWRITABLE, Row, RowReader
from ftctl.datasets.digest import file_sha256
from ftctl.datasets.document import Value
from ftctl.datasets.mend import Mend, mended
from ftctl.datasets.methods import require_method
from ftctl.datasets.read import CHUNK_BYTES, Line, LineReader
from ftctl.datasets.report import printable
from ftctl.datasets.rules.json_text import Parsed, after_spaces, parse_line
from ftctl.datasets.rules.over_lines import beginning
from ftctl.datasets.rules.table import known_providers, rule_on
from ftctl.datasets.rules.types import JsonObject, shown
from ftctl.datasets.write import beside, encoded
from ftctl.errors import DataInvalid, UsageError

_LONG_NUMBER = re.compile(rb"[0-9.]{16}")  # a shorter one is always read exactly
_LONGEST_WHOLE = 400  # digits, of which `parse_line` drops none
_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r"
# Marks of wide encodings and how Python calls each; UTF-32's begins like UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Change(Value):
    """One change, at its place in the old file: values are cut short and never hold a secret."""

    file: str
    line: int
    path: str
    rule: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """What was done.

    Attributes:
        changes: The first of each rule, in the order of lines.
        counts: How many there are of each rule.
    """

    changes: tuple[Change, ...]
    counts: dict[str, int]


def fix(
    file: Path, out: Path, *, providers: Sequence[str], method: str = "sft", most: int = 50
) -> Fixed:
    """Write a corrected copy: what somebody minds is changed, where it is certain how.

    Lines that need no mend keep their bytes, but for a CR at their end. Fixing the copy again
    changes nothing.

    Args:
        file: JSONL; also plain JSON, gzip, UTF-16 and UTF-32 with a mark.
        out: A file that doesn't exist, or holds what would be written.
        providers: Whose rules count.
        method: How the model will be tuned.
        most: How many changes of each rule are kept; all are counted.

    Raises:
        UsageError: a file can't be read or written, `out` holds something else, or a provider is
            unknown.
        Unsupported: a method of which no rules are known.
        DataInvalid: the file can't be copied whole: it is damaged, packed by what isn't read here,
            or has a line that is too long.
    """
    if file.exists() and not file.is_dir() and not file.is_file():
        raise UsageError(f"{file} can't be read twice", hint="save it to a file first")
    require_method(method)
    whole = _Fix(file, known_providers(providers), method, most)
    with beside(out, mode=0o666) as (stream, partial):
        digest = hashlib.sha256()
        for data in whole.run(partial):
            digest.update(data)
            stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
        _require_plain(file, partial)
        if out.exists() and (not out.is_file() or file_sha256(out) != digest.hexdigest()):
            raise UsageError(f"{out} exists and holds something else", hint="--fix NEW-FILE")
        partial.replace(out)
    return Fixed(tuple(whole.changes), dict(whole.counts))


class _Fix:
    """One way through a file.

    Attributes:
        changes: The first of each rule.
        counts: Of each rule.
    """

    def __init__(self, file: Path, providers: tuple[str, ...], method: str, most: int) -> None:
        self.changes: list[Change] = []
        self.counts: Counter[str] = Counter()
        self._file = file
        self._providers = providers
        self._method = method
        self._most = most
        self._known: dict[str, bool] = {}

    def run(self, partial: Path) -> Iterator[bytes]:
        """The new file's bytes.

        Args:
            partial: Beside which a decoded copy may stand while it is read.
        """
        with LineReader(self._file) as reader:
            oddity = reader.oddity
            if not oddity:
                yield from self._plain(reader)
                return
        encoding = _marked(self._file)
        if encoding is None:
            hint = "iconv -f FROM -t UTF-8" if oddity.startswith("UTF") else "unpack it first"
            raise DataInvalid(f"{self._file} is {oddity}, which --fix doesn't read", hint=hint)
        self._changed(1, Mend("encoding", "", encoding.upper(), "UTF-8"))
        decoded = partial.with_suffix(".utf8")
        try:
            _decode(self._file, encoding, decoded)
            with LineReader(decoded) as reader:
                yield from self._plain(reader)
        finally:
            decoded.unlink(missing_ok=True)

    def _plain(self, reader: LineReader) -> Iterator[bytes]:
        for found, mend in (
            (reader.packed, Mend("compressed", "", reader.packed, "plain text")),
            (reader.bom, Mend("bom", "", "a byte order mark", "")),
            (reader.cr_only, Mend("line-ends", "", "CR", "LF")),
        ):
            if found:
                self._changed(1, mend)
        rest = iter(reader)
        head, opening = beginning(rest)
        if opening is not None:
            self._changed(opening.number, Mend("not-jsonl", "", "JSON over lines", "a row a line"))
            yield from self._over_lines(reader.path)
            return
        for line in chain(head, rest):
            yield from self._line(line)
        if reader.damage:
            raise DataInvalid(
                f"{self._file}: the compressed data is damaged: {reader.damage}",
                hint="pack the file again",
            )

    def _over_lines(self, path: Path) -> Iterator[bytes]:
        with RowReader(path) as rows:
            for row in rows:
                yield self._spanning(row)

    def _spanning(self, row: Row) -> bytes:
        if row.value is None:
            raise DataInvalid(
                f"{self._file}:{row.line}: {row.problem}", hint=f"ftctl data check {self._file}"
            )
        self._mend(row.line, row.value)
        return encoded(row.value)

    def _line(self, line: Line) -> Iterator[bytes]:
        if not line.whole:
            raise DataInvalid(
                f"{self._file}:{line.number}: a line of {line.size_bytes:,} bytes is not copied",
                hint="shorten or split the example",
            )
        data = line.data.rstrip(b"\r")
        while data.startswith(_BOM):
            data = data[len(_BOM) :]
            self._changed(line.number, Mend("json", "", "a byte order mark", ""))
        if not data.strip(_BLANK):
            if self._minded("blank-line"):
                self._changed(line.number, Mend("blank-line", "", "an empty line", ""))
            else:
                yield data + b"\n"
            return
        for piece in self._pieces(line.number, data, ended=line.ended):
            yield self._row(line.number, piece, ended=line.ended)

    def _pieces(self, number: int, data: bytes, *, ended: bool) -> list[bytes]:
        """The rows that a line holds, as they stand in it."""
        parsed = parse_line(data, ended=ended)
        if parsed.valid:
            return self._unrolled(number, data, parsed)
        finding = parsed.findings[0]
        if finding.key == "json/two-objects":
            pieces = _objects(data.decode())
            self._changed(number, Mend(finding.key, "", f"{len(pieces)} objects", "a line each"))
            return pieces
        trimmed = data.rstrip(_BLANK)
        if finding.key == "json" and trimmed.endswith(b","):
            shorter = parse_line(trimmed[:-1])
            if shorter.valid and isinstance(shorter.value, dict):
                self._changed(number, Mend("json", "", "a comma after the object", ""))
                return [trimmed[:-1].rstrip(_BLANK)]
        return [data]

    def _unrolled(self, number: int, data: bytes, parsed: Parsed) -> list[bytes]:
        found = parsed.value
        if not isinstance(found, list) or not found or not _writable(parsed, data):
            return [data]
        rows = [item for item in found if isinstance(item, dict)]
        if len(rows) < len(found):
            return [data]
        self._changed(number, Mend("line-not-object/list", "", "a list", f"{len(rows)} lines"))
        return [encoded(row).rstrip(b"\n") for row in rows]

    def _row(self, number: int, data: bytes, *, ended: bool) -> bytes:
        parsed = parse_line(data, ended=ended)
        if (
            isinstance(parsed.value, dict)
            and _writable(parsed, data)
            and self._mend(number, parsed.value)
        ):
            return encoded(parsed.value)
        return data + b"\n"

    def _mend(self, number: int, row: JsonObject) -> bool:
        made = mended(row, self._minded, self._method)
        for mend in made:
            self._changed(number, mend)
        return bool(made)

    def _minded(self, key: str) -> bool:
        if key not in self._known:
            providers = self._providers
            if key == "role/developer":  # a role of theirs
                providers = tuple(p for p in providers if p not in ("openai", "azure"))
            self._known[key] = bool(rule_on(key, providers, self._method))
        return self._known[key]

    def _changed(self, number: int, mend: Mend) -> None:
        rule = mend.rule.partition("/")[0]
        self.counts[rule] += 1
        if self.counts[rule] <= self._most:
            self.changes.append(
                Change(
                    file=str(self._file),
                    line=number,
                    path=printable(mend.path),
                    rule=rule,
                    before=printable(mend.before),
                    after=printable(mend.after),
                )
            )


def _writable(parsed: Parsed, data: bytes) -> bool:
    """Whether a row says the same once it is written anew."""
    if {finding.key for finding in parsed.findings} & UNWRITABLE:
        return False
    return parsed.valid and (_LONG_NUMBER.search(data) is None or _exact(data))


def _exact(data: bytes) -> bool:
    """Whether no number loses a digit by being read."""
    lossy: list[str] = []

    def real(text: str) -> float:
        value = float(text)
        if Decimal(text) != Decimal(repr(value)):
            lossy.append(text)
        return value

    def whole(text: str) -> int:
        lossy.extend([text] * (len(text) > _LONGEST_WHOLE))
        return 0

    json.loads(data, parse_float=real, parse_int=whole)
    return not lossy


def _objects(text: str) -> list[bytes]:
    decoder, at, found = json.JSONDecoder(), after_spaces(text, 0), []
    while at < len(text):
        _, end = decoder.raw_decode(text, at)
        found.append(text[at:end].encode())
        at = after_spaces(text, end)
    return found


def _require_plain(file: Path, new: Path) -> None:
    """Refuse odd lines that, now that they are first, would make the file another kind of file.

    Raises:
        DataInvalid: it would be read as something else than lines of UTF-8.
    """
    with LineReader(new) as reader:
        if reader.oddity or reader.packed or reader.cr_only or reader.bom:
            raise DataInvalid(
                f"{file}: without its first lines it would no longer be read line by line",
                hint=f"ftctl data check {file}",
            )


def _marked(file: Path) -> str | None:
    with file.open("rb") as opened:
        head = opened.read(4)
    return next((name for mark, name in _MARKS if head.startswith(mark)), None)


def _decode(file: Path, encoding: str, out: Path) -> None:
    """Write a file's text as UTF-8.

    Raises:
        DataInvalid: it isn't what its mark says.
    """
    try:
        with (
            file.open(encoding=encoding, newline="") as old,
            out.open("x", encoding="utf-8", newline="") as new,
        ):
            while text := old.read(CHUNK_BYTES):
                new.write(text)
    except UnicodeError as error:
        raise DataInvalid(
            f"{file} begins as {encoding.upper()}, but isn't: {shown(str(error))}",
            hint="iconv -f FROM -t UTF-8",
        ) from None
