"""Rules on a file as a whole: encoding, packing, name, bytes, and how many examples it has.

Each limit is a row of the rule table of its own, since every provider has another one. Sources:
upload and data pages of OpenAI, Azure, Mistral, Gemini, Fireworks and Nova, Together's SDK 3.1.1;
read by 2026-11-24.
"""

import re
from collections.abc import Iterator

from ftctl.datasets.read import STDIN, LineReader
from ftctl.datasets.rules.types import Finding, shown

_MOST_BYTES = {
    "file-size/150mb": 150 * 2**20,
    "file-size": 512 * 2**20,
    "file-size/1gb": 2**30,
    "file-size/50gb": 501 * 2**30 // 10,
}
MIN_EXAMPLES = 10  # of the row `min-examples`; source: OpenAI's supervised guide
ADVISED_EXAMPLES = 50  # same source: 50 to 100 as a start
# By method; "" for all.
_FEWEST = {
    "": {"min-examples/3": 3, "min-examples/8": 8},
    "sft": {"min-examples/200": 200},
    "rft": {"min-examples/100": 100},
}
_ADVISED_BY_VENDORS = 100
_ADVISED_PAIRS = 1000  # Nova's page, for DPO
_PILOT_EXAMPLES = 10_000
_MOST = {"max-examples/20k": 20_000, "max-examples/1m": 10**6, "max-examples/3m": 3 * 10**6}
_MOST_VALIDATION = 5000  # Gemini
_SUFFIXES = {".gz": "gzip", ".zst": "zstd"}
_NOVA_NAME = re.compile(r"[A-Za-z0-9_.-]+")


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


def file_name(name: str, suffix: str) -> Iterator[Finding]:
    """`file-extension`.

    Args:
        name: The file's, without its folder.
        suffix: Its end, from the last dot on.
    """
    if suffix != ".jsonl":
        yield Finding("file-extension", "", f"the name ends in {suffix or 'nothing'}")
    if not _NOVA_NAME.fullmatch(name):
        yield Finding("file-extension/name", "", f"the name is {shown(name)}")


def file_size(size_bytes: int) -> Iterator[Finding]:
    """`file-size`."""
    for key, limit in _MOST_BYTES.items():
        if size_bytes > limit:
            yield Finding(key, "", f"{size_bytes:,} bytes; {limit:,} are taken")


def example_count(count: int, method: str = "sft") -> Iterator[Finding]:
    """`min-examples`, `few-examples` and `max-examples` of a training file."""
    said = f"{count:,} example{'s' * (count != 1)}"
    if count < MIN_EXAMPLES:
        yield Finding("min-examples", "", f"{said}; {MIN_EXAMPLES} is the minimum")
    elif count < ADVISED_EXAMPLES:
        # The bare minimum is worth a provider's warning, a small file only a word of advice.
        key = "few-examples" if count == MIN_EXAMPLES else "few-examples/advice"
        yield Finding(key, "", f"{said} are few")
    if MIN_EXAMPLES < count < _ADVISED_BY_VENDORS:
        yield Finding("few-examples/100", "", f"{said} are few")
    if method == "dpo" and count < _ADVISED_PAIRS:
        yield Finding("few-examples/1000", "", f"{said} are few")
    for key, limit in (_FEWEST[""] | _FEWEST.get(method, {})).items():
        if count < limit:
            yield Finding(key, "", f"{said}; {limit} is the minimum")
    if count > _PILOT_EXAMPLES:
        yield Finding("many-examples/advice", "", f"{said} cost much to find out with")
    for key, limit in _MOST.items():
        if count > limit:
            yield Finding(key, "", f"{said}; {limit:,} is the maximum")


def validation_count(count: int) -> Iterator[Finding]:
    """`validation-size` by rows."""
    if count > _MOST_VALIDATION:
        said = f"{count:,} validation examples; {_MOST_VALIDATION:,} are taken"
        yield Finding("validation-size/rows", "", said)
