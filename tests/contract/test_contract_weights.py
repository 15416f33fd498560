"""The contract of weights, against a small vendor that lists a job's files and sends them."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from typing_extensions import override

from ftctl.config import Credential
from ftctl.datasets.digest import file_sha256
from ftctl.job import JobSpec, TunedModel
from ftctl.providers.artifacts.download import Download, Progress, http_download
from ftctl.providers.artifacts.result_folder import write_results
from ftctl.providers.artifacts.safe_names import choose
from ftctl.providers.base import Provider
from ftctl.providers.fake import FakeProvider, FakeScript
from ftctl.testing.loopback import Answer, Loopback, Request, ranged
from ftctl.testing.weights_contract import WeightsContract, WeightsUnderTest

pytestmark = pytest.mark.medium

KEY = Credential("open", "sk-weights", "OPEN_API_KEY")


class OpenVendor(Loopback):
    """Sends weights, by number; what it says of their hashes may be a lie."""

    def __init__(self) -> None:
        super().__init__(KEY.key)
        self.weights: list[tuple[str, bytes]] = []
        self.lies = False

    @override
    def answer(self, request: Request) -> Answer:
        if request.path == "/weights":
            rows = [{"name": name, "sha256": self._stated(c)} for name, c in self.weights]
            return Answer({"data": rows})
        content = self.weights[int(request.path.removeprefix("/weights/"))][1]
        return ranged(request, content, f'"{hashlib.sha256(content).hexdigest()[:9]}"')

    def _stated(self, content: bytes) -> str:
        return hashlib.sha256(content + b"!" * self.lies).hexdigest()


class OpenProvider(FakeProvider):
    """Its jobs are only said to run; its weights come over HTTP."""

    capabilities = replace(FakeProvider.capabilities, returns_weights=True)

    def __init__(self, folder: Path, base_url: str) -> None:
        super().__init__(folder)
        self._base_url = base_url

    @override
    def fetch(self, remote_id: str, folder: Path, progress: Progress | None = None) -> TunedModel:
        tuned = self.tuned_model(remote_id)
        bearer = {"Authorization": f"Bearer {KEY.key}"}
        rows = httpx2.get(f"{self._base_url}/weights", headers=bearer).json()["data"]
        offered = [(row["name"], self._file(n, **row)) for n, row in enumerate(rows)]
        ours = {"README.md": f"# {tuned.name}\n".encode()}
        write_results(folder, {**ours, **choose("Open", offered, taken=ours).files}, progress)
        return tuned.model_copy(update={"folder": folder})

    def _file(self, number: int, name: str, sha256: str) -> Download:
        return http_download(
            name,
            lambda: f"{self._base_url}/weights/{number}",
            who="Open",
            base_url=self._base_url,
            credential=KEY,
            sha256=sha256,
        )


class OpenUnderTest:
    weights_route = "GET /weights/*"

    def __init__(self, vendor: OpenVendor, folder: Path) -> None:
        self._open = vendor
        self.vendor: Loopback = vendor
        self._folder = folder / "jobs"
        data = folder / "train.jsonl"
        data.write_text('{"messages": []}\n', "utf-8")
        self.spec = JobSpec(
            provider="fake", model="m", data=data, data_sha256=file_sha256(data), name="n"
        )

    def driver(self) -> Provider:
        return OpenProvider(self._folder, self.vendor.base_url)

    def finish(self, remote_id: str) -> None:
        FakeProvider(self._folder).script = FakeScript(words=("succeeded",))

    def made(self) -> int:
        return len(FakeProvider(self._folder).jobs)

    def offer(self, remote_id: str, files: Mapping[str, bytes]) -> None:
        self._open.weights = list(files.items())

    def misstate(self, remote_id: str) -> bool:
        self._open.lies = True
        return True


class TestOpenWeights(WeightsContract):
    @pytest.fixture
    @override
    def under_test(self, tmp_path: Path) -> Iterator[WeightsUnderTest]:
        with OpenVendor() as vendor:
            yield OpenUnderTest(vendor, tmp_path)
