"""Where an export is written before it has its name: all of it appears at once, or nothing."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from ftctl.errors import StoreError, UsageError
from ftctl.local_backend.output import MANIFEST, is_whole


def require_free(target: Path) -> None:
    """See that nothing is at a place, or an empty folder, before hours are spent for it.

    Raises:
        UsageError: something is there.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(
            f"{target}: exists and holds something else", hint="name an empty or new place"
        )


@contextlib.contextmanager
def scratch(target: Path, job: str) -> Iterator[Path]:
    """A folder beside the target to work in, gone at the end; a killed one's is swept away.

    Raises:
        StoreError: the disk won't take what is written.
    """
    target = target.resolve()  # `.` and `..` have no name to put a part beside
    part = target.parent / f"{target.name}.part-{job}"
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
    except Exception as error:
        # safetensors says so in an error of its own, which is no OSError.
        if not isinstance(error, OSError) and type(error).__name__ != "SafetensorError":
            raise
        why = getattr(error, "strerror", None) or error
        raise StoreError(
            f"{target}: could not be written ({why}); nothing is kept, the job is untouched",
            hint="free space or choose another place, then run the same command again",
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def require_space(folder: Path, size: int) -> None:
    """See that a disk has room for so many bytes.

    Raises:
        StoreError: it hasn't.
    """
    free = shutil.disk_usage(folder).free
    if free < size:
        raise StoreError(
            f"{folder.parent}: {size / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free",
            hint="free space or choose another disk",
        )


def keep(made: Path, target: Path) -> None:
    """Give what was made its name; an empty folder that is there stays, and is filled."""
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        made.replace(target)
        return
    for file in sorted(made.iterdir(), key=lambda file: file.name == MANIFEST):
        file.replace(target / file.name)


def holds(folder: Path, record: str, origin: str) -> bool:
    """Whether a folder is whole, and its record names the weights it would be made of."""
    try:
        return bool(json.loads((folder / record).read_bytes())["origin"] == origin) and is_whole(
            folder
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False
