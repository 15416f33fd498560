"""This machine as a provider: run folders, and an executor that starts workers in them."""

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ftctl.datasets.digest import file_sha256
from ftctl.errors import FtctlError, IllegalMove, NotFound, StoreError
from ftctl.job import Hyperparameters, JobEvent, JobSpec, Snapshot, TunedModel
from ftctl.local_backend.base_models import find_base, require_local_extra
from ftctl.local_backend.engines import ENGINES, require_engine
from ftctl.local_backend.executors import process
from ftctl.local_backend.output import copy_output, one_at_a_time
from ftctl.local_backend.processes import require_processes
from ftctl.local_backend.run_folder import ExitRecord, RunFolder, WorkerConfig
from ftctl.local_backend.run_options import OPTIONS, options_of
from ftctl.local_backend.trackers import trackers_of
from ftctl.local_backend.tunings import TUNINGS, require_tuning
from ftctl.providers.artifacts.download import Progress
from ftctl.providers.base import Capabilities, RemoteFile
from ftctl.providers.local_snapshots import damaged, died, ended, event, living


class LocalProvider:
    """Jobs on this machine.

    Args:
        home: The ftctl home; runs, uploaded files and converted models stand under it.
    """

    name = "local"
    capabilities = Capabilities(
        methods=frozenset({"sft", "dpo"}),
        tunings=TUNINGS,
        hyperparameters=frozenset(Hyperparameters.model_fields) - {"learning_rate_multiplier"},
        can_cancel=True,
        can_find=True,
        can_resume=True,
        can_pause=True,
        returns_weights=True,
        data_stays_here=True,
        lists_lag=False,
        dialect="local",
        engines=ENGINES,
        options=OPTIONS,
    )

    def __init__(self, home: Path) -> None:
        self._home = home

    def check(self, spec: JobSpec) -> None:
        """Refuse a system, an installation, a setting or a model that can't work."""
        options = options_of(spec.method, spec.options)
        trackers_of(options.track)
        process.require_posix()
        require_local_extra("training here")
        require_tuning(spec.tuning, spec.hyperparameters, spec.options)
        require_processes(options, spec.tuning)
        base = find_base(spec.model, self._home)
        require_engine(spec, str(base))

    def upload(self, file: Path, sha256: str) -> RemoteFile:
        """Keep a copy under the home, so that later edits don't change a running job.

        Raises:
            StoreError: the file changed while it was copied.
        """
        folder = self._home / "files"
        kept = folder / f"{sha256}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with one_at_a_time(folder):
                if not _holds(kept, sha256):
                    _copy(file, kept, sha256)
        except OSError as error:
            raise StoreError(
                f"{kept}: {error.strerror or error}", hint="free space, then run this again"
            ) from None
        return RemoteFile(id=str(kept), sha256=sha256)

    def create(self, spec: JobSpec, files: Mapping[str, RemoteFile], marker: str) -> str:
        """Write the orders and start a worker; the marker names the run folder."""
        run = self._run(marker)
        validation = files.get("validation")
        if not run.config_file.exists():
            run.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            config = WorkerConfig(
                attempt=1,
                job_id=marker,
                name=spec.name,
                model=spec.model,
                data=Path(files["training"].id),
                data_sha256=spec.data_sha256,
                validation=Path(validation.id) if validation else None,
                validation_sha256=spec.validation_sha256,
                method=spec.method,
                tuning=spec.tuning,
                hyperparameters=spec.hyperparameters,
                options=spec.options,
                engine=spec.engine,
                home=self._home,
            )
            run.write(run.config_file, config)
        if not run.exit_file(run.config().attempt).exists():
            process.start(run)
        return marker

    def find(self, marker: str) -> str | None:
        """The run that carries the marker, once its orders are written and a worker has begun."""
        run = self._run(marker)
        spoke = run.process_file.exists() or any(run.path.glob("exit-*.json"))
        return marker if run.config_file.exists() and (spoke or process.is_alive(run)) else None

    def poll(self, remote_id: str) -> Snapshot:
        """One look at the run folder; whether the worker lives is told by its lock."""
        run = self._existing(remote_id)
        config = run.config()
        # Asked before the exit record is read: a worker that ends in between has written it.
        alive = process.is_alive(run)
        try:
            record = run.exit_record(config.attempt)
            status = run.status()
        except StoreError as error:
            if alive:  # it writes both again
                return Snapshot(state=None, provider_status="damaged", message=error.message)
            return damaged(error, remote_id)
        if record is not None and not (alive and record.outcome == "paused"):
            return ended(record, remote_id)  # else it goes on, and is about to say so
        return living(run, status, config.attempt) if alive else died(run, remote_id)

    def events(self, remote_id: str, after: int) -> Sequence[JobEvent]:
        """What the run said, leaving out the first `after` lines."""
        run = self._existing(remote_id)
        rows = enumerate(run.events(), start=1)
        return [event(number, row) for number, row in rows if number > after]

    def cancel(self, remote_id: str) -> None:
        """End the worker's process group: asked first, so that it leaves a checkpoint."""
        run = self._existing(remote_id)
        if not _has_ended(run):
            run.cancel_file.touch()
            _end(run, "cancelled")

    def pause(self, remote_id: str) -> None:
        """End the worker as `cancel` does, but not the attempt: `unpause` goes on with it.

        Raises:
            IllegalMove: it has ended.
        """
        run = self._existing(remote_id)
        if _has_ended(run):
            raise IllegalMove(f"{remote_id} has ended", hint=f"ftctl job {remote_id}")
        run.pause_file.touch()
        _end(run, "paused")

    def unpause(self, remote_id: str) -> None:
        """Start a worker that goes on from the last checkpoint, in the same attempt.

        The record of the pause stays until that worker takes it back, so that whoever looks
        meanwhile, or after a crash here, sees a paused job.

        Raises:
            IllegalMove: it isn't paused.
        """
        run = self._existing(remote_id)
        record = run.exit_record(run.config().attempt)
        if record is None or record.outcome != "paused":
            raise IllegalMove(f"{remote_id} isn't paused", hint=f"ftctl job {remote_id}")
        if process.is_alive(run) and not run.pause_file.exists():
            return  # asked before: it goes on
        self._require_ended(run)
        run.settle()
        run.process_file.unlink(missing_ok=True)  # its group may be somebody else's by now
        run.pause_file.unlink(missing_ok=True)
        process.start(run)

    def resume(self, remote_id: str, attempt: int) -> None:
        """Start the next attempt; the one before can't write any more from here on.

        Raises:
            IllegalMove: the worker still lives.
        """
        run = self._existing(remote_id)
        if run.config().attempt == attempt and process.is_alive(run):
            return  # asked before, and cut short before it could be written down
        self._require_ended(run)
        run.cancel_file.unlink(missing_ok=True)
        run.pause_file.unlink(missing_ok=True)
        run.settle()
        run.write(run.config_file, run.config().model_copy(update={"attempt": attempt}))
        process.start(run)

    def fetch(
        self,
        remote_id: str,
        folder: Path,
        progress: Progress | None = None,  # noqa: ARG002 - a copy on this disk is soon done
    ) -> TunedModel:
        """Copy the adapter folder, whole or not at all."""
        run = self._existing(remote_id)
        if not run.output.exists():
            raise NotFound(f"{remote_id}: there is no adapter yet", hint=f"ftctl watch {remote_id}")
        copy_output(run.output, folder)
        return self._tuned(run.config(), folder)

    def tuned_model(self, remote_id: str) -> TunedModel:
        """The adapter where the run left it."""
        run = self._existing(remote_id)
        if not run.output.exists():
            raise NotFound(f"{remote_id}: there is no adapter yet", hint=f"ftctl watch {remote_id}")
        return self._tuned(run.config(), run.output)

    def forget(self, remote_id: str) -> None:
        """Delete the run folder, and the data that no other run was made of.

        Raises:
            IllegalMove: its worker still lives.
        """
        run = self._run(remote_id)
        if not run.path.is_dir():
            return
        self._require_ended(run)
        if run.config_file.exists():  # else cut short here before, the data gone already
            self._forget_data(run)
        shutil.rmtree(run.path)

    def _forget_data(self, run: RunFolder) -> None:
        used: set[Path | None] = {None}
        for file in (self._home / "runs").glob("*/config.json"):
            if file != run.config_file:
                other = RunFolder(file.parent).config()
                used |= {other.data, other.validation}
        config = run.config()
        for data in (config.data, config.validation):
            if data is not None and data not in used:
                data.unlink(missing_ok=True)

    def _require_ended(self, run: RunFolder) -> None:
        """A worker that has said its last word may still be tidying up; any other one works."""
        if not process.is_alive(run):
            return
        if not run.exit_file(run.config().attempt).exists():
            job = run.path.name
            raise IllegalMove(f"{job}: its worker still runs", hint=f"ftctl cancel {job}")
        process.stop(run)

    def _run(self, marker: str) -> RunFolder:
        return RunFolder(self._home / "runs" / marker)

    def _existing(self, remote_id: str) -> RunFolder:
        run = self._run(remote_id)
        if not run.path.is_dir():
            raise NotFound(
                f"{remote_id}: its run folder {run.path} is gone",
                hint="submit the job again with --new",
            )
        return run

    def _tuned(self, config: WorkerConfig, folder: Path) -> TunedModel:
        return TunedModel(name=config.name, base_model=config.model, folder=folder)


