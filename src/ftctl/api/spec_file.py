"""A whole job from a file: ours in TOML, YAML or JSON, or one that Axolotl reads.

Flags win over the file. Relative paths in it count from where the command stands, as a flag's do,
and as Axolotl takes its own.
"""

import difflib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own
from pydantic import BaseModel, ConfigDict

from ftctl.api.axolotl_job import axolotl_job
from ftctl.api.axolotl_translation import Line
from ftctl.api.spec_source import Source, read_source
from ftctl.api.submitting import make_spec
from ftctl.config import Settings
from ftctl.errors import UsageError
from ftctl.job import JobSpec

_TEXTS = ("provider", "data", "model", "validation", "name")


class SpecFile(BaseModel):
    """The file that a job was made of, and what became of it.

    Attributes:
        place: Where it was read.
        sha256: Of its bytes.
        format: Whose.
        lines: What became of each key; for an Axolotl file.
        unknown: Keys that nobody knows.
        ignored: Keys that change what is learnt, and that were left out on request.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    place: str
    sha256: str
    format: Literal["ftctl", "axolotl"]
    lines: tuple[Line, ...] = ()
    unknown: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def spec_from_file(
    place: str,
    given: Mapping[str, Any],
    *,
    ignore_unknown: bool = False,
    settings: Settings,
) -> tuple[JobSpec, SpecFile]:
    """The spec that a file asks for, with what the flags say in its place.

    Args:
        place: A file, or an https address of an Axolotl file.
        given: Fields of a spec by name, hyperparameters as a mapping; None isn't given.
        ignore_unknown: Leave out what changes the result and has no counterpart.
        settings: Where things are on this machine.

    Raises:
        UsageError: the file is no job, or names something that isn't there.
        Unsupported: an Axolotl file asks for what can't be carried.
        DataInvalid: its rows can't be converted.
    """
    source = read_source(place)
    document = _document(source)
    kept = {"spec": source.place, "spec_sha256": source.sha256}
    wins = {name: value for name, value in given.items() if value is not None}
    if "base_model" in document:
        _require_axolotl(document, source)
        spec, found = axolotl_job(
            document, source.place, wins, kept, ignore_unknown=ignore_unknown, settings=settings
        )
        return spec, SpecFile(
            place=source.place,
            sha256=source.sha256,
            format="axolotl",
            lines=tuple(found.lines),
            unknown=tuple(found.unknown),
            ignored=tuple(found.lost),
        )
    if source.remote:  # it could name a command to run, or where rows go
        raise UsageError(
            f"{source.place}: no Axolotl file, and only those are taken from elsewhere",
            hint="download it, look at it, and name the file",
        )
    spec = _own(document, source, wins, kept)
    return spec, SpecFile(place=source.place, sha256=source.sha256, format="ftctl")


def _document(source: Source) -> dict[str, Any]:
    suffix = Path(source.name).suffix.lower()
    try:
        if suffix == ".toml":
            found: object = tomllib.loads(source.text)
        elif suffix == ".json":
            found = json.loads(source.text)
        else:
            found = yaml.safe_load(source.text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        first = " ".join(str(error).split())[:200]
        kind = suffix.removeprefix(".") or "yaml"
        raise UsageError(f"{source.place}: can't be read as {kind} ({first})") from None
    if not isinstance(found, dict):
        raise UsageError(f"{source.place}: no settings in it, so no job")
    if "schema" in found and isinstance(found.get("spec"), dict):  # what `--json` printed
        return dict(found["spec"])
    return found


def _require_axolotl(document: Mapping[str, Any], source: Source) -> None:
    if "task" in document and "params" in document:
        raise UsageError(
            f"{source.place}: a file of AutoTrain's, which can't be read here",
            hint="name its data and settings by flags: ftctl submit --help",
        )


def _own(
    document: Mapping[str, Any], source: Source, wins: Mapping[str, Any], kept: Mapping[str, str]
) -> JobSpec:
    unknown = sorted(set(map(str, document)) - set(JobSpec.model_fields))
    if unknown:
        near = difflib.get_close_matches(unknown[0], JobSpec.model_fields, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(
            f"{source.place}: no job has a {unknown[0]!r}{meant}",
            hint=f"known: {', '.join(JobSpec.model_fields)}",
        )
    fields = {name: value for name, value in document.items() if value is not None}
    for name in ("hyperparameters", "options", "metadata"):
        if not isinstance(fields.setdefault(name, {}), dict):
            raise UsageError(f"{source.place}: {name} isn't a table of settings")
    for name in _TEXTS:
        if not isinstance(fields.get(name, ""), str):
            raise UsageError(f"{source.place}: {name} isn't text")
    hashes = {role: fields.pop(f"{role}_sha256", None) for role in ("data", "validation")}
    asked = {**fields.pop("options"), **fields.pop("hyperparameters")}
    asked = {name: value for name, value in asked.items() if value is not None}
    asked |= wins.get("hyperparameters", {})
    wanted = fields | dict(wins) | {"hyperparameters": asked}
    wanted["metadata"] = fields["metadata"] | kept
    missing = [name for name in ("provider", "data", "model") if name not in wanted]
    if missing:
        flags = ", ".join(f"--{name}" for name in missing)
        raise UsageError(f"{source.place}: no {', '.join(missing)}", hint=f"write it, or {flags}")
    spec = make_spec(**wanted)
    for role, sha256 in hashes.items():
        if role not in wins and sha256 not in (None, getattr(spec, f"{role}_sha256")):
            raise UsageError(
                f"{getattr(spec, role)}: isn't the {role} that {source.place} was written for "
                "(its sha256 is another)",
                hint=f"put the old file back, or take {role}_sha256 out",
            )
    return spec
