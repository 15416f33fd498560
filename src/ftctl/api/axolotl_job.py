"""From a translated Axolotl file to a job: rows joined, converted and set aside, steps counted."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ftctl.api.axolotl_spec import translate
from ftctl.api.axolotl_translation import Translation
from ftctl.api.moved_data import move_data
from ftctl.api.submitting import make_spec, with_fields
from ftctl.config import Settings
from ftctl.datasets.convert.dialects import converted_for
from ftctl.datasets.digest import file_sha256
from ftctl.datasets.split import split
from ftctl.errors import DataInvalid, Unsupported
from ftctl.job import JobSpec, Method
from ftctl.providers.registry import get_provider


def axolotl_job(
    config: Mapping[str, Any],
    where: str,
    wins: Mapping[str, Any],
    metadata: Mapping[str, str],
    *,
    ignore_unknown: bool,
    settings: Settings,
) -> tuple[JobSpec, Translation]:
    """The spec that an Axolotl configuration asks for.

    Args:
        config: Its keys and values.
        where: What messages call the file.
        wins: Fields of a spec that flags gave.
        metadata: What the job is to keep of where it came from.
        ignore_unknown: Leave out what changes the result and has no counterpart.
        settings: Where things are on this machine.

    Raises: as `spec_from_file`.
    """
    provider = wins.get("provider", "local")
    able = get_provider(provider, settings, wins.get("base_url")).capabilities
    found = translate(config, where, able=able, own_rows="data" in wins)
    if found.lost and not ignore_unknown:
        raise Unsupported(
            f"{where}: {len(found.lost)} keys change what is learnt and can't be carried: "
            + ", ".join(found.lost),
            hint="take them out of a copy of the file, or say --ignore-unknown to train without",
        )
    folder = settings.home / "converted"
    method = wins.get("method", found.fields["method"])
    fields: dict[str, Any] = {"provider": provider, **found.fields, **wins}
    fields["hyperparameters"] = found.settings | wins.get("hyperparameters", {})
    if "name" not in fields:
        stem = Path(wins.get("data") or found.data[0]).stem
        fields["name"] = f"{stem}-{Path(str(fields['model'])).name}"
    share = 0.0 if "validation" in wins else found.held_out
    takes = _Takes(able.dialect, method, folder, int(found.settings.get("seed", 0)))
    if "data" not in wins:
        fields |= takes.rows(found.data, share)
    if found.validation and "validation" not in wins:
        fields["validation"] = takes.rows(found.validation, 0.0)["data"]
    kept = dict(metadata) | ({"spec_ignored": ", ".join(found.lost)} if found.lost else {})
    spec = make_spec(**fields, metadata=kept)
    moved = move_data(spec, able.dialect, folder)
    for line in moved.differences:
        if line.before != line.after:
            found.told(line.setting, line.before or "", str(line.after), line.why)
    return _counted(moved.spec, found, wins), found


@dataclass(frozen=True)
class _Takes:
    """Whose rows are made, and where they are kept."""

    dialect: str
    method: Method
    folder: Path
    seed: int

    def rows(self, files: Sequence[Path], share: float) -> dict[str, Path]:
        """The files' rows as `data`, a share of them as `validation`.

        One file that isn't parted stays what it is; others are converted, joined in their order
        and parted as `ftctl data split` does it.
        """
        if len(files) == 1 and not share:
            return {"data": files[0]}
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.folder) as name:
            scratch = Path(name)
            joined = scratch / "joined.jsonl"
            with joined.open("wb") as stream:
                for file in files:
                    stream.write(self._converted(file, scratch).read_bytes().rstrip(b"\n") + b"\n")
            parts = {"train": joined}
            if share:
                parts = {
                    part: Path(file)
                    for part, file in split(
                        joined, validation=share, test=0.0, seed=self.seed, out_dir=scratch
                    ).files.items()
                }
            roles = {"train": "data", "validation": "validation"}
            return {roles[part]: self._kept(file) for part, file in parts.items()}

    def _converted(self, file: Path, scratch: Path) -> Path:
        done = converted_for(self.dialect, self.method, file, scratch)
        if done is not None and not done.ok:
            first = done.issues[0]
            raise DataInvalid(
                f"{file}:{first.line}: {first.message}; {done.errors} rows can't be converted",
                hint=f"ftctl data convert {file} --to {done.target_format} -o NEW shows them all",
            )
        return file if done is None else Path(str(done.out))

    def _kept(self, file: Path) -> Path:
        """The file under the name of its hash, for its user alone."""
        target = self.folder / f"{file_sha256(file)}.jsonl"
        file.chmod(0o600)
        return file.replace(target)


def _counted(spec: JobSpec, found: Translation, wins: Mapping[str, Any]) -> JobSpec:
    """Warm-up as a share of the steps, where it was given as a number of them."""
    given = spec.hyperparameters
    if found.warmup_steps is None or "warmup_fraction" in wins.get("hyperparameters", {}):
        return spec
    with spec.data.open("rb") as stream:
        rows = sum(1 for line in stream if line.strip())
    per_epoch = math.ceil(rows / (given.batch_size or 1))
    steps = given.max_steps or math.ceil((given.epochs or 1) * per_epoch)
    share = min(1.0, found.warmup_steps / max(1, steps))
    found.told("warmup_steps", found.warmup_steps, f"warmup_fraction={share:.4g}", f"{steps} steps")
    return with_fields(spec, hyperparameters=given.model_dump() | {"warmup_fraction": share})