def _copy(file: Path, kept: Path, sha256: str) -> None:
    """Copy a file under its hash, whole or not at all; nobody else copies into the folder now."""
    for half in kept.parent.glob("*.part"):  # who began it was killed
        half.unlink()
    part = kept.with_suffix(".part")
    try:
        shutil.copyfile(file, part)
        if file_sha256(part) != sha256:
            raise StoreError(f"{file} changed while it was read", hint="run the same submit again")
        part.replace(kept)
    finally:
        part.unlink(missing_ok=True)


def _holds(file: Path, sha256: str) -> bool:
    """Whether the file is there with these bytes; another process may just be deleting it."""
    with contextlib.suppress(FtctlError, OSError):
        return file.exists() and file_sha256(file) == sha256
    return False


def _has_ended(run: RunFolder) -> bool:
    """Whether the attempt is over for good: a paused one isn't."""
    record = run.exit_record(run.config().attempt)
    return record is not None and record.outcome != "paused"


def _end(run: RunFolder, outcome: Literal["cancelled", "paused"]) -> None:
    """Stop the worker, and say why where it can't: it was killed, or there was none."""
    process.stop(run)
    attempt = run.config().attempt
    record = run.exit_record(attempt)
    if record is None or (record.outcome == "paused" and outcome != "paused"):
        said = ExitRecord(attempt=attempt, outcome=outcome, message=outcome, at=datetime.now(UTC))
        run.write(run.exit_file(attempt), said)
