"""Files that hold a secret: their user's own, mode 0600, no link, written whole or not at all."""

import os
import shlex
import stat
from pathlib import Path

from ftctl.errors import CredentialsMissing, StoreError

_LONGEST_BYTES = 1 << 20


def read_private(file: Path) -> str | None:
    """What the file says, or None where there is none.

    Raises:
        CredentialsMissing: others could read or swap it, with the command that mends it.
    """
    # A link is refused, not followed; a pipe doesn't make us wait.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        number = os.open(file, flags)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if file.is_symlink():
            raise CredentialsMissing(
                f"{file} is a symbolic link, and secrets are read only from a file itself",
                hint="put the file there in place of the link",
            ) from None
        raise CredentialsMissing(f"{file}: can't be read: {error.strerror}") from None
    try:
        _require_private(file, os.fstat(number))
        return os.read(number, _LONGEST_BYTES).decode("utf-8", "replace")
    finally:
        os.close(number)


def _require_private(file: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise CredentialsMissing(f"{file} isn't a file")
    get_user = getattr(os, "getuid", None)
    if get_user is None:  # Windows: the profile folder's own access list protects it
        return
    if found.st_uid != get_user():
        raise CredentialsMissing(
            f"{file} belongs to another user (id {found.st_uid})", hint="set FTCTL_HOME to your own"
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        raise CredentialsMissing(
            f"{file} can be read or written by others (mode {mode:04o})",
            hint=f"chmod 600 {shlex.quote(str(file))}",
        )


def write_private(file: Path, text: str, *, replace: bool = True) -> None:
    """Write the file with mode 0600; a crash leaves the old one or the new one, whole.

    Raises:
        FileExistsError: it is there already, and `replace` is false.
        StoreError: it can't be written.
    """
    import tempfile

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # made 0600
    except OSError as error:
        raise _cannot_write(file, error) from None
    part = Path(name)
    try:
        with os.fdopen(number, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if replace:
            part.replace(file)
        else:
            file.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError as error:
        raise _cannot_write(file, error) from None
    finally:
        part.unlink(missing_ok=True)


def _cannot_write(file: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{file}: can't be written: {error.strerror}",
        hint="free space or fix permissions, or keep it in an environment variable",
    )
