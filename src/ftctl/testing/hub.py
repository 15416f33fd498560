"""A hub on loopback: Jobs, repositories and the key's owner, as huggingface_hub 2.4.0 asks them.

A job moves on when `move` says so, or one stage with each look. Nothing is trained: one that
completes pushes an adapter of a few bytes.
"""

import json
import secrets
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from typing_extensions import override

from ftctl.testing.hub_repos import HubRepo, HubRepos, HubStorage, missing, refusal
from ftctl.testing.hub_spaces import HubSpaces
from ftctl.testing.loopback import Answer, Json, Loopback, Request
from ftctl.testing.under_test import TROUBLE
from ftctl.testing.weights_contract import make_safetensors

STAGES = ("SCHEDULING", "RUNNING", "COMPLETED")
ENDED = ("COMPLETED", "CANCELED", "ERROR", "DELETED")
PAGE = 100
# What a create may hold; anything else is refused, as a fake that takes all proves nothing.
_ASKED = {
    "command",
    "arguments",
    "environment",
    "secrets",
    "flavor",
    "timeoutSeconds",
    "attempts",
    "labels",
    "dockerImage",
}


class Hub(Loopback):
    """The hub.

    Args:
        key: The key that is right; None takes any.
        by_polls: Whether each look moves a job on; else only `move` does.

    Attributes:
        jobs: What the API says of each job, oldest first.
        secrets: The names of the secrets that each job was given; their values aren't kept.
        logs: What each job has printed: time and text.
        pushes: Whether a job that completes pushes an adapter.
        storage: Where large files are kept.
        usd_per_hour: What it asks for its machines, by name.
    """

    me = "tester"
    organisations = ("team",)

    def __init__(self, key: str | None = None, *, by_polls: bool = False) -> None:
        super().__init__(key, prefix="")
        self.by_polls = by_polls
        self.jobs: dict[str, Json] = {}
        self.secrets: dict[str, list[str]] = {}
        self.logs: dict[str, list[tuple[str, str]]] = {}
        self.creates: Counter[str] = Counter()
        self.pushes = True
        self.usd_per_hour = {"t4-small": 0.40, "a100-large": 2.50}
        self.storage = HubStorage()
        self.repos = HubRepos(self.storage)
        self.spaces = HubSpaces(self.repos)
        self._clock = datetime(2026, 11, 24, 10, tzinfo=UTC)
        self._clock_lock = threading.Lock()

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
        return refusal(status, message)

    @override
    def answer(self, request: Request) -> Answer:
        answer = missing()
        match [request.method, *request.path.strip("/").split("/")]:
            case ["GET", "api", "whoami-v2"]:
                orgs = [{"type": "org", "name": name} for name in self.organisations]
                answer = Answer({"type": "user", "id": "u1", "name": self.me, "orgs": orgs})
            case ["POST", "api", "repos", "create"]:
                answer = self.repos.make(request, self.me, self.base_url)
            case ["DELETE", "api", "repos", "delete"]:
                answer = self.repos.delete(request, self.me)
            case ["POST", "api", "validate-yaml"]:
                answer = Answer({"errors": [], "warnings": []})
            case [_, "api", "spaces", owner, name, *rest]:
                answer = self.spaces.answer(request, f"{owner}/{name}", rest)
            case [_, "api", "models" | "datasets" as plural, owner, name, *rest]:
                answer = self.repos.api(request, plural, f"{owner}/{name}", rest)
            case ["POST", *_, "info", "lfs", "objects", "batch"]:
                answer = self.repos.lfs(request)
            case ["GET" | "HEAD", _, _, "resolve", *_] | ["GET" | "HEAD", "datasets", *_]:
                answer = self.repos.send(request)
            case ["POST" | "GET" as method, "api", "jobs", namespace, *rest]:
                answer = self._about_jobs(request, method, namespace, rest)
        return answer

    def move(self, job_id: str, stage: str, message: str | None = None) -> None:
        """Bring a job to a stage, with all that belongs to it.

        Args:
            job_id: With or without its namespace.
            stage: One of the SDK's, or a word that nobody knows.
            message: What the status says beside it.
        """
        job_id = job_id.rpartition("/")[2]
        job = self.jobs[job_id]
        job["status"] = {"stage": stage, "message": message}
        if stage == "RUNNING":
            job["startedAt"] = self._now()
            self._print(job_id, "===== Job started at 2026-11-24 10:00:00 =====")
            self._print(job_id, '{"message": "10 examples on a card in bfloat16"}')
            for step in (1, 2):
                numbers = {"step": step, "total_steps": 2, "loss": 2.5 / step, "epoch": step / 2}
                self._print(job_id, json.dumps(numbers))
        if stage in ENDED:
            job["finishedAt"] = self._now()
            job["durations"] = {"schedulingSecs": 5, "runningSecs": 61, "totalSecs": 66}
        if stage == "COMPLETED" and self.pushes:
            self.push(job)

    def say_lines(self, job_id: str, lines: Iterable[str]) -> None:
        """Let a job have printed these lines."""
        for line in lines:
            self._print(job_id.rpartition("/")[2], line)

    def end_space(self, job_id: str, *, pushes: bool = True, title: str = "") -> None:
        """Let a job that is a Space end as AutoTrain does: it pushes, says so, and pauses itself.

        Args:
            job_id: With or without what stands before its id.
            pushes: Whether it pushes an adapter.
            title: Of the discussion that it opens; none when empty.
        """
        space = self.spaces.by_id[job_id.removeprefix("spaces/")]
        space.printed.append((self._now(), "{'loss': 1.5, 'epoch': 1.0}"))
        space.printed.append((self._now(), "Pausing space"))
        if pushes:
            self.push_order(json.loads(space.variables["FTCTL_ORDER"]))
        space.titles += [title] if title else []
        space.stage = "PAUSED"

    def push(self, job: Json) -> HubRepo:
        """Let a job's adapter stand in its repository, as its script leaves it."""
        return self.push_order(json.loads(job["environment"]["FTCTL_ORDER"]))

    def push_order(self, order: Json) -> HubRepo:
        """The same for what a job was asked."""
        repo = self.repos.by_id.setdefault(
            ("model", order["repo"]), HubRepo(order["repo"], "model", private=True)
        )
        card = f"---\nbase_model: {order['base']}\ntags: [ftctl, ftctl-{order['marker']}]\n---\n"
        config = {"base_model_name_or_path": order["base"], "peft_type": "LORA", "r": 16}
        files = {
            ".gitattributes": b"*.safetensors filter=lfs\n",
            "README.md": card.encode(),
            "adapter_config.json": json.dumps(config).encode(),
            "adapter_model.safetensors": make_safetensors(7, 2_000),
            "run.json": json.dumps({"order": order}).encode(),
        }
        if repo.files != files:
            repo.files.clear()
            repo.commit(files)
        return repo

    def _about_jobs(self, request: Request, method: str, namespace: str, rest: list[str]) -> Answer:
        if namespace == "hardware":
            rows = [_machine(name, price) for name, price in self.usd_per_hour.items()]
            return Answer(json.dumps(rows).encode())
        if namespace not in (self.me, *self.organisations):
            return refusal(403, "not your namespace")
        if not rest:
            return self._create(request, namespace) if method == "POST" else self._list(request)
        job = self.jobs.get(rest[0])
        if job is None or job["owner"]["name"] != namespace:
            return refusal(404, "Job not found")
        return self._about_job(job, [method, *rest[1:]])

    def _about_job(self, job: Json, asked: list[str]) -> Answer:
        answer = refusal(404, "Not Found")
        match asked:
            case ["GET"]:
                if self.by_polls:
                    self._step(job)
                answer = Answer(json.loads(json.dumps(job)))
            case ["GET", "logs"]:
                rows = [{"timestamp": at, "data": said} for at, said in self.logs[job["id"]]]
                text = ": keep-alive\n\n" + "".join(f"data: {json.dumps(r)}\n\n" for r in rows)
                answer = Answer(text.encode())
            case ["POST", "cancel"] if job["status"]["stage"] in ENDED:
                answer = refusal(409, "Job has ended")
            case ["POST", "cancel"]:
                self.move(job["id"], "CANCELED")
                answer = Answer({})
        return answer

    def _create(self, request: Request, namespace: str) -> Answer:
        asked = request.json()
        unknown = set(asked) - _ASKED
        if unknown or not isinstance(asked.get("timeoutSeconds"), int):
            said = f"unknown {sorted(unknown)}" if unknown else "timeoutSeconds isn't a number"
            return refusal(422, said)
        job_id = secrets.token_hex(12)
        now = self._now()
        self.jobs[job_id] = {
            "id": job_id,
            "createdAt": now,
            "startedAt": None,
            "finishedAt": None,
            "dockerImage": asked["dockerImage"],
            "spaceId": None,
            "command": asked["command"],
            "arguments": asked["arguments"],
            "environment": asked["environment"],
            "secrets": list(asked.get("secrets", {})),
            "flavor": asked["flavor"],
            "labels": asked.get("labels", {}),
            "volumes": None,
            "status": {"stage": "SCHEDULING", "message": None},
            "durations": {"schedulingSecs": 0, "runningSecs": None, "totalSecs": 0},
            "owner": {"id": "u1", "name": namespace, "type": "user"},
            "initiator": {"type": "user", "id": "u1", "name": self.me},
            "timeoutSeconds": asked["timeoutSeconds"],
        }
        self.secrets[job_id] = list(asked.get("secrets", {}))
        self.logs[job_id] = []
        self.creates[asked.get("labels", {}).get("ftctl", "")] += 1
        self._print(job_id, "Pulling the image")
        return Answer(json.loads(json.dumps(self.jobs[job_id])))

    def _list(self, request: Request) -> Answer:
        namespace = request.path.rpartition("/")[2]
        wanted = request.query.get("label")
        rows = [
            job
            for job in reversed(self.jobs.values())
            if job["owner"]["name"] == namespace and self.listed(job["id"])
            if wanted is None or wanted in _labels(job)
        ]
        start = int(request.query.get("cursor", "0"))
        page = rows[start : start + PAGE]
        headers = {}
        if start + PAGE < len(rows):
            query = f"cursor={start + PAGE}" + (f"&label={wanted}" if wanted else "")
            headers["Link"] = f'<{self.base_url}/api/jobs/{namespace}?{query}>; rel="next"'
        return Answer(json.dumps(page).encode(), headers=headers)

    def _step(self, job: Json) -> None:
        stage = job["status"]["stage"]
        if stage in STAGES[:-1]:
            self.move(job["id"], STAGES[STAGES.index(stage) + 1])

    def _print(self, job_id: str, text: str) -> None:
        self.logs[job_id].append((self._now(), text))

    def _now(self) -> str:
        with self._clock_lock:
            self._clock += timedelta(milliseconds=250)
            return self._clock.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _machine(name: str, usd_per_hour: float) -> Json:
    micro = round(usd_per_hour / 60 * 1e6)
    size = {"prettyName": name, "cpu": "4 vCPU", "ram": "15 GB", "ephemeralStorage": "50 GB"}
    cost = {"unitCostMicroUSD": micro, "unitCostUSD": micro / 1e6, "unitLabel": "minute"}
    return {"name": name, "accelerator": None, **size, **cost}


def _labels(job: Json) -> Iterator[str]:
    yield from (f"{name}={value}" for name, value in job["labels"].items())


def trouble_while_running(document: Json) -> Json:
    """A job that runs on while its message speaks of trouble."""
    return document | {"status": {"stage": "RUNNING", "message": TROUBLE}}


def succeeded_in_part(document: Json) -> Json:
    """A job that completed while its message speaks of trouble."""
    return document | {"status": {"stage": "COMPLETED", "message": TROUBLE}}
