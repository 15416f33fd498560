"""Together's files and fine-tuning on loopback, in the shapes of its SDK's types (together 3.1.1).

A job moves one status on with each look at it, or when `move` says so. What the SDK's request
types don't know is refused. A tuned model answers only after `deploy`.
"""

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from pydantic import ValidationError
from typing_extensions import override

from ftctl.testing import together_requests as requests
from ftctl.testing.loopback import Answer, Json, Loopback, Request, form_fields, ranged
from ftctl.testing.openai_chat import chat_answer
from ftctl.testing.small_adapter import pack, small_adapter
from ftctl.testing.storage_vendor import StorageVendor
from ftctl.testing.under_test import TROUBLE

STATUSES = ("pending", "queued", "running", "compressing", "uploading", "completed")
TERMINAL = ("completed", "error", "user_error", "cancelled")
TUNABLE = ("Qwen/Qwen3-8B", "meta-llama/Meta-Llama-3.1-8B-Instruct-Reference")
_BEGUN = datetime(2026, 11, 24, 12, tzinfo=UTC)


@dataclass
class VendorJob:
    """A job that is held; `document` is what the API says of it."""

    document: Json
    script: list[str]
    metrics: list[Json] = field(default_factory=list)
    checkpoints: list[Json] = field(default_factory=list)
    archive: bytes = b""


