"""Acme on loopback: what it says when nothing goes wrong. Faults are scripted by `Loopback`."""

import time

from typing_extensions import override

from ftctl.testing.loopback import Answer, Json, Loopback, Request


class AcmeVendor(Loopback):
    """The vendor.

    Args:
        key: The key that is right.
    """

    def __init__(self, key: str) -> None:
        super().__init__(key, prefix="")
        self.datasets: dict[str, bytes] = {}
        self.jobs: dict[str, Json] = {}
        self.logs: dict[str, list[Json]] = {}

    @override
    def answer(self, request: Request) -> Answer:
        match [request.method, *request.path.strip("/").split("/")]:
            case ["GET", "datasets"]:
                return Answer({"datasets": list(self.datasets)})
            case ["PUT", "datasets", sha256]:
                self.datasets[sha256] = request.body
                return Answer({"datasets": [sha256]})
            case ["POST", "jobs"]:
                return self._create(request.json())
            case ["GET", "jobs"]:
                shown = [job for job in self.jobs.values() if self.listed(job["id"])]
                label = request.query.get("label")
                return Answer({"jobs": [job for job in shown if job["label"] == label]})
            case [method, "jobs", job_id, *rest] if job_id in self.jobs:
                return self._job(method, job_id, rest)
        return self.refusal(404, f"no {request.path} here")

    def move(self, job_id: str, state: str) -> None:
        """Bring a job to a state, unless it has ended."""
        job = self.jobs[job_id]
        if job["state"] in ("checking", "waiting", "working"):
            job["state"] = state
            job["tuned_model"] = f"{job['model']}-{job_id}" if state == "done" else None
            self.logs[job_id].append({"at": time.time(), "text": f"now {state}"})

    def _create(self, asked: Json) -> Answer:
        if asked.get("dataset") not in self.datasets:
            return self.refusal(422, "no such dataset")
        job_id = f"job{len(self.jobs) + 1}"
        self.jobs[job_id] = {"id": job_id, "state": "checking", "tuned_model": None, **asked}
        self.logs[job_id] = []
        self.move(job_id, "waiting")
        return Answer(dict(self.jobs[job_id]))

    def _job(self, method: str, job_id: str, rest: list[str]) -> Answer:
        if rest == ["log"]:
            return Answer({"lines": list(self.logs[job_id])})
        if rest == ["stop"]:
            self.move(job_id, "stopped")
        if method == "DELETE":
            del self.jobs[job_id]
            return Answer({"deleted": True})
        return Answer(dict(self.jobs[job_id]))
