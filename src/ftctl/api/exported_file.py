"""Files that an export writes: whole, and never over something else."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from ftctl.api.export_request import Exported, Exporting
from ftctl.datasets.convert.convert import Wish, convert_into
from ftctl.errors import DataInvalid, StoreError, UsageError


def write_file(file: Path, content: bytes) -> None:
    """Write a file unless another one is there; the same again does no harm.

    Raises:
        UsageError: it holds something else.
        StoreError: the disk won't take it.
    """
    part = file.with_name(f".{file.name}.part")
    try:
        if file.exists() and file.read_bytes() != content:
            raise UsageError(f"{file}: exists and holds something else", hint="name a new file")
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(file)
    except OSError as error:
        raise StoreError(
            f"{file}: could not be written ({error.strerror or error})", hint="name another file"
        ) from None
    finally:
        part.unlink(missing_ok=True)


def write_rows(asked: Exporting, file: Path, role: str, target_format: str) -> Path:
    """A job's rows as another tool reads them: its own file where that does, else one beside.

    Args:
        asked: The export; its `out` is the file beside which rows are written.
        file: The job's rows.
        role: `train` or `validation`, as the new file's name says.
        target_format: As `ftctl data convert --to` names it.

    Raises:
        DataInvalid: a row can't be said in that format.
    """
    assert asked.out is not None  # noqa: S101 - `export` has seen to it
    place = asked.out.absolute()
    place.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place.parent, prefix=".rows-") as scratch:
        done = convert_into(Path(scratch), file, Wish(target=target_format))
        if not done.ok:
            first = done.issues[0]
            raise DataInvalid(
                f"{file}:{first.line}: {first.message}; {done.errors} rows can't be converted",
                hint=f"ftctl data convert {file} --to {target_format} -o NEW shows them all",
            )
        if done.out is None:
            return file
        target = place.with_name(f"{place.stem}.{role}.jsonl")
        write_file(target, Path(done.out).read_bytes())
    lost = [f"{one.count} × {one.what}" for one in done.counts if one.kind == "dropped"]
    if lost:
        asked.tell(f"{target.name}: left out: {'; '.join(lost)}")
    return target


def wrote(asked: Exporting, rows: Iterable[Path | None]) -> Exported:
    """What an export of settings has left: its file, and rows that had to be converted for it.

    Args:
        asked: The export.
        rows: The files it names; the job's own were there before.
    """
    assert asked.out is not None  # noqa: S101 - `export` has seen to it
    own = {asked.spec.data, asked.spec.validation}
    made = [asked.out, *(file for file in rows if file is not None and file not in own)]
    return Exported(
        job=asked.job.id,
        to=asked.to,
        place=str(asked.out),
        files=tuple(file.name for file in made),
        bytes=sum(file.stat().st_size for file in made),
    )
