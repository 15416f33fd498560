"""The Hugging Face driver, against a hub on loopback."""

import gzip
import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from specimens import spec_on_ten_rows
from typing_extensions import override

from ftctl.config import load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.errors import (
    AuthError,
    FtctlError,
    InvalidRequest,
    NoBalance,
    NotFound,
    OverMaxCost,
    PrivacyForbids,
    Unavailable,
    Unsupported,
)
from ftctl.job import Hyperparameters, JobSpec, JobState
from ftctl.providers.base import RemoteFile
from ftctl.providers.huggingface import connection
from ftctl.providers.huggingface.driver import HuggingFaceProvider
from ftctl.testing.hub import Hub
from ftctl.testing.loopback import Answer, Fault, Json, Loopback, Request

pytestmark = pytest.mark.medium

KEY = "hf_planted0123456789planted"
Driver = Callable[[], HuggingFaceProvider]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", KEY)
    monkeypatch.delenv("HF_HUB_OFFLINE")


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(KEY) as vendor:
        yield vendor


@pytest.fixture
def driver(hub: Hub) -> Driver:
    return lambda: HuggingFaceProvider(load_settings(), hub.base_url)


@pytest.fixture
def spec(hub: Hub, tmp_path: Path) -> JobSpec:
    return spec_on_ten_rows(
        tmp_path,
        provider="huggingface",
        model="qwen2.5-0.5b-instruct",
        name="My job",
        base_url=hub.base_url,
    )


def start(driver: HuggingFaceProvider, spec: JobSpec, marker: str = "job-1") -> str:
    files = {"training": driver.upload(spec.data, spec.data_sha256)}
    return driver.create(spec, files, marker)


def order_of(hub: Hub, remote_id: str) -> dict[str, Any]:
    job = hub.jobs[remote_id.partition("/")[2]]
    found: dict[str, Any] = json.loads(job["environment"]["FTCTL_ORDER"])
    return found


def test_a_create_says_everything_that_matters(hub: Hub, driver: Driver, spec: JobSpec) -> None:
    remote_id = start(driver(), spec)
    (sent,) = hub.asked("POST /api/jobs/tester")
    body = sent.json()
    assert body["dockerImage"] == "huggingface/trl:1.16.0"
    assert body["labels"] == {"ftctl": "job-1", "name": "my-job"}
    assert body["flavor"] == "t4-small"
    assert body["timeoutSeconds"] >= 1800
    assert body["command"][:2] == ["python", "-c"]
    order = order_of(hub, remote_id)
    assert order["base"] == "Qwen/Qwen2.5-0.5B-Instruct"
    assert order["data_sha256"] == spec.data_sha256
    assert order["repo"] == "tester/my-job-job-1"


