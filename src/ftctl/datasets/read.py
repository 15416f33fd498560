"""Bytes to numbered lines, in constant memory whatever a line's length.

Nothing here judges: what is odd about a file is told by attributes of `LineReader`, a line above
the cap comes with its head, its outline and its size, and the rules decide what that means.
"""

import gzip
import io
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, Self

from ftctl.datasets.outline import Outline
from ftctl.datasets.unzstd import UnzstdReader, zstd_readable
from ftctl.errors import UsageError

OnProgress = Callable[[int, int], None]  # bytes read, and to read
TELL_LINES = 1000  # after so many, who reads line by line tells how far it is
STDIN = Path("-")  # the name that stands for standard input
LINE_CAP_BYTES = 32 * 2**20
HEAD_BYTES = 64 * 2**10
CHUNK_BYTES = 2**20
_LOOK_BYTES = 2**16
RANGE_BYTES = 8 * 2**20  # that a process takes at once
BLOCK_BYTES = 2**19  # of whole lines looked at together; a line longer than that comes alone

# What a file that can't be read as lines begins with. Source: the Unicode standard (marks), and
# each format's specification.
_ZSTD = b"\x28\xb5\x2f\xfd"
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
    (_ZSTD, "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"PK\x03\x04", "zip"),
)
# JSON begins with ASCII, so wide code units without a mark show as NULs at the same places of
# every unit: (bytes in a unit, place of the one that isn't NUL, name).
_WIDE = ((4, 0, "UTF-32"), (4, 3, "UTF-32"), (2, 0, "UTF-16"), (2, 1, "UTF-16"))


class Line(NamedTuple):
    """One line of a file.

    Attributes:
        number: 1-based.
        data: Its bytes without the line end; only the first `HEAD_BYTES` of a line above the cap.
        size_bytes: Its length without the line end.
        ended: Whether a line end followed; False on a last line that stops at the end of the file.
        outline: Of a line above the cap: its JSON with long strings cut short, if that helps.
        left_out_bytes: How much of strings the outline leaves out.
    """

    number: int
    data: bytes
    size_bytes: int
    ended: bool
    outline: bytes = b""
    left_out_bytes: int = 0

    @property
    def whole(self) -> bool:
        """Whether `data` is all of the line."""
        return self.size_bytes == len(self.data)


