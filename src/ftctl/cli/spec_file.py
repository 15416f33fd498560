"""The file that `submit --spec` reads, shown before anything is made of it."""

from typing import TYPE_CHECKING, Any

from ftctl.cli.render import Output

if TYPE_CHECKING:
    from ftctl.api.spec_file import SpecFile
    from ftctl.config import Settings
    from ftctl.job import JobSpec


def read_spec(
    out: Output, home: "Settings", place: str, given: dict[str, Any], *, ignore_unknown: bool
) -> "JobSpec":
    """The spec that a file and the flags ask for; what becomes of the file's keys goes to stderr.

    Raises: as `spec_from_file`.
    """
    from ftctl.api.spec_file import spec_from_file

    given = given | {"hyperparameters": given["hyperparameters"] or None}
    spec, read = spec_from_file(place, given, ignore_unknown=ignore_unknown, settings=home)
    _show(out, read)
    return spec


def _show(out: Output, read: "SpecFile") -> None:
    whose = "an Axolotl file" if read.format == "axolotl" else "a job"
    out.note(f"{read.place}: {whose}, sha256 {read.sha256}")
    keys = max((len(line.key) for line in read.lines), default=0)
    values = min(40, max((len(line.value) for line in read.lines), default=0))
    for line in read.lines:
        becomes = line.becomes or "-"
        said = f"{line.key:{keys}}  {line.value:{values}}  {becomes}"
        out.note(f"  {said}  ({line.note})" if line.note else f"  {said}")
    if read.unknown:
        out.note(f"warning: no key of Axolotl's that is known here: {', '.join(read.unknown)}")
    if read.ignored:
        out.note(f"warning: without what they ask for: {', '.join(read.ignored)}")
