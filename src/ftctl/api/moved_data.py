"""A job's data on their way to another provider: converted where its dialect wants it so."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from ftctl.admission import Consent, ScanHits
from ftctl.datasets.convert.dialects import converted_for
from ftctl.datasets.convert.report import Conversion
from ftctl.datasets.digest import file_sha256
from ftctl.errors import DataInvalid, PrivacyForbids, UsageError
from ftctl.job import JobSpec
from ftctl.migration import Difference

_MOST_SAID = 6  # kinds of losses in one line of the diff; the rest are counted
# In a spec's metadata: of the converted file with this sha256, the old sha256, a space, the path.
_CONVERTED = "converted:"


@dataclass(frozen=True)
class ConvertedHits(ScanHits):
    """What the scan found in a file that was converted; a person knows it by its old name."""

    origin: Path

    @override
    def __str__(self) -> str:
        """One line, without the text that was found."""
        found = ScanHits(self.origin, self.sha256, self.counts)
        return f"{found} in it as converted ({self.file})"


@dataclass(frozen=True)
class Moved:
    """A spec whose data are in the new provider's format, and how they came to be.

    Attributes:
        spec: The job; its metadata say what converted files were before.
        differences: A line for each file.
        conversions: What was done to those that had to change.
    """

    spec: JobSpec
    differences: tuple[Difference, ...]
    conversions: tuple[Conversion, ...]


def move_data(spec: JobSpec, dialect: str, folder: Path) -> Moved:
    """Convert a job's files for a provider's dialect, where they have to change.

    A file that was converted before is converted anew from its origin, if that is still there.

    Args:
        spec: The job.
        dialect: The new provider's.
        folder: Where converted files are kept, under the names of their hashes.

    Raises:
        DataInvalid: a row can't be converted; names the first.
        UsageError: a file is gone, or can't be read or written.
    """
    fields: dict[str, Any] = {}
    metadata = {k: v for k, v in spec.metadata.items() if not k.startswith(_CONVERTED)}
    differences, conversions = [], []
    for role in ("data", "validation"):
        file, sha256 = origin_of(spec, role)
        if file is None:
            continue
        done = converted_for(dialect, spec.method, file, folder)
        if done is not None:
            _require_whole(done)
            metadata[f"{_CONVERTED}{done.sha256}"] = f"{sha256} {file}"
            conversions.append(done)
        new = (file, sha256) if done is None else (Path(str(done.out)), done.sha256)
        fields[role], fields[f"{role}_sha256"] = new
        differences.append(_difference(role, file, done))
    fields["metadata"] = metadata
    return Moved(spec.model_copy(update=fields), tuple(differences), tuple(conversions))


def origin_of(spec: JobSpec, role: str) -> tuple[Path | None, str | None]:
    """A file of a job and its sha256, as they were before it was converted, if still there.

    Args:
        spec: The job.
        role: `data` or `validation`.
    """
    file, sha256 = spec.data, spec.data_sha256
    if role == "validation":
        if spec.validation is None or spec.validation_sha256 is None:
            return None, None
        file, sha256 = spec.validation, spec.validation_sha256
    before_sha256, before = _before(spec, sha256)
    if before is not None and _holds(before, before_sha256):
        return before, before_sha256
    return file, sha256


def _before(spec: JobSpec, sha256: str) -> tuple[str, Path | None]:
    """What the converted file with this hash was before: its hash, and its path if it has one."""
    old, _, path = spec.metadata.get(f"{_CONVERTED}{sha256}", "").partition(" ")
    return old, Path(path) if path else None


def _holds(file: Path, sha256: str) -> bool:
    try:
        return file_sha256(file) == sha256
    except UsageError:
        return False


def by_old_name(spec: JobSpec, consent: Consent) -> Consent:
    """Consent that is asked, and refused, by the name that a person knows a file by.

    It is asked for the converted bytes: what was said of the old ones holds for those alone.
    """

    def ask(hits: ScanHits) -> bool:
        _, origin = _before(spec, hits.sha256)
        if origin is None:
            return consent(hits)
        named = ConvertedHits(hits.file, hits.sha256, hits.counts, origin)
        if consent(named):
            return True
        raise PrivacyForbids(
            f"{named}; these rows would leave this machine",
            hint="mend the lines that `ftctl data check` names, or say --allow-scan-hits",
        )

    return ask


def _require_whole(done: Conversion) -> None:
    if done.ok:
        return
    first = done.issues[0]
    where = f"{first.file}:{first.line}" + (f" {first.path}" if first.path else "")
    raise DataInvalid(
        f"{where}: {first.message}; {done.errors} rows can't be converted from "
        f"{done.source_format} to {done.target_format}",
        hint=f"ftctl data convert {done.file} --to {done.target_format} -o NEW shows them all",
    )


def _difference(role: str, file: Path, done: Conversion | None) -> Difference:
    if done is None:
        return Difference(setting=role, before=file.name, after=file.name)
    said = [f"{one.kind} {one.count} × {one.what}" for one in done.counts[:_MOST_SAID]]
    if more := len(done.counts) - _MOST_SAID:
        said += [f"{more} kinds more"] if more > 0 else []
    rows = f"{done.altered} of {done.rows} rows say it in other words"
    return Difference(
        setting=role,
        before=f"{file.name} ({done.source_format})",
        after=f"{Path(str(done.out)).name[:12]}….jsonl ({done.target_format})",
        why="; ".join([rows, *said]),
    )
