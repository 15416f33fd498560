"""Rows and files as we write them: a line each, whole or not at all."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ftctl.datasets.rules.types import JsonObject
from ftctl.errors import UsageError

_ESCAPED = {"\u2028": "\\u2028", "\u2029": "\\u2029", "\x85": "\\u0085"}


def encoded(row: JsonObject) -> bytes:
    """A row as a line; what some programs take for a line end is escaped."""
    text = json.dumps(row, ensure_ascii=False)
    for character, escape in _ESCAPED.items():
        text = text.replace(character, escape)
    return text.encode() + b"\n"


@contextmanager
def beside(out: Path, *, mode: int) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file beside another, to be renamed to it once it is whole; else it is gone."""
    partial = out.with_name(f".{out.name}.{secrets.token_hex(8)}.part")
    try:
        number = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(number, "wb") as stream:
            yield stream, partial
    except OSError as error:
        raise unwritable(out, error) from None
    finally:
        with suppress(OSError):  # where nothing can be written nothing is left, either
            partial.unlink(missing_ok=True)


def unwritable(out: Path, error: OSError) -> UsageError:
    """What to say where a file can't be written."""
    said = f"{out} can't be written: {error.strerror or error}"
    return UsageError(said, hint="-o names another file")
