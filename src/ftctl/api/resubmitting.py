"""An earlier job once more, with some settings changed: what `submit --from` submits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftctl.api.submitting import make_spec
from ftctl.errors import UsageError
from ftctl.job import Hyperparameters, JobRecord, JobSpec
from ftctl.submission import intention_of


def spec_from(
    record: JobRecord,
    known: Sequence[JobRecord],
    *,
    hyperparameters: Hyperparameters | Mapping[str, Any] | None = None,
    **given: Any,  # noqa: ANN401 - the spec's own fields, checked by it
) -> tuple[JobSpec, list[str]]:
    """The spec of an earlier job with changes, under a name of its own.

    The name gets the first free suffix (`-2`), so that it is another intention; the same changes
    again, while that job is under way, give the same name and so make no third one. A job stays at
    its base URL, whatever the environment says; at another provider it has that one's.

    Args:
        record: The earlier job.
        known: Every job of the store: names that are taken.
        hyperparameters: Settings that win over the earlier ones.
        given: Fields of `JobSpec` that win over the earlier ones; None doesn't.

    Returns:
        The spec, and remarks for the user: files that changed since.

    Raises:
        UsageError: a file is gone or unreadable, a setting unknown or out of its range.
    """
    before = record.spec
    wins = {key: value for key, value in given.items() if value is not None}
    changed = hyperparameters or {}
    if isinstance(changed, Hyperparameters):
        changed = changed.model_dump(exclude_none=True)
    asked = before.hyperparameters.model_dump(exclude_none=True) | dict(changed)
    kept = before.model_dump(
        include={"provider", "data", "validation", "model", "method", "tuning", "privacy"}
        | {"max_cost_usd", "notify"}
    )
    if wins.get("provider", before.provider) == before.provider:  # nobody else knows these
        asked = before.options | asked
        kept["engine"] = before.engine
    stays = wins.get("provider", before.provider) == before.provider and "base_url" not in wins
    if stays:
        wins["base_url"] = before.base_url
    _require_files(record, wins)
    wanted = kept | wins | {"hyperparameters": asked}
    spec = make_spec(**wanted | {"name": wins.get("name", before.name)})
    if stays:  # without one it went to the vendor itself
        spec = spec.model_copy(update={"base_url": before.base_url})
    if "name" not in wins:
        spec = _named_anew(spec, record, known)
    return spec, _remarks(record, spec, wins)


def _named_anew(spec: JobSpec, earlier: JobRecord, known: Sequence[JobRecord]) -> JobSpec:
    taken: dict[str, list[JobRecord]] = {}
    for job in known:
        taken.setdefault(job.name, []).append(job)
    stem, dash, number = spec.name.rpartition("-")
    base = stem if dash and number.isdecimal() and stem in taken else spec.name
    count = 2
    while True:
        named = spec.model_copy(update={"name": f"{base}-{count}"})
        jobs, same = taken.get(named.name, []), intention_of(named)
        under_way = (
            job.id != earlier.id and not job.state.terminal and intention_of(job.spec) == same
            for job in jobs
        )
        if not jobs or any(under_way):
            return named
        count += 1


def _require_files(record: JobRecord, wins: Mapping[str, Any]) -> None:
    before: tuple[tuple[str, Path | None], ...] = (
        ("data", record.spec.data),
        ("validation", record.spec.validation),
    )
    for flag, file in before:
        if file is not None and flag not in wins and not file.exists():
            raise UsageError(
                f"{file}: the {flag} of {record.id} is gone", hint=f"--{flag} FILE names another"
            )


def _remarks(record: JobRecord, spec: JobSpec, wins: Mapping[str, Any]) -> list[str]:
    before = record.spec
    pairs = (
        ("data", spec.data, before.data_sha256, spec.data_sha256),
        ("validation", spec.validation, before.validation_sha256, spec.validation_sha256),
    )
    return [
        f"{file} changed since {record.id} was made of it (sha256 {old[:8]}, now {new[:8]})"
        for flag, file, old, new in pairs
        if flag not in wins and old is not None and new is not None and old != new
    ]
