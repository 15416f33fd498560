"""OpenAI's files, fine-tuning and chat wire on loopback, in the shapes of the official SDK's types.

A job moves one status on with each retrieve, or when `move` says so.
"""

import secrets
import ssl
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from typing_extensions import override

from ftctl.testing.loopback import Answer, Json, Loopback, Request, form_fields
from ftctl.testing.openai_chat import chat_answer
from ftctl.testing.under_test import TROUBLE

STATUSES = ("validating_files", "queued", "running", "succeeded")
TERMINAL = ("succeeded", "failed", "cancelled")
TUNABLE = ("gpt-4.1-mini-2025-04-14", "gpt-4o-mini-2024-07-18")
_MIN_EXAMPLES = 10  # as OpenAI asks for


@dataclass
class VendorFile:
    """A file that is held; `document` is what the API says of it."""

    document: Json
    content: bytes


@dataclass
class VendorJob:
    """A job that is held; `document` is what the API says of it."""

    document: Json
    script: list[str]
    events: list[Json] = field(default_factory=list)
    checkpoints: list[Json] = field(default_factory=list)
    made_at: float = field(default_factory=time.monotonic)


class OpenAIVendor(Loopback):
    """The vendor.

    Args:
        key: The key that is right; None takes any.
        statuses: Statuses that a new job goes through.
        by_polls: Whether each retrieve moves a job on; else only `move` does.
        lists_lag_s: Seconds for which lists don't show a new job.
        lists_lag_requests: Lists that don't show a new job.
        metadata: Whether a job's metadata are kept and the list of jobs is filtered by them; a
            gateway may keep them only, or drop them.
        tls: What it speaks TLS with; plain HTTP when None.

    Attributes:
        creates: How many jobs were made for each marker.
        reply: What every model says.
    """

    def __init__(
        self,
        key: str | None = None,
        *,
        statuses: Sequence[str] = STATUSES,
        by_polls: bool = True,
        lists_lag_s: float = 0.0,
        lists_lag_requests: int = 0,
        metadata: Literal["filtered", "kept", "dropped"] = "filtered",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(key, tls=tls)
        self.statuses = statuses
        self.by_polls = by_polls
        self.lists_lag_s = lists_lag_s
        self.lists_lag_requests = lists_lag_requests
        self.metadata = metadata
        self.files: dict[str, VendorFile] = {}
        self.jobs: dict[str, VendorJob] = {}
        self.models: dict[str, Json] = {name: _model(name, "system") for name in TUNABLE}
        self.creates: Counter[str] = Counter()
        self.reply = "It is green."

    @override
    def refusal(self, status: int, message: str, code: str | None = None) -> Answer:
        kind = "invalid_request_error" if status < 500 else "server_error"
        error = {"message": message, "type": kind, "param": None, "code": code}
        return Answer({"error": error}, status)

    @override
    def answer(self, request: Request) -> Answer:
        answer = self.refusal(404, f"No such thing: {request.path}", "not_found")
        match [request.method, *request.path.strip("/").split("/")]:
            case ["POST", "files"]:
                answer = self._upload(request)
            case ["GET", "files"]:
                rows = [file.document for file in self.files.values()]
                purpose = request.query.get("purpose")
                answer = _page([r for r in rows if purpose in (None, r["purpose"])], request)
            case [method, "files", file_id, *rest]:
                answer = self._file(method, file_id, rest)
            case ["POST", "fine_tuning", "jobs"]:
                answer = self._create(request)
            case ["GET", "fine_tuning", "jobs"]:
                answer = self._list(request)
            case [method, "fine_tuning", "jobs", job_id, *rest]:
                answer = self._job(method, job_id, rest, request)
            case ["POST", "chat", "completions"]:
                answer = self._chat(request)
            case ["GET", "models"]:
                answer = Answer({"object": "list", "data": list(self.models.values())})
            case [method, "models", name] if name in self.models:
                answer = self._model(method, name)
        return answer

    def move(self, job_id: str, status: str) -> None:
        """Bring a job to a status, with all that belongs to it."""
        job = self.jobs[job_id]
        job.document["status"] = status
        if status in TERMINAL:
            job.document["finished_at"] = int(time.time())
            job.script.clear()
        job.events.append(_event(f"The job is now {status}"))
        if status == "running":
            for step in (1, 2):
                job.events.append(_metrics(step))
        if status == "succeeded":
            self._succeed(job)
        if status == "failed":
            job.document["error"] = {
                "code": "invalid_n_examples",
                "message": "Training file has 7 example(s), but must have at least 10 examples",
                "param": "training_file",
            }

    def _succeed(self, job: VendorJob) -> None:
        document = job.document
        suffix = document["user_provided_suffix"] or ""
        name = f"ft:{document['model']}:org:{suffix}:{document['id'][-6:]}"
        self.models[name] = _model(name, "org")
        csv = b"step,train_loss,train_accuracy\n1,1.5,0.4\n2,1.1,0.6\n"
        results = self._keep("step_metrics.csv", "fine-tune-results", csv)
        document["fine_tuned_model"] = name
        document["trained_tokens"] = 1234
        document["result_files"] = [results["id"]]
        job.checkpoints = [
            {
                "id": f"ftckpt-{document['id'][-6:]}",
                "object": "fine_tuning.job.checkpoint",
                "created_at": int(time.time()),
                "fine_tuned_model_checkpoint": f"{name}:ckpt-step-2",
                "fine_tuning_job_id": document["id"],
                "metrics": {"step": 2.0, "train_loss": 1.1},
                "step_number": 2,
            }
        ]

    def _upload(self, request: Request) -> Answer:
        parts = form_fields(request)
        if "file" not in parts or "purpose" not in parts:
            return self.refusal(400, "Missing file or purpose")
        name, content = parts["file"]
        return Answer(self._keep(name or "file", parts["purpose"][1].decode(), content))

    def _keep(self, name: str, purpose: str, content: bytes) -> Json:
        document: Json = {
            "id": f"file-{secrets.token_hex(6)}",
            "object": "file",
            "bytes": len(content),
            "created_at": int(time.time()),
            "filename": name,
            "purpose": purpose,
            "status": "processed",
        }
        self.files[document["id"]] = VendorFile(document, content)
        return document

    def _file(self, method: str, file_id: str, rest: list[str]) -> Answer:
        held = self.files.get(file_id)
        if held is None:
            return self.refusal(404, f"No such File object: {file_id}")
        if method == "DELETE":
            del self.files[file_id]
            return Answer({"id": file_id, "object": "file", "deleted": True})
        return Answer(held.content) if rest == ["content"] else Answer(held.document)

    def _chat(self, request: Request) -> Answer:
        asked = request.json()
        known = asked.get("model") in self.models
        return chat_answer(request, self.reply) if known else self._no_model(asked)

    def _no_model(self, asked: Json) -> Answer:
        text = f"The model `{asked.get('model')}` does not exist"
        return self.refusal(404, text, "model_not_found")

    def _model(self, method: str, name: str) -> Answer:
        if method == "DELETE":
            del self.models[name]
            return Answer({"id": name, "object": "model", "deleted": True})
        return Answer(self.models[name])

    def _job(self, method: str, job_id: str, rest: list[str], request: Request) -> Answer:
        job = self.jobs.get(job_id)
        if job is None:
            return self.refusal(404, f"No such fine-tuning job: {job_id}")
        match [method, *rest]:
            case ["GET", "events"]:
                return _page(job.events, request)
            case ["GET", "checkpoints"]:
                return _page(job.checkpoints, request)
            case ["POST", "cancel"]:
                if job.document["status"] in TERMINAL:
                    return self.refusal(400, f"Job has already ended: {job.document['status']}")
                self.move(job_id, "cancelled")
        seen = dict(job.document)
        if method == "GET" and self.by_polls and job.script:
            self.move(job_id, job.script.pop(0))
        return Answer(seen)

    def _create(self, request: Request) -> Answer:
        asked = request.json()
        training = self.files.get(asked.get("training_file", ""))
        if training is None:
            return self.refusal(400, f"invalid training_file: {asked.get('training_file')}")
        if asked.get("model") not in self.models:
            return self._no_model(asked)
        enough = training.content.count(b"\n") >= _MIN_EXAMPLES
        script = list(self.statuses if enough else ("validating_files", "failed"))
        document = job_document(asked, script.pop(0))
        if self.metadata == "dropped":
            document["metadata"] = None
        job = VendorJob(document, script)
        job.events.append(_event(f"Created fine-tuning job: {document['id']}"))
        self.jobs[document["id"]] = job
        self.creates[(asked.get("metadata") or {}).get("ftctl_marker", "")] += 1
        return Answer(dict(document))

    def _list(self, request: Request) -> Answer:
        rows = []
        for job in self.jobs.values():
            shown = self.listed(job.document["id"])
            shown = shown and time.monotonic() - job.made_at >= self.lists_lag_s
            if shown and self._selected(job.document, request.query):
                rows.append(job.document)
        return _page(rows, request)

    def _selected(self, document: Json, query: Mapping[str, str]) -> bool:
        wanted = {k[9:-1]: v for k, v in query.items() if k.startswith("metadata[")}
        metadata = document["metadata"] or {}
        return self.metadata == "kept" or all(metadata.get(k) == v for k, v in wanted.items())


def _page(oldest_first: Sequence[Json], request: Request) -> Answer:
    """One page, newest first, as every list of this API is."""
    rows = list(reversed(oldest_first))
    after = request.query.get("after")
    if after is not None:
        ids = [row["id"] for row in rows]
        rows = rows[ids.index(after) + 1 :] if after in ids else []
    limit = int(request.query.get("limit", "20"))
    page = rows[:limit]
    return Answer({"object": "list", "data": page, "has_more": len(rows) > limit})


def job_document(asked: Json, status: str) -> Json:
    """A new job as the vendor shows it."""
    method = asked.get("method") or {"type": "supervised", "supervised": {}}
    given = (method.get("supervised") or {}).get("hyperparameters") or {}
    settings = {"n_epochs": 3, "batch_size": 1, "learning_rate_multiplier": 2.0} | given
    return {
        "id": f"ftjob-{secrets.token_hex(8)}",
        "object": "fine_tuning.job",
        "created_at": int(time.time()),
        "finished_at": None,
        "estimated_finish": None,
        "model": asked["model"],
        "fine_tuned_model": None,
        "organization_id": "org-loopback",
        "status": status,
        "error": None,
        "training_file": asked["training_file"],
        "validation_file": asked.get("validation_file"),
        "result_files": [],
        "trained_tokens": None,
        "seed": asked.get("seed") or 0,
        "hyperparameters": settings,
        "method": {"type": "supervised", "supervised": {"hyperparameters": settings}},
        "integrations": [],
        "metadata": asked.get("metadata"),
        "user_provided_suffix": asked.get("suffix"),
    }


def _event(message: str) -> Json:
    return {
        "id": f"ftevent-{secrets.token_hex(8)}",
        "object": "fine_tuning.job.event",
        "created_at": int(time.time()),
        "level": "info",
        "message": message,
        "type": "message",
        "data": None,
    }


def _metrics(step: int) -> Json:
    data = {"step": step, "total_steps": 2, "train_loss": 2.0 / step}
    said = f"Step {step}/2: training loss={data['train_loss']:.2f}"
    return _event(said) | {"type": "metrics", "data": data}


def _model(name: str, owner: str) -> Json:
    return {"id": name, "object": "model", "created": int(time.time()), "owned_by": owner}


def nulls_while_running(document: Json) -> Json:
    """What the vendor really says of a healthy job: an error object in which all is null."""
    return document | {"error": {"code": None, "message": None, "param": None}}


def trouble_while_running(document: Json) -> Json:
    """A job that runs on and shows an error object all the same."""
    error = {"code": "slow", "message": TROUBLE, "param": None}
    return document | {"status": "running", "error": error}


def succeeded_in_part(document: Json) -> Json:
    """A job that succeeded with a model, and says what went wrong on the way."""
    error = {"code": "partial", "message": TROUBLE, "param": None}
    return document | {"status": "succeeded", "fine_tuned_model": "ft:part", "error": error}


def without_model(document: Json) -> Json:
    """A job that succeeded and names no model."""
    return document | {"status": "succeeded", "fine_tuned_model": None}
