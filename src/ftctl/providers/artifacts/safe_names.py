"""Which of a vendor's files come home, and under which names: never a path, never a pickle."""

import logging
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ftctl.errors import Unsupported, UsageError
from ftctl.providers.artifacts.download import Download
from ftctl.providers.transport.http_errors import printable

MANIFEST = "manifest.json"
WEIGHTS = ".safetensors"
ARCHIVE = "archive.tar.zst"  # what our own archives are called; no vendor's comes home so
SUFFIXES = (WEIGHTS, ".json", ".jsonl", ".csv", ".txt", ".md", ".model", ".jinja")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # of Windows
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Chosen:
    """What comes home of what a vendor offers.

    Attributes:
        files: By name, ready for `write_results`.
        left_out: What stays there, by the vendor's name for it made printable, and why.
    """

    files: Mapping[str, Download]
    left_out: Mapping[str, str]


def safe_name(name: str) -> str:
    """The name as it is, when a file may be called so in any folder of any system.

    Raises:
        UsageError: a path, a hidden file, a device of Windows, a pickle, or a kind of file that
            isn't brought home.
    """
    why = "" if name == ARCHIVE else _objection(name)
    if why:
        raise UsageError(f"a file can't be called {_shown(name)!r}: {why}")
    return name


def choose(
    who: str, offered: Iterable[tuple[str, Download]], *, taken: Collection[str] = ()
) -> Chosen:
    """Of the files that a vendor offers those that may come home; the others are logged.

    A vendor that puts a folder of its own before every name: take that folder off first, and only
    that one.

    Args:
        who: Whom messages name.
        offered: The vendor's names and files.
        taken: Names of our own files in the same folder.

    Raises:
        Unsupported: there are no weights in safetensors among them.
    """
    files: dict[str, Download] = {}
    left_out: dict[str, str] = {}
    used = {name.casefold() for name in (*taken, MANIFEST)}
    for name, download in offered:
        why = _objection(name) or ("the name is taken" if name.casefold() in used else "")
        if why:
            left_out[_shown(name)] = why
            _log.warning("%s: %s is left out: %s", who, _shown(name), why)
            continue
        used.add(name.casefold())
        files[name] = download
    if not any(name.endswith(WEIGHTS) for name in files):
        said = "; ".join(f"{name} ({why})" for name, why in list(left_out.items())[:3])
        raise Unsupported(
            f"{who} offers no weights in safetensors" + (f", only {said}" if said else ""),
            hint="nothing else is opened here: ask the vendor for safetensors",
        )
    return Chosen(files, left_out)


def _objection(name: str) -> str:
    lower = name.lower()
    if not _NAME.fullmatch(name) or name.endswith("."):
        return "it isn't a plain name (letters, digits, . _ -)"
    if _DEVICES.fullmatch(name):
        return "Windows keeps that name for a device"
    if lower.endswith(_PICKLES):
        return "a pickle can run code when it is opened"
    if not name.endswith(SUFFIXES):
        return f"only {' '.join(SUFFIXES)} come home"
    return ""


def _shown(name: str) -> str:
    return printable(name)[:100]
