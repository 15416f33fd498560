"""Jobs of the server: made, validated and started here, run by detached workers as ever."""

import io
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from ftctl.api.job_handle import Job
from ftctl.config import Settings
from ftctl.datasets.check import check
from ftctl.datasets.report import Issue
from ftctl.errors import FtctlError, IllegalMove, NotFound, StoreError
from ftctl.job import JobEvent, JobRecord, JobSpec, JobState
from ftctl.providers.base import Provider
from ftctl.server.errors import ApiError
from ftctl.server.files import FileStore, StoredFile
from ftctl.server.job_request import KEPT_AS, CreateJob, asked_for, tuned_name, wire_id
from ftctl.server.runs import METRICS, RunFacts, result_csv
from ftctl.store import Store
from ftctl.submission import Patience, carry_on, intention_of
from ftctl.watcher import refresh

_log = logging.getLogger(__name__)
_MIN_EXAMPLES = 10  # source: OpenAI's supervised fine-tuning guide, read 2026-11
_OURS = "server-"  # begins the source ids of the events that the server makes
_DONE = "done"
_QUEUED = f"{JobState.QUEUED}: submitted"  # the move that the server tells in OpenAI's words


class Tuning:
    """The server's jobs.

    Args:
        settings: Where store and runs are.
        store: The store, open.
        files: Uploaded files.
        provider: The local provider.
        bases: Base models by their names on the wire.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        files: FileStore,
        provider: Provider,
        bases: dict[str, str],
    ) -> None:
        self._settings, self._store, self._provider = settings, store, provider
        self._files, self._bases = files, bases
        self._finished: set[str] = set()  # jobs whose result is known to be written down
        self._starting = ThreadPoolExecutor(2, "ftctl-start")
        self._copying = threading.Lock()

    def resume_starting(self) -> None:
        """Go on with the jobs whose start was cut short when the server last ended."""
        for record in self.jobs():
            if record.state.open_intention:
                self._starting.submit(self._start, record.id)

    def close(self) -> None:
        """Start no more; what is begun goes on at the next start of the server."""
        self._starting.shutdown(wait=False, cancel_futures=True)

    def create(self, request: CreateJob) -> JobRecord:
        """Commit the intention; validation and start follow by themselves.

        Raises:
            ApiError: the request names a model, a file or a method that can't be used.
            StoreError: the disk won't take the job's copy of its files.
        """
        request.require_supported()
        target = self._bases.get(request.model)
        if target is None:
            raise ApiError(
                400,
                f"The model '{request.model[:80]}' can't be fine-tuned here; GET /v1/models lists "
                f"what can: {', '.join(self._bases) or 'nothing; start with --base NAME=PATH'}.",
                code="model_not_found",
                param="model",
            )
        training = self._input_file(request.training_file, "training_file")
        validation = None
        if request.validation_file is not None:
            validation = self._input_file(request.validation_file, "validation_file")
            if validation.sha256 == training.sha256:
                message = "invalid validation_file: it has the same content as the training file"
                raise ApiError(400, message, code="invalid_value", param="validation_file")
        spec = JobSpec(
            provider="local",
            model=target,
            data=self._own_copy(training),
            data_sha256=training.sha256,
            validation=None if validation is None else self._own_copy(validation),
            validation_sha256=None if validation is None else validation.sha256,
            method=request.our_method,
            hyperparameters=request.to_hyperparameters(),
            options=request.options(),
            name=request.suffix or request.model,
            metadata={KEPT_AS: request.model_dump_json(exclude_none=True)},
        )
        record = self._store.add_job(spec, intention_of(spec), new=True)
        self._say(record.id, "created", f"Created fine-tuning job: {wire_id(record)}")
        self._starting.submit(self._start, record.id)
        return record

    def jobs(self) -> list[JobRecord]:
        """The server's jobs as the store knows them, newest first."""
        return [record for record in self._store.jobs() if KEPT_AS in record.spec.metadata]

    def get(self, job_id: str) -> JobRecord:
        """One job by its id on the wire, freshly looked at.

        Raises:
            ApiError: there is none.
        """
        record = self._find(job_id.removeprefix("ftjob-")) if job_id.startswith("ftjob-") else None
        if record is not None:
            return self.look(record)
        raise ApiError(404, f"Could not find fine tune: {job_id[:80]}", code="fine_tune_not_found")

    def look(self, record: JobRecord) -> JobRecord:
        """A job as it is now, its metrics and its result written down."""
        if record.state.open_intention:
            return record  # being started; its worker's first word comes later
        if not record.state.terminal:
            self._keep_metrics(record)
            record = refresh(self._store, self._provider, record)
            if record.state.terminal:
                self._keep_metrics(record)
        if record.state is JobState.SUCCEEDED:
            self._finish(record)
        return record

    def cancel(self, record: JobRecord) -> JobRecord:
        """Stop a job.

        Raises:
            ApiError: it has ended.
        """
        return self._moved(record, "cancelled", lambda job: job.cancel())

    def pause(self, record: JobRecord) -> JobRecord:
        """Hold a job at its last step, whose state is kept.

        Raises:
            ApiError: it isn't under way.
        """
        return self._moved(record, "paused", lambda job: job.pause())

    def resume(self, record: JobRecord) -> JobRecord:
        """Let a paused job go on.

        Raises:
            ApiError: it isn't paused.
        """
        if record.state is not JobState.PAUSED:
            raise _illegal("resumed", record.state)
        return self._moved(record, "resumed", lambda job: job.resume())

    def _moved(self, record: JobRecord, verb: str, move: Callable[[Job], Job]) -> JobRecord:
        try:
            return move(Job(record, self._settings)).record
        except (IllegalMove, NotFound):  # the latter: it isn't at the local backend yet
            raise _illegal(verb, self._store.get_job(record.id).state) from None

    def events(self, record: JobRecord) -> list[tuple[int, JobEvent]]:
        """What is known to have happened, numbered, oldest first; only ever added to."""
        known = self._store.events(record.id)
        return [(n, event) for n, event in known if event.message != _QUEUED]

    def facts(self, record: JobRecord) -> RunFacts:
        """What the job's run folder tells."""
        return RunFacts(self._settings.home, record)

    def result_file(self, record: JobRecord) -> str:
        """The id that the job's result file has, once there is one."""
        return f"file-results{record.id.removeprefix('job-')}"

    def find_tuned(self, name: str) -> JobRecord | None:
        """The job whose tuned model has this name, while the model is there."""
        record = self._find(name.rpartition(":")[2])
        request = None if record is None else asked_for(record)
        if record is None or request is None or tuned_name(record, request) != name:
            return None
        return record if self._has_model(self.look(record)) else None

    def tuned(self) -> list[tuple[JobRecord, str]]:
        """Every tuned model that is there: its job and its name, newest first."""
        found = []
        for record in map(self.look, self.jobs()):
            request = asked_for(record)
            if request is not None and self._has_model(record):
                found.append((record, tuned_name(record, request)))
        return found

    def delete_tuned(self, record: JobRecord) -> None:
        """Delete a tuned model with its checkpoints; job, events and result file stay."""
        Job(record, self._settings).forget()

    def _find(self, part: str) -> JobRecord | None:
        return next((job for job in self.jobs() if job.id == f"job-{part}"), None)

    def _has_model(self, record: JobRecord) -> bool:
        folder = self._settings.home / "runs" / record.marker / "output"
        return record.state is JobState.SUCCEEDED and folder.is_dir()

    def _input_file(self, file_id: str, param: str) -> StoredFile:
        try:
            file = self._files.get(file_id)
        except FtctlError as error:
            raise ApiError(400, f"invalid {param}: {error.message}", param=param) from None
        if file.purpose != "fine-tune":
            message = f"invalid {param}: {file_id} has the purpose {file.purpose}, not fine-tune"
            raise ApiError(400, message, param=param)
        return file

    def _own_copy(self, file: StoredFile) -> Path:
        """The job's copy of an upload, so that deleting the file never reaches the job."""
        with self._copying:  # two jobs of one file may be made at once
            return Path(self._provider.upload(self._files.path(file.id), file.sha256).id)

    def _start(self, job_id: str) -> None:
        """Validate the files, then bring the job to the local backend; runs in a thread."""
        try:
            record = self._store.get_job(job_id)
            request = asked_for(record)
            if request is None or not record.state.open_intention:
                return
            if record.sent_at is None and not self._valid(record, request):
                return
            self._provider.check(record.spec)
            self._say(job_id, "validated", "Files validated, moving job to queued state")
            patience = Patience(self._settings.settle_s)
            carry_on(self._store, self._provider, record, lambda _: None, patience)
        except FtctlError as error:
            hint = f" ({error.hint})" if error.hint else ""
            self._fail(job_id, error.kind, f"{error.message}{hint}")
        except Exception as error:  # noqa: BLE001 - else the job would seem to start for ever
            _log.exception("%s: could not be started", job_id)
            self._fail(job_id, "internal_error", f"{type(error).__name__}: a bug in ftctl")

    def _valid(self, record: JobRecord, request: CreateJob) -> bool:
        """Check the files as OpenAI does: after the job is made, and naming the line."""
        spec = record.spec
        said = f"Validating training file: {request.training_file}"
        if request.validation_file:
            said += f" and validation file: {request.validation_file}"
        self._say(record.id, "validating", said)
        report = check(
            [spec.data],
            providers=("openai", "local"),
            method=spec.method,
            validation=spec.validation,
        )
        errors = [issue for issue in report.issues if issue.severity == "error"]
        if not errors:
            return True
        wrong = [issue for issue in errors if issue.rule != "min-examples"]
        if report.examples == 0 or not wrong:
            message = (
                f"Training file has {report.examples} example(s), but must have at least "
                f"{_MIN_EXAMPLES} examples"
            )
            self._fail(record.id, "invalid_n_examples", message, "training_file")
            return False
        first = wrong[0]
        training = Path(first.file) == spec.data
        param = "training_file" if training else "validation_file"
        file = request.training_file if training else request.validation_file
        self._fail(record.id, f"invalid_{param}", _told(first, f"{file}", len(wrong)), param)
        return False

    def _fail(self, job_id: str, code: str, message: str, param: str | None = None) -> None:
        at = datetime.now(UTC)
        error = {"kind": code, "message": message, "hint": ""} | ({"param": param} if param else {})
        fields = {"state": JobState.FAILED, "message": message, "error": error, "observed_at": at}
        self._store.update(job_id, lambda now: fields if now.state.open_intention else {})

    def _say(self, job_id: str, source_id: str, message: str) -> None:
        event = JobEvent(
            source_id=f"{_OURS}{source_id}",
            at=datetime.now(UTC),
            kind="state",  # else the watcher would take it for one of the run's own messages
            message=message,
        )
        self._store.add_events(job_id, [event])

    def _keep_metrics(self, record: JobRecord) -> None:
        """Write down what was measured since the last look; events outlive the run folder."""
        ids = [event.source_id for _, event in self._store.events(record.id)]
        seen = [int(found.removeprefix(METRICS)) for found in ids if found.startswith(METRICS)]
        try:
            fresh = self.facts(record).metric_events(after=max(seen, default=0))
            self._store.add_events(record.id, fresh)
        except StoreError as error:  # a damaged run folder; `refresh` says so where it matters
            _log.warning("%s: %s", record.id, error.message)

    def _finish(self, record: JobRecord) -> None:
        """After success, once: the last metrics, the result file, the two closing events."""
        request = asked_for(record)
        if request is None or record.id in self._finished:
            return
        if any(event.source_id == f"{_OURS}{_DONE}" for _, event in self._store.events(record.id)):
            self._finished.add(record.id)
            return
        self._keep_metrics(record)
        self._files.add(
            io.BytesIO(result_csv(self.facts(record).steps())),
            filename="step_metrics.csv",
            purpose="fine-tune-results",
            file_id=self.result_file(record),
        )
        name = tuned_name(record, request)
        self._say(record.id, "model", f"New fine-tuned model created: {name}")
        self._say(record.id, _DONE, "The job has successfully completed")


def _illegal(verb: str, state: JobState) -> ApiError:
    return ApiError(400, f"The job can't be {verb}: it is {state}.", code="invalid_state")


def _told(issue: Issue, file: str, count: int) -> str:
    where = f"line {issue.line}" + (f", {issue.path}" if issue.path else "")
    more = f"; {count} errors in all" if count > 1 else ""
    return f"Invalid file {file}: {where}: {issue.message} ({issue.hint}){more}"
