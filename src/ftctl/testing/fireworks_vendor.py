"""Fireworks' datasets, jobs and models on loopback, in the shapes of its SDK (1.2.30).

A job moves one state on with each look at it, or when `move` says so. What the SDK's request types
don't know is refused. A tuned model answers only after `deploy`.
"""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self, TypeVar

from pydantic import BaseModel, ValidationError
from typing_extensions import override

from ftctl.testing import fireworks_requests as requests
from ftctl.testing.loopback import Answer, Json, Loopback, Request, form_fields
from ftctl.testing.openai_chat import chat_answer
from ftctl.testing.small_adapter import small_adapter
from ftctl.testing.storage_vendor import StorageVendor
from ftctl.testing.under_test import TROUBLE

STATES = ("CREATING", "VALIDATING", "PENDING", "RUNNING", "WRITING_RESULTS", "COMPLETED")
TERMINAL = ("COMPLETED", "EARLY_STOPPED", "FAILED", "CANCELLED", "EXPIRED")
TUNABLE = ("llama-v3p1-8b-instruct", "qwen3-8b")
ACCOUNT = "accounts/me"
_IDS = {"supervisedFineTuningJobs": "supervisedFineTuningJobId", "dpoJobs": "dpoJobId"}
_TYPES: dict[str, type[requests.SftCreate] | type[requests.DpoCreate]] = {
    "supervisedFineTuningJobs": requests.SftCreate,
    "dpoJobs": requests.DpoCreate,
}
_Type = TypeVar("_Type", bound=BaseModel)
_BEGUN = datetime(2026, 11, 24, 12, tzinfo=UTC)


@dataclass
class VendorJob:
    """A job that is held; `document` is what the API says of it."""

    document: Json
    script: list[str]
    files: dict[str, bytes] = field(default_factory=dict)


