"""The base models that the server offers: names on the wire, and what each means here."""

import importlib.metadata
import re
from collections.abc import Sequence
from pathlib import Path

from ftctl.catalog.load import load_catalog
from ftctl.errors import UsageError
from ftctl.local_backend.base_models import check_folder

# No colon: tuned models are `ft:<base>:ftctl:<suffix>:<id>`.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
_GGUF = b"GGUF"  # how every such file begins
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def find_bases(given: Sequence[str]) -> dict[str, str]:
    """What `--base NAME=PATH_OR_ID` adds to the models whose weights are installed as packages.

    Raises:
        UsageError: a pair without `=`, a name that can't stand on the wire, or no such model.
    """
    bases = _packaged()
    for pair in given:
        name, equals, target = pair.partition("=")
        if not equals or not target or not _NAME.fullmatch(name):
            raise UsageError(
                f"--base {pair}: not NAME=PATH_OR_ID; a name has letters, digits, . _ - and /",
                hint="--base my-model=/path/to/model",
            )
        bases[name] = _resolved(target)
    return bases


def _packaged() -> dict[str, str]:
    found: dict[str, str] = {}
    for model in load_catalog().models:
        if model.package is not None and _installed(model.package):
            found[model.name] = model.name
    return found


def _installed(package: str) -> bool:
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _resolved(target: str) -> str:
    """A path made whole and looked into; other names checked without loading anything."""
    path = Path(target).expanduser()
    if path.is_dir():
        check_folder(path)
        return str(path.resolve())
    if path.is_file() and path.suffix == ".gguf":
        with path.open("rb") as file:
            if file.read(len(_GGUF)) != _GGUF:
                raise UsageError(f"{path}: not a GGUF file", hint="download it again")
        return str(path.resolve())
    if not _HUB_ID.fullmatch(target):
        load_catalog().get_model(target)
    return target
