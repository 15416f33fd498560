"""The user's own rows: a quote, a negotiated price, a date; each takes the place of a shipped one.

`catalog.toml` in FTCTL_HOME, or the file that the setting `catalog` names, has the sections of
the shipped files. A row names what it is about, `as_of` and `source`, and only what differs.
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ftctl.catalog.types import (
    Fact,
    Fee,
    Gpu,
    Hardware,
    InferencePrice,
    Model,
    Provider,
    TrainingPrice,
)
from ftctl.errors import UsageError

SECTIONS: Mapping[str, type[Fact]] = {
    "providers": Provider,
    "models": Model,
    "gpus": Gpu,
    "inference": InferencePrice,
    "training": TrainingPrice,
    "fees": Fee,
    "hardware": Hardware,
}
# What a row is about: two rows equal in these say different things of the same.
_KEYS: Mapping[str, tuple[str, ...]] = {
    "providers": ("name",),
    "models": ("name",),
    "gpus": ("name",),
    "inference": ("provider", "model", "tuned"),
    "training": ("provider", "model", "max_parameters", "method", "tuning"),
    "fees": ("provider", "kind", "method"),
    "hardware": ("provider", "name"),
}
EXAMPLE = """[[training]]
provider = "together"
model = "llama-3.1-8b-instruct"
usd = 0.40  # per million trained tokens
as_of = 2026-11-24
source = "offer 4711"
"""


def row_key(section: str, row: Fact) -> str:
    """What a row is about, in words: `together llama-3.1-8b-instruct sft lora`."""
    about = _about(section, row)
    return " ".join("tuned" if v is True else str(v) for v in about if v not in (None, False))


def with_user_rows(
    shipped: Mapping[str, tuple[Fact, ...]], path: Path
) -> dict[str, tuple[Fact, ...]]:
    """The shipped sections with the rows of the user's file in their place, or before them.

    Raises:
        UsageError: the file can't be read, or a row is wrong; names file, row and key.
    """
    merged = dict(shipped)
    for section, rows in _read(path).items():
        if section not in SECTIONS:
            raise UsageError(
                f"{path}: unknown section [[{section}]]", hint="known are " + ", ".join(SECTIONS)
            )
        if not isinstance(rows, list):
            raise UsageError(f"{path}: [{section}] must be [[{section}]]: rows", hint=EXAMPLE)
        before: dict[str, int] = {}
        for number, given in enumerate(rows, 1):
            place = f"{path}: [[{section}]] {number}"
            made = _make_row(section, merged[section], given, place)
            about = row_key(section, made)
            if about in before:
                raise UsageError(
                    f"{place}: says the same of {about} as row {before[about]}",
                    hint="keep one of them",
                )
            before[about] = number
            merged[section] = _with_row(section, merged[section], made)
    _require_references(merged, path)
    return merged


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}", hint=EXAMPLE) from None


def _make_row(section: str, rows: tuple[Fact, ...], given: dict[str, Any], place: str) -> Fact:
    """The user's row, with what it doesn't say taken from the one whose place it takes."""
    kind = SECTIONS[section]
    fields = kind.model_fields
    wanted = [given.get(key, fields[key].get_default()) for key in _KEYS[section]]
    replaced = next((row for row in rows if _about(section, row) == wanted), None)
    for name in ("as_of", "source"):
        if name not in given:
            raise UsageError(f"{place}: `{name}` is missing", hint=EXAMPLE)
    base = {} if replaced is None else replaced.model_dump()
    try:
        return kind.model_validate(base | _as_users(given) | {"confidence": "user"})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{place}: `{where}`: {first['msg']}", hint=EXAMPLE) from None


def _with_row(section: str, rows: tuple[Fact, ...], made: Fact) -> tuple[Fact, ...]:
    about = _about(section, made)
    if all(_about(section, row) != about for row in rows):
        return (made, *rows)
    return tuple(made if _about(section, row) == about else row for row in rows)


def _about(section: str, row: Fact) -> list[object]:
    return [getattr(row, key) for key in _KEYS[section]]


def _as_users(given: Mapping[str, Any]) -> dict[str, Any]:
    """The row with every fact inside it, such as `serving`, marked as the user's."""
    outer = {name: given[name] for name in ("as_of", "source")}

    def marked(value: object) -> object:
        if isinstance(value, dict):
            return outer | value | {"confidence": "user"}
        return [marked(part) for part in value] if isinstance(value, list) else value

    return {name: marked(value) for name, value in given.items()}


def _require_references(sections: Mapping[str, Iterable[Fact]], path: Path) -> None:
    """Refuse a row about a provider, model or card that there is none of."""
    known = {name: {row.model_dump()["name"] for row in sections[name]} for name in _NAMED}
    for section in ("inference", "training", "fees", "hardware"):
        for row in sections[section]:
            for field, target in (("provider", "providers"), ("model", "models"), ("gpu", "gpus")):
                name = getattr(row, field, None)
                if name is not None and name not in known[target]:
                    raise UsageError(
                        f"{path}: [[{section}]] {row_key(section, row)}: no {field} {name!r}",
                        hint=f"use a name of `ftctl {target}`, or add it under [[{target}]]",
                    )


_NAMED = ("providers", "models", "gpus")
