"""What is odd about a file before its first line: encoding, packing, name and size."""

from collections.abc import Iterator

from ftctl.datasets.read import STDIN, LineReader
from ftctl.datasets.rules.limits import file_name, file_size
from ftctl.datasets.rules.types import Finding

_SUFFIXES = {".gz": "gzip", ".zst": "zstd"}


def whole_file(reader: LineReader) -> Iterator[Finding]:
    """What is odd about a file before its first line."""
    if reader.oddity.startswith("UTF"):
        yield Finding("encoding", "", f"the file is {reader.oddity}, not UTF-8")
    elif reader.oddity:
        hint = "pip install 'ftctl[zstd]', or unpack it: unzstd" if reader.oddity == "zstd" else ""
        yield Finding("compressed/unread", "", f"the file is compressed ({reader.oddity})", hint)
    yield from _packing(reader)
    if reader.bom:
        yield Finding("bom", "", "a byte order mark at the start")
    if reader.cr_only:
        yield Finding("line-ends", "", "lines end in CR alone")
    if reader.path != STDIN:
        yield from file_name(reader.path.name, reader.path.suffix)
    yield from file_size(reader.size_bytes)


def _packing(reader: LineReader) -> Iterator[Finding]:
    """`compressed`: what a file is, and what its name says that it is."""
    said = _SUFFIXES.get(reader.path.suffix.lower(), "")
    if reader.packed and (reader.packed == said or reader.path == STDIN):
        yield Finding("compressed", "", f"the file is compressed ({reader.packed})")
    elif reader.packed:
        what = f"the file is compressed ({reader.packed}), whatever its name says"
        yield Finding("compressed/misnamed", "", what)
    elif said and not reader.oddity:
        yield Finding("compressed/not", "", f"the name says {said}, the file is plain text")
