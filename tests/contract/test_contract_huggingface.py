"""The Hugging Face driver keeps the contract, against a hub on loopback."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hosted import HostedUnderTest
from typing_extensions import override

from ftctl.testing import hub
from ftctl.testing.http_contract import HttpContract
from ftctl.testing.hub import Hub
from ftctl.testing.hub_repos import HubRepo
from ftctl.testing.loopback import Fault, Json
from ftctl.testing.under_test import TROUBLE, Verb
from ftctl.testing.weights_contract import WeightsContract

pytestmark = pytest.mark.medium

ROUTES: dict[Verb, str] = {
    "upload": "GET /api/whoami-v2",
    "create": "POST /api/jobs/*",
    "find": "GET /api/jobs/tester",
    "poll": "GET /api/jobs/*",
    "events": "GET */logs",
    "cancel": "POST */cancel",
    "fetch": "GET /api/jobs/*",
    "tuned_model": "GET /api/jobs/*",
}


SPACE_ROUTES: dict[Verb, str] = {
    "upload": "GET /api/whoami-v2",
    "create": "POST /api/spaces/*/commit/main",
    "find": "GET /api/jobs/tester",
    "poll": "GET /api/*",
    "events": "GET */logs/run",
    "cancel": "POST */pause",
    "fetch": "GET /api/spaces/*",
    "tuned_model": "GET /api/spaces/*",
}


class HubUnderTest(HostedUnderTest):
    asked: Mapping[str, Any] = {"provider": "huggingface", "model": "qwen2.5-0.5b-instruct"}
    verb_routes = ROUTES
    done = "COMPLETED"
    documents = hub

    def __init__(self, vendor: Hub, folder: Path) -> None:
        super().__init__(vendor, folder)
        self.hub = vendor

    @override
    def with_status(self, document: Json, word: str) -> Json:
        return document | {"status": {"stage": word, "message": None}}

    @override
    def without_model(self, document: Json) -> Json:
        return self.with_status(document, "COMPLETED")

    @override
    def succeeded_in_part(self, document: Json) -> Json:
        self.hub.push(document)
        return super().succeeded_in_part(document)

    @property
    def weights_route(self) -> str:
        return "GET */resolve/*"

    def offer(self, remote_id: str, files: Mapping[str, bytes]) -> None:
        repo = self._repo(remote_id)
        repo.files.clear()
        repo.commit(files)

    def misstate(self, remote_id: str) -> bool:
        self._repo(remote_id).wrong_hashes = True
        return True

    def _repo(self, remote_id: str) -> HubRepo:
        job = self.hub.jobs[remote_id.rpartition("/")[2]]
        order = json.loads(job["environment"]["FTCTL_ORDER"])
        return self.hub.repos.by_id["model", order["repo"]]


class TestHuggingFace(HttpContract):
    @pytest.fixture
    @override
    def under_test(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubUnderTest]:
        yield from _hub(tmp_path, monkeypatch)


class TestHuggingFaceWeights(WeightsContract):
    @pytest.fixture
    @override
    def under_test(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubUnderTest]:
        yield from _hub(tmp_path, monkeypatch)


class SpaceUnderTest(HubUnderTest):
    """The same, by AutoTrain in a Space."""

    def __init__(self, vendor: Hub, folder: Path) -> None:
        super().__init__(vendor, folder)
        self.routes = SPACE_ROUTES
        options = {"flavor": "a10g-large"}
        self._spec = self._spec.model_copy(update={"engine": "autotrain-space", "options": options})

    @override
    def finish(self, remote_id: str) -> None:
        self.hub.end_space(remote_id)

    @override
    def made(self) -> int:
        return len(self.hub.spaces.started())

    @override
    def show(self, remote_id: str, change: Callable[[Json], Json]) -> None:
        route = f"GET /api/{remote_id}/runtime"
        self.hub.faults.append(Fault(route, "changed", times=None, change=change))

    @override
    def with_status(self, document: Json, word: str) -> Json:
        return document | {"stage": word}

    @override
    def without_model(self, document: Json) -> Json:
        (space,) = self.hub.spaces.by_id.values()
        space.titles.append("Your training has finished successfully")
        return document | {"stage": "PAUSED"}

    @override
    def troubled(self, document: Json) -> Json:
        return document | {"stage": "RUNNING", "errorMessage": TROUBLE}

    @override
    def succeeded_in_part(self, document: Json) -> Json:
        (space,) = self.hub.spaces.by_id.values()
        self.hub.push_order(json.loads(space.variables["FTCTL_ORDER"]))
        return document | {"stage": "PAUSED", "errorMessage": TROUBLE}


class TestAutoTrainSpace(HttpContract):
    @pytest.fixture
    @override
    def under_test(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[SpaceUnderTest]:
        for hub_under_test in _hub(tmp_path, monkeypatch):
            yield SpaceUnderTest(hub_under_test.hub, tmp_path)


def _hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubUnderTest]:
    monkeypatch.setenv("HF_TOKEN", "hf_contract")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with Hub("hf_contract") as vendor:
        yield HubUnderTest(vendor, tmp_path)
