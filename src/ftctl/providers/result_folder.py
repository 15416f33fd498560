"""What a hosted job leaves at home: small files and a manifest, written whole or not at all."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from ftctl.errors import StoreError, UsageError

MANIFEST = "manifest.json"


def write_results(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files and their manifest into `folder`; the same again is harmless.

    Raises:
        UsageError: the folder holds something else.
        StoreError: the disk won't take them.
    """
    manifest = _manifest(files)
    if _holds(folder, files, manifest):
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder}: exists and isn't this job's results", hint="name an empty or new folder"
        )
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        for name, content in [*files.items(), (MANIFEST, manifest)]:
            (part / name).write_bytes(content)
        if folder.exists():
            folder.rmdir()  # empty, as seen above; Windows can't rename over a folder
        part.rename(folder)
    except OSError as error:
        raise StoreError(
            f"{folder}: could not be written ({error.strerror or error}); the job is untouched",
            hint="free space or choose another folder, then run the same command again",
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _manifest(files: Mapping[str, bytes]) -> bytes:
    """sha256 and size of every file, in the shape of a local adapter's manifest."""
    rows = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in sorted(files.items())
    }
    return json.dumps(rows, indent=1).encode()


def _holds(folder: Path, files: Mapping[str, bytes], manifest: bytes) -> bool:
    try:
        return (folder / MANIFEST).read_bytes() == manifest and all(
            (folder / name).read_bytes() == content for name, content in files.items()
        )
    except OSError:
        return False
