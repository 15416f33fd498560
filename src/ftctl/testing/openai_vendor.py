"""OpenAI's files, fine-tuning and chat wire on loopback, in the shapes of the official SDK's types.

A job moves one status on with each retrieve, or when `move` says so. `openai_dialects` says how the
other vendors of this wire differ.
"""

import ssl
import time
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

from typing_extensions import override

from ftctl.testing import openai_documents as documents
from ftctl.testing.loopback import Answer, Json, Loopback, Request, form_fields, ranged
from ftctl.testing.openai_chat import chat_answer
from ftctl.testing.openai_dialects import OPENAI, Dialect
from ftctl.testing.openai_documents import job_document as job_document
from ftctl.testing.openai_parts import Parts

STATUSES = ("validating_files", "queued", "running", "succeeded")
TERMINAL = ("succeeded", "failed", "cancelled")
_MIN_EXAMPLES = 10  # as OpenAI asks for
_TENSOR = b'{"lora_A.weight": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}'
_WEIGHTS = len(_TENSOR).to_bytes(8, "little") + _TENSOR + b"\1\2\3\4"


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
        dialect: Whose wire it speaks.

    Attributes:
        creates: How many jobs were made for each marker.
        reply: What every model says.
        shutdown: The day that every tuned model shows as its last, or None.
        parts: Uploads that come in parts.
        permissions: Who may use a checkpoint, by its name.
    """

    def __init__(  # noqa: PLR0913 - each is one way in which vendors differ
        self,
        key: str | None = None,
        *,
        statuses: Sequence[str] = STATUSES,
        by_polls: bool = True,
        lists_lag_s: float = 0.0,
        lists_lag_requests: int = 0,
        metadata: Literal["filtered", "kept", "dropped"] = "filtered",
        tls: ssl.SSLContext | None = None,
        dialect: Dialect = OPENAI,
    ) -> None:
        super().__init__(key, tls=tls)
        self.statuses = statuses
        self.by_polls = by_polls
        self.lists_lag_s = lists_lag_s
        self.lists_lag_requests = lists_lag_requests
        self.metadata = metadata
        self.files: dict[str, VendorFile] = {}
        self.jobs: dict[str, VendorJob] = {}
        self.dialect = dialect
        self.models = {name: documents.model(name, "system") for name in dialect.models}
        self.creates: Counter[str] = Counter()
        self.reply = "It is green."
        self.shutdown: str | None = None
        self.parts = Parts(self.keep)
        self.permissions: dict[str, dict[str, Json]] = {}

    @override
    def refusal(self, status: int, message: str, code: str | None = None) -> Answer:
        return self.dialect.refusal(status, message, code)

    @override
    def answer(self, request: Request) -> Answer:
        method, *path = [request.method, *map(unquote, request.path.strip("/").split("/"))]
        answers = {
            "files": self._files_answer,
            "fine_tuning": self._tuning_answer,
            "models": self._models_answer,
            "uploads": self._uploads_answer,
            "chat": self._chat_answer,
        }
        know = answers.get(path[0])
        answer = know(method, path[1:], request) if know is not None else None
        return answer or self.refusal(404, f"No such thing: {request.path}", "not_found")

    def _files_answer(self, method: str, path: list[str], request: Request) -> Answer | None:
        match [method, *path]:
            case ["POST"]:
                return self._upload(request)
            case ["GET"]:
                rows = [file.document for file in self.files.values()]
                purpose = request.query.get("purpose")
                found = [row for row in rows if purpose in (None, row["purpose"])]
                return documents.page(found, request)
            case [_, file_id, *rest]:
                return self._file(method, file_id, rest, request)
        return None

    def _tuning_answer(self, method: str, path: list[str], request: Request) -> Answer | None:
        match [method, *path]:
            case ["POST", "jobs"]:
                return self._create(request)
            case ["GET", "jobs"]:
                return self._list(request)
            case [_, "jobs", job_id, *rest]:
                return self._job(method, job_id, rest, request)
            case [_, "checkpoints", name, "permissions", *rest] if self.dialect.can_pause:
                return self._permissions(method, name, rest, request)
        return None

    def _models_answer(self, method: str, path: list[str], _: Request) -> Answer | None:
        if method == "GET" and not path:
            return Answer({"object": "list", "data": list(self.models.values())})
        name = "/".join(path)
        return self._model(method, name) if name in self.models else None

    def _uploads_answer(self, method: str, path: list[str], request: Request) -> Answer | None:
        known = method == "POST" and self.dialect.has_uploads
        return self.parts.answer(path, request) if known else None

    def _chat_answer(self, method: str, path: list[str], request: Request) -> Answer | None:
        return self._chat(request) if [method, *path] == ["POST", "completions"] else None

    def move(self, job_id: str, status: str) -> None:
        """Bring a job to a status, with all that belongs to it."""
        job = self.jobs[job_id]
        job.document["status"] = status
        if status in TERMINAL:
            job.document["finished_at"] = int(time.time())
            job.script.clear()
        job.events.append(documents.event(f"The job is now {status}"))
        if status == "running":
            job.events += [documents.metrics(step) for step in (1, 2)]
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
        suffix = document.get("user_provided_suffix") or document.get("suffix") or ""
        name = f"ft:{document['model']}:org:{suffix}:{document['id'][-6:]}"
        document["trained_tokens"] = 1234
        job.checkpoints = [documents.checkpoint(document["id"], name, 2)]
        if self.dialect.gives_weights:
            document["trained_steps"] = document["total_steps"]
            adapter = {"adapter_config.json": b"{}", "adapter_model.safetensors": _WEIGHTS}
            self.offer(document["id"], adapter)
            return
        self.models[name] = documents.model(name, "org", self.shutdown)
        csv = b"step,train_loss,train_accuracy\n1,1.5,0.4\n2,1.1,0.6\n"
        document["fine_tuned_model"] = name
        document["result_files"] = [self.keep("step_metrics.csv", "fine-tune-results", csv)["id"]]

    def offer(self, job_id: str, files: Mapping[str, bytes]) -> None:
        """Let the last checkpoint of a job hold these files alone."""
        kept = [self.keep(n, "fine-tune-results", content)["id"] for n, content in files.items()]
        self.jobs[job_id].checkpoints[-1]["result_files"] = kept

    def _upload(self, request: Request) -> Answer:
        parts = form_fields(request)
        if "file" not in parts or "purpose" not in parts:
            return self.refusal(400, "Missing file or purpose")
        name, content = parts["file"]
        return Answer(self.keep(name or "file", parts["purpose"][1].decode(), content))

    def keep(self, name: str, purpose: str, content: bytes) -> Json:
        """Hold a file; what the API says of it."""
        wait = self.dialect.imports_files and purpose == "fine-tune"
        document = documents.file(name, purpose, len(content), "pending" if wait else "processed")
        self.files[document["id"]] = VendorFile(document, content)
        return dict(document)

    def _file(self, method: str, file_id: str, rest: list[str], request: Request) -> Answer:
        held = self.files.get(file_id)
        if held is None:
            return self.refusal(404, f"No such File object: {file_id}")
        if method == "DELETE":
            del self.files[file_id]
            return Answer({"id": file_id, "object": "file", "deleted": True})
        if rest == ["content"]:
            named = f'"{zlib.crc32(held.content)}"'
            weights = self.dialect.gives_weights
            return ranged(request, held.content, named) if weights else Answer(held.content)
        held.document["status"] = "processed"  # by now it is
        return Answer(held.document)

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
                return documents.page(job.events, request)
            case ["GET", "checkpoints"]:
                return documents.page(job.checkpoints, request)
            case ["POST", "cancel"]:
                if job.document["status"] in TERMINAL:
                    return self.refusal(400, f"Job has already ended: {job.document['status']}")
                self.move(job_id, "cancelled")
            case ["POST", "pause" | "resume" as verb] if self.dialect.can_pause:
                return self._pause(job, verb)
        seen = dict(job.document)
        paused = seen["status"] == "paused"
        if method == "GET" and self.by_polls and job.script and not paused:
            self.move(job_id, job.script.pop(0))
        return Answer(seen)

    def _pause(self, job: VendorJob, verb: str) -> Answer:
        before, after = ("running", "paused") if verb == "pause" else ("paused", "running")
        status = job.document["status"]
        if status != before:
            return self.refusal(400, f"Job can't be told to {verb}: it is {status}")
        job.document["status"] = after
        job.events.append(documents.event(f"The job is now {after}"))
        return Answer(dict(job.document))

    def _permissions(
        self, method: str, name: str, rest: list[str], request: Request
    ) -> Answer | None:
        held = self.permissions.setdefault(name, {})
        if method == "POST":
            made = []
            for project in request.json().get("project_ids", []):
                row = documents.permission(project)
                held[row["id"]] = row
                made.append(row)
            return Answer({"object": "list", "data": made, "has_more": False})
        if method == "DELETE" and rest and rest[0] in held:
            del held[rest[0]]
            return Answer({"id": rest[0], "object": "checkpoint.permission", "deleted": True})
        return documents.page(list(held.values()), request) if method == "GET" else None

    def _create(self, request: Request) -> Answer:
        asked = request.json()
        wrong = self.dialect.objection(asked)
        if wrong is not None:
            return self.refusal(422 if self.dialect.refuses_with == "detail" else 400, wrong)
        training = self.files.get(asked["training_file"])
        if training is None:
            return self.refusal(400, f"invalid training_file: {asked['training_file']}")
        if training.document["status"] != "processed":
            said = "The specified file reference must point to a completed file import."
            return self.refusal(400, said, "invalidPayload")
        if asked["model"] not in self.models:
            return self._no_model(asked)
        enough = training.content.count(b"\n") >= _MIN_EXAMPLES
        script = list(self.statuses if enough else ("validating_files", "failed"))
        weights = self.dialect.gives_weights
        make = documents.nebius_job_document if weights else documents.job_document
        document = make(asked, script.pop(0))
        if self.metadata == "dropped" and "metadata" in document:
            document["metadata"] = None
        job = VendorJob(document, script)
        job.events.append(documents.event(f"Created fine-tuning job: {document['id']}"))
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
        return documents.page(rows, request)

    def _selected(self, document: Json, query: Mapping[str, str]) -> bool:
        wanted = {k[9:-1]: v for k, v in query.items() if k.startswith("metadata[")}
        metadata = document.get("metadata") or {}
        return self.metadata == "kept" or all(metadata.get(k) == v for k, v in wanted.items())
