"""Weights that come packed, as one tar: unpacked here member by member, never by its own paths.

The archive comes into `DIR.archive` first, gone on with like any download, and goes when `DIR` is
whole.
"""

import contextlib
import importlib.util
import json
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any, NoReturn

from ftctl.errors import ExtraMissing, FtctlError, Unavailable, Unsupported
from ftctl.providers.artifacts.download import Download, Progress, Stream
from ftctl.providers.artifacts.result_folder import write_results
from ftctl.providers.artifacts.safe_names import ARCHIVE, MANIFEST, choose

_ZSTD, _GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"  # how such files begin
_BLOCK = 1 << 20  # bytes
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def write_unpacked(
    folder: Path,
    ours: Mapping[str, bytes],
    archive: Download,
    *,
    who: str,
    extra: str,
    progress: Progress | None = None,
) -> None:
    """Bring our files and what an archive holds into `folder`; the same again is harmless.

    Args:
        folder: A new or empty one.
        ours: Files of our own, by name; among them what says whose results these are.
        archive: A tar, packed with zstd, gzip or not at all.
        who: Whom messages name.
        extra: The part of ftctl that brings what unpacks zstd.
        progress: Told of the bytes that come.

    Raises:
        ExtraMissing: nothing here unpacks zstd.
        Unsupported: the archive holds no weights in safetensors.
        UsageError, Unavailable, StoreError: as `write_results`.
    """
    packed = folder.resolve().with_name(f"{folder.resolve().name}.archive")
    promised = _promised(folder, ours)
    if promised:
        write_results(folder, promised)
    else:
        _require_zstd(extra, who)
        write_results(packed, {**ours, ARCHIVE: archive}, progress)
        try:
            chosen = choose(who, _members(packed / ARCHIVE), taken=ours)
            write_results(folder, {**ours, **chosen.files}, progress)
        except (Unavailable, Unsupported):  # what came is no use: another one may be
            shutil.rmtree(packed, ignore_errors=True)
            raise
    shutil.rmtree(packed, ignore_errors=True)


def _require_zstd(extra: str, who: str) -> None:
    if importlib.util.find_spec("zstandard") is None:
        raise ExtraMissing(extra, f"unpacking the weights that {who} sends")


def _promised(folder: Path, ours: Mapping[str, bytes]) -> dict[str, bytes | Download]:
    """What a folder that is there says that it holds, so that nothing has to come again."""
    try:
        rows = json.loads((folder / MANIFEST).read_bytes())
        others = {
            name: Download(_never, size=int(row["bytes"]), sha256=str(row["sha256"]))
            for name, row in rows.items()
            if name not in ours
        }
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return {}
    return {**ours, **others}


def _never(_offset: int, _version: str | None) -> NoReturn:
    raise Unavailable("what was fetched before has been changed", hint="name another folder")


def _members(archive: Path) -> list[tuple[str, Download]]:
    """The files of an archive, without the one folder that may stand before every name."""
    reader = _Reader(archive)
    with _damage():
        sizes = [(member.name, member.size) for member in reader.files()]
    plain = [name.removeprefix("./") for name, _ in sizes]
    first = {name.partition("/")[0] for name in plain if "/" in name}
    inner = len(first) == 1 and _FOLDER.fullmatch(next(iter(first)))
    if inner and all("/" in name for name in plain):
        plain = [name.partition("/")[2] for name in plain]
    return [
        (shown, Download(partial(reader.open, name), size=size))
        for shown, (name, size) in zip(plain, sizes, strict=True)
    ]


class _Reader:
    """Reads an archive from its beginning, as often as it takes: it can't be sought in."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive

    def files(self) -> Iterator[tarfile.TarInfo]:
        """Every plain file in it: no link, no device, no folder."""
        with self._tar() as tar:
            yield from (member for member in tar if member.isreg())

    @contextlib.contextmanager
    def open(self, name: str, _offset: int, _version: str | None) -> Iterator[Stream]:
        """The first file of that name, from its beginning."""
        with _damage(), self._tar() as tar:
            for member in tar:
                if member.isreg() and member.name == name:
                    content = tar.extractfile(member)
                    assert content is not None  # noqa: S101 - it is a plain file
                    yield Stream(_blocks(content), total=member.size)
                    return
        raise Unavailable(f"{name} isn't in the archive any more")

    @contextlib.contextmanager
    def _tar(self) -> Iterator[tarfile.TarFile]:
        with self._archive.open("rb") as packed:
            start = packed.read(4)
            packed.seek(0)
            plain: Any = packed
            if start.startswith(_ZSTD):
                import zstandard

                unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 31)
                plain = unpacker.stream_reader(packed, read_across_frames=True)
            mode: Any = "r|gz" if start.startswith(_GZIP) else "r|"
            with tarfile.open(fileobj=plain, mode=mode) as tar:
                yield tar


def _blocks(content: IO[bytes]) -> Iterator[bytes]:
    while block := content.read(_BLOCK):
        yield block


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """What a broken archive raises, as one error."""
    try:
        yield
    except FtctlError:
        raise
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise _damaged(error) from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("zstandard", "zlib"):
            raise
        raise _damaged(error) from None


def _damaged(error: Exception) -> Unavailable:
    return Unavailable(
        f"the archive that came can't be unpacked ({type(error).__name__}); it was thrown away",
        hint="run the same command again; if it says the same, ask the vendor",
    )
