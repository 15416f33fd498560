"""Copies of data that were converted for one provider, and when they may go."""

from pathlib import Path

from ftctl.job import JobRecord, JobSpec
from ftctl.store import Store


def drop_converted(store: Store, record: JobRecord, home: Path) -> list[Path]:
    """Delete the converted files that no job uses but this one, which is forgotten.

    Files that weren't converted are the user's own and stay. So does everything while the record
    of another job can't be read, which may name the same file.

    Args:
        store: Where all jobs are.
        record: The job.
        home: Below which converted files are kept.

    Returns:
        What was deleted.
    """
    folder = (home / "converted").resolve()
    mine = {file for file in _files(record.spec) if file.parent == folder}
    if not mine:
        return []
    others, damaged = store.survey()
    if damaged:
        return []
    forgotten = {entry.job_id for entry in store.audits() if entry.action == "forgotten"}
    for other in others:
        if other.id != record.id and other.id not in forgotten:
            mine -= _files(other.spec)
    for file in mine:
        file.unlink(missing_ok=True)
    return sorted(mine)


def _files(spec: JobSpec) -> set[Path]:
    return {file.resolve() for file in (spec.data, spec.validation) if file is not None}