class FireworksVendor(Loopback):
    """The vendor, with one account.

    Args:
        key: The key that is right; None takes any.
        states: States that a new job goes through.
        by_polls: Whether each look moves a job on; else only `move` does.
        lists_lag_requests: Lists that don't show a new job.
        checks: Looks at a dataset until it is ready.

    Attributes:
        storage: Where its signed links point.
        accounts: The accounts that its key opens.
        deployed: Names of the models for which there is a deployment.
        reply: What every deployed model says.
    """

    def __init__(
        self,
        key: str | None = None,
        *,
        states: Sequence[str] = STATES,
        by_polls: bool = True,
        lists_lag_requests: int = 0,
        checks: int = 0,
    ) -> None:
        super().__init__(key, prefix="")
        self.states = states
        self.by_polls = by_polls
        self.lists_lag_requests = lists_lag_requests
        self.checks = checks
        self.storage = StorageVendor()
        self.accounts = [ACCOUNT]
        self.datasets: dict[str, Json] = {}
        self.jobs: dict[str, VendorJob] = {}
        self.models: dict[str, Json] = {
            f"accounts/fireworks/models/{name}": {"tunable": True, "trainingContextLength": 32768}
            for name in TUNABLE
        } | {"accounts/fireworks/models/old": {"tunable": False}}
        self.deployed: set[str] = set()
        self.reply = "It is green."
        self._looks: dict[str, int] = {}
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
        return Answer({"code": status, "message": message, "details": []}, status)

    @override
    def answer(self, request: Request) -> Answer:
        path, _, verb = request.path.removeprefix("/v1/").partition(":")
        answer = self.refusal(404, f"No such thing: {request.path}")
        match [request.method, *path.split("/")]:
            case ["POST", "", "inference", "v1", "chat", "completions"]:
                answer = self._chat(request)
            case ["GET", "accounts"]:
                answer = _page([{"name": name} for name in self.accounts], "accounts", request)
            case [method, "accounts", _, "datasets", *rest]:
                answer = self._dataset(method, path, verb, request, whole=not rest)
            case [method, "accounts", _, kind] if kind in _IDS:
                answer = self._jobs(method, path, kind, request)
            case [method, "accounts", _, kind, _] if kind in _IDS and path in self.jobs:
                answer = self._job(method, path, verb)
            case [method, "accounts", _, "models", _] if path in self.models:
                answer = self._model(method, path, verb)
        return answer

    def deploy(self, model: str) -> None:
        """Make a deployment for a model, as a person does in the console."""
        self.deployed.add(model)

    def move(self, name: str, state: str) -> None:
        """Bring a job to a state, with all that belongs to it."""
        job = self.jobs[name]
        job.document |= {"state": f"JOB_STATE_{state}", "updateTime": self._time()}
        if state in TERMINAL:
            job.script.clear()
            job.document["completedTime"] = self._time()
        if state == "RUNNING":
            rows = [{"step": step, "train_loss": 2.0 / step} for step in (1, 2)]
            metrics = "".join(json.dumps(row) + "\n" for row in rows)
            self.storage.held[f"/{name}/metrics"] = metrics.encode()
            job.document["jobProgress"] = {"percent": 50, "epoch": 0, "inputTokens": 1234}
        if state == "FAILED":
            job.document["status"] = {"code": "INTERNAL", "message": "a machine was lost"}
        if state in ("COMPLETED", "EARLY_STOPPED"):
            job.files = small_adapter()
            self.models[self.model_of(name)] = {"kind": "HF_PEFT_ADDON", "tunable": True}

    def model_of(self, name: str) -> str:
        """The model that a job makes."""
        document = self.jobs[name].document
        return str(document.get("trainingConfig", document)["outputModel"])

    def _dataset(
        self, method: str, path: str, verb: str, request: Request, *, whole: bool
    ) -> Answer:
        match [method, verb, whole]:
            case ["GET", "", True]:
                held = [row for name, row in self.datasets.items() if name.startswith(f"{path}/")]
                return _page(held, "datasets", request)
            case ["POST", "", True]:
                return self._make_dataset(path, request)
        if path not in self.datasets:
            return self.refusal(404, f"no {path}")
        if method == "DELETE":
            self.storage.held.pop(f"/{path}", None)
            del self.datasets[path]
            return Answer({})
        return self._fill(path, request) if method == "POST" else Answer(self._ready(path))

    def _make_dataset(self, path: str, request: Request) -> Answer:
        asked = _checked(requests.DatasetCreate, request)
        if isinstance(asked, str):
            return self.refusal(400, asked)
        name = f"{path}/{asked.dataset_id}"
        if name in self.datasets:
            return self.refusal(409, f"{name} is there")
        self.datasets[name] = {"name": name, "state": "UPLOADING", "createTime": self._time()}
        return Answer(dict(self.datasets[name]))

    def _fill(self, path: str, request: Request) -> Answer:
        verb = request.path.partition(":")[2]
        if verb == "upload":
            parts = form_fields(request)
            if set(parts) != {"file"}:
                return self.refusal(400, f"a form of one file is wanted, got {sorted(parts)}")
            self.storage.held[f"/{path}"] = parts["file"][1]
        elif verb == "getUploadEndpoint":
            asked = _checked(requests.UploadEndpoint, request)
            if isinstance(asked, str):
                return self.refusal(400, asked)
            links = {name: self.storage.link(f"/{path}") for name in asked.filename_to_size}
            return Answer({"filenameToSignedUrls": links})
        elif verb != "validateUpload" or isinstance(_checked(requests.Nothing, request), str):
            return self.refusal(400, f"no verb {verb} with such a body")
        self._looks[path] = 0
        return Answer({"id": path})

    def _ready(self, path: str) -> Json:
        document, content = self.datasets[path], self.storage.held.get(f"/{path}")
        if content is not None and path in self._looks:
            self._looks[path] += 1
            trouble = requests.trouble_with(content)
            if trouble is not None:
                document["status"] = trouble
            elif self._looks[path] > self.checks:
                document["state"] = "READY"
        return dict(document)

    def _jobs(self, method: str, path: str, kind: str, request: Request) -> Answer:
        if method == "GET":
            held = [j.document for name, j in self.jobs.items() if name.startswith(f"{path}/")]
            return _page([row for row in held if self.listed(row["name"])], kind, request)
        asked: requests.SftCreate | requests.DpoCreate | str = _checked(_TYPES[kind], request)
        job_id = request.query.get(_IDS[kind], f"j-{secrets.token_hex(4)}")
        if isinstance(asked, str) or not re.fullmatch(r"[a-z][a-z0-9-]{0,62}", job_id):
            return self.refusal(400, f"{asked} {job_id}")
        data = [asked.dataset, getattr(asked, "evaluation_dataset", None)]
        if any(d and self.datasets.get(d, {}).get("state") != "READY" for d in data):
            return self.refusal(400, "a dataset isn't there, or isn't ready")
        if f"{path}/{job_id}" in self.jobs:
            return self.refusal(409, f"{path}/{job_id} is there")
        training = asked.training_config if isinstance(asked, requests.DpoCreate) else asked
        base = training.base_model or training.warm_start_from or ""
        if not self.models.get(base, {}).get("tunable"):
            return self.refusal(404, f"no {base} that can be tuned")
        script = list(self.states)
        document = requests.job_document(f"{path}/{job_id}", asked, script.pop(0), self._time())
        self.jobs[document["name"]] = VendorJob(document, script)
        return Answer(dict(document))

    def _job(self, method: str, name: str, verb: str) -> Answer:
        job = self.jobs[name]
        ended = job.document["state"].removeprefix("JOB_STATE_") in TERMINAL
        answer = self.refusal(400, f"not {verb or method} now")
        match [method, verb]:
            case ["GET", ""]:
                answer = Answer(self._seen(name, job))
            case ["GET", "getMetricsFileEndpoint"] if f"/{name}/metrics" in self.storage.held:
                answer = Answer({"signedUrl": self.storage.link(f"/{name}/metrics")})
            case ["DELETE", ""]:
                del self.jobs[name]
                answer = Answer({})
            case ["POST", "cancel"] if not ended:
                self.move(name, "CANCELLED")
                answer = Answer({})
            case ["POST", "resume"] if ended:
                job.script = [state for state in self.states if state != "CREATING"]
                job.document.pop("completedTime", None)
                self.move(name, "PENDING")
                answer = Answer(dict(job.document))
        return answer

    def _seen(self, name: str, job: VendorJob) -> Json:
        seen = dict(job.document)
        if f"/{name}/metrics" in self.storage.held and "/dpoJobs/" not in name:
            seen["metricsFileSignedUrl"] = self.storage.link(f"/{name}/metrics")
        if self.by_polls and job.script:
            self.move(name, job.script.pop(0))
        return seen

    def _model(self, method: str, name: str, verb: str) -> Answer:
        if method == "DELETE":
            if name in self.deployed:
                return self.refusal(400, f"{name} is deployed")
            del self.models[name]
            return Answer({})
        if verb == "getDownloadEndpoint":
            return Answer({"filenameToSignedUrls": self._offered(name)})
        return Answer({"name": name, "state": "READY", **self.models[name]})

    def _offered(self, model: str) -> dict[str, str]:
        links = {}
        for name, job in self.jobs.items():
            if self.model_of(name) == model:
                for number, (file, content) in enumerate(job.files.items()):
                    self.storage.held[f"/weights/{number}"] = content
                    links[file] = self.storage.link(f"/weights/{number}")
        return links

    def _chat(self, request: Request) -> Answer:
        model = request.json().get("model")
        if model in self.deployed:
            return chat_answer(request, self.reply)
        error = {"message": f"Model not found, inaccessible, and/or not deployed: {model}"}
        return Answer({"error": error | {"code": "NOT_FOUND"}}, 404)

    def _time(self) -> str:
        self._now += timedelta(seconds=1)
        return self._now.isoformat().replace("+00:00", "Z")


def _checked(kind: type[_Type], request: Request) -> _Type | str:
    """A body as its type, or what is wrong with it."""
    try:
        return kind.model_validate_json(request.body)
    except ValidationError as error:
        return str(error)


def _page(rows: Sequence[Json], kind: str, request: Request) -> Answer:
    """One page of a list."""
    size = min(int(request.query.get("pageSize", "50")), 200)
    start = int(request.query.get("pageToken", "0"))
    more = {"nextPageToken": str(start + size)} if start + size < len(rows) else {}
    return Answer({kind: rows[start : start + size], **more})


def trouble_while_running(document: Json) -> Json:
    """A job that runs on and says that something is wrong all the same."""
    return document | {"state": "JOB_STATE_RUNNING", "status": _TROUBLE}


def succeeded_in_part(document: Json) -> Json:
    """A job that succeeded with a model, and says what went wrong on the way."""
    return document | {"state": "JOB_STATE_COMPLETED", "status": _TROUBLE, "outputModel": "part"}


def without_model(document: Json) -> Json:
    """A job that succeeded and names no model."""
    return document | {"state": "JOB_STATE_COMPLETED", "outputModel": ""}


_TROUBLE = {"code": "UNKNOWN", "message": TROUBLE}
