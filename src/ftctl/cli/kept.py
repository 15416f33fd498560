"""Documents that one command keeps in a file and another reads."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from ftctl.errors import UsageError

_Kept = TypeVar("_Kept", bound=BaseModel)


def keep(document: BaseModel, file: Path) -> None:
    """Write a document for people to read and for `read_kept`.

    Raises:
        UsageError: the file can't be written.
    """
    try:
        file.write_text(document.model_dump_json(by_alias=True, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", hint="name another file") from None


def read_kept(kind: type[_Kept], file: str, command: str) -> _Kept:
    """A document that a command kept.

    Args:
        kind: What it is.
        file: Where it is.
        command: The command that writes such, such as `ftctl probe`.

    Raises:
        UsageError: it can't be read, or is another one.
    """
    again = f"{command} … -o {file}"
    try:
        return kind.model_validate_json(Path(file).read_bytes())
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", hint=again) from None
    except ValueError as error:
        first = " ".join(" ".join(str(error).splitlines()[1:3]).split())
        raise UsageError(f"{file}: no document of {command} ({first})", hint=again) from None
