"""Mistral's files, fine-tuning jobs and tuned models on loopback, as its API was before 2026-07-15.

A job moves one status on with each look at it, or when `move` says so; one with `auto_start` false
stays at VALIDATED until it is started. What the API never knew is refused. The models and chat are
those of `mistralai` 3.7.0; with `retired` the job routes answer 410, as Mistral's own do today.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote

from pydantic import ValidationError
from typing_extensions import override

from ftctl.testing import mistral_requests as requests
from ftctl.testing.loopback import Answer, Json, Loopback, Request, form_fields
from ftctl.testing.openai_chat import chat_answer
from ftctl.testing.under_test import TROUBLE

STATUSES = ("QUEUED", "VALIDATING", "VALIDATED", "RUNNING", "SUCCESS")
TERMINAL = ("SUCCESS", "FAILED", "FAILED_VALIDATION", "CANCELLED")
TUNABLE = ("open-mistral-7b", "ministral-8b-latest", "open-mistral-nemo", "mistral-small-latest")
DRY_RUN = "/fine_tuning/jobs?dry_run"  # a dry run's path, so that faults tell it from a create
_BEGUN = 1_795_500_000


@dataclass
class VendorJob:
    """A job that is held; `document` is what the API says of it."""

    document: Json
    script: list[str]
    events: list[Json]
    checkpoints: list[Json]


class MistralVendor(Loopback):
    """The vendor.

    Args:
        key: The key that is right; None takes any.
        statuses: Statuses that a new job goes through.
        by_polls: Whether each look moves a job on; else only `move` does.
        retired: Whether the job routes are gone, as at Mistral itself.

    Attributes:
        knows_dry_runs: Else it takes a dry run for a create, as a hasty gateway may.
        filters: Whether lists heed `suffix` and `search`.
        keeps_suffix: Whether a job shows its suffix.
        largest_page: The most rows that a page has, whatever is asked for.
        refuses_similar: Whether a job like one that is under way is refused with 409.
        cost: What it quotes for any job, in `currency`.
        creates: How many jobs were made for each suffix.
        starts: How many times each job was started.
        reply: What every model says.
    """

    def __init__(
        self,
        key: str | None = None,
        *,
        statuses: Sequence[str] = STATUSES,
        by_polls: bool = True,
        retired: bool = False,
    ) -> None:
        super().__init__(key)
        self.statuses = statuses
        self.by_polls = by_polls
        self.retired = retired
        self.knows_dry_runs = self.filters = self.keeps_suffix = True
        self.refuses_similar = False
        self.largest_page = 1000
        self.cost, self.currency = 4.5, "USD"
        self.files: dict[str, tuple[Json, bytes]] = {}
        self.jobs: dict[str, VendorJob] = {}
        self.models: dict[str, Json] = {}
        self.creates: Counter[str] = Counter()
        self.starts: Counter[str] = Counter()
        self.reply = "It is green."
        self._now = _BEGUN

    @override
    def serve(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        if request.query.get("dry_run") == "true":
            request = replace(request, path=f"{request.path}?dry_run")
        super().serve(handler, request)

    @override
    def refusal(self, status: int, message: str, code: str | None = None) -> Answer:
        return Answer({"detail": message}, status)

    @override
    def answer(self, request: Request) -> Answer:
        answer = self.refusal(404, f"No such thing: {request.path}")
        match [request.method, *map(unquote, request.path.strip("/").split("/"))]:
            case [method, "files", *rest]:
                answer = self._files(method, rest, request)
            case [_, "fine_tuning", jobs, *_] if jobs.startswith("jobs") and self.retired:
                answer = self.refusal(410, "Gone")
            case ["POST", "fine_tuning", "jobs?dry_run"]:
                answer = self._dry_run(request)
            case [method, "fine_tuning", "jobs", *rest]:
                answer = self._tunes(method, rest, request)
            case [method, "fine_tuning", "models", model_id, *rest] if model_id in self.models:
                answer = self._change(method, model_id, rest, request)
            case [method, "models", *rest]:
                answer = self._models(method, rest)
            case ["POST", "chat", "completions"]:
                answer = self._chat(request)
        return answer

    def keep_model(self, base: str, suffix: str, *, archived: bool = False) -> str:
        """Hold a model that was tuned when it was still possible; returns its id."""
        at = self._time()
        model_id = f"ft:{base}:{suffix}:20250101:{len(self.models):08x}"
        card = requests.model_card(model_id, base, str(uuid.uuid4()), at)
        self.models[model_id] = card | {"archived": archived}
        return model_id

    def move(self, job_id: str, status: str) -> None:
        """Bring a job to a status, with all that belongs to it."""
        job = self.jobs[job_id]
        document, at = job.document, self._time()
        document |= {"status": status, "modified_at": at}
        job.events.insert(0, _event("status-updated", {"status": status}, at))
        if status in TERMINAL:
            job.script.clear()
        if status in ("VALIDATED", "RUNNING", "SUCCESS"):
            document["metadata"] = requests.metadata(self.cost, self.currency)
        if status in ("FAILED", "FAILED_VALIDATION"):
            job.events.insert(0, _event("job-failed", {"error": "line 3 has no messages"}, at))
        if status in ("RUNNING", "SUCCESS") and not job.checkpoints:
            job.checkpoints.append(requests.checkpoint(1, at))
        if status == "SUCCESS":
            name = f"ft:{document['model']}:{document['suffix'] or 'org'}:20250101:{job_id[:8]}"
            document |= {"fine_tuned_model": name, "trained_tokens": 131072}
            self.models[name] = requests.model_card(name, document["model"], job_id, at)

    def _files(self, method: str, rest: list[str], request: Request) -> Answer:
        match [method, *rest]:
            case ["GET"]:
                wanted = request.query.get("search", "") if self.filters else ""
                rows = [f for f, _ in self.files.values() if wanted in f["filename"]]
                return self._page(request, rows)
            case ["POST"]:
                return self._take(request)
            case ["GET", file_id] if file_id in self.files:
                return Answer(self.files[file_id][0] | {"deleted": False})
            case ["DELETE", file_id] if file_id in self.files:
                del self.files[file_id]
                return Answer({"id": file_id, "object": "file", "deleted": True})
        return self.refusal(404, f"No such file: {request.path}")

    def _take(self, request: Request) -> Answer:
        parts = form_fields(request)
        if set(parts) != {"file", "purpose"} or parts["purpose"][1] != b"fine-tune":
            return self.refusal(422, f"a form of file and purpose is wanted, got {sorted(parts)}")
        name, content = parts["file"]
        if not name or not name.endswith(".jsonl"):
            return self.refusal(422, "only .jsonl files are taken")
        for document, held in self.files.values():
            if (document["filename"], held) == (name, content):
                return Answer(document)
        file_id = str(uuid.uuid4())
        document = requests.file_document(file_id, name, content, self._time())
        self.files[file_id] = (document, content)
        return Answer(document)

    def _tunes(self, method: str, rest: list[str], request: Request) -> Answer:
        match [method, *rest]:
            case ["GET"]:
                wanted = request.query.get("suffix") if self.filters else None
                rows = [self._shown(j) for i, j in self.jobs.items() if self.listed(i)]
                newest_first = reversed([r for r in rows if wanted in (None, r["suffix"])])
                return self._page(request, list(newest_first))
            case ["POST"]:
                return self._create(request)
            case [_, job_id, *more] if job_id in self.jobs:
                return self._job(method, job_id, more)
        return self.refusal(404, f"No such job: {request.path}")

    def _asked(self, request: Request) -> requests.Create | Answer:
        """What a create asks, or why it is refused."""
        try:
            asked = requests.Create.model_validate_json(request.body)
        except ValidationError as error:
            return Answer({"detail": requests.pydantic_detail(error.errors())}, 422)
        if not asked.training_files:
            return self.refusal(422, "At least one training file or repository is required.")
        files = [file.file_id for file in asked.training_files] + (asked.validation_files or [])
        if missing := [file for file in files if file not in self.files]:
            return self.refusal(404, f"no such file: {missing[0]}")
        if asked.model not in TUNABLE:
            return self.refusal(
                422, f"Model not available for this type of fine-tuning ({asked.job_type})."
            )
        return asked

    def _dry_run(self, request: Request) -> Answer:
        if not self.knows_dry_runs:
            return self._create(request)
        asked = self._asked(request)
        if isinstance(asked, Answer):
            return asked
        return Answer(requests.dry_run(self.cost, self.currency))

    def _create(self, request: Request) -> Answer:
        asked = self._asked(request)
        if isinstance(asked, Answer):
            return asked
        files = [file.file_id for file in asked.training_files]
        similar = [j for j in self.jobs.values() if j.document["training_files"] == files]
        if self.refuses_similar and any(j.document["status"] not in TERMINAL for j in similar):
            return self.refusal(409, "A similar job is already queued or running.")
        script = list(self.statuses)
        document = requests.job_document(asked, script.pop(0), self._time())
        job = VendorJob(document, script, [], [])
        job.events.append(_event("status-updated", {"status": document["status"]}, self._now))
        self.jobs[document["id"]] = job
        self.creates[asked.suffix or ""] += 1
        return Answer(self._shown(job))

    def _job(self, method: str, job_id: str, rest: list[str]) -> Answer:
        job = self.jobs[job_id]
        status = job.document["status"]
        match [method, *rest]:
            case ["POST", "cancel"]:
                if status in TERMINAL:
                    return self.refusal(400, f"the job has ended: {status}")
                self.move(job_id, "CANCELLED")
            case ["POST", "start"]:
                if status != "VALIDATED" or job.document["auto_start"]:
                    return self.refusal(400, f"the job can't be started: {status}")
                self.starts[job_id] += 1
                self.move(job_id, "QUEUED")
            case ["GET"]:
                return Answer(self._seen(job_id, job))
            case _:
                return self.refusal(404, "no such verb")
        return Answer(self._shown(job))

    def _shown(self, job: VendorJob) -> Json:
        return job.document | ({} if self.keeps_suffix else {"suffix": None})

    def _seen(self, job_id: str, job: VendorJob) -> Json:
        """A look at one job; a job that is to be started by hand waits once it is validated."""
        told = {"events": list(job.events), "checkpoints": list(job.checkpoints)}
        seen = self._shown(job) | told
        document = job.document
        waits = document["status"] == "VALIDATED" and not document["auto_start"]
        if self.by_polls and job.script and not waits:
            self.move(job_id, job.script.pop(0))
        return seen

    def _page(self, request: Request, rows: list[Json]) -> Answer:
        size, number = (int(request.query.get(k, d)) for k, d in (("page_size", 100), ("page", 0)))
        size = min(size, self.largest_page)
        shown = rows[number * size : (number + 1) * size]
        return Answer({"object": "list", "total": len(rows), "data": shown})

    def _models(self, method: str, rest: list[str]) -> Answer:
        match [method, *rest]:
            case ["GET"]:
                bases = [requests.base_card(name) for name in TUNABLE]
                return Answer({"object": "list", "data": [*bases, *self.models.values()]})
            case ["GET", model_id] if model_id in self.models:
                return Answer(self.models[model_id])
            case ["GET", model_id] if model_id in TUNABLE:
                return Answer(requests.base_card(model_id))
            case ["DELETE", model_id] if model_id in self.models:
                del self.models[model_id]
                return Answer({"id": model_id, "object": "model", "deleted": True})
        return self.refusal(404, f"No such model: {'/'.join(rest)}")

    def _change(self, method: str, model_id: str, rest: list[str], request: Request) -> Answer:
        card = self.models[model_id]
        match [method, *rest]:
            case ["PATCH"]:
                try:
                    asked = requests.Rename.model_validate_json(request.body)
                except ValidationError as error:
                    return Answer({"detail": requests.pydantic_detail(error.errors())}, 422)
                card |= asked.model_dump(exclude_unset=True)
                return Answer(requests.tuned_model(card))
            case ["POST" | "DELETE", "archive"]:
                card["archived"] = method == "POST"
                return Answer({"id": model_id, "object": "model", "archived": card["archived"]})
        return self.refusal(404, "no such verb")

    def _chat(self, request: Request) -> Answer:
        model = request.json().get("model", "")
        card = self.models.get(model)
        if card is None and model not in TUNABLE:
            return self.refusal(404, f"Invalid model: {model}")
        if card is not None and card["archived"]:
            return self.refusal(400, f"{model} is archived")
        return chat_answer(request, self.reply)

    def _time(self) -> int:
        self._now += 1
        return self._now


def _event(name: str, data: Json, at: int) -> Json:
    return {"name": name, "data": data, "created_at": at}


def trouble_while_running(document: Json) -> Json:
    """A job that runs on and says that something is wrong all the same."""
    return _with_error(document) | {"status": "RUNNING"}


def succeeded_in_part(document: Json) -> Json:
    """A job that succeeded with a model, and says what went wrong on the way."""
    return _with_error(document) | {"status": "SUCCESS", "fine_tuned_model": "ft:part:x:1:2"}


def without_model(document: Json) -> Json:
    """A job that succeeded and names no model."""
    return document | {"status": "SUCCESS", "fine_tuned_model": None}


def _with_error(document: Json) -> Json:
    said = _event("warning", {"error": TROUBLE}, _BEGUN + 9_999)
    return document | {"events": [said, *document.get("events", [])]}