class LineReader:
    """A file's lines, read once from first to last; close it, or use it in a `with`.

    A byte order mark is taken off, gzip and zstd are unpacked on the way, CRLF counts as LF, and a
    file that only has CR is split there. A file with an `oddity` yields no lines: without the
    package zstandard, zstd is one.

    Attributes:
        path: The file; `STDIN` for what comes in there.
        size_bytes: Size on disk; 0 of a pipe.
        oddity: An encoding or compression that isn't read, such as `UTF-16`; "" when none.
        bom: Whether a UTF-8 byte order mark came first.
        packed: What the lines come out of, gzip or zstd; "" when they stand there as they are.
        cr_only: Whether lines end in CR alone.
        damage: What broke while unpacking, known once all lines are read; "" when nothing did.

    Raises:
        UsageError: the file is missing, a directory, or unreadable.
    """

    def __init__(self, path: Path, *, cap_bytes: int = LINE_CAP_BYTES) -> None:
        self.path = path
        self.damage = ""
        self._cap_bytes = cap_bytes
        self._file = _open(path)
        self.size_bytes = os.fstat(self._file.fileno()).st_size
        self.packed = _packed(self._file.peek(4)[:4])
        self._stream = _unpacked(self._file, self.packed)
        self._first = self._read()
        self.bom = self._first.startswith(b"\xef\xbb\xbf")
        if self.bom:
            self._first = self._first[3:]
        self.oddity = _oddity(self._first)
        before, _, _ = self._first.partition(b"\n")
        self.cr_only = len(re.findall(rb"\r(?=[^\r])", before)) > (before != self._first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        self._file.close()

    @property
    def read_bytes(self) -> int:
        """How far into the file on disk reading has come; 0 in a pipe."""
        return self._file.tell() if self._file.seekable() else 0

    def __iter__(self) -> Iterator[Line]:
        if self.oddity:
            return
        growing = _Growing(self._cap_bytes)
        number = 1
        for chunk in self._chunks():
            first, *others = chunk.split(b"\n")
            growing.add(first)
            for piece in others:
                yield growing.line(number, ended=True)
                number += 1
                growing.add(piece)
        if growing.size_bytes:
            yield growing.line(number, ended=False)

    @property
    def plain(self) -> bool:
        """Whether lines may be read from the file as they stand in it, from any place on."""
        odd = self.packed or self.cr_only or self.oddity or self.path == STDIN
        return not odd and self._file.seekable()

    def _chunks(self) -> Iterator[bytes]:
        chunk = self._first
        while chunk:
            if self.cr_only:  # but for a line end or two that another program added
                chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            yield chunk
            chunk = self._read()

    def _read(self) -> bytes:
        try:
            if self._file.seekable():
                return self._stream.read(CHUNK_BYTES)
            # What a pipe has: waiting there for a whole chunk would make Ctrl-C wait too.
            return self._stream.read1(CHUNK_BYTES)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            self.damage = str(error) or "the stream is cut off"
            return b""
        except OSError as error:
            raise _unreadable(self.path, error) from None


def must_be_readable_twice(path: Path) -> None:
    """Refuse a pipe, of which nothing is left once it is read.

    Raises:
        UsageError: it is one.
    """
    if path == STDIN or (path.exists() and not path.is_dir() and not path.is_file()):
        name = "standard input" if path == STDIN else path
        raise UsageError(f"{name} can't be read twice", hint="save it to a file first")


def _packed(magic: bytes) -> Literal["gzip", "zstd", ""]:
    if magic.startswith(b"\x1f\x8b"):
        return "gzip"
    return "zstd" if magic == _ZSTD and zstd_readable() else ""


def _unpacked(
    file: BufferedReader, packed: Literal["gzip", "zstd", ""]
) -> gzip.GzipFile | UnzstdReader | BufferedReader:
    if packed == "gzip":
        return gzip.GzipFile(fileobj=file)
    return UnzstdReader(file) if packed else file


def _oddity(first: bytes) -> str:
    marked = next((name for magic, name in _MAGIC if first.startswith(magic)), "")
    head = first[:8]
    if marked or len(head) < 8:
        return marked
    for size, place, name in _WIDE:
        if all((byte == 0) == (i % size != place) for i, byte in enumerate(head)):
            return name
    return ""


def ranges(path: Path, start: int) -> Iterator[tuple[int, int]]:
    """Where ranges of whole lines begin and end in a file, from a place on that begins a line.

    Raises:
        UsageError: the file can't be read.
    """
    try:
        with path.open("rb") as file:
            size_bytes = file.seek(0, io.SEEK_END)
            while start < size_bytes:
                end = _line_end(file, min(start + RANGE_BYTES, size_bytes) - 1)
                yield start, end
                start = end
    except OSError as error:
        raise _unreadable(path, error) from None


def _line_end(file: BinaryIO, at: int) -> int:
    """The first place from `at` on that comes after a line's end, or the file's."""
    file.seek(at)
    while chunk := file.read(_LOOK_BYTES):
        if (found := chunk.find(b"\n")) >= 0:
            return at + found + 1
        at += len(chunk)
    return at


def read_range(path: Path, start: int, end: int) -> Iterator[bytes | Line]:
    """The lines between two places of a file, see `pieces`.

    Raises:
        UsageError: the file can't be read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            places = range(start, end, BLOCK_BYTES)
            yield from pieces(file.read(min(BLOCK_BYTES, end - at)) for at in places)
    except OSError as error:
        raise _unreadable(path, error) from None


def joined(lines: Iterable[Line]) -> Iterator[bytes | Line]:
    """Lines put together into blocks, but for those longer than a block."""
    held: list[bytes] = []
    size_bytes = 0
    for line in lines:
        if line.size_bytes > BLOCK_BYTES or size_bytes > BLOCK_BYTES:
            if held:
                yield b"".join(held)
            held, size_bytes = [], 0
        if line.size_bytes > BLOCK_BYTES:
            yield line
            continue
        again = b"\r" if line.data.endswith(b"\r") else b""  # one is taken off each line
        held += (line.data, again, b"\n" if line.ended else b"")
        size_bytes += line.size_bytes
    if held:
        yield b"".join(held)


def pieces(chunks: Iterable[bytes], *, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes | Line]:
    """Whole lines out of chunks: in blocks, or by itself where one is longer than a block.

    Such a line has the number 0.
    """
    held: list[bytes] = []
    size_bytes = 0
    growing: _Growing | None = None
    for chunk in chunks:
        if growing is not None:
            first, end, chunk = chunk.partition(b"\n")
            growing.add(first)
            if not end:
                continue
            yield growing.line(0, ended=True)
            growing = None
        held.append(chunk)
        size_bytes += len(chunk)
        if size_bytes < block_bytes:
            continue
        block = b"".join(held) if len(held) > 1 else held[0]
        cut = block.rfind(b"\n") + 1
        if cut:
            yield block[:cut]
        held, size_bytes = [block[cut:]], len(block) - cut
        if size_bytes > block_bytes:
            growing = _Growing(LINE_CAP_BYTES)
            growing.add(held[0])
            held, size_bytes = [], 0
    if growing is not None:
        yield growing.line(0, ended=False)
    elif size_bytes:
        yield b"".join(held)


class _Growing:
    """A line while its pieces come in; above the cap only head and outline are kept."""

    def __init__(self, cap_bytes: int) -> None:
        self._cap_bytes = cap_bytes
        self._parts: list[bytes] = []
        self._outline: Outline | None = None
        self.size_bytes = 0

    def add(self, piece: bytes) -> None:
        self.size_bytes += len(piece)
        if self._outline is not None:
            self._outline.add(piece)
            return
        self._parts.append(piece)
        if self.size_bytes > self._cap_bytes:
            self._outline = Outline()
            for part in self._parts:
                self._outline.add(part)
            self._parts = [b"".join(self._parts)[:HEAD_BYTES]]

    def line(self, number: int, *, ended: bool) -> Line:
        """The line as collected; what is added next begins another one."""
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        size_bytes, outline = self.size_bytes, self._outline
        self._parts, self._outline, self.size_bytes = [], None, 0
        if outline is not None:
            return Line(number, data, size_bytes, ended, outline.end(), outline.left_out_bytes)
        if data.endswith(b"\r"):
            data, size_bytes = data[:-1], size_bytes - 1
        return Line(number, data, size_bytes, ended)


def _open(path: Path) -> BufferedReader:
    if path == STDIN:
        return open(0, "rb", closefd=False)
    if path.is_dir():
        raise UsageError(f"{path} is a folder, not a file", hint=f"ls {path}/*.jsonl")
    try:
        return path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from None
    except ValueError:  # a NUL in the name
        raise UsageError(f"{str(path)!r} is no file name", hint="name a JSONL file") from None


def _unreadable(path: Path, error: OSError) -> UsageError:
    why = error.strerror or str(error)
    return UsageError(f"{path}: {why}", hint="name a JSONL file that exists and can be read")