def test_the_key_is_a_secret_and_nothing_else(
    hub: Hub, driver: Driver, spec: JobSpec, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        remote_id = start(driver(), spec)
        hub.move(remote_id, "COMPLETED")
        driver().poll(remote_id)
    (sent,) = hub.asked("POST /api/jobs/tester")
    body = sent.json()
    assert body.pop("secrets") == {"HF_TOKEN": KEY}
    assert KEY not in json.dumps(body)
    others = [request for request in hub.requests if request is not sent]
    assert others
    assert all(KEY.encode() not in request.body for request in others)
    assert all(KEY not in str(request.headers) + str(request.query) for request in others)
    assert KEY not in caplog.text


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_huggingface_hub_would_send_again_is_sent_once(
    hub: Hub, driver: Driver, spec: JobSpec, status: int
) -> None:
    hub.faults.append(Fault("POST /api/jobs/*", status=status, after_work=True, times=None))
    with pytest.raises(FtctlError):
        start(driver(), spec)
    assert len(hub.asked("POST /api/jobs/*")) == 1
    assert len(hub.jobs) == 1


@pytest.mark.parametrize(
    "route", ["POST */preupload/main", "POST */commit/main", "GET /api/datasets/*"]
)
def test_nothing_at_all_is_asked_twice(hub: Hub, driver: Driver, spec: JobSpec, route: str) -> None:
    hub.faults.append(Fault(route, status=503, times=None))
    with pytest.raises(Unavailable):
        driver().upload(spec.data, spec.data_sha256)
    assert len(hub.asked(route)) == 1


def test_an_account_without_credit_is_told_so(hub: Hub, driver: Driver, spec: JobSpec) -> None:
    hub.faults.append(Fault("POST /api/jobs/*", status=402, message="Payment required"))
    with pytest.raises(NoBalance, match="Payment required"):
        start(driver(), spec)


def test_data_goes_into_a_private_repository_named_by_its_hash(
    hub: Hub, driver: Driver, spec: JobSpec
) -> None:
    held = driver().upload(spec.data, spec.data_sha256)
    ((kind, repo_id),) = hub.repos.by_id
    repo = hub.repos.by_id[kind, repo_id]
    assert (kind, repo_id) == ("dataset", held.id)
    assert spec.data_sha256.startswith(repo_id.removeprefix("tester/ftctl-data-"))
    assert repo.private
    assert repo.files["data.jsonl"] == spec.data.read_bytes()


def test_data_that_is_there_is_not_sent_again(hub: Hub, driver: Driver, spec: JobSpec) -> None:
    first = driver().upload(spec.data, spec.data_sha256)
    assert driver().upload(spec.data, spec.data_sha256) == first
    assert len(hub.asked("POST */commit/main")) == 1


def test_a_repository_that_a_crash_left_empty_is_filled(
    hub: Hub, driver: Driver, spec: JobSpec
) -> None:
    hub.faults.append(Fault("POST */commit/main", "lost"))
    with pytest.raises(Unavailable):
        driver().upload(spec.data, spec.data_sha256)
    hub.repos.by_id["dataset", next(iter(hub.repos.by_id))[1]].files.clear()
    held = driver().upload(spec.data, spec.data_sha256)
    assert hub.repos.by_id["dataset", held.id].files["data.jsonl"] == spec.data.read_bytes()


def test_no_rows_are_put_where_everybody_sees_them(hub: Hub, driver: Driver, spec: JobSpec) -> None:
    held = driver().upload(spec.data, spec.data_sha256)
    repo = hub.repos.by_id["dataset", held.id]
    repo.private = False  # somebody has opened it
    repo.files.clear()
    with pytest.raises(PrivacyForbids, match="everybody"):
        driver().upload(spec.data, spec.data_sha256)
    assert "data.jsonl" not in repo.files


def test_a_large_file_for_this_machine_goes_to_no_other(
    hub: Hub, driver: Driver, tmp_path: Path
) -> None:
    large = tmp_path / "large.jsonl"
    large.write_bytes(b'{"messages": []}\n' * (700 << 10))

    def elsewhere(document: Json) -> Json:
        for row in document["objects"]:
            row["actions"]["upload"]["href"] = "https://storage.example/x?signature=s"
        return document

    hub.faults.append(Fault("POST *lfs/objects/batch", "changed", change=elsewhere))
    with pytest.raises(PrivacyForbids, match=r"storage\.example"):
        driver().upload(large, file_sha256(large))


def test_a_large_file_goes_to_the_hubs_storage_without_the_key(
    hub: Hub, driver: Driver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    large = tmp_path / "large.jsonl"
    large.write_bytes(b'{"messages": []}\n' * (700 << 10))
    sha256 = file_sha256(large)
    held = driver().upload(large, sha256)
    assert list(hub.storage.content) == [sha256]
    assert "signature=" not in caplog.text
    assert [request.method for request in hub.storage.requests] == ["PUT"]
    assert all(request.authorised for request in hub.storage.requests)  # it takes no key
    assert hub.repos.by_id["dataset", held.id].files["data.jsonl"] == large.read_bytes()


def test_a_storage_that_fails_is_told_in_our_words(
    hub: Hub, driver: Driver, tmp_path: Path
) -> None:
    large = tmp_path / "large.jsonl"
    large.write_bytes(b'{"messages": []}\n' * (700 << 10))
    hub.storage.faults.append(Fault("PUT *", status=500))
    with pytest.raises(Unavailable, match="take files into"):
        driver().upload(large, file_sha256(large))
    assert driver().upload(large, file_sha256(large)).id


def test_weights_come_from_the_storage_without_the_key(
    hub: Hub, driver: Driver, spec: JobSpec, tmp_path: Path
) -> None:
    hub.repos.sends_large_files = False
    remote_id = start(driver(), spec)
    hub.move(remote_id, "COMPLETED")
    driver().fetch(remote_id, tmp_path / "out")
    assert [request.method for request in hub.storage.requests] == ["GET"]
    assert all(request.authorised for request in hub.storage.requests)
    assert (tmp_path / "out" / "adapter_model.safetensors").stat().st_size > 2_000


def test_the_key_follows_no_link_to_another_page(hub: Hub, driver: Driver) -> None:
    class Other(Loopback):
        @override
        def answer(self, request: Request) -> Answer:
            return Answer(b"[]")

    with Other() as other:
        link = {"Link": f'<{other.base_url}/next>; rel="next"'}
        hub.faults.append(Fault("GET /api/jobs/tester", status=200, body=b"[]", headers=link))
        with pytest.raises(Unavailable, match="key isn't sent there"):
            driver().find("job-1")
        assert other.requests == []


@pytest.mark.parametrize("rows", ["[]", None])
def test_a_list_that_never_goes_on_is_no_answer(
    hub: Hub, driver: Driver, spec: JobSpec, rows: str | None
) -> None:
    start(driver(), spec)
    again = f"{hub.base_url}/api/jobs/{hub.me}?cursor=0"
    body = json.dumps(list(hub.jobs.values())) if rows is None else rows
    link = {"Link": f'<{again}>; rel="next"'}
    hub.faults.append(
        Fault("GET /api/jobs/*", status=200, headers=link, body=body.encode(), times=9)
    )
    with pytest.raises(Unavailable, match="same page"):
        driver().find("job-nobody")


@pytest.mark.parametrize(
    ("asks", "limit", "refused"), [(0.40, 5.0, False), (0.80, None, False), (0.80, 5.0, True)]
)
def test_a_limit_is_not_held_by_a_price_that_rose(
    hub: Hub, driver: Driver, spec: JobSpec, asks: float, limit: float | None, refused: bool
) -> None:
    ours = load_settings().catalog  # this hub is the vendor itself, whose prices are known
    ours.parent.mkdir(parents=True, exist_ok=True)
    row = ("name = 'huggingface'", "hosts = ['127.0.0.1']", "as_of = 2026-11-24", "source = 't'")
    ours.write_text("[[providers]]\n" + "\n".join(row), "utf-8")
    hub.usd_per_hour = {"t4-small": asks}
    asked = spec.model_copy(update={"max_cost_usd": limit, "options": {"flavor": "t4-small"}})
    if not refused:
        return driver().check(asked)
    with pytest.raises(OverMaxCost, match=r"0\.80 USD an hour for t4-small"):
        driver().check(asked)
    hub.faults.append(Fault("GET /api/jobs/hardware", status=503))  # a quote is told all the same
    return driver().check(asked)


def test_a_key_that_a_job_prints_is_blotted_out(hub: Hub, driver: Driver, spec: JobSpec) -> None:
    job = start(driver(), spec)
    hub.say_lines(job, [f"requests.HTTPError: Authorization: Bearer {KEY}"])
    events = driver().events(job, 0)
    assert events[-1].message.endswith("Bearer ***")
    assert KEY not in str(events)


def test_lists_are_read_to_their_last_page(hub: Hub, driver: Driver, spec: JobSpec) -> None:
    ids = {start(driver(), spec, f"job-{n}") for n in range(203)}
    pages = list(driver().list_jobs())
    assert set().union(*pages) == ids
    assert driver().find("job-0") in ids


def test_a_list_leaves_completed_jobs_to_a_look(hub: Hub, driver: Driver, spec: JobSpec) -> None:
    done, failed = (start(driver(), spec, f"job-{n}") for n in (1, 2))
    hub.move(done, "COMPLETED")
    hub.move(failed, "ERROR", "boom")
    assert [set(page) for page in driver().list_jobs() if page] == [{failed}]
    assert driver().poll(done).state is JobState.SUCCEEDED


def test_an_organisation_may_pay(hub: Hub, driver: Driver, spec: JobSpec) -> None:
    team = spec.model_copy(update={"options": {"namespace": "team"}})
    remote_id = start(driver(), team)
    assert remote_id.startswith("team/")
    assert order_of(hub, remote_id)["repo"].startswith("team/")
    assert driver().find("job-1") == remote_id
    assert driver().poll(remote_id).state is JobState.QUEUED


def test_an_organisation_that_shows_no_jobs_hides_none_of_ours(
    hub: Hub, driver: Driver, spec: JobSpec
) -> None:
    hub.faults.append(Fault("GET /api/jobs/team", status=403, times=None))
    assert driver().find("job-1") is None
    hub.faults.append(Fault("GET /api/jobs/tester", status=403, times=None))
    with pytest.raises(AuthError):
        driver().find("job-1")


def test_a_completed_job_without_weights_names_no_model(
    hub: Hub, driver: Driver, spec: JobSpec
) -> None:
    hub.pushes = False
    remote_id = start(driver(), spec)
    hub.move(remote_id, "COMPLETED")
    assert driver().poll(remote_id).fine_tuned_model is None
    hub.pushes = True
    hub.move(remote_id, "COMPLETED")
    repo = hub.repos.by_id["model", "tester/my-job-job-1"]
    assert driver().poll(remote_id).fine_tuned_model == f"{repo.id}@{repo.sha}"
    del repo.files["adapter_model.safetensors"]
    assert driver().poll(remote_id).fine_tuned_model is None


def test_what_is_fetched_is_of_one_commit(
    hub: Hub, driver: Driver, spec: JobSpec, tmp_path: Path
) -> None:
    remote_id = start(driver(), spec)
    hub.move(remote_id, "COMPLETED")
    driver().fetch(remote_id, tmp_path / "out")
    sha = hub.repos.by_id["model", "tester/my-job-job-1"].sha
    assert {r.path.split("/")[4] for r in hub.asked("GET */resolve/*")} == {sha}
    assert json.loads((tmp_path / "out" / "origin.json").read_text("utf-8"))["commit"] == sha


def test_a_tuned_model_is_brought_home_once(
    hub: Hub, driver: Driver, spec: JobSpec, clean_environment: Path
) -> None:
    remote_id = start(driver(), spec)
    hub.move(remote_id, "COMPLETED")
    tuned = driver().tuned_model(remote_id)
    assert tuned.folder == clean_environment / "adapters" / "job-1"
    sent = len(hub.asked("GET */resolve/*"))
    assert driver().tuned_model(remote_id) == tuned
    assert len(hub.asked("GET */resolve/*")) == sent
    driver().forget(remote_id)
    assert not tuned.folder.exists()


def test_nothing_is_kept_outside_the_home(
    hub: Hub, driver: Driver, spec: JobSpec, tmp_path: Path, clean_environment: Path
) -> None:
    remote_id = start(driver(), spec)
    hub.move(remote_id, "COMPLETED")
    driver().tuned_model(remote_id)
    driver().events(remote_id, 0)
    driver().forget(remote_id)
    assert {path.name for path in tmp_path.iterdir()} == {"train.jsonl", clean_environment.name}


def test_forgetting_deletes_both_repositories(hub: Hub, driver: Driver, spec: JobSpec) -> None:
    remote_id = start(driver(), spec)
    hub.move(remote_id, "COMPLETED")
    driver().forget(remote_id)
    assert hub.repos.by_id == {}
    driver().forget(remote_id)  # once more, as after a crash


def test_data_that_another_job_reads_is_kept(hub: Hub, driver: Driver, spec: JobSpec) -> None:
    done, running = start(driver(), spec, "job-1"), start(driver(), spec, "job-2")
    hub.move(done, "COMPLETED")
    driver().forget(done)
    assert list(hub.repos.by_id) == [("dataset", order_of(hub, running)["data"])]


def test_a_repository_without_our_tag_is_not_deleted(
    hub: Hub, driver: Driver, spec: JobSpec
) -> None:
    remote_id = start(driver(), spec)
    hub.move(remote_id, "COMPLETED")
    repo = hub.repos.by_id["model", "tester/my-job-job-1"]
    repo.files["README.md"] = b"# Mine now\n"
    with pytest.raises(InvalidRequest, match="tag"):
        driver().forget(remote_id)
    assert ("model", repo.id) in hub.repos.by_id


def test_what_is_still_there_after_deleting_is_said(
    hub: Hub, driver: Driver, spec: JobSpec
) -> None:
    remote_id = start(driver(), spec)
    hub.move(remote_id, "ERROR")
    hub.faults.append(Fault("DELETE /api/repos/delete", status=200, body={}))
    with pytest.raises(Unavailable, match="still shows"):
        driver().forget(remote_id)


def test_a_job_of_somebody_else_is_left_alone(hub: Hub, driver: Driver, spec: JobSpec) -> None:
    remote_id = start(driver(), spec)
    job = hub.jobs[remote_id.partition("/")[2]]
    job["environment"] = {}
    hub.move(remote_id, "ERROR")
    with pytest.raises(InvalidRequest, match="isn't a job that ftctl made"):
        driver().forget(remote_id)
    assert driver().poll(remote_id).state is JobState.FAILED


def test_an_id_never_becomes_a_path(hub: Hub, driver: Driver) -> None:
    for odd in ("tester/../repos", "tester/a?b", "a b/c", "x/y/z", "../x"):
        with pytest.raises(FtctlError):
            driver().poll(odd)
    assert [r.route for r in hub.requests if "repos" in r.path] == []


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_an_environment_that_is_offline_stays_so(
    hub: Hub, driver: Driver, spec: JobSpec, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(Unsupported, match=variable):
        driver().check(spec)
    with pytest.raises(Unsupported, match=variable):
        driver().upload(spec.data, spec.data_sha256)
    assert hub.requests == []


def test_a_log_that_is_held_open_is_read_as_far_as_it_goes(
    hub: Hub, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()

    class Held(Hub):
        @override
        def serve(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
            if not request.path.endswith("/logs"):
                super().serve(handler, request)
                return
            row = json.dumps({"timestamp": "2026-11-24T10:00:00.250Z", "data": "one"})
            handler.wfile.write(f"HTTP/1.1 200 OK\r\n\r\ndata: {row}\n\n".encode())
            handler.wfile.flush()
            done.wait(30)
            handler.close_connection = True

    monkeypatch.setattr(connection, "QUIET_S", 0.3)
    with Held(KEY) as held:
        events = HuggingFaceProvider(load_settings(), held.base_url).events("tester/1", 0)
        done.set()
    assert [event.message for event in events] == ["one"]


def test_others_who_use_huggingface_hub_keep_their_client(
    hub: Hub, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert driver().find("job-1") is None  # ours is in place from here on
    from huggingface_hub import constants, get_session

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # read when another test imported it

    away = {"Location": f"{hub.base_url}/api/whoami-v2"}
    with hub.fault(Fault("GET /there", status=302, headers=away, times=None)):
        headers = {"Authorization": f"Bearer {KEY}"}
        assert get_session().get(f"{hub.base_url}/there", headers=headers).status_code == 200


def test_settings_reach_the_script(hub: Hub, driver: Driver, spec: JobSpec) -> None:
    asked = Hyperparameters(epochs=2, lora_r=8, max_length=512, seed=7, max_minutes=30)
    held_out = RemoteFile("tester/ftctl-data-x", "0" * 64)
    driver_ = driver()
    files = {"training": driver_.upload(spec.data, spec.data_sha256), "validation": held_out}
    remote_id = driver_.create(spec.model_copy(update={"hyperparameters": asked}), files, "job-1")
    order = order_of(hub, remote_id)
    wanted = {"epochs": 2, "lora_r": 8, "lora_alpha": 16, "max_length": 512, "seed": 7}
    assert {name: order[name] for name in wanted} == wanted
    assert (order["validation"], order["max_minutes"]) == (held_out.id, 30)
    assert hub.asked("POST /api/jobs/*")[0].json()["timeoutSeconds"] == 3600


def test_nothing_answers_for_a_job_that_failed(hub: Hub, driver: Driver, spec: JobSpec) -> None:
    remote_id = start(driver(), spec)
    hub.move(remote_id, "ERROR", "CUDA out of memory")
    seen = driver().poll(remote_id)
    assert (seen.state, seen.message) == (JobState.FAILED, "CUDA out of memory")
    with pytest.raises(NotFound):
        driver().tuned_model(remote_id)


def test_lines_that_are_printed_while_we_read_wait_for_the_next_look(
    hub: Hub, driver: Driver, spec: JobSpec
) -> None:
    remote_id = start(driver(), spec)
    hub.say_lines(remote_id, ["old"])
    printed = hub.logs[remote_id.partition("/")[2]]
    before = len(driver().events(remote_id, 0))
    printed.append(("2099-01-01T00:00:00.000Z", "new"))
    printed.append(("2099-01-01T00:00:01.000Z", "newer"))
    assert len(driver().events(remote_id, 0)) == before


def test_packed_data_is_refused_before_it_is_sent(
    hub: Hub, driver: Driver, spec: JobSpec, tmp_path: Path
) -> None:
    packed = tmp_path / "train.jsonl.gz"
    packed.write_bytes(gzip.compress(spec.data.read_bytes()))
    with pytest.raises(Unsupported, match="packed") as caught:
        driver().check(spec.model_copy(update={"data": packed}))
    assert "gunzip" in caught.value.hint
    assert hub.requests == []


def test_a_repository_that_only_seems_to_be_there_is_not_taken_for_ours(
    hub: Hub, driver: Driver, spec: JobSpec
) -> None:
    busy = "Cannot create repo: another conflicting operation is in progress"
    hub.faults.append(Fault("POST /api/repos/create", status=409, message=busy, times=None))
    with pytest.raises(NotFound):
        driver().upload(spec.data, spec.data_sha256)
    assert len(hub.asked("POST /api/repos/create")) == 1