class TogetherVendor(Loopback):
    """The vendor.

    Args:
        key: The key that is right; None takes any.
        statuses: Statuses that a new job goes through.
        by_polls: Whether each look moves a job on; else only `move` does.
        lists_lag_requests: Lists that don't show a new job.
        checks: Looks at a file until its check has ended.

    Attributes:
        storage: Where its signed links point.
        price_usd: What it estimates for any job.
        deployed: Names of the tuned models for which there is an endpoint.
        creates: How many jobs were made for each suffix.
        reply: What every deployed model says.
    """

    def __init__(
        self,
        key: str | None = None,
        *,
        statuses: Sequence[str] = STATUSES,
        by_polls: bool = True,
        lists_lag_requests: int = 0,
        checks: int = 0,
    ) -> None:
        super().__init__(key)
        self.statuses = statuses
        self.by_polls = by_polls
        self.lists_lag_requests = lists_lag_requests
        self.checks = checks
        self.storage = StorageVendor()
        self.files: dict[str, Json] = {}
        self.jobs: dict[str, VendorJob] = {}
        self.models: set[str] = set()
        self.deployed: set[str] = set()
        self.creates: Counter[str] = Counter()
        self.price_usd = 1.25
        self.reply = "It is green."
        self._looks: Counter[str] = Counter()
        self._now = _BEGUN

    @override
    def __enter__(self) -> Self:
        self.storage.__enter__()
        return super().__enter__()

    @override
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        self.storage.__exit__(kind, error, trace)

    @override
    def refusal(self, status: int, message: str, code: str | None = None) -> Answer:
        kind = "invalid_request_error" if status < 500 else "server_error"
        error = {"message": message, "type": kind, "param": None, "code": code}
        return Answer({"error": error}, status)

    @override
    def answer(self, request: Request) -> Answer:
        answer = self.refusal(404, f"No such thing: {request.path}", "not_found")
        match [request.method, *request.path.strip("/").split("/")]:
            case [method, "files", *rest]:
                answer = self._files(method, rest, request)
            case [method, "fine-tunes", *rest]:
                answer = self._tunes(method, rest, request)
            case ["GET", "finetune", "download"]:
                answer = self._download(request)
            case ["GET", "models"]:
                names = (*TUNABLE, *sorted(self.models))
                answer = Answer({"data": [{"id": name} for name in names]})
            case ["POST", "chat", "completions"]:
                answer = self._chat(request)
        return answer

    def _files(self, method: str, rest: list[str], request: Request) -> Answer:
        match [method, *rest]:
            case ["GET"]:
                return Answer({"data": list(self.files.values())})
            case ["POST"]:
                return self._reserve(request)
            case [_, file_id, *more] if file_id in self.files:
                return self._file(method, file_id, more)
        return self.refusal(404, f"No such file: {request.path}", "not_found")

    def _tunes(self, method: str, rest: list[str], request: Request) -> Answer:
        answer = self.refusal(404, f"No such job: {request.path}", "not_found")
        match [method, *rest]:
            case ["GET"]:
                shown = [j.document for j in self.jobs.values() if self.listed(j.document["id"])]
                answer = Answer({"data": shown})
            case ["POST"]:
                answer = self._create(request)
            case ["POST", "estimate-price"]:
                answer = self._price(request)
            case ["GET", "models", "limits"]:
                known = request.query.get("model_name") in TUNABLE
                answer = Answer(requests.LIMITS) if known else self._no_model(request.query)
            case [_, job_id, *more] if job_id in self.jobs:
                answer = self._job(method, job_id, more)
        return answer

    def deploy(self, model: str) -> None:
        """Make an endpoint for a tuned model, as a person does in the console."""
        self.deployed.add(model)

    def move(self, job_id: str, status: str) -> None:
        """Bring a job to a status, with all that belongs to it."""
        job, kinds = self.jobs[job_id], requests.EVENTS.get(status, ())
        job.document |= {"status": status, "updated_at": self._time()}
        if status in TERMINAL:
            job.script.clear()
        for kind in kinds:
            self._say(job, kind, f"{kind.replace('_', ' ')} at {status}")
        if status == "running":
            job.metrics = [self._measure(step) for step in (1, 2)]
            job.document |= {"token_count": 1234, "total_steps": 2, "steps_completed": 2}
        if status == "completed":
            job.document |= {"total_price": 592_320_000, "epochs_completed": 1}
            job.checkpoints = [requests.checkpoint(2)]
            job.archive = pack(small_adapter())
            self.models.add(job.document["model_output_name"])

    def _reserve(self, request: Request) -> Answer:
        parts = form_fields(request)
        wanted = {"purpose", "file_name", "file_type", "checksum"}
        if set(parts) != wanted or any(name is not None for name, _ in parts.values()):
            return self.refusal(400, f"a form of {sorted(wanted)} is wanted, got {sorted(parts)}")
        told = {name: content.decode() for name, (_, content) in parts.items()}
        if (told["purpose"], told["file_type"]) != ("fine-tune", "jsonl"):
            return self.refusal(400, "purpose or file_type is unknown")
        for held in self.files.values():
            if held["checksum"] == told["checksum"] and held["processing_status"] != "PENDING":
                return Answer({"message": "it is here", "file_id": held["id"]}, 409)
        file_id = f"file-{secrets.token_hex(6)}"
        self.files[file_id] = requests.file_document(file_id, told["file_name"], told["checksum"])
        link = self.storage.link(f"/{file_id}")
        return Answer({}, 302, {"Location": link, "X-Together-File-Id": file_id})

    def _file(self, method: str, file_id: str, rest: list[str]) -> Answer:
        document = self.files[file_id]
        content = self.storage.held.get(f"/{file_id}", b"")
        if rest == ["preprocess"] and method == "POST":
            document |= {"processing_status": "RUNNING", "bytes": len(content)}
        elif rest:
            return self.refusal(404, "no such verb")
        elif method == "DELETE":
            self.storage.held.pop(f"/{file_id}", None)
            return Answer({"id": self.files.pop(file_id)["id"], "deleted": True})
        if document["processing_status"] == "RUNNING":
            self._looks[file_id] += 1
            if self._looks[file_id] > self.checks:
                document |= requests.checked(content)
        return Answer(dict(document))

    def _price(self, request: Request) -> Answer:
        try:
            asked = requests.Price.model_validate_json(request.body)
        except ValidationError as error:
            return self.refusal(422, str(error))
        if asked.training_file not in self.files:
            return self.refusal(404, "no such file")
        if self.files[asked.training_file]["processing_status"] != "COMPLETED":
            reason = {"unavailable_reason": "train_file_not_validated"}
            return Answer({"estimation_available": False, **reason})
        return Answer(requests.price(self.price_usd))

    def _create(self, request: Request) -> Answer:
        try:
            asked = requests.Create.model_validate_json(request.body)
        except ValidationError as error:
            return self.refusal(422, str(error))
        held = self.files.get(asked.training_file)
        if held is None or held["processing_status"] != "COMPLETED":
            return self.refusal(400, "the training file isn't there, or isn't checked")
        if asked.model is not None and asked.model not in TUNABLE:
            return self._no_model({"model_name": asked.model})
        script = list(self.statuses)
        job_id = f"ft-{secrets.token_hex(4)}-{secrets.token_hex(2)}"
        document = requests.job_document(job_id, asked, script.pop(0), self._time())
        self.jobs[job_id] = VendorJob(document, script)
        self._say(self.jobs[job_id], "job_pending", "Fine tune request created")
        self.creates[asked.suffix or ""] += 1
        return Answer(dict(document))

    def _no_model(self, asked: object) -> Answer:
        return self.refusal(404, f"no model that can be tuned: {asked}", "model_not_found")

    def _job(self, method: str, job_id: str, rest: list[str]) -> Answer:
        job = self.jobs[job_id]
        told: dict[str, Json] = {
            "events": {"data": job.document["events"]},
            "metrics": {"metrics": job.metrics},
            "checkpoints": {"data": job.checkpoints},
        }
        match [method, *rest]:
            case ["GET", what] if what in told:
                return Answer(told[what])
            case ["DELETE"]:
                self.models.discard(job.document["model_output_name"])
                del self.jobs[job_id]
                return Answer({"message": "deleted"})
            case ["POST", "cancel"]:
                if job.document["status"] in TERMINAL:
                    return self.refusal(400, f"the job has ended: {job.document['status']}")
                self.move(job_id, "cancelled")
            case ["GET"]:
                return Answer(self._seen(job))
            case _:
                return self.refusal(404, "no such verb")
        return Answer(dict(job.document))

    def _seen(self, job: VendorJob) -> Json:
        """A look at one job; its suffix is told in lists and by a create only."""
        seen = {name: value for name, value in job.document.items() if name != "suffix"}
        if self.by_polls and job.script:
            self.move(job.document["id"], job.script.pop(0))
        return seen

    def _download(self, request: Request) -> Answer:
        job = self.jobs.get(request.query.get("ft_id", ""))
        if job is None or job.document["status"] != "completed":
            return self.refusal(404, "no such weights")
        full = job.document["training_type"]["type"] == "Full"
        if request.query.get("checkpoint") not in (
            ("model_output_path",) if full else ("adapter", "merged")
        ):
            return self.refusal(400, "no such checkpoint type for this job")
        return ranged(request, job.archive, f'"{hash(job.archive):x}"')

    def _chat(self, request: Request) -> Answer:
        model = request.json().get("model")
        if model in self.deployed:
            return chat_answer(request, self.reply)
        text = f"Unable to access non-serverless model {model}. Create a dedicated endpoint for it."
        return self.refusal(400, text, "model_not_available")

    def _say(self, job: VendorJob, kind: str, message: str) -> None:
        job.document["events"].append(requests.event(kind, message, self._time()))

    def _measure(self, step: int) -> Json:
        self._time()
        stamp = int(self._now.timestamp() * 1e9)
        return {"timestamp": stamp, "train/global_step": step, "train/loss": 2.0 / step}

    def _time(self) -> str:
        self._now += timedelta(seconds=1)
        return self._now.isoformat().replace("+00:00", "Z")


def trouble_while_running(document: Json) -> Json:
    """A job that runs on and says that something is wrong all the same."""
    return _with_warning(document) | {"status": "running"}


def succeeded_in_part(document: Json) -> Json:
    """A job that succeeded with a model, and says what went wrong on the way."""
    return _with_warning(document) | {"status": "completed", "model_output_name": "me/part"}


def without_model(document: Json) -> Json:
    """A job that succeeded and names no model."""
    return document | {"status": "completed", "model_output_name": None}


def _with_warning(document: Json) -> Json:
    said = requests.event("warning", TROUBLE, "2026-11-25T00:00:00Z")
    return document | {"events": [*document["events"], said]}
