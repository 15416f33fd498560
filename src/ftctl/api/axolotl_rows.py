"""The rows that an Axolotl configuration names: files here, each of a type that is known."""

from collections.abc import Mapping
from pathlib import Path

from ftctl.api import axolotl_keys as keys
from ftctl.api.axolotl_translation import Translation, shown
from ftctl.errors import UsageError

_PLACES = frozenset({"path", "data_files", "type"})
_ALPACA = "the row becomes a chat by the model's own template, without Alpaca's preamble"


def files_of(found: Translation, key: str, value: object, *, dpo: bool, where: str) -> list[Path]:
    """The files of `datasets` or `test_datasets`; what their other keys say is told.

    Raises:
        UsageError: an entry names no file on this machine.
    """
    entries = value if isinstance(value, list) else []
    if not entries or not all(isinstance(entry, Mapping) for entry in entries):
        raise UsageError(f"{where}: {key} is no list of datasets with a path")
    files = []
    for number, entry in enumerate(entries):
        said = f"{key}[{number}]"
        mine = _paths(entry, f"{where}: {said}")
        files += mine
        names = ", ".join(str(file) for file in mine)
        found.told(f"{said}.path", names, "data" if key == "datasets" else "validation")
        _type(found, f"{said}.type", entry.get("type"), dpo=dpo)
        for name, given in entry.items():
            if name not in _PLACES and given not in (None, False, "", [], {}):
                _rest(found, f"{said}.{name}", str(name), given)
    return files


def _paths(entry: Mapping[str, object], where: str) -> list[Path]:
    named = entry.get("data_files") or entry.get("path")
    files = []
    for item in named if isinstance(named, list) else [named]:
        if not isinstance(item, str) or not item:
            raise UsageError(f"{where} names no file", hint="path: rows.jsonl")
        file = Path(item).expanduser()
        if not file.is_file():
            raise UsageError(
                f"{where}.path: {item} is no file here; a dataset of a hub isn't fetched",
                hint="download its file, and name that; relative paths count from where you stand",
            )
        files.append(file)
    return files


def _type(found: Translation, key: str, value: object, *, dpo: bool) -> None:
    known = keys.PAIR_TYPES if dpo else keys.ROW_TYPES
    if not isinstance(value, str):
        found.lose(key, value, f"known here: {', '.join(known)}")
    elif value in known:
        found.told(key, value, "read by their shape", _ALPACA if value == "alpaca" else "")
    elif value.partition(".")[0] in known and not dpo:
        found.told(key, value, "read by their shape", "of its variant only the shape counts")
    else:
        found.lose(key, value, f"known here: {', '.join(known)}")


def _rest(found: Translation, key: str, name: str, value: object) -> None:
    mapping = {"role": ("role", "from"), "content": ("content", "value")}
    if name == "message_property_mappings" and isinstance(value, Mapping):
        as_ours = all(said in mapping.get(part, (part,)) for part, said in value.items())
    else:
        as_ours = value in keys.ROWS_AS_OURS.get(name, ())
    if as_ours:
        found.told(key, value, "", "as it is here")
    else:
        found.lose(key, shown(value), "nothing here does this")
