"""Weights in the forms that other programs take: one merged model, a GGUF file, Ollama's folder."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftctl.api.export_request import Exported, Exporting, at_home, is_adapter
from ftctl.catalog.load import load_catalog
from ftctl.datasets.digest import file_sha256
from ftctl.errors import UsageError

if TYPE_CHECKING:
    from ftctl.local_backend.exports.compared import Difference
    from ftctl.local_backend.exports.gguf import Format
    from ftctl.local_backend.exports.merge import MergeRecord


@dataclass(frozen=True)
class _Whole:
    """A whole model, ready to be written in another form.

    Attributes:
        scratch: A folder to work in, beside the place where the result goes.
        model: The model's folder.
        data: The dataset whose prompts are compared.
        origin: sha256 of the weights that the job made.
        merged: What merging cost; None where nothing had to be merged.
    """

    scratch: Path
    model: Path
    data: Path
    origin: str
    merged: "MergeRecord | None"


def write_merged(asked: Exporting) -> Exported:
    """The base with the adapter in it, as a folder of safetensors.

    Raises:
        UsageError: something else is at that place, or the job's data are gone.
        JobFailed: the merged model is another one than the adapter on its base.
        StoreError: the disk won't take it.
    """
    from ftctl.local_backend.exports.merge import RECORD
    from ftctl.local_backend.exports.place import holds, keep
    from ftctl.local_backend.output import copy_output

    out, source = _begun(asked, "merging an adapter")
    if not is_adapter(source):  # full fine-tuning: there is nothing to merge
        copy_output(source, out)
        return _exported(asked, out)
    if not holds(out, RECORD, _origin(source)):
        with _whole(asked, out, source) as whole:
            keep(whole.model, out)
    return _exported(asked, out, _read(out / RECORD))


def write_gguf(asked: Exporting) -> Exported:
    """The whole model as one GGUF file.

    Raises:
        Unsupported: llama.cpp's form of this architecture or tokenizer isn't known here.
        UsageError: something else is at that place, or the job's data are gone.
        JobFailed: read back, the file is another model.
        StoreError: the disk won't take it.
    """
    from ftctl.local_backend.exports.gguf import is_made_of
    from ftctl.local_backend.exports.place import keep

    out, source = _begun(asked, "writing a GGUF file")
    if is_made_of(out, _origin(source), _form(asked)):
        return _exported(asked, out)
    with _whole(asked, out, source, as_gguf=True) as whole:
        file, found = _gguf(asked, whole)
        keep(file, out)
    return _exported(asked, out, _verified(whole, found))


def write_ollama(asked: Exporting) -> Exported:
    """A GGUF file, and a Modelfile with the same chat template in Ollama's words.

    Raises:
        Unsupported: as `write_gguf`, or the chat template has no equal in Ollama's words.
        UsageError: something else is at that place, or the job's data are gone.
        JobFailed: read back, the file is another model.
        StoreError: the disk won't take it.
    """
    from ftctl.local_backend.exports import ollama
    from ftctl.local_backend.exports.place import holds, keep
    from ftctl.local_backend.output import write_manifest

    out, source = _begun(asked, "writing a folder for Ollama")
    if holds(out, ollama.RECORD, _origin(source)):
        return _exported(asked, out, _read(out / ollama.RECORD))
    ollama.modelfile(source, _data(asked), asked.spec.name, lambda _: None)  # refused early
    with _whole(asked, out, source, as_gguf=True) as whole:
        file, found = _gguf(asked, whole)
        made = whole.scratch / "ollama"
        made.mkdir()
        keep(file, made / ollama.GGUF)
        text = ollama.modelfile(whole.model, whole.data, asked.spec.name, asked.tell)
        (made / "Modelfile").write_text(text, encoding="utf-8")
        record = {"schema": "ftctl.ollama/1", "origin": whole.origin, **_verified(whole, found)}
        (made / ollama.RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
        write_manifest(made)
        keep(made, out)
    return _exported(asked, out, _read(out / ollama.RECORD))


def _gguf(asked: Exporting, whole: _Whole) -> "tuple[Path, Difference]":
    """The model as a GGUF file, read back and compared."""
    from ftctl.local_backend.exports import gguf, gguf_check

    file = whole.scratch / "model.gguf"
    form = _form(asked) or gguf.default_format(whole.model)
    gguf.write_gguf(
        whole.model, file, form, name=asked.spec.name, origin=whole.origin, tell=asked.tell
    )
    found = gguf_check.compare(file, whole.model, whole.data, asked.tell, asked.max_kl)
    asked.tell(f"GGUF file and merged model: {found.in_words()}")
    return file, found


def _verified(whole: _Whole, found: "Difference") -> dict[str, Any]:
    merged = whole.merged.model_dump(mode="json") if whole.merged is not None else None
    return {"merge": merged, "gguf": found.model_dump()}


def _form(asked: Exporting) -> "Format | None":
    """The number format that a target names after its colon.

    Raises:
        UsageError: there is no such format.
    """
    from ftctl.local_backend.exports.gguf import FORMATS

    _, _, named = asked.to.partition(":")
    form = next((known for known in FORMATS if known == named), None)
    if named and form is None:
        raise UsageError(f"unknown format {named!r}", hint=f"known: {', '.join(FORMATS)}")
    return form


def _begun(asked: Exporting, why: str) -> tuple[Path, Path]:
    """Where to, and the folder of what the job made."""
    from ftctl.local_backend.base_models import require_local_extra

    assert asked.out is not None  # noqa: S101 - `export` has seen to it
    require_local_extra(why)
    return asked.out, at_home(asked, whole=True)


@contextmanager
def _whole(asked: Exporting, out: Path, source: Path, *, as_gguf: bool = False) -> Iterator[_Whole]:
    """The job's whole model, merged where it is an adapter, and a place to work in.

    What can't be done is refused before hours are spent on what leads there.
    """
    from ftctl.local_backend.base_models import find_base, hub_key
    from ftctl.local_backend.exports import gguf, gguf_tokenizer
    from ftctl.local_backend.exports.merge import Merging, merge
    from ftctl.local_backend.exports.place import require_free, scratch
    from ftctl.local_backend.output import one_at_a_time

    require_free(out)
    data, home = _data(asked), asked.settings.home
    name = _base_name(asked, source) if is_adapter(source) else str(source)
    base = find_base(name, home)
    key = hub_key(base, home)
    if as_gguf:
        gguf.require_known(base, key)
        gguf_tokenizer.require_known(source)
    with one_at_a_time(source), scratch(out, asked.job.id) as part:
        if not is_adapter(source):
            yield _Whole(part, source, data, _origin(source), None)
            return
        merging = Merging(
            name=asked.spec.name,
            adapter=source,
            base=base,
            base_name=name,
            origin=_origin(source),
            data=data,
            data_name=(asked.spec.validation or asked.spec.data).name,
            quantised=asked.spec.tuning == "qlora",
            key=key,
            tell=asked.tell,
            tolerance=asked.max_kl,
        )
        record = merge(merging, part / "model")
        asked.tell(f"merged model and adapter: {record.kept.in_words()}")
        yield _Whole(part, part / "model", data, record.origin, record)


def _origin(source: Path) -> str:
    """sha256 of the weights that the job made, or of the list of their sums."""
    weights = source / "adapter_model.safetensors"
    return file_sha256(weights if weights.is_file() else source / "manifest.json")


def _base_name(asked: Exporting, source: Path) -> str:
    """The base by a name that can be loaded: the job's own, or its hub id elsewhere."""
    from ftctl.local_backend.model import adapter_base

    if asked.job.record.provider == "local":
        return asked.spec.model
    row = load_catalog().find_model(asked.spec.model)
    return row.hub_id if row is not None and row.hub_id is not None else adapter_base(source)


def _data(asked: Exporting) -> Path:
    """The job's validation file, else its training file: our copy first, it can't have changed.

    Raises:
        UsageError: neither is there any more.
    """
    spec = asked.spec
    for sha256, file in (
        (spec.validation_sha256, spec.validation),
        (spec.data_sha256, spec.data),
    ):
        for known in (asked.settings.home / "files" / f"{sha256}.jsonl", file):
            if known is not None and known.is_file():
                return known
    raise UsageError(
        f"{spec.data}: the job's data isn't there any more, so nothing can be compared",
        hint="put the file back, then run the same command again",
    )


def _read(record: Path) -> dict[str, Any]:
    """What a folder says of how it was verified."""
    known: dict[str, Any] = json.loads(record.read_bytes())
    return {name: value for name, value in known.items() if name not in ("schema", "origin")}


def _exported(asked: Exporting, place: Path, verified: dict[str, Any] | None = None) -> Exported:
    files = sorted(f for f in place.iterdir() if f.is_file()) if place.is_dir() else [place]
    return Exported(
        job=asked.job.id,
        to=asked.to,
        place=str(place),
        files=tuple(file.name for file in files),
        bytes=sum(file.stat().st_size for file in files),
        verified=verified,
    )
